//! Secret bytes, erased when they are dropped.

use core::fmt;
use core::ops::Deref;

use zeroize::Zeroize;

/// Bytes of a key, of a hash, and of what two ends agree on.
pub(super) const SECRET_BYTES: usize = 32;

/// 32 secret bytes: a private key, a key of a cipher, or what keys are derived from.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Takes these bytes. The caller erases its own copy.
    #[must_use]
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Secret(bytes)
    }

    /// The bytes, to be written in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8; SECRET_BYTES] {
        &mut self.0
    }
}

impl Deref for Secret {
    type Target = [u8; SECRET_BYTES];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Secret {
    // Not inlined: each place where one is dropped would have 32 writes that the compiler must not merge.
    #[inline(never)]
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Secret::new([7; SECRET_BYTES])), "Secret");
    }
}
