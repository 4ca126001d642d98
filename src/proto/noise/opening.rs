//! The bytes of a connection before its first record, and the neighbour that they name.
//!
//! ```text
//! dialler -> acceptor   02                                        this protocol; a HELLO begins with another byte
//! acceptor -> dialler   nonce[16]                                 fresh random bytes
//! dialler -> acceptor   hint[16] || hint[16] || message 1[48]     a hint for each of its keys of the herd
//! acceptor -> dialler   number[1] || message 2[48]                0 or 1: the hint whose key applies
//! ```
//!
//! A hint is a MAC of the acceptor's nonce, message 1's ephemeral key and the public keys of both ends, by a key of
//! the herd. An acceptor knows by it which neighbour dials, and reads neither its name nor an agreement of keys for
//! that: a stranger, or a replay, costs 16 MACs for each key and no X25519. An observer sees random bytes. Where the
//! herd has one key, the second hint is random.
//!
//! Nonce and hints are the prologue of the handshake: a change to them makes message 1 fail.

use super::Refused;
use super::handshake::{Acceptor, Dialler, MESSAGE_BYTES};
use super::key_pair::{KEY_BYTES, KeyPair, PublicKey};
use super::record::Records;
use super::symmetric::mac;
use crate::auth::{KEYS_MAX, Keys, same};
use crate::limits::NONCE_BYTES;
use crate::out::Out;

/// The first byte of a connection.
pub const FIRST_BYTE: u8 = 2;

/// Bytes of a hint.
pub const HINT_BYTES: usize = 16;

/// Bytes that the dialler sends after the nonce.
pub const INTRODUCTION_BYTES: usize = KEYS_MAX * HINT_BYTES + MESSAGE_BYTES;

/// Bytes of the acceptor's answer.
pub const ANSWER_BYTES: usize = 1 + MESSAGE_BYTES;

/// The start of the prologue.
const PROLOGUE: &[u8] = b"herd link 2";

/// The start of what a hint covers. No other MAC of the herd's key begins so.
const HINT: &[u8] = b"herd hint 2";

type Hints = [u8; KEYS_MAX * HINT_BYTES];

fn hint(
    shared: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    ephemeral: &PublicKey,
    dialler: &PublicKey,
    acceptor: &PublicKey,
) -> [u8; HINT_BYTES] {
    let mac = mac(shared, &[HINT, nonce, &ephemeral.0, &dialler.0, &acceptor.0]);
    *mac.first_chunk().expect("a hint is shorter than the MAC")
}

/// The dialler, after its introduction.
#[derive(Debug)]
pub struct Dialling(Dialler);

impl Dialling {
    /// Writes [`INTRODUCTION_BYTES`] to the acceptor that has sent `nonce` and has the public key `theirs`.
    ///
    /// `ephemeral` and `filler` must be of fresh random bytes, for this connection only.
    ///
    /// # Errors
    /// [`Refused::WeakKey`].
    pub fn introduce(
        nonce: &[u8; NONCE_BYTES],
        ours: &KeyPair,
        theirs: &PublicKey,
        keys: &Keys,
        (ephemeral, filler): (KeyPair, [u8; HINT_BYTES]),
        out: &mut Out,
    ) -> Result<Self, Refused> {
        let mut hints: Hints = [0; KEYS_MAX * HINT_BYTES];
        let all = keys.list().map(|key| hint(key, nonce, ephemeral.public(), ours.public(), theirs));
        for (place, hint) in hints.chunks_exact_mut(HINT_BYTES).zip(all.chain([filler])) {
            place.copy_from_slice(&hint);
        }
        out.put(&hints);
        let prologue = [PROLOGUE, &nonce[..], &hints[..]];
        Dialler::begin(&prologue, ours, theirs, ephemeral, &[], out).map(Dialling)
    }

    /// Reads the acceptor's answer, which is decrypted in place. `ours` and `keys` are as in the introduction.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn finish(
        self,
        ours: &KeyPair,
        keys: &Keys,
        answer: &mut [u8; ANSWER_BYTES],
    ) -> Result<Records, Refused> {
        let [number, message @ ..] = answer;
        let shared = keys.list().nth(usize::from(*number)).ok_or(Refused::Tag)?;
        self.0.finish(ours, shared, message).map(|(_, records)| records)
    }
}

/// A neighbour that the acceptor has recognised by a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Its number in the list of candidates.
    pub candidate: usize,
    /// The number of the hint.
    hint: u8,
    /// The number of the key in this node's list.
    key: u8,
}

/// The acceptor's view of an introduction.
pub struct Introduction<'a> {
    nonce: &'a [u8; NONCE_BYTES],
    bytes: &'a mut [u8; INTRODUCTION_BYTES],
}

impl<'a> Introduction<'a> {
    /// What a dialler sent after this node's `nonce`.
    pub fn new(nonce: &'a [u8; NONCE_BYTES], bytes: &'a mut [u8; INTRODUCTION_BYTES]) -> Self {
        Introduction { nonce, bytes }
    }

    /// The first of `candidates` that a hint names. `None` for a stranger, a replay, and for a neighbour without a key
    /// of this node. An earlier hint wins: it is of the dialler's newer key.
    ///
    /// This proves that the dialler has a key of the herd, not that it is the neighbour.
    pub fn recognise<'k>(
        &self,
        ours: &PublicKey,
        candidates: impl Iterator<Item = &'k PublicKey> + Clone,
        keys: &Keys,
    ) -> Option<Recognised> {
        let ephemeral = PublicKey(*self.bytes[KEYS_MAX * HINT_BYTES..].first_chunk::<KEY_BYTES>()?);
        let hints = self.bytes[..KEYS_MAX * HINT_BYTES].as_chunks::<HINT_BYTES>().0;
        let mut found: Option<Recognised> = None;
        for (candidate, public) in candidates.enumerate() {
            for (key, shared) in (0..).zip(keys.list()) {
                let expected = hint(shared, self.nonce, &ephemeral, public, ours);
                let matching = (0..).zip(hints).find(|(_, hint)| same(hint, &expected));
                if let Some((hint, _)) = matching
                    && found.is_none_or(|earlier| hint < earlier.hint)
                {
                    found = Some(Recognised { candidate, hint, key });
                }
            }
        }
        found
    }

    /// Reads message 1 of the recognised neighbour, whose public key is `theirs`, and writes [`ANSWER_BYTES`].
    /// `ephemeral` must be of fresh random bytes, for this connection only.
    ///
    /// The neighbour has authenticated when its first record opens, not before.
    ///
    /// # Errors
    /// [`Refused`]. The connection ends, and nothing is sent.
    pub fn answer(
        self,
        recognised: Recognised,
        ours: &KeyPair,
        theirs: &PublicKey,
        keys: &Keys,
        ephemeral: &KeyPair,
        out: &mut Out,
    ) -> Result<Records, Refused> {
        let (hints, message) = self.bytes.split_at_mut(KEYS_MAX * HINT_BYTES);
        let prologue = [PROLOGUE, &self.nonce[..], &*hints];
        let (_, acceptor) = Acceptor::begin(&prologue, ours, theirs, message)?;
        let shared = keys.list().nth(usize::from(recognised.key)).ok_or(Refused::Tag)?;
        out.put_byte(recognised.hint);
        acceptor.finish(theirs, ephemeral, shared, &[], out)
    }
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
