//! A client connection's half of the driver: lines cut out of its input, and their answers.
//!
//! Invariant: what a connection keeps is bounded, since a line that is too long is answered as it streams.

mod accept;
mod rest;
pub mod tasks;

pub(crate) use accept::accept;
pub use rest::{Rest, Unwritten};

use std::os::fd::AsFd;

use log::{Level, debug, log_enabled};

use super::logging::{CLIENT, Peer, Printable, set_client, set_id};
use crate::places::Json;
use crate::proto::client::{Piece, Splitter};
use crate::proto::default_node::BoardNode;
use crate::proto::limits::ANSWER_BYTES_MAX;
use crate::proto::node::{Answer, PlacesQuery};
use crate::proto::out::Out;
use crate::proto::quota::QuotaKey;
use crate::proto::time::Now;

/// Sets the client that the next log lines of this thread name. The address comes from the kernel, because a connection does not
/// hold it; where lines are not logged this does nothing.
pub(super) fn log_as(stream: &impl AsFd) {
    if log_enabled!(Level::Debug) {
        let peer = rustix::net::getpeername(stream).ok().flatten();
        set_client(peer.and_then(|address| address.try_into().ok()));
    }
}

/// Sets the id in a client's line, for the next log lines of this thread.
fn log_id(line: &[u8]) {
    if log_enabled!(Level::Debug) {
        let mut words = words(line);
        set_id(words.next().filter(|word| matches!(*word, b"IAMAT" | b"WHATSAT")).and_then(|_| words.next()));
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// What a client connection keeps between two reads.
#[derive(Debug, Default)]
pub struct Client {
    splitter: Splitter,
    /// Whose quota its updates draw on.
    quota_key: QuotaKey,
    /// Of the turns that addresses have: see [`Driver::lane`](super::driver::Driver::lane).
    pub lane: u8,
    /// Bytes that came in and are not worked off: part of a line, or lines behind a WHATSAT.
    pub rest: Box<[u8]>,
    /// The line that is being copied is the last one: it is of HTTP.
    ends_with_line: bool,
    /// `rest` holds whole lines that can be worked off without reading more.
    pub backlog: bool,
    /// No more input will come.
    pub ended: bool,
    /// No more input is taken, though it may come: see [`LINGER_MS_MAX`](super::limits::LINGER_MS_MAX).
    pub is_refused: bool,
}

impl Client {
    /// A client that has just come, by [`Driver::caller`](super::driver::Driver::quota_key) and
    /// [`Driver::lane`](super::driver::Driver::lane).
    #[must_use]
    pub fn of(quota_key: QuotaKey, lane: u8) -> Self {
        Client { quota_key, lane, ..Client::default() }
    }

    /// Whether a line, or what waits behind one, is not done with.
    #[must_use]
    pub fn is_in_line(&self) -> bool {
        !self.rest.is_empty() || self.splitter.is_in_long_line()
    }

    /// Works off input: see [`Driver::client_input`](super::driver::Driver::client_input).
    pub(super) fn work_off(
        &mut self,
        node: &mut BoardNode,
        now: &Now,
        input: &[u8],
        output: &mut Out,
    ) -> (usize, Option<Box<PlacesQuery>>) {
        let mut done = 0;
        self.backlog = false;
        loop {
            let rest = &input[done..];
            if output.room() < ANSWER_BYTES_MAX.max(rest.len() + 3) {
                self.backlog = true;
                return (done, None);
            }
            let Some((piece, taken)) = self.splitter.next(rest, self.ended) else {
                return (done, None);
            };
            done += taken;
            match piece {
                Piece::Line(line) => {
                    log_id(line);
                    debug!(target: CLIENT, "client{Peer}: {}", Printable(line));
                    let before = output.len();
                    let answer = node.client_line(now, self.quota_key, line, output);
                    if let Answer::Places(query) = answer {
                        self.backlog = true;
                        return (done, Some(Box::new(query)));
                    }
                    debug!(target: CLIENT, "answer to client{Peer}: {}", Printable(&output.written()[before..]));
                    if matches!(answer, Answer::Close) {
                        return self.end(input);
                    }
                }
                Piece::LongStart(bytes) => {
                    self.ends_with_line = node.count_long_line(bytes);
                    output.put(b"? ");
                    output.put(bytes);
                }
                Piece::LongMore(bytes) => output.put(bytes),
                Piece::LongEnd(bytes) => {
                    output.put(bytes);
                    output.put_byte(b'\n');
                    if self.ends_with_line {
                        return self.end(input);
                    }
                }
            }
        }
    }

    /// Nothing more is taken from this connection: what has been written is sent, and then it is closed.
    fn end(&mut self, input: &[u8]) -> (usize, Option<Box<PlacesQuery>>) {
        self.splitter = Splitter::default();
        (self.ended, self.is_refused) = (true, true);
        (input.len(), None)
    }
}

/// The whole answer to a WHATSAT: the AT line, the JSON, two newlines (PROTOCOL, WHATSAT).
#[must_use]
pub fn whatsat_answer(query: &PlacesQuery, json: &Json) -> Vec<u8> {
    let answer = [&query.at_line[..], b"\n", json, rest::END].concat();
    if log_enabled!(Level::Debug) {
        set_id(words(&query.at_line).nth(3));
        let at_line = Printable(&query.at_line);
        debug!(target: CLIENT, "answer to client{Peer}: {at_line} and {} bytes of places", json.len());
    }
    answer
}

/// What comes before the places.
fn whatsat_head(query: &PlacesQuery) -> Vec<u8> {
    [&query.at_line[..], b"\n"].concat()
}
