//! Text of digits, signs and points, packed two characters to a byte without loss.
//!
//! An AT line must repeat a position and a time digit for digit, so an entry stores the text: `+34.0` and
//! `+34.00` differ. The alphabet has 13 characters, so four bits hold one, and 0 marks the end.
//!
//! Invariant: after the first 0 nibble all nibbles are 0. So equal texts have equal bytes, and the order of the
//! bytes is one fixed total order of the texts (`+ - . 0 … 9`).

use super::limits::{POSITION_BYTES_MAX, TIME_BYTES_MAX};
use super::out::Out;

/// The characters by their codes. 0 means none; 14 and 15 do not occur.
const ALPHABET: &[u8; 16] = b"\0+-.0123456789\0\0";

/// The codes by their characters. 0 means none.
const CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut code = 1;
    while code < 14 {
        codes[ALPHABET[code as usize] as usize] = code;
        code += 1;
    }
    codes
};

/// Number of characters of the longest packed text.
const DIGITS_MAX: usize =
    if POSITION_BYTES_MAX > TIME_BYTES_MAX { POSITION_BYTES_MAX } else { TIME_BYTES_MAX };

/// A text of at most `2 * BYTES` characters out of `+-.0123456789`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digits<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Digits<BYTES> {
    /// The empty text.
    pub const EMPTY: Self = Digits([0; BYTES]);

    /// Packs `text`. `None` if it is too long or has another character.
    #[must_use]
    pub fn pack(text: &[u8]) -> Option<Self> {
        if text.len() > 2 * BYTES {
            return None;
        }
        let mut packed = [0; BYTES];
        for (byte, pair) in packed.iter_mut().zip(text.chunks(2)) {
            *byte = code_of(pair[0])? << 4;
            if let Some(&second) = pair.get(1) {
                *byte |= code_of(second)?;
            }
        }
        Some(Digits(packed))
    }

    /// Unpacks into `text`, which must hold `2 * BYTES` bytes, and returns the used part.
    pub fn unpack<'a>(&self, text: &'a mut [u8]) -> &'a [u8] {
        debug_assert!(text.len() >= 2 * BYTES);
        let mut len = 0;
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            if byte == 0 {
                break;
            }
            pair[0] = ALPHABET[usize::from(byte >> 4)];
            pair[1] = ALPHABET[usize::from(byte & 15)];
            len += 1 + usize::from(byte & 15 != 0);
        }
        &text[..len]
    }

    /// Appends the text.
    pub fn put(&self, out: &mut Out) {
        const { assert!(2 * BYTES <= DIGITS_MAX, "the buffer holds the longest packed text") };
        let mut text = [0; DIGITS_MAX];
        out.put(self.unpack(&mut text));
    }

    /// The packed bytes. Equal bytes mean equal texts.
    #[must_use]
    pub fn packed(&self) -> &[u8; BYTES] {
        &self.0
    }
}

fn code_of(character: u8) -> Option<u8> {
    match CODES[usize::from(character)] {
        0 => None,
        code => Some(code),
    }
}

/// Splits a number `digits [. digits]` at the front of `text`: (whole digits, fraction digits, rest).
///
/// `None` without a whole digit, or with a point and no digit after it. Source: PROTOCOL, IAMAT.
#[must_use]
pub fn split_number(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (whole, rest) = split_digits(text);
    if whole.is_empty() {
        return None;
    }
    match rest.split_first() {
        Some((b'.', after)) => {
            let (fraction, rest) = split_digits(after);
            (!fraction.is_empty()).then_some((whole, fraction, rest))
        }
        _ => Some((whole, &[], rest)),
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A number of this many digits always fits 64 bits.
const DIGITS_OF_U64: usize = 19;

/// The value of decimal digits, or `u128::MAX` if it does not fit.
#[must_use]
pub fn value_of(digits: &[u8]) -> u128 {
    if digits.len() <= DIGITS_OF_U64 {
        // The usual case. Arithmetic in 128 bits costs many times as much, most of all on 32-bit boards.
        let value = |value: u64, digit: &u8| value * 10 + u64::from(digit - b'0');
        return u128::from(digits.iter().fold(0, value));
    }
    digits
        .iter()
        .fold(0_u128, |value, digit| value.saturating_mul(10).saturating_add(u128::from(digit - b'0')))
}

/// The first nine digits of a fraction as nanoseconds. Further digits are dropped.
#[must_use]
pub fn nanos_of(fraction: &[u8]) -> u32 {
    let digit = |i: usize| fraction.get(i).map_or(0, |digit| u32::from(digit - b'0'));
    (0..9).fold(0, |value, i| value * 10 + digit(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packing_is_exact(text in "[-+.0-9]{0,16}") {
            let packed = Digits::<8>::pack(text.as_bytes()).expect("it fits");
            let mut back = [0; 16];
            prop_assert_eq!(packed.unpack(&mut back), text.as_bytes());
        }

        #[test]
        fn equal_bytes_are_equal_texts(a in "[-+.0-9]{0,4}", b in "[-+.0-9]{0,4}") {
            let packed = |text: &str| Digits::<2>::pack(text.as_bytes());
            prop_assert_eq!(packed(&a) == packed(&b), a == b);
        }
    }

    #[test]
    fn rejects_long_and_foreign_text() {
        for wrong in [&b"12345"[..], b"1e5", b"1 2", b"\xb2"] {
            assert_eq!(Digits::<2>::pack(wrong), None);
        }
    }

    #[test]
    fn numbers_split_by_the_grammar() {
        let table = [
            ("12", Some(["12", "", ""])),
            ("12.5", Some(["12", "5", ""])),
            ("12.50-3", Some(["12", "50", "-3"])),
            ("012x", Some(["012", "", "x"])),
            ("", None),
            (".5", None),
            ("5.", None),
            ("5.x", None),
        ];
        for (text, expected) in table {
            let parts = split_number(text.as_bytes()).map(|(whole, fraction, rest)| [whole, fraction, rest]);
            assert_eq!(parts, expected.map(|parts| parts.map(str::as_bytes)), "{text:?}");
        }
    }
}
