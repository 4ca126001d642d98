//! Secret links: which links a node encrypts, and how the bytes of a connection become lines.
//!
//! A herd moves from signed to secret links node by node, by three reloads: each [`Mode`] works with the one before
//! and the one after. A node never falls back from a secret dial to a signed one. Otherwise an attacker on the path could
//! disturb the handshake to get the weaker link.

use super::{Node, SessionId};
use crate::auth::KEYS_MAX;
use crate::limits::{LINK_LINE_BYTES_MAX, SECRET_RENEW_MS};
use crate::noise::connection::{Connection, Fresh, Identity, Taken};
use crate::noise::key_pair::{KeyPair, PublicKey};
use crate::noise::opening::{FIRST_BYTE, INTRODUCTION_BYTES};
use crate::out::Out;
use crate::session::{Cut, Guard, Phase};
use crate::time::Mono;

/// The public keys of a node: the current one, and a second one while they change.
pub type PublicKeys = [Option<PublicKey>; KEYS_MAX];

/// Which links a node dials and accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Signed links only, or clear ones without a key of the herd.
    #[default]
    Signed,
    /// It dials signed links and accepts both.
    Accept,
    /// It dials secret links and accepts both.
    Dial,
    /// Secret links only.
    Only,
}

impl Mode {
    fn dials_secret(self) -> bool {
        matches!(self, Mode::Dial | Mode::Only)
    }
}

/// What a node needs for secret links.
#[derive(Clone, Copy, Debug)]
pub struct Secrecy<'a> {
    /// Not [`Mode::Signed`].
    pub mode: Mode,
    /// This node's key pair.
    pub pair: &'a KeyPair,
    /// The public keys of all nodes, in the order of their names.
    pub public_keys: &'a [PublicKeys],
}

/// The start of a connection's input.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// A message is not complete.
    Part,
    /// A step of a handshake of this many bytes. The node has dealt with it.
    Step(usize),
    /// A line of this many bytes on the wire, for [`Node::link_line`]. It is decrypted and has no LF.
    Line(usize, &'m [u8]),
    /// The node has ended the connection.
    Ended,
}

impl<const SLOTS: usize> Node<SLOTS> {
    pub(super) fn set_secrecy(&mut self, secrecy: Option<&Secrecy>) {
        self.mode = secrecy.map_or(Mode::Signed, |secrecy| secrecy.mode);
        self.pair = secrecy.map(|secrecy| secrecy.pair.clone());
        for link in &mut self.links {
            let keys = secrecy.and_then(|secrecy| secrecy.public_keys.get(link.node.index()));
            link.public_keys = keys.copied().unwrap_or_default();
        }
    }

    /// Whether this connection's lines are encrypted.
    #[must_use]
    pub fn is_secret(&self, id: SessionId) -> bool {
        self.session(id).is_some_and(|index| matches!(self.sessions[index].guard, Guard::Secret(..)))
    }

    /// Prepares the guard of a session that was just opened. Returns `false` if this node cannot dial the neighbour.
    pub(super) fn begin_guard(&mut self, index: usize, fresh: Fresh) -> bool {
        let session = &mut self.sessions[index];
        let Some(neighbour) = session.neighbour.filter(|_| session.dialled) else {
            if self.mode != Mode::Signed {
                session.accept_any(fresh.ephemeral);
            }
            return true;
        };
        if !self.mode.dials_secret() {
            return true;
        }
        let link = &self.links[usize::from(neighbour)];
        let key = link.public_keys[usize::from(link.key_turn)].or(link.public_keys[0]);
        if let Some(key) = key {
            session.dial_secret(key, fresh);
        }
        // A checked configuration has a key of each node in this mode.
        key.is_some() || self.mode == Mode::Dial
    }

