//! X25519 keys (RFC 7748): a private key, its public key, and what two ends agree on.

use core::fmt;

use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::Refused;
use super::secret::{SECRET_BYTES, Secret};
use crate::auth::same;

/// Bytes of a private key and of a public key.
pub const KEY_BYTES: usize = SECRET_BYTES;

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// A private key and its public key. Any 32 random bytes are a private key.
#[derive(Clone)]
pub struct KeyPair {
    private: Secret,
    public: PublicKey,
}

impl KeyPair {
    /// The pair of a private key. Calculates the public key, which costs as much as [`KeyPair::agree`].
    #[must_use]
    pub fn new(private: [u8; KEY_BYTES]) -> Self {
        KeyPair::of_secret(Secret::new(private))
    }

    /// The same of bytes that are erased already when they are dropped.
    #[must_use]
    pub fn of_secret(private: Secret) -> Self {
        KeyPair { public: PublicKey(x25519(*private, X25519_BASEPOINT_BYTES)), private }
    }

    /// A private key with the public key of another one: a thief's attempt.
    #[cfg(test)]
    pub(super) fn with_public(private: [u8; KEY_BYTES], public: PublicKey) -> Self {
        KeyPair { private: Secret::new(private), public }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What this end and the holder of the private key of `theirs` agree on.
    ///
    /// # Errors
    /// [`Refused::WeakKey`] if the result is zero. An observer would know it, too.
    #[inline(never)]
    pub fn agree(&self, theirs: &PublicKey) -> Result<Secret, Refused> {
        let agreed = Secret::new(x25519(*self.private, theirs.0));
        if same(&agreed, &[0; KEY_BYTES]) { Err(Refused::WeakKey) } else { Ok(agreed) }
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("KeyPair")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::out::read_hex;

    pub(crate) fn bytes_of<const BYTES: usize>(hex: &str) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        read_hex(hex.as_bytes(), &mut bytes).expect("hexadecimal of this length");
        bytes
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn vector_of_the_standard() {
        let pair = |private, public| {
            let pair = KeyPair::new(bytes_of(private));
            assert_eq!(pair.public().0, bytes_of(public));
            pair
        };
        let alice = pair(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        );
        let bob = pair(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        );
        let agreed = bytes_of("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*alice.agree(bob.public()).expect("a strong key"), agreed);
        assert_eq!(*bob.agree(alice.public()).expect("a strong key"), agreed);
    }

    /// The points of small order on the curve and its twist, and their encodings that are not reduced
    /// (<https://cr.yp.to/ecdh.html#validate>).
    pub(crate) const WEAK: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn weak_public_keys_are_refused() {
        let pair = KeyPair::new([7; KEY_BYTES]);
        for weak in WEAK {
            assert_eq!(pair.agree(&PublicKey(bytes_of(weak))).map(|_| ()), Err(Refused::WeakKey), "{weak}");
        }
        // The highest bit does not count.
        let mut weak: [u8; KEY_BYTES] = bytes_of(WEAK[1]);
        weak[31] |= 0x80;
        assert_eq!(pair.agree(&PublicKey(weak)).map(|_| ()), Err(Refused::WeakKey));
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", KeyPair::new([7; KEY_BYTES])), "KeyPair");
    }
}
