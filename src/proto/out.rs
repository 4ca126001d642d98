//! The core's output: a slice that the server lends, and the number of bytes used.
//!
//! The core does not allocate, so it cannot grow the slice. Before each call, the caller ensures that one whole
//! line fits. [`limits`](super::limits) gives the lengths.

use super::time::NANOSECONDS;

/// Bytes written into a borrowed slice. Writing past its end is a programming error. Debug builds panic.
/// Release builds truncate the text, so that remote input cannot cause a panic.
#[derive(Debug)]
pub struct Out<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Out<'a> {
    /// An empty output over `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Out { bytes, len: 0 }
    }

    /// Number of bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.len() - self.len
    }

    /// Number of bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room(), "the caller ensures room for a whole line");
        let n = bytes.len().min(self.room());
        self.bytes[self.len..self.len + n].copy_from_slice(&bytes[..n]);
        self.len += n;
    }

    /// Appends `len` zero bytes and lends them, to be written in place. Fewer if less room is left.
    pub fn extend(&mut self, len: usize) -> &mut [u8] {
        debug_assert!(len <= self.room(), "the caller ensures room for a whole line");
        let start = self.len;
        self.len += len.min(self.room());
        let extended = &mut self.bytes[start..self.len];
        extended.fill(0);
        extended
    }

    /// Appends one byte.
    pub fn put_byte(&mut self, byte: u8) {
        debug_assert!(self.room() > 0, "the caller ensures room for a whole line");
        // Does not use `put`, which would call memcpy for one byte.
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Appends `value` in decimal.
    pub fn put_u128(&mut self, value: u128) {
        let mut digits = itoa::Buffer::new();
        // Almost every number here fits 64 bits. A 64-bit division costs a tenth of a 128-bit one.
        let digits = match u64::try_from(value) {
            Ok(small) => digits.format(small),
            Err(_) => digits.format(value),
        };
        self.put(digits.as_bytes());
    }

    /// Appends `value` in decimal.
    pub fn put_i64(&mut self, value: i64) {
        self.put(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Appends `value` as nine decimal digits: the fraction of a second in nanoseconds.
    pub fn put_nanos(&mut self, value: u32) {
        debug_assert!(value < NANOSECONDS);
        // The leading 1 preserves the zeros and is then skipped.
        self.put(&itoa::Buffer::new().format(NANOSECONDS + value).as_bytes()[1..]);
    }

    /// Appends `bytes` in lower-case hexadecimal, two digits a byte.
    pub fn put_hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            self.put(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Reads lower-case hexadecimal into `bytes`. `None` unless `text` is exactly two digits a byte.
#[must_use]
#[inline(never)] // Each length would be a copy.
pub fn read_hex(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_std_prints_them() {
        for value in [0, 1, 9, 10, 99, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX] {
            let mut bytes = [0; 40];
            let mut out = Out::new(&mut bytes);
            out.put_u128(value);
            assert_eq!(out.written(), value.to_string().as_bytes());
        }
    }

    #[test]
    fn nanoseconds_keep_their_leading_zeros() {
        let mut bytes = [0; 9];
        let mut out = Out::new(&mut bytes);
        out.put_nanos(1_020);
        assert_eq!(out.written(), b"000001020");
    }

    #[test]
    fn hexadecimal_round_trips() {
        let mut text = [0; 8];
        let mut out = Out::new(&mut text);
        out.put_hex(&[0x00, 0x0f, 0xa5, 0xff]);
        assert_eq!(out.written(), b"000fa5ff");
        let mut back = [0; 4];
        assert_eq!(read_hex(b"000fa5ff", &mut back), Some(()));
        assert_eq!(back, [0x00, 0x0f, 0xa5, 0xff]);
        for wrong in [&b"000fa5f"[..], b"000fa5fff", b"000FA5FF", b"000fa5f "] {
            assert_eq!(read_hex(wrong, &mut back), None);
        }
    }
}
