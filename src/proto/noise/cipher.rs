//! A key and its counter: CipherState of the Noise framework, with ChaCha20-Poly1305 (RFC 8439).

use super::secret::{SECRET_BYTES, Secret};
use super::{Refused, TAG_BYTES};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

/// The counter of [`Cipher::rekey`]. No message has it.
const REKEY_COUNTER: u64 = u64::MAX;

/// Encrypts or decrypts the messages of one direction. The counter is the nonce: each message has its own, and the
/// receiver accepts them in order only.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Cipher {
    key: Secret,
    counter: u64,
}

impl Cipher {
    pub(super) fn new(key: Secret) -> Self {
        Cipher { key, counter: 0 }
    }

    /// The number of messages so far.
    pub(super) fn counter(&self) -> u64 {
        self.counter
    }

    #[cfg(test)]
    pub(super) fn key(&self) -> &[u8; SECRET_BYTES] {
        &self.key
    }

    /// As after this many messages.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, counter: u64) {
        self.counter = counter;
    }

    fn aead(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&(*self.key).into())
    }

    /// The counter of the next message. 2^64 messages take 584 years at one in a nanosecond.
    fn next(&mut self) -> [u8; 12] {
        debug_assert_ne!(self.counter, REKEY_COUNTER);
        let nonce = nonce_of(self.counter);
        self.counter += 1;
        nonce
    }

    /// Encrypts `bytes` in place. `data` is authenticated with it.
    pub(super) fn seal(&mut self, data: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let nonce = self.next();
        let tag = self.aead().encrypt_inout_detached(&nonce.into(), data, bytes.into());
        tag.expect("a message is much shorter than 256 GB").into()
    }

    /// Decrypts `bytes` in place. They are unchanged if the tag is wrong. The caller must then end the link.
    pub(super) fn open(
        &mut self,
        data: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Refused> {
        let nonce = self.next();
        let opened = self.aead().decrypt_inout_detached(&nonce.into(), data, bytes.into(), &(*tag).into());
        opened.map_err(|_| Refused::Tag)
    }

    /// Replaces the key by one that does not reveal it: an attacker that reads this node's memory later cannot
    /// decrypt earlier messages. The counter continues.
    pub(super) fn rekey(&mut self) {
        let mut next = Secret::new([0; SECRET_BYTES]);
        let sealed = self.aead().encrypt_inout_detached(
            &nonce_of(REKEY_COUNTER).into(),
            &[],
            next.bytes_mut()[..].as_mut().into(),
        );
        // The tag is not used: the framework defines the first 32 bytes as the key.
        let _ = sealed.expect("32 bytes are shorter than 256 GB");
        self.key = next;
    }
}

/// Noise: 32 zero bits, then the counter, little-endian.
fn nonce_of(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}
