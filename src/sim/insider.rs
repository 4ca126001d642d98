//! The insider: an attacker that has the herd's key, such as a captured board, and sends lines that a node
//! would not send.
//!
//! It connects to a node's link port under a neighbour's name. A malformed line must end the link. A line that
//! would be valid for another configuration, clock or life is counted and changes nothing. The core cannot
//! detect a false update that is well formed, so such an update counts as issued.

use super::attacker::{Insider, Manner};
use super::event::Event;
use super::host::{client_name, keys};
use super::net::{Conn, End, Kind, Meta, State};
use super::plan::{Fault, GOOD_WAYS, pick};
use super::world::World;
use crate::proto::auth::{HelloFields, Role, Transcript};
use crate::proto::limits::{CLIENT_ID_BYTES_MAX, DIGEST_BUCKETS, LINK_LINE_BYTES_MAX, NONCE_BYTES};
use crate::proto::out::Out;
use crate::proto::update::Update;
use crate::proto::wire::{self, Line};

/// The largest number of lines before it disconnects.
const WORDS_MAX: u8 = 12;

/// Number of digests in a storm.
const STORM_WORDS: u8 = 200;
const CAPACITY: u32 = 16;

impl World {
    /// Connects to a board under the name of a neighbour that may make this link.
    pub(super) fn insider(&mut self, host: usize, manner: Manner) {
        let neighbours: Vec<usize> =
            self.plan.neighbours(host).into_iter().filter(|&neighbour| neighbour < host).collect();
        if neighbours.is_empty() || !self.hosts[host].is_up() {
            return;
        }
        let identity = *pick(&mut self.rng, &neighbours);
        let (nonce, words) = (self.nonce(), self.rng.u8(1..=WORDS_MAX));
        let words = match manner {
            Manner::Talks => words,
            Manner::ComparesAllTheTime => STORM_WORDS,
            Manner::IsAClone => 0,
        };
        let numbers = self.hosts[host].keys.clone();
        let ends = [End::of(None, State::Insider), End::of(Some(host), State::Waiting)];
        let mut conn = Conn::new(ends, None, GOOD_WAYS, 0);
        conn.insider = Some(Box::new(Insider {
            identity,
            nonce,
            numbers,
            lines: None,
            connection: None,
            peer: None,
            words,
            manner,
            updates: 0,
        }));
        self.conns.push(conn);
        let conn = self.conns.len() - 1;
        if self.plan.secret {
            self.insider_dials(conn, host);
        } else {
            self.insider_greets(conn);
        }
        self.at(self.now, Event::Accept { conn });
    }

    /// Sends the HELLO of the neighbour whose name it uses.
    pub(super) fn insider_greets(&mut self, conn: usize) {
        let Some(Insider { identity, nonce, manner, .. }) = self.conns[conn].insider.as_deref() else {
            return;
        };
        let hello = hello_fields(&self.names[*identity], manner.boot(*identity), CAPACITY, nonce);
        let hello = line(|out| wire::put_hello(&hello, out));
        self.utter(conn, hello, Kind::Hello);
    }

    fn utter(&mut self, conn: usize, mut line: Vec<u8>, kind: Kind) {
        if self.plan.secret {
            return self.utter_secret(conn, &line, kind);
        }
        line.push(b'\n');
        self.trace.bytes(&line);
        self.say(|_| format!("an insider -> #{conn} {}", String::from_utf8_lossy(&line).trim_end()));
        self.send(conn, 0, &line, Meta { kind, pulled_at: self.now, tampered: false });
    }

