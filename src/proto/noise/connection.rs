//! One connection of a secret link: bytes in, bytes and lines out.
//!
//! The caller collects bytes until [`Connection::message_bytes`] is satisfied, and passes each message to
//! [`Connection::take`]. After an error nothing more can be taken or sent, and the caller ends the connection.
//!
//! An acceptor sends no line before a record of the dialler has opened. Until then message 1 may be a replay.

use core::mem;

use zeroize::Zeroize;

use super::key_pair::{KeyPair, PublicKey};
use super::opening::{ANSWER_BYTES, Dialling, FIRST_BYTE, HINT_BYTES, INTRODUCTION_BYTES, Introduction};
use super::record::{Records, record_bytes};
use super::secret::SECRET_BYTES;
use super::{Refused, Secret};
use crate::auth::Keys;
use crate::limits::NONCE_BYTES;
use crate::out::Out;

/// The longest message of the other end, in bytes.
pub const MESSAGE_BYTES_MAX: usize = super::record::RECORD_BYTES_MAX;
const _: () = assert!(MESSAGE_BYTES_MAX >= INTRODUCTION_BYTES && MESSAGE_BYTES_MAX >= ANSWER_BYTES);

/// Random bytes for one connection, from the system. No other connection may have them.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The ephemeral private key.
    pub ephemeral: Secret,
    /// The acceptor's nonce, or the dialler's second hint where its herd has one key.
    pub filler: [u8; NONCE_BYTES],
}
const _: () = assert!(NONCE_BYTES == HINT_BYTES);

/// Bytes of [`Fresh`].
pub const FRESH_BYTES: usize = SECRET_BYTES + NONCE_BYTES;

impl Fresh {
    /// Takes the bytes that `fill` writes, and erases its own copy of them.
    ///
    /// # Errors
    /// The error of `fill`.
    pub fn draw<E>(fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut random = [0; FRESH_BYTES];
        fill(&mut random)?;
        let fresh = Fresh::from(random);
        random.zeroize();
        Ok(fresh)
    }
}

impl From<[u8; FRESH_BYTES]> for Fresh {
    fn from(mut random: [u8; FRESH_BYTES]) -> Self {
        let (mut ephemeral, mut filler) = ([0; SECRET_BYTES], [0; NONCE_BYTES]);
        ephemeral.copy_from_slice(&random[..SECRET_BYTES]);
        filler.copy_from_slice(&random[SECRET_BYTES..]);
        let fresh = Fresh { ephemeral: Secret::new(ephemeral), filler };
        random.zeroize();
        ephemeral.zeroize();
        fresh
    }
}

/// This node's secrets. They must stay the same during a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// This node's key pair.
    pub pair: &'a KeyPair,
    /// The herd's keys.
    pub keys: &'a Keys,
}

/// What a message of the other end brought. What [`Connection::take`] appended to `out` must be sent in any case.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<'m> {
    /// A step of the handshake.
    Step,
    /// The handshake is complete at the acceptor. A neighbour has a key of the herd, and names this candidate. It has
    /// authenticated with its first line, not before.
    Introduced {
        /// The number of its public key among the candidates.
        candidate: usize,
    },
    /// The handshake is complete at the dialler, and the acceptor has authenticated.
    Authenticated,
    /// A line, without LF. Its sender has authenticated.
    Line(&'m [u8]),
}

#[derive(Debug)]
enum State {
    /// An error has ended the connection.
    Ended,
    AwaitsFirstByte(Fresh),
    AwaitsIntroduction(Fresh),
    AwaitsNonce(Fresh, PublicKey),
    AwaitsAnswer(Dialling),
    /// At the acceptor: no record has opened yet.
    AwaitsRecord(Records),
    Open(Records),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection(State);

impl Connection {
    /// The end that has dialled the node of the public key `theirs`. Appends the first byte.
    #[must_use]
    pub fn dial(theirs: PublicKey, fresh: Fresh, out: &mut Out) -> Self {
        out.put_byte(FIRST_BYTE);
        Connection(State::AwaitsNonce(fresh, theirs))
    }

    /// The end that has accepted.
    #[must_use]
    pub fn accept(fresh: Fresh) -> Self {
        Connection(State::AwaitsFirstByte(fresh))
    }

    /// Bytes of the message that begins with `input`. `None` if that is not known yet.
    ///
    /// # Errors
    /// [`Refused`]. No message begins so, and the connection must end.
    pub fn message_bytes(&mut self, input: &[u8]) -> Result<Option<usize>, Refused> {
        let bytes = self.expected_bytes(input);
        if bytes.is_err() {
            self.0 = State::Ended;
        }
        bytes
    }

