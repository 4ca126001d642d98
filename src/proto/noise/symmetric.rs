//! The keys and the hash that grow with a handshake: SymmetricState of the Noise framework, with SHA-256.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::cipher::Cipher;
use super::secret::{SECRET_BYTES, Secret};
use super::{Refused, TAG_BYTES};
use crate::out::Out;

/// The state of a handshake. `hash` covers all that both ends have sent or know. `chaining` is the secret so far.
pub(super) struct Symmetric {
    chaining: Secret,
    hash: [u8; SECRET_BYTES],
    cipher: Cipher,
}

impl Symmetric {
    /// The start of a handshake. `protocol` is a name of more than 32 bytes, so its hash stands for it.
    pub(super) fn new(protocol: &[u8]) -> Self {
        debug_assert!(protocol.len() > SECRET_BYTES);
        let hash = Sha256::digest(protocol).into();
        // The first `mix_key` replaces the key of the cipher, before anything is encrypted.
        let cipher = Cipher::new(Secret::new([0; SECRET_BYTES]));
        Symmetric { chaining: Secret::new(hash), hash, cipher }
    }

    /// Both ends know `bytes`.
    pub(super) fn mix_hash(&mut self, bytes: &[u8]) {
        self.mix_hash_of_parts(&[bytes]);
    }

    /// Both ends know these parts, one after the other.
    #[inline(never)]
    pub(super) fn mix_hash_of_parts(&mut self, parts: &[&[u8]]) {
        let mut hash = Sha256::new().chain_update(self.hash);
        for part in parts {
            hash.update(part);
        }
        self.hash = hash.finalize().into();
    }

    /// Both ends know the secret `material`.
    #[inline(never)]
    pub(super) fn mix_key(&mut self, material: &[u8; SECRET_BYTES]) {
        let [chaining, key, _] = derived(&self.chaining, material);
        self.chaining = chaining;
        self.cipher = Cipher::new(key);
    }

    /// Both ends know the pre-shared key.
    pub(super) fn mix_key_and_hash(&mut self, shared: &[u8; SECRET_BYTES]) {
        let [chaining, hash, key] = derived(&self.chaining, shared);
        self.chaining = chaining;
        self.mix_hash(&*hash);
        self.cipher = Cipher::new(key);
    }

    /// Appends the encrypted `payload` and its tag.
    pub(super) fn seal(&mut self, payload: &[u8], out: &mut Out) {
        let sealed = out.extend(payload.len() + TAG_BYTES);
        let (body, tag) = sealed.split_at_mut(payload.len());
        body.copy_from_slice(payload);
        tag.copy_from_slice(&self.cipher.seal(&self.hash, body));
        self.mix_hash(sealed);
    }

    /// Decrypts a payload in place. Its tag comes behind it.
    pub(super) fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        let before = self.hash;
        self.mix_hash(sealed);
        let (body, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refused::Length)?;
        self.cipher.open(&before, body, tag)?;
        Ok(body)
    }

    /// The end of the handshake: a key for what the dialler sends, one for what the acceptor sends, and a secret for
    /// other purposes.
    ///
    /// The framework takes two outputs. The third does not change them.
    pub(super) fn split(&self) -> [Secret; 3] {
        derived(&self.chaining, &[])
    }

    /// The hash of the whole handshake.
    #[cfg(test)]
    pub(super) fn hash(&self) -> &[u8; SECRET_BYTES] {
        &self.hash
    }
}

/// HKDF of the framework (RFC 5869 without info).
// Not inlined, like the others here: a handshake is rare, and its copies of SHA-256 would take 10 KB.
#[inline(never)]
fn derived(chaining: &[u8; SECRET_BYTES], material: &[u8]) -> [Secret; 3] {
    let temporary = mac(chaining, &[material]);
    let first = mac(&temporary, &[&[1]]);
    let second = mac(&temporary, &[&*first, &[2]]);
    let third = mac(&temporary, &[&*second, &[3]]);
    [first, second, third]
}

/// HMAC-SHA256 of these parts, one after the other.
#[inline(never)]
pub(super) fn mac(key: &[u8; SECRET_BYTES], parts: &[&[u8]]) -> Secret {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Secret::new(mac.finalize().into_bytes().into())
}