    /// Reads the node's HELLO and PROOF to continue the handshake. It ignores other lines.
    pub(super) fn insider_reads(&mut self, conn: usize, bytes: &[u8]) {
        if self.plan.secret {
            return self.insider_reads_secret(conn, bytes);
        }
        let mut held = std::mem::take(&mut self.conns[conn].ways[0].held);
        held.extend_from_slice(bytes);
        while let Some(at) = held.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = held.drain(..=at).take(at).collect();
            self.insider_hears(conn, &line);
        }
        self.conns[conn].ways[0].held = held;
    }

    fn insider_hears(&mut self, conn: usize, line_heard: &[u8]) -> Option<()> {
        let host = self.conns[conn].ends[1].host?;
        if line_heard.starts_with(b"U ") {
            return self.count_answer(conn, host);
        }
        let line_heard = Line::parse(line_heard, self.hosts[host].node.as_ref()?.names())?;
        // Taken for as long as it borrows this world.
        let mut insider = self.conns[conn].insider.take()?;
        let done = self.insider_answers(conn, host, &mut insider, line_heard);
        self.conns[conn].insider = Some(insider);
        done
    }

    fn insider_answers(
        &mut self,
        conn: usize,
        host: usize,
        insider: &mut Insider,
        line_heard: Line,
    ) -> Option<()> {
        let known = keys(&insider.numbers)?;
        if let Line::Hello { boot, capacity, nonce, .. } = line_heard {
            insider.peer = Some((boot, capacity, nonce));
        }
        let (boot, capacity, nonce) = insider.peer?;
        let (me, other) = (&self.names[insider.identity], &self.names[host]);
        let transcript = Transcript([
            hello_fields(me, insider.manner.boot(insider.identity), CAPACITY, &insider.nonce),
            hello_fields(other, boot, capacity, &nonce),
        ]);
        match line_heard {
            Line::Hello { .. } => {
                let proofs = transcript.proofs(&known, Role::Dialler);
                let kind = Kind::Proof(insider.numbers.clone());
                self.utter(conn, line(|out| wire::put_proofs(&proofs, out)), kind);
            }
            Line::Proof(proofs) => {
                insider.lines = transcript.verify(&known, Role::Dialler, &proofs);
                self.insider_begins(conn, insider.manner);
            }
            _ => return None,
        }
        Some(())
    }

    /// It has authenticated. A clone says nothing more.
    pub(super) fn insider_begins(&mut self, conn: usize, manner: Manner) {
        if manner != Manner::IsAClone {
            let at = self.now + self.rng.u64(1..3_000);
            self.at(at, Event::Insider { conn });
        }
    }

    /// Checks that the node sends a bounded number of updates, however many digests arrive.
    pub(super) fn count_answer(&mut self, conn: usize, host: usize) -> Option<()> {
        let table = self.hosts[host].node.as_ref()?.table().capacity();
        let insider = self.conns[conn].insider.as_mut()?;
        insider.updates += 1;
        let most = 4 * table + 2 * self.plan.updates + 64;
        if insider.manner == Manner::ComparesAllTheTime && insider.updates > most {
            let detail = format!("{} sent more than {most} updates", self.names[host]);
            self.fail("answers to digests are bounded", detail);
        }
        None
    }

    /// Sends one more line, or disconnects.
    pub(super) fn insider_speaks(&mut self, conn: usize) {
        if self.conns[conn].ends[0].state != State::Insider {
            return;
        }
        let words = self.conns[conn].insider.as_ref().map_or(0, |insider| insider.words);
        if words == 0 {
            return self.leave(conn, 0);
        }
        let manner = self.conns[conn].insider.as_ref().map(|insider| insider.manner);
        let is_storm = manner == Some(Manner::ComparesAllTheTime);
        let (word, kind) = if is_storm { self.draw_digest() } else { self.draw_word() };
        let Some(insider) = &mut self.conns[conn].insider else { return };
        insider.words -= 1;
        let tagged = match &mut insider.lines {
            Some(lines) => {
                let tag = lines.sign(&word);
                line(|out| {
                    out.put(&word);
                    wire::put_tag(&tag, out);
                })
            }
            None if self.plan.secret => word,
            None => return,
        };
        self.utter(conn, tagged, kind);
        let at = self.now + if is_storm { self.rng.u64(1..100) } else { self.rng.u64(1..4_000) };
        self.at(at, Event::Insider { conn });
    }

    fn draw_digest(&mut self) -> (Vec<u8>, Kind) {
        let hashes: String = (0..DIGEST_BUCKETS).map(|_| format!("{:016x}", self.rng.u64(..))).collect();
        (format!("D {} {hashes} -", self.rng.u64(..)).into_bytes(), Kind::Digest)
    }

    fn draw_word(&mut self) -> (Vec<u8>, Kind) {
        let client = client_name(self.rng.usize(0..self.plan.clients));
        let origin = pick(&mut self.rng, &self.names).clone();
        let (time, _) = self.time(0);
        let at_line = format!("AT {origin} +0.000000000 {client} +5+5 {time}");
        let life_s = self.plan.age_s_max;
        match self.rng.u8(0..8) {
            0 | 1 => (self.draw_nonsense(&at_line), Kind::Nonsense),
            // The origin is a node outside the configuration.
            2 => (format!("U 0 {}", at_line.replacen(&origin, "mallory", 1)).into_bytes(), Kind::Wild),
            3 => (format!("U {} {at_line}", life_s + self.rng.u32(0..10)).into_bytes(), Kind::Wild),
            // Excluded for untrusted clocks: such a node learns the time from updates.
            4 if !self.plan.has(Fault::WallSteps) && !self.plan.has(Fault::UntrustedClocks) => {
                let ahead_s = self.rng.i64(2 * 86_400..86_400 * 365 * 30);
                let (time, _) = self.time(ahead_s);
                self.issue(&format!("AT {origin} -9.000000000 {client} +5+5 {time}"))
            }
            5 => self.draw_digest(),
            6 if self.rng.bool() => (format!("P {}", self.rng.u64(..)).into_bytes(), Kind::Ping),
            6 => (self.draw_census(), Kind::Ping),
            _ => self.issue(&at_line),
        }
    }

    /// A well-formed update. If a node accepts it, it counts as issued: see [`Kind::Claim`].
    fn issue(&mut self, at_line: &str) -> (Vec<u8>, Kind) {
        let names = self.hosts.iter().find_map(|board| board.node.as_ref()).map(|node| node.names());
        let update = names.and_then(|names| Update::parse_at_line(at_line.as_bytes(), names).ok());
        let client = update.as_ref().and_then(|update| super::host::client_number(&update.client));
        let kind = client
            .zip(update)
            .map_or(Kind::Nonsense, |(client, update)| Kind::Claim { client, sighting: update.sighting });
        (format!("U 0 {at_line}").into_bytes(), kind)
    }

    /// A census line with invented numbers.
    fn draw_census(&mut self) -> Vec<u8> {
        let number = self.rng.u64(..);
        if self.rng.bool() {
            return format!("Q {number} {} {} {} 1 -", self.rng.u64(..), self.rng.u64(..), self.rng.u64(..))
                .into_bytes();
        }
        let halves = "5a".repeat(4 * DIGEST_BUCKETS);
        format!("R {number} 4294967295 4294967295 ffffffffffffffff ff - {halves} -").into_bytes()
    }

    fn draw_nonsense(&mut self, at_line: &str) -> Vec<u8> {
        let long_id = "c".repeat(CLIENT_ID_BYTES_MAX + 1);
        match self.rng.u8(0..9) {
            0 => vec![],
            1 => b"U".to_vec(),
            2 => format!("U -1 {at_line}").into_bytes(),
            3 => format!("U 0 {}", at_line.replace("+5+5", "+91+5")).into_bytes(),
            4 => format!("U 0 AT n0000 +0.000000000 {long_id} +1+1 1").into_bytes(),
            5 => format!("U 4294967296 {at_line}").into_bytes(),
            6 => (*pick(&mut self.rng, &[&b"D 1 00 -"[..], b"Q 1 2 -", b"Q 1 2 3 ?", b"R 1 0 0 - - - - -"]))
                .to_vec(),
            7 => format!("HELLO 1 n0000 1 1 {}", "00".repeat(NONCE_BYTES)).into_bytes(),
            // These bytes include no line end.
            _ => (0..self.rng.usize(1..200)).map(|_| self.rng.u8(128..)).collect(),
        }
    }
}

fn hello_fields<'a>(
    name: &'a str,
    boot: u64,
    capacity: u32,
    nonce: &'a [u8; NONCE_BYTES],
) -> HelloFields<'a> {
    HelloFields { name: name.as_bytes(), boot, capacity, nonce }
}

fn line(put: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    put(&mut out);
    out.written().to_vec()
}
