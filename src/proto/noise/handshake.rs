//! The two messages of the handshake, `Noise_KKpsk2_25519_ChaChaPoly_SHA256`.
//!
//! A step consumes the state of the step before, so no state is used twice. After an error the connection ends.
//!
//! Each message is a public key, the encrypted payload, and a tag.

use super::key_pair::{KEY_BYTES, KeyPair, PublicKey};
use super::record::Records;
use super::secret::SECRET_BYTES;
use super::symmetric::Symmetric;
use super::{Refused, TAG_BYTES};
use crate::auth::Role;
use crate::out::Out;

/// The protocol's name, which both ends hash.
const PROTOCOL: &[u8] = b"Noise_KKpsk2_25519_ChaChaPoly_SHA256";

/// Bytes of a message without a payload.
pub const MESSAGE_BYTES: usize = KEY_BYTES + TAG_BYTES;

fn started(prologue: &[&[u8]], dialler: &PublicKey, acceptor: &PublicKey) -> Symmetric {
    let mut state = Symmetric::new(PROTOCOL);
    state.mix_hash_of_parts(prologue);
    state.mix_hash(&dialler.0);
    state.mix_hash(&acceptor.0);
    state
}

/// An ephemeral public key. The key is also mixed as a secret: psk handshakes have this rule.
fn mix_ephemeral(state: &mut Symmetric, key: &PublicKey) {
    state.mix_hash(&key.0);
    state.mix_key(&key.0);
}

/// Divides a message into its public key, and the payload with its tag.
fn divided(message: &mut [u8]) -> Result<(PublicKey, &mut [u8]), Refused> {
    let (key, sealed) = message.split_first_chunk_mut::<KEY_BYTES>().ok_or(Refused::Length)?;
    Ok((PublicKey(*key), sealed))
}

/// The end that dialled, between the two messages.
pub struct Dialler {
    state: Symmetric,
    ephemeral: KeyPair,
}

impl Dialler {
    /// Writes message 1 to the node of the public key `theirs`. `ephemeral` must be of fresh random bytes, for this
    /// handshake only. The parts of `prologue` are what both ends know before; their total counts, not their borders.
    ///
    /// An attacker can replay message 1, so the acceptor must not act on `payload`.
    ///
    /// # Errors
    /// [`Refused::WeakKey`].
    pub fn begin(
        prologue: &[&[u8]],
        ours: &KeyPair,
        theirs: &PublicKey,
        ephemeral: KeyPair,
        payload: &[u8],
        out: &mut Out,
    ) -> Result<Dialler, Refused> {
        let mut state = started(prologue, ours.public(), theirs);
        mix_ephemeral(&mut state, ephemeral.public());
        state.mix_key(&*ephemeral.agree(theirs)?);
        state.mix_key(&*ours.agree(theirs)?);
        out.put(&ephemeral.public().0);
        state.seal(payload, out);
        Ok(Dialler { state, ephemeral })
    }

    /// Reads message 2 and decrypts it in place. Returns its payload, and the records of the link. The acceptor has
    /// authenticated.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn finish<'a>(
        mut self,
        ours: &KeyPair,
        shared: &[u8; SECRET_BYTES],
        message: &'a mut [u8],
    ) -> Result<(&'a [u8], Records), Refused> {
        let (theirs, sealed) = divided(message)?;
        mix_ephemeral(&mut self.state, &theirs);
        self.state.mix_key(&*self.ephemeral.agree(&theirs)?);
        self.state.mix_key(&*ours.agree(&theirs)?);
        self.state.mix_key_and_hash(shared);
        let payload = self.state.open(sealed)?;
        Ok((payload, Records::new(&self.state, Role::Dialler)))
    }
}

impl core::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str("Dialler")
    }
}

/// The end that accepted, between the two messages.
pub struct Acceptor {
    state: Symmetric,
    ephemeral: PublicKey,
}

impl Acceptor {
    /// Reads message 1 of the node of the public key `theirs` and decrypts it in place. Returns its payload.
    ///
    /// The dialler authenticates with its first record only: this message may be a replay.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn begin<'a>(
        prologue: &[&[u8]],
        ours: &KeyPair,
        theirs: &PublicKey,
        message: &'a mut [u8],
    ) -> Result<(&'a [u8], Acceptor), Refused> {
        let (ephemeral, sealed) = divided(message)?;
        let mut state = started(prologue, theirs, ours.public());
        mix_ephemeral(&mut state, &ephemeral);
        state.mix_key(&*ours.agree(&ephemeral)?);
        state.mix_key(&*ours.agree(theirs)?);
        let payload = state.open(sealed)?;
        Ok((payload, Acceptor { state, ephemeral }))
    }

    /// Writes message 2 and returns the records of the link. `ephemeral` must be of fresh random bytes, for this
    /// handshake only. `shared` is the herd's key.
    ///
    /// # Errors
    /// [`Refused::WeakKey`].
    pub fn finish(
        mut self,
        theirs: &PublicKey,
        ephemeral: &KeyPair,
        shared: &[u8; SECRET_BYTES],
        payload: &[u8],
        out: &mut Out,
    ) -> Result<Records, Refused> {
        mix_ephemeral(&mut self.state, ephemeral.public());
        self.state.mix_key(&*ephemeral.agree(&self.ephemeral)?);
        self.state.mix_key(&*ephemeral.agree(theirs)?);
        self.state.mix_key_and_hash(shared);
        out.put(&ephemeral.public().0);
        self.state.seal(payload, out);
        Ok(Records::new(&self.state, Role::Acceptor))
    }
}
