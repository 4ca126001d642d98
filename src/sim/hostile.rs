//! Attackers without the key: strangers at the link port, and a man in the middle of a connection.

use super::event::Event;
use super::net::{Conn, End, Kind, Meta, State};
use super::plan::{GOOD_WAYS, pick};
use super::world::World;
use crate::proto::limits::LINK_LINE_BYTES_MAX;
use crate::proto::noise::opening::FIRST_BYTE;

/// Lines that the man in the middle records for a replay.
const RECORDED_MAX: usize = 64;

impl World {
    fn wild() -> Meta {
        Meta { kind: Kind::Wild, pulled_at: 0, tampered: true }
    }

    /// A stranger connects to a board's link port and sends arbitrary bytes.
    pub(super) fn stranger(&mut self, host: usize) {
        let echoes = self.rng.u8(0..4) == 0;
        let ends = [End::of(None, State::Stranger { echoes }), End::of(Some(host), State::Waiting)];
        self.conns.push(Conn::new(ends, None, GOOD_WAYS, 0));
        let conn = self.conns.len() - 1;
        let bytes = match () {
            () if !echoes => self.draw_words(host),
            () if self.rng.bool() => {
                self.conns[conn].ends[0].sent_hello = true;
                self.false_hello(host)
            }
            () => vec![],
        };
        self.shout(conn, 1, &bytes);
        if self.rng.bool() && !echoes {
            let at = self.now + self.rng.u64(0..15_000);
            let at = self.conns[conn].ways[1].finish(at);
            self.at(at, Event::Arrive { conn, end: 1 });
        }
        self.at(self.now, Event::Accept { conn });
    }

    fn shout(&mut self, conn: usize, end: usize, bytes: &[u8]) {
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let at = self.now + self.latency(conn);
        let way = &mut self.conns[conn].ways[end];
        way.metas.extend(std::iter::repeat_n(Self::wild(), lines));
        let at = way.send(at, bytes);
        self.at(at, Event::Arrive { conn, end });
    }

    /// Echoes the node's lines, except its HELLO after a false one. A node's own lines must not authenticate a
    /// stranger.
    pub(super) fn echo(&mut self, conn: usize, end: usize, bytes: &[u8]) {
        if self.plan.secret {
            return self.shout(conn, 1 - end, bytes);
        }
        let mut held = std::mem::take(&mut self.conns[conn].ways[end].held);
        held.extend_from_slice(bytes);
        while let Some(at) = held.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = held.drain(..=at).collect();
            if !(self.conns[conn].ends[end].sent_hello && line.starts_with(b"HELLO ")) {
                self.shout(conn, 1 - end, &line);
            }
        }
        self.conns[conn].ways[end].held = held;
    }

    /// A HELLO under a neighbour's name.
    fn false_hello(&mut self, host: usize) -> Vec<u8> {
        let neighbours = self.plan.neighbours(host);
        let name = &self.names[*pick(&mut self.rng, &neighbours)];
        format!("HELLO 1 {name} 7 16 {}\n", "0f".repeat(16)).into_bytes()
    }

    fn draw_words(&mut self, host: usize) -> Vec<u8> {
        let hello = String::from_utf8_lossy(&self.false_hello(host)).into_owned();
        let name = hello.split(' ').nth(2).unwrap_or_default();
        let proof = format!("PROOF {}\n", "5a".repeat(32));
        let evil = format!("U 0 AT {name} +0.000000000 evil +1+1 1700000000");
        if self.plan.secret && self.rng.bool() {
            // It begins a secret link.
            let mut bytes = vec![0; self.rng.usize(1..200)];
            self.rng.fill(&mut bytes);
            bytes[0] = FIRST_BYTE;
            return bytes;
        }
        match self.rng.u8(0..8) {
            0 => (0..self.rng.usize(1..400)).map(|_| self.rng.u8(..)).collect(),
            1 => format!("{evil}\n").into_bytes(),
            2 => format!("{hello}{evil}\n").into_bytes(),
            3 => format!("{hello}{proof}{evil} ~0011223344556677\n").into_bytes(),
            4 => vec![b'x'; LINK_LINE_BYTES_MAX + self.rng.usize(0..3)],
            5 => hello.into_bytes(),
            6 => vec![],
            _ => {
                // Lines that real neighbours have sent, in order.
                let from = self.rng.usize(0..=self.recorded.len());
                self.recorded[from..].concat()
            }
        }
    }

    /// The man in the middle may change, drop, repeat or replay this line.
    pub(super) fn meddle(&mut self, conn: usize, end: usize, line: &[u8], mut meta: Meta) {
        meta.tampered |= std::mem::take(&mut self.conns[conn].ways[1 - end].has_lost);
        match self.rng.u8(0..160) {
            0 => {
                let mut line = line.to_vec();
                // A step may be one byte. The line feed of a line stays.
                let at = self.rng.usize(0..(line.len() - 1).max(1));
                let bit = 1 << self.rng.u8(0..8);
                if line[at] ^ bit != b'\n' {
                    line[at] ^= bit;
                    meta.tampered = true;
                }
                self.send(conn, end, &line, meta);
            }
            1 => {
                self.conns[conn].ways[1 - end].has_lost = true;
                // The line is not recorded either. A replay of it as the next line would put it in its correct
                // place.
                return;
            }
            2 => {
                self.send(conn, end, line, meta);
                self.send(conn, end, line, Self::wild());
            }
            3 if !self.recorded.is_empty() => {
                let replayed = pick(&mut self.rng, &self.recorded).clone();
                self.send(conn, end, &replayed, Self::wild());
                meta.tampered = true;
                self.send(conn, end, line, meta);
            }
            _ => self.send(conn, end, line, meta),
        }
        if self.recorded.len() < RECORDED_MAX && self.rng.u8(0..3) == 0 {
            self.recorded.push(line.to_vec());
        }
    }
}
