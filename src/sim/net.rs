//! False connections: bytes on their way, in order, late, in pieces, or lost from some byte on.
//!
//! Like TCP: what arrives is a beginning of what was sent. Beside the bytes goes what the checks want to
//! know of each line ([`Meta`]). Nothing here knows a node.

use std::collections::VecDeque;

use super::insider::Insider;
use super::plan::Ways;
use crate::proto::node::SessionId;
use crate::proto::update::Sighting;

/// Bytes that fit between two ends: a writer waits beyond that, as at a full socket.
const WINDOW_BYTES: usize = 8 * 1024;

/// What a line was, for the checks at its other end.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) kind: Kind,
    pub(super) pulled_at: u64,
    /// It is not what the sender's core has written next.
    pub(super) tampered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    /// With the numbers of the keys that the sender holds.
    Proof(Vec<u8>),
    /// An update, whose age at the sender was short of the truth by up to so much.
    Update {
        client: usize,
        sighting: Sighting,
        hidden_ms: u64,
    },
    Digest,
    /// Or a line of a census.
    Ping,
    /// From a stranger, or of no consequence.
    Wild,
    /// An insider's: it must end the link.
    Nonsense,
    /// An insider's update, which counts as issued unless its time is refused.
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

/// What comes next out of a direction.
#[derive(Debug)]
pub(super) enum Arrival {
    Bytes(Vec<u8>),
    Fin,
}

/// The bytes on their way to one end.
#[derive(Debug, Default)]
pub(super) struct Direction {
    chunks: VecDeque<(u64, Chunk)>,
    in_flight: usize,
    last_at: u64,
    /// When its writer may write the next line.
    pub(super) free_at: u64,
    pub(super) stalled_until: u64,
    /// The line that is not whole yet, at the reader.
    pub(super) held: Vec<u8>,
    /// Of the lines that are not whole at the reader, the first in front.
    pub(super) metas: VecDeque<Meta>,
    finished: bool,
    /// A line has been lost: the next one is not what the sender wrote next.
    pub(super) has_lost: bool,
    pub(super) pump_at: Option<u64>,
}

impl Direction {
    pub(super) fn has_room(&self) -> bool {
        !self.finished && self.in_flight < WINDOW_BYTES
    }

    /// Sends `bytes` to arrive at `at`, or when those before them do.
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

    /// Loses everything behind the first `keep` bytes that are on their way, and what follows.
    pub(super) fn cut_after(&mut self, mut keep: usize) {
        for (_, chunk) in &mut self.chunks {
            if let Chunk::Bytes(bytes) = chunk {
                let kept = keep.min(bytes.len());
                keep -= kept;
                self.in_flight -= bytes.len() - kept;
                bytes.truncate(kept);
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

    /// What has arrived by `now`. A direction that is stalled gives nothing.
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
    /// Not accepted, or not known to be accepted, yet.
    Waiting,
    Open(SessionId),
    /// Somebody who is no node. Says back what is said to it if `echoes`.
    Stranger {
        echoes: bool,
    },
    /// Somebody who is no node and has the key.
    Insider,
    Gone,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The node whose end it is.
    pub(super) host: Option<usize>,
    pub(super) state: State,
    /// The other end's proof has arrived here, made with a key that is known here.
    pub(super) proved: bool,
    /// A line has arrived here that the other end has not written.
    pub(super) poisoned: bool,
    pub(super) said_hello: bool,
    pub(super) said_proof: bool,
}

impl End {
    pub(super) fn of(host: Option<usize>, state: State) -> Self {
        End { host, state, proved: false, poisoned: false, said_hello: false, said_proof: false }
    }

    pub(super) fn is_stranger(&self) -> bool {
        matches!(self.state, State::Stranger { .. })
    }
}

/// A connection. End 0 has dialled.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) ends: [End; 2],
    /// By the end that they go to.
    pub(super) ways: [Direction; 2],
    /// Number of the edge it runs along; none for a stranger's.
    pub(super) edge: Option<usize>,
    pub(super) quality: Ways,
    /// The number of reloads at the dialling node when it dialled.
    pub(super) epoch: u64,
    /// Who end 0 is, if he is that.
    pub(super) insider: Option<Box<Insider>>,
}

impl Conn {
    pub(super) fn new(ends: [End; 2], edge: Option<usize>, quality: Ways, epoch: u64) -> Self {
        Conn { ends, ways: Default::default(), edge, quality, epoch, insider: None }
    }

    /// The node at an end, or the one that an insider says he is.
    pub(super) fn node_at(&self, end: usize) -> Option<usize> {
        self.ends[end].host.or_else(|| self.insider.as_ref().filter(|_| end == 0).map(|insider| insider.who))
    }

    /// Both ends are gone: nothing of it matters any more.
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
