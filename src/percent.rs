//! Percent-encoding (RFC 3986, 2.1). Which characters stay plain depends on what reads the text, so the caller says it.

use std::fmt::Write as _;

/// The text of these bytes. A character stays if `is_plain` says so. The bytes of all others, and bytes that are not UTF-8, become
/// `%XX`.
#[must_use]
pub fn encoded(bytes: &[u8], mut is_plain: impl FnMut(char) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let put = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, "%{byte:02X}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_plain(c) {
                text.push(c);
            } else {
                put(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        put(&mut text, chunk.invalid());
    }
    text
}

/// Whether the character stands for itself anywhere in a URL (RFC 3986, 2.3).
#[must_use]
pub fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~".contains(c)
}

/// The byte of two hex digits.
pub(crate) fn byte_of(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(16 * digit(digits[0])? + digit(digits[1])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_are_not_plain_are_encoded() {
        for (bytes, text) in [
            (&b"a-Z_0.~"[..], "a-Z_0.~"),
            (b"a b/%", "a%20b%2F%25"),
            ("\u{e9}\u{20ac}".as_bytes(), "%C3%A9%E2%82%AC"),
            (b"\xe2\x82x\xff", "%E2%82x%FF"),
        ] {
            assert_eq!(encoded(bytes, is_unreserved), text);
        }
        assert_eq!(encoded("\u{e9}%\u{7f}".as_bytes(), |c| c != '%'), "\u{e9}%25\u{7f}");
    }
}
