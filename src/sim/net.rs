//! Simulated connections: bytes arrive in order, late, in pieces, or not at all after some byte.
//!
//! As with TCP, the received bytes are a prefix of the sent bytes. Each line also carries data for the checks
//! ([`Meta`]). This file does not use nodes.

use std::collections::VecDeque;

use super::attacker::Insider;
use super::plan::Ways;
use crate::proto::node::SessionId;
use crate::proto::update::Sighting;

/// Bytes in flight between two ends. Beyond that a writer waits, as at a full socket.
const WINDOW_BYTES: usize = 8 * 1024;

/// The origin of a line, for the checks at its receiver.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) kind: Kind,
    pub(super) pulled_at: u64,
    /// The line is not the next line of the sender's core.
    pub(super) tampered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A step of a secret link's handshake.
    Step,
    Hello,
    /// Carries the numbers of the sender's keys.
    Proof(Vec<u8>),
    /// An update. `hidden_ms` is the largest error of its age at the sender.
    Update {
        client: usize,
        sighting: Sighting,
        hidden_ms: u64,
    },
    Digest,
    /// A ping or a census line.
    Ping,
    /// A stranger's line, or one without consequence.
    Wild,
    /// An insider's malformed line. It must end the link.
    Nonsense,
    /// An insider's update. It counts as issued unless its time is rejected.
    Claim {
        client: usize,
        sighting: Sighting,
    },
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    /// The end of the stream, or a reset.
    Fin,
}

/// The next item from a direction.
#[derive(Debug)]
pub(super) enum Arrival {
    Bytes(Vec<u8>),
    Fin,
}

/// The bytes in flight to one end.
#[derive(Debug, Default)]
pub(super) struct Direction {
    chunks: VecDeque<(u64, Chunk)>,
    in_flight: usize,
    last_at: u64,
    /// When its writer may write the next line.
    pub(super) free_at: u64,
    pub(super) stalled_until: u64,
    /// The incomplete line at the reader.
    pub(super) held: Vec<u8>,
    /// The data of the lines in flight, the next one first.
    pub(super) metas: VecDeque<Meta>,
    finished: bool,
    /// A line was dropped, so the next one is not the sender's next line.
    pub(super) has_lost: bool,
    pub(super) pump_at: Option<u64>,
}

impl Direction {
    pub(super) fn has_room(&self) -> bool {
        !self.finished && self.in_flight < WINDOW_BYTES
    }

    /// Sends `bytes`. They arrive at `at`, or later with the bytes before them.
    pub(super) fn send(&mut self, at: u64, bytes: &[u8]) -> u64 {
        self.last_at = self.last_at.max(at);
        if !self.finished && !bytes.is_empty() {
            self.in_flight += bytes.len();
            self.chunks.push_back((self.last_at, Chunk::Bytes(bytes.to_vec())));
        }
        self.last_at
    }

    pub(super) fn finish(&mut self, at: u64) -> u64 {
        self.last_at = self.last_at.max(at);
        if !self.finished {
            self.chunks.push_back((self.last_at, Chunk::Fin));
            self.finished = true;
        }
        self.last_at
    }

    /// Drops all bytes in flight after the first `keep`, and everything sent later.
    pub(super) fn cut_after(&mut self, mut keep: usize) {
        for (_, chunk) in &mut self.chunks {
            if let Chunk::Bytes(bytes) = chunk {
                let retained = keep.min(bytes.len());
                keep -= retained;
                self.in_flight -= bytes.len() - retained;
                bytes.truncate(retained);
            }
        }
        self.chunks.retain(|(_, chunk)| !matches!(chunk, Chunk::Bytes(bytes) if bytes.is_empty()));
    }

    pub(super) fn bytes_in_flight(&self) -> usize {
        self.in_flight
    }

    /// When the next piece arrives.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.chunks.front().map(|(at, _)| *at)
    }

    /// The next item that has arrived by `now`. A stalled direction returns nothing.
    pub(super) fn arrived(&mut self, now: u64) -> Option<Arrival> {
        if self.stalled_until > now || self.next_at()? > now {
            return None;
        }
        let (_, chunk) = self.chunks.pop_front()?;
        Some(match chunk {
            Chunk::Bytes(bytes) => {
                self.in_flight -= bytes.len();
                Arrival::Bytes(bytes)
            }
            Chunk::Fin => Arrival::Fin,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.chunks.is_empty()
    }

    fn clear(&mut self) {
        *self = Direction { finished: true, ..Direction::default() };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not accepted yet, or the dialler does not know of it yet.
    Waiting,
    Open(SessionId),
    /// A peer that is not a node. It echoes all lines if `echoes`.
    Stranger {
        echoes: bool,
    },
    /// A peer that is not a node and has the key.
    Insider,
    Gone,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The node at this end.
    pub(super) host: Option<usize>,
    pub(super) state: State,
    /// The other end's proof has arrived, made with a key of this end.
    pub(super) authenticated: bool,
    /// A line has arrived that the other end did not write.
    pub(super) poisoned: bool,
    pub(super) sent_hello: bool,
    pub(super) sent_proof: bool,
}

impl End {
    pub(super) fn of(host: Option<usize>, state: State) -> Self {
        End { host, state, authenticated: false, poisoned: false, sent_hello: false, sent_proof: false }
    }

    pub(super) fn is_stranger(&self) -> bool {
        matches!(self.state, State::Stranger { .. })
    }
}

/// A connection. End 0 has dialled.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    /// Indexed by the receiving end.
    pub(super) ways: [Direction; 2],
    /// The number of the edge. `None` for a stranger's connection.
    pub(super) edge: Option<usize>,
    pub(super) quality: Ways,
    /// The epoch of the dialling node at the time of the dial.
    pub(super) epoch: u64,
    /// The insider at end 0, if any.
    pub(super) insider: Option<Box<Insider>>,
}

impl Conn {
    pub(super) fn new(ends: [End; 2], edge: Option<usize>, quality: Ways, epoch: u64) -> Self {
        Conn { ends, ways: Default::default(), edge, quality, epoch, insider: None }
    }

    /// The node at an end, or the node whose name an insider uses.
    pub(super) fn node_at(&self, end: usize) -> Option<usize> {
        self.ends[end]
            .host
            .or_else(|| self.insider.as_ref().filter(|_| end == 0).map(|insider| insider.identity))
    }

    /// Whether both ends have closed.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| matches!(end.state, State::Gone | State::Stranger { .. } | State::Insider))
    }

    pub(super) fn forget(&mut self) {
        for (way, end) in self.ways.iter_mut().zip(&mut self.ends) {
            way.clear();
            end.state = State::Gone;
        }
    }
}
