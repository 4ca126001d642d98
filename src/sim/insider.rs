//! Somebody who has the herd's key and says what no node would: a board that was taken over, or a fault of its software.
//!
//! He calls a node's link port in a neighbour's name. What makes no sense must end the link; what only another configuration, another
//! clock or another life would make sense of is counted and leaves no trace. An update that makes sense is as good as
//! a true one, as nobody can tell: it counts as issued.

use super::net::{Conn, End, Kind, Meta, State};
use super::plan::{Fault, GOOD_WAYS, pick};
use super::world::{Event, World};
use crate::proto::auth::{HelloFields, LineKeys, Role, Transcript};
use crate::proto::limits::{CLIENT_ID_BYTES_MAX, DIGEST_BUCKETS, LINK_LINE_BYTES_MAX, NONCE_BYTES};
use crate::proto::out::Out;
use crate::proto::update::Update;
use crate::proto::wire::{self, Line};

use super::host::{client_name, keys};

/// Lines that he says before he goes.
const WORDS_MAX: u8 = 12;

#[derive(Clone, Debug)]
pub(super) struct Insider {
    /// The neighbour that he says he is.
    pub(super) who: usize,
    nonce: [u8; NONCE_BYTES],
    /// The numbers of the keys that he has.
    numbers: Vec<u8>,
    lines: Option<LineKeys>,
    /// The node's HELLO.
    peer: Option<(u64, u32, [u8; NONCE_BYTES])>,
    words: u8,
    manner: Manner,
    /// Updates that the node has sent it.
    updates: usize,
}

/// What an insider does once it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It says this and that.
    Talks,
    /// It sends one digest after another, each of another table.
    ComparesAllTheTime,
    /// It is a second board with the neighbour's name, and says nothing wrong.
    IsAClone,
}

impl Manner {
    fn boot(self, who: usize) -> u64 {
        if self == Manner::IsAClone { BOOT + 1 + who as u64 } else { BOOT }
    }
}

/// An insider's boot number. A clone has one of its own.
const BOOT: u64 = 7;
/// Digests of a storm.
const STORM_WORDS: u8 = 200;
const CAPACITY: u32 = 16;

impl World {
    /// He calls a board, in the name of a neighbour that may make this link.
    pub(super) fn insider(&mut self, host: usize, manner: Manner) {
        let neighbours: Vec<usize> =
            self.plan.neighbours(host).into_iter().filter(|&who| who < host).collect();
        if neighbours.is_empty() || !self.hosts[host].is_up() {
            return;
        }
        let who = *pick(&mut self.rng, &neighbours);
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
            who,
            nonce,
            numbers,
            lines: None,
            peer: None,
            words,
            manner,
            updates: 0,
        }));
        self.conns.push(conn);
        let conn = self.conns.len() - 1;
        let name = self.names[who].clone();
        let hello = line(|out| wire::put_hello(&said(&name, manner.boot(who), CAPACITY, &nonce), out));
        self.utter(conn, hello, Kind::Hello);
        self.at(self.now, Event::Accept { conn });
    }

    fn utter(&mut self, conn: usize, mut line: Vec<u8>, kind: Kind) {
        line.push(b'\n');
        self.trace.bytes(&line);
        self.say(|_| format!("an insider -> #{conn} {}", String::from_utf8_lossy(&line).trim_end()));
        self.send(conn, 0, &line, Meta { kind, pulled_at: self.now, tampered: false });
    }

    /// Takes what the node says: its HELLO and its PROOF, to go on; the rest is of no interest.
    pub(super) fn insider_reads(&mut self, conn: usize, bytes: &[u8]) {
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
        let mut insider = self.conns[conn].insider.clone()?;
        let known = keys(&insider.numbers)?;
        if let Line::Hello { boot, capacity, nonce, .. } = line_heard {
            insider.peer = Some((boot, capacity, nonce));
        }
        let (boot, capacity, nonce) = insider.peer?;
        let (me, other) = (&self.names[insider.who], &self.names[host]);
        let transcript = Transcript([
            said(me, insider.manner.boot(insider.who), CAPACITY, &insider.nonce),
            said(other, boot, capacity, &nonce),
        ]);
        match line_heard {
            Line::Hello { .. } => {
                let proofs = transcript.proofs(&known, Role::Dialler);
                let kind = Kind::Proof(insider.numbers.clone());
                self.utter(conn, line(|out| wire::put_proofs(&proofs, out)), kind);
            }
            Line::Proof(proofs) => {
                insider.lines = transcript.verify(&known, Role::Dialler, &proofs);
                if insider.manner != Manner::IsAClone {
                    let at = self.now + self.rng.u64(1..3_000);
                    self.at(at, Event::Insider { conn });
                }
            }
            _ => return None,
        }
        self.conns[conn].insider = Some(insider);
        Some(())
    }

    /// However many digests come, the node sends its table a few times at most.
    fn count_answer(&mut self, conn: usize, host: usize) -> Option<()> {
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

    /// He says one thing more, or goes.
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
        let Some(lines) = &mut insider.lines else { return };
        let tag = lines.sign(&word);
        let tagged = line(|out| {
            out.put(&word);
            wire::put_tag(&tag, out);
        });
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
            // Of a node that is in no configuration.
            2 => (format!("U 0 {}", at_line.replacen(&origin, "mallory", 1)).into_bytes(), Kind::Wild),
            3 => (format!("U {} {at_line}", life_s + self.rng.u32(0..10)).into_bytes(), Kind::Wild),
            // A node whose clock is not trusted believes what others' clocks show.
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

    /// An update that makes sense. When a node would take it, it counts as issued: see [`Kind::Claim`].
    fn issue(&mut self, at_line: &str) -> (Vec<u8>, Kind) {
        let names = self.hosts.iter().find_map(|board| board.node.as_ref()).map(|node| node.names());
        let update = names.and_then(|names| Update::parse_at_line(at_line.as_bytes(), names).ok());
        let client = update.as_ref().and_then(|update| super::host::client_number(&update.client));
        let kind = client
            .zip(update)
            .map_or(Kind::Nonsense, |(client, update)| Kind::Claim { client, sighting: update.sighting });
        (format!("U 0 {at_line}").into_bytes(), kind)
    }

    /// Of a herd that is not, or that he has made up.
    fn draw_census(&mut self) -> Vec<u8> {
        let number = self.rng.u64(..);
        if self.rng.bool() {
            return format!("Q {number} {} {} {} -", self.rng.u64(..), self.rng.u64(..), self.rng.u64(..))
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
            // No byte of it is a line end.
            _ => (0..self.rng.usize(1..200)).map(|_| self.rng.u8(128..)).collect(),
        }
    }
}

fn said<'a>(name: &'a str, boot: u64, capacity: u32, nonce: &'a [u8; NONCE_BYTES]) -> HelloFields<'a> {
    HelloFields { name: name.as_bytes(), boot, capacity, nonce }
}

fn line(put: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    put(&mut out);
    out.written().to_vec()
}