    fn expected_bytes(&self, input: &[u8]) -> Result<Option<usize>, Refused> {
        match &self.0 {
            State::Ended => Err(Refused::Length),
            State::AwaitsFirstByte(_) => Ok(Some(1)),
            State::AwaitsIntroduction(_) => Ok(Some(INTRODUCTION_BYTES)),
            State::AwaitsNonce(..) => Ok(Some(NONCE_BYTES)),
            State::AwaitsAnswer(_) => Ok(Some(ANSWER_BYTES)),
            State::AwaitsRecord(_) | State::Open(_) => record_bytes(input),
        }
    }

    /// Takes one whole message, decrypts it in place, and appends the answer. `candidates` are the public keys that
    /// may dial this node. `out` has room for [`INTRODUCTION_BYTES`].
    ///
    /// An introduction that a candidate's hint is right for, and the answer to an own one, cost two or three X25519.
    ///
    /// # Errors
    /// [`Refused`]. The connection must end.
    pub fn take<'m, 'k>(
        &mut self,
        message: &'m mut [u8],
        us: Identity,
        candidates: impl Iterator<Item = &'k PublicKey> + Clone,
        out: &mut Out,
    ) -> Result<Taken<'m>, Refused> {
        if let State::AwaitsRecord(records) | State::Open(records) = &mut self.0 {
            // In place: where keys are moved away from they are not erased.
            let opened = records.open(message);
            match &opened {
                Ok(_) => self.open(),
                Err(_) => self.0 = State::Ended,
            }
            return opened.map(Taken::Line);
        }
        match mem::replace(&mut self.0, State::Ended) {
            State::Ended => Err(Refused::Length),
            State::AwaitsFirstByte(fresh) if message == [FIRST_BYTE] => {
                out.put(&fresh.filler);
                self.0 = State::AwaitsIntroduction(fresh);
                Ok(Taken::Step)
            }
            State::AwaitsFirstByte(_) => Err(Refused::Protocol),
            State::AwaitsIntroduction(fresh) => {
                let bytes = message.try_into().map_err(|_| Refused::Length)?;
                let (candidate, records) = introduced(&fresh, bytes, us, candidates, out)?;
                self.0 = State::AwaitsRecord(records);
                Ok(Taken::Introduced { candidate })
            }
            State::AwaitsNonce(Fresh { ephemeral, filler }, theirs) => {
                let nonce = (&*message).try_into().map_err(|_| Refused::Length)?;
                let fresh = (KeyPair::of_secret(ephemeral), filler);
                let dialling = Dialling::introduce(nonce, us.pair, &theirs, us.keys, fresh, out)?;
                self.0 = State::AwaitsAnswer(dialling);
                Ok(Taken::Step)
            }
            State::AwaitsAnswer(dialling) => {
                let answer = message.try_into().map_err(|_| Refused::Length)?;
                self.0 = State::Open(dialling.finish(us.pair, us.keys, answer)?);
                Ok(Taken::Authenticated)
            }
            State::AwaitsRecord(_) | State::Open(_) => unreachable!("the records are opened above"),
        }
    }

    /// The other end has sent its first record, and so has authenticated.
    fn open(&mut self) {
        self.0 = match mem::replace(&mut self.0, State::Ended) {
            State::AwaitsRecord(records) => State::Open(records),
            other => other,
        };
    }

    /// Whether the other end has authenticated, and lines may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.0, State::Open(_))
    }

    /// Appends the record of a line: see [`Records::seal`]. Appends nothing before the other end has authenticated.
    pub fn seal(&mut self, line: &[u8], out: &mut Out) {
        debug_assert!(self.is_open(), "the caller asks is_open");
        if let State::Open(records) = &mut self.0 {
            records.seal(line, out);
        }
    }

    /// The link's secret for [`Salt`](crate::digest::Salt), once the handshake is complete.
    #[must_use]
    pub fn digest_secret(&self) -> Option<u64> {
        match &self.0 {
            State::AwaitsRecord(records) | State::Open(records) => Some(records.digest_secret()),
            _ => None,
        }
    }
}

/// Answers an introduction. Returns the candidate's number.
fn introduced<'k>(
    fresh: &Fresh,
    bytes: &mut [u8; INTRODUCTION_BYTES],
    us: Identity,
    candidates: impl Iterator<Item = &'k PublicKey> + Clone,
    out: &mut Out,
) -> Result<(usize, Records), Refused> {
    let introduction = Introduction::new(&fresh.filler, bytes);
    let found = introduction.recognise(us.pair.public(), candidates.clone(), us.keys);
    let found = found.ok_or(Refused::Stranger)?;
    let mut candidates = candidates;
    let theirs = candidates.nth(found.candidate).ok_or(Refused::Stranger)?;
    let ephemeral = KeyPair::of_secret(fresh.ephemeral.clone());
    let records = introduction.answer(found, us.pair, theirs, us.keys, &ephemeral, out)?;
    Ok((found.candidate, records))
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
