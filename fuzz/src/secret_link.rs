//! One connection of a secret link between two nodes, through an attacker that changes its bytes.
//!
//! Input: lines of text, each a step. The second character is the end: `>` the dialler, `<` the acceptor. The rest is
//! a line or a number.
//!
//! | step | effect |
//! |---|---|
//! | `l> TEXT` | the end sends a line, if it may |
//! | `c> N` | N bytes that the end has sent arrive; all without N |
//! | `x> N` | byte N of what is under way changes |
//! | `d> N` | N bytes under way are lost |
//! | `r> N` | the last N bytes that arrived are under way again |
//! | `m> N` | N bytes under way go back to their sender |
//! | `i> TEXT` | the attacker adds these bytes to what is under way |
//!
//! Checks: an end shows only lines that the other end has sent, in their order, without a gap. Without a change by
//! the attacker all lines arrive. An end that has refused a byte shows nothing more.

use herd::proto::auth::Keys;
use herd::proto::limits::{LINK_LINE_BYTES_MAX, NONCE_BYTES};
use herd::proto::noise::Secret;
use herd::proto::noise::connection::{Connection, Fresh, Identity, MESSAGE_BYTES_MAX, Taken};
use herd::proto::noise::key_pair::{KeyPair, PublicKey};
use herd::proto::out::Out;

/// The longest input, in steps: a run ends soon.
const STEPS_MAX: usize = 200;

struct End {
    pair: KeyPair,
    neighbour: PublicKey,
    connection: Connection,
    input: Vec<u8>,
    sent: Vec<Vec<u8>>,
    seen: Vec<Vec<u8>>,
    is_refused: bool,
    /// Bytes that have left this end and have not arrived.
    under_way: Vec<u8>,
    arrived: Vec<u8>,
}

fn fresh(seed: u8) -> Fresh {
    Fresh { ephemeral: Secret::new([seed; 32]), filler: [seed; NONCE_BYTES] }
}

impl End {
    fn new(seed: u8, neighbour: u8, connection: Connection, first: &[u8]) -> Self {
        End {
            pair: KeyPair::new([seed; 32]),
            neighbour: *KeyPair::new([neighbour; 32]).public(),
            connection,
            input: Vec::new(),
            sent: Vec::new(),
            seen: Vec::new(),
            is_refused: false,
            under_way: first.to_vec(),
            arrived: Vec::new(),
        }
    }

    fn send(&mut self, line: &[u8]) {
        if !self.connection.is_open() {
            return;
        }
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        self.connection.seal(line, &mut out);
        self.under_way.extend(out.written());
        self.sent.push(line.to_vec());
    }

    fn take(&mut self, keys: &Keys, bytes: &[u8]) {
        self.input.extend(bytes);
        loop {
            let length = match self.connection.message_bytes(&self.input) {
                Ok(Some(length)) if length <= self.input.len() => length,
                Ok(_) => return,
                Err(_) => break,
            };
            assert!(length <= MESSAGE_BYTES_MAX, "a message is bounded");
            let mut message: Vec<u8> = self.input.drain(..length).collect();
            let mut answer = [0; MESSAGE_BYTES_MAX];
            let mut out = Out::new(&mut answer);
            let us = Identity { pair: &self.pair, keys };
            match self.connection.take(&mut message, us, [&self.neighbour].into_iter(), &mut out) {
                Ok(Taken::Line(line)) => {
                    assert!(!self.is_refused, "an end that has refused a byte shows nothing more");
                    self.seen.push(line.to_vec());
                }
                Ok(_) => self.under_way.extend(out.written()),
                Err(_) => break,
            }
        }
        self.is_refused = true;
        assert!(!self.connection.is_open());
    }
}

/// See the head of the file.
pub fn secret_link(data: &[u8]) {
    let keys = Keys::new([7; 32], None);
    let mut first = [0; 1];
    let theirs = *KeyPair::new([2; 32]).public();
    let dialler = Connection::dial(theirs, fresh(3), &mut Out::new(&mut first));
    let mut ends = [End::new(1, 2, dialler, &first), End::new(2, 1, Connection::accept(fresh(4)), &[])];
    let mut is_changed = false;
    for step in data.split(|&byte| byte == b'\n').take(STEPS_MAX) {
        let [action, end, rest @ ..] = step else { continue };
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let from = usize::from(*end == b'<');
        let is_change = act(&mut ends, from, *action, rest, &keys);
        is_changed |= is_change;
        check(&ends);
    }
    if is_changed {
        return;
    }
    while ends.iter().any(|end| !end.under_way.is_empty()) {
        for from in [0, 1] {
            arrive(&mut ends, from, usize::MAX, &keys);
        }
    }
    assert!(ends[0].connection.is_open(), "the dialler has authenticated the acceptor");
    assert!(ends[0].seen == ends[1].sent && ends[1].seen == ends[0].sent, "all lines have arrived");
}

fn check([a, b]: &[End; 2]) {
    assert!(b.sent.starts_with(&a.seen) && a.sent.starts_with(&b.seen), "a line that was not sent, or a gap");
}

fn arrive(ends: &mut [End; 2], from: usize, count: usize, keys: &Keys) {
    let count = count.min(ends[from].under_way.len());
    let bytes: Vec<u8> = ends[from].under_way.drain(..count).collect();
    ends[1 - from].take(keys, &bytes);
    ends[from].arrived.extend(bytes);
}

/// Carries out a step. Returns whether the attacker has changed something.
fn act(ends: &mut [End; 2], from: usize, action: u8, rest: &[u8], keys: &Keys) -> bool {
    let number = std::str::from_utf8(rest).ok().and_then(|text| text.trim().parse::<usize>().ok());
    let end = &mut ends[from];
    let length = end.under_way.len();
    match (action, number) {
        (b'l', _) if rest.len() <= LINK_LINE_BYTES_MAX => end.send(rest),
        (b'c', _) => arrive(ends, from, number.unwrap_or(usize::MAX), keys),
        (b'x', Some(at)) if at < length => {
            end.under_way[at] ^= 1;
            return true;
        }
        (b'd', Some(count)) => {
            end.under_way.drain(..count.min(length));
            return count > 0;
        }
        (b'r', Some(count)) => {
            let start = end.arrived.len().saturating_sub(count);
            let again = end.arrived[start..].to_vec();
            end.under_way.extend(&again);
            return !again.is_empty();
        }
        (b'm', Some(count)) => {
            let bytes: Vec<u8> = end.under_way.drain(..count.min(length)).collect();
            end.take(keys, &bytes);
            return count > 0;
        }
        (b'i', _) => {
            end.under_way.extend(rest);
            return !rest.is_empty();
        }
        _ => {}
    }
    false
}