    /// Finds the first message of a connection's input and decrypts it in place. The server calls this until it is not
    /// a step or a line, and passes each line to [`Node::link_line`].
    ///
    /// A message that must not come ends the session: see [`Node::take_cut`].
    pub fn take_message<'m>(&mut self, now: Mono, id: SessionId, input: &'m mut [u8]) -> Message<'m> {
        let Some(index) = self.session(id) else { return Message::Ended };
        self.message(index, input).unwrap_or_else(|cut| {
            if cut == Cut::BadRecord && self.sessions[index].phase == Phase::Up {
                self.counters.link_tags_invalid += 1;
            }
            self.end(now, index, Some(cut));
            Message::Ended
        })
    }

    fn message<'m>(&mut self, index: usize, input: &'m mut [u8]) -> Result<Message<'m>, Cut> {
        if let (Guard::Undecided(_), Some(&first)) = (&self.sessions[index].guard, input.first()) {
            self.decide(index, first)?;
        }
        match self.sessions[index].guard {
            Guard::Undecided(_) => Ok(Message::Part),
            Guard::Secret(..) => self.record(index, input),
            Guard::Clear | Guard::Signed(_) => match input.iter().position(|&byte| byte == b'\n') {
                Some(end) => Ok(Message::Line(end + 1, &input[..end])),
                None if input.len() > LINK_LINE_BYTES_MAX => Err(Cut::TooLong),
                None => Ok(Message::Part),
            },
        }
    }

    /// The other end has dialled. Its first byte says whether the link is secret.
    fn decide(&mut self, index: usize, first: u8) -> Result<(), Cut> {
        let session = &mut self.sessions[index];
        let Guard::Undecided(ephemeral) = core::mem::replace(&mut session.guard, Guard::Clear) else {
            return Ok(());
        };
        if first == FIRST_BYTE {
            let fresh = Fresh { ephemeral, filler: session.nonce };
            session.guard = Guard::Secret(Connection::accept(fresh), None);
        } else if self.mode == Mode::Only {
            return Err(Cut::NotSecret);
        } else {
            session.hello_due = true;
            self.wakes |= 1 << index;
        }
        Ok(())
    }

    fn record<'m>(&mut self, index: usize, input: &'m mut [u8]) -> Result<Message<'m>, Cut> {
        let session = &mut self.sessions[index];
        let Guard::Secret(connection, theirs) = &mut session.guard else { return Err(Cut::BadRecord) };
        let bytes = connection.message_bytes(input)?.filter(|&bytes| bytes <= input.len());
        let Some(bytes) = bytes else { return Ok(Message::Part) };
        let (Some(pair), Some(keys)) = (&self.pair, &self.keys) else { return Err(Cut::MapChanged) };
        let candidates = self.links.iter().flat_map(|link| link.public_keys.iter().flatten());
        let mut room = [0; INTRODUCTION_BYTES];
        let mut step = Out::new(&mut room);
        let message = &mut input[..bytes];
        let taken = connection.take(message, Identity { pair, keys }, candidates, &mut step)?;
        match taken {
            Taken::Step => {}
            Taken::Introduced { candidate } => {
                let each = (0..).zip(&self.links);
                let mut each =
                    each.flat_map(|(n, link)| link.public_keys.iter().flatten().map(move |key| (n, key)));
                let (neighbour, key) = each.nth(candidate).ok_or(Cut::UnknownKey)?;
                (session.neighbour, *theirs) = (Some(neighbour), Some(*key));
            }
            Taken::Authenticated => {
                session.hello_due = true;
                let neighbour = usize::from(session.neighbour.ok_or(Cut::UnknownKey)?);
                // The other end closes a dial-back request without a word.
                if !self.links[neighbour].dials {
                    session.phase = Phase::DialBackAsked;
                }
            }
            Taken::Line(line) => {
                // The dialler's first record proves that it is the neighbour, so its HELLO is answered.
                session.hello_due |= session.phase == Phase::Hello && !session.dialled;
                return Ok(Message::Line(bytes, line));
            }
        }
        let written = step.written();
        session.put_step(written);
        self.wakes |= 1 << index;
        Ok(Message::Step(bytes))
    }

    /// A dial of this neighbour has failed in its handshake. The next one tries the other of its public keys.
    pub(super) fn turn_key(&mut self, neighbour: usize) {
        let link = &mut self.links[neighbour];
        let other = 1 - link.key_turn;
        if link.public_keys[usize::from(other)].is_some() {
            link.key_turn = other;
        }
    }

    /// When the dialling end replaces a secret link that comes up now by a new one. The keys of the new one do not follow
    /// from the keys of the old one, so an attacker that has read them reads no further.
    pub(super) fn renew_at(&mut self, now: Mono, index: usize) -> Mono {
        let session = &self.sessions[index];
        if !session.dialled || !matches!(session.guard, Guard::Secret(..)) {
            return Mono::NEVER;
        }
        now.after_ms(self.jitter.between(SECRET_RENEW_MS * 9 / 10, SECRET_RENEW_MS * 11 / 10))
    }

    /// Ends the sessions that the new configuration does not allow. The node dials its links anew.
    pub(super) fn end_if_revoked(&mut self, now: Mono) {
        for index in 0..self.sessions.len() {
            let session = &self.sessions[index];
            if session.phase == Phase::Free {
                continue;
            }
            let neighbour = session.neighbour.map(usize::from);
            let cut = match &session.guard {
                Guard::Secret(..) if self.mode == Mode::Signed => Some(Cut::MapChanged),
                // Its handshake may have begun with the pair before.
                Guard::Secret(..) if session.phase != Phase::Up => Some(Cut::MapChanged),
                Guard::Secret(_, theirs) => {
                    let keys = neighbour.map(|neighbour| self.links[neighbour].public_keys);
                    let is_listed = keys.is_some_and(|keys| keys.contains(theirs));
                    (!is_listed).then_some(Cut::Revoked)
                }
                Guard::Undecided(_) => None,
                Guard::Clear | Guard::Signed(_) => (self.mode == Mode::Only).then_some(Cut::MapChanged),
            };
            if let Some(cut) = cut {
                self.end(now, index, Some(cut));
                if let Some(neighbour) = neighbour {
                    self.links[neighbour].dial_at = now;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
