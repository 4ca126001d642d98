//! Keys of upstream services. They come from a private file and are never shown.
//!
//! This module must not know the purpose of a key. Invariants: `Debug` prints dots, and `Display` does not exist. The text
//! leaves the module only for a request that is about to be sent.

use crate::files::read_secret;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Fewest and most bytes of a key. Google's keys have 39. A key of fewer than eight bytes occurs in answers by chance, and
/// the node does not forward an answer that contains the key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Longest key file: a key, and the white space that an editor adds.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// A key of an upstream service. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

impl Key {
    /// Makes a key from its text. White space around the text is ignored.
    ///
    /// # Errors
    /// It is not 8 to 256 visible ASCII characters. The message does not hold the text.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim_ascii();
        if !KEY_BYTES.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
            return Err(format!("it holds no key: {least} to {most} visible ASCII characters on one line"));
        }
        Ok(Self(text.into()))
    }

    /// Reads a key file, which holds only the key. `must_be_private` as for [`open_secret`](crate::files::open_secret).
    ///
    /// # Errors
    /// The file's path, the problem and the remedy, but never the file's content.
    pub fn read(file: &Path, must_be_private: bool) -> Result<Self, String> {
        let text = read_secret(file, must_be_private, KEY_FILE_BYTES_MAX)?;
        Self::new(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    /// The key itself, for a request only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the key occurs in `text`: as it is, or with some of its characters percent-encoded (once or more times) or
    /// escaped as in JSON. A service that prints the requested address writes the key like that.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let key = self.0.as_bytes();
        text.windows(key.len()).any(|window| window == key)
            || (0..text.len()).any(|start| begins_encoded(&text[start..], key))
    }
}

/// Whether `text` begins with `key`, each character of it plain or encoded.
fn begins_encoded(mut text: &[u8], key: &[u8]) -> bool {
    key.iter().all(|&byte| {
        let length = encoded_bytes(text, byte).or_else(|| text.starts_with(&[byte]).then_some(1));
        text = &text[length.unwrap_or(0)..];
        length.is_some()
    })
}

/// The length of `byte`'s encoded form at the start of `text`: `%2F`, `%252F`, `\/` and `\u002f` for a slash.
fn encoded_bytes(text: &[u8], byte: u8) -> Option<usize> {
    let digits = |text: &[u8]| {
        let digits = text.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok().filter(|value| *value == byte)
    };
    if let Some(rest) = text.strip_prefix(b"\\u00") {
        return digits(rest).map(|_| 6);
    }
    if let Some(rest) = text.strip_prefix(b"\\") {
        return rest.starts_with(&[byte]).then_some(2);
    }
    let (mut rest, mut longest) = (text.strip_prefix(b"%"), None);
    while let Some(text_left) = rest {
        longest = digits(text_left).map(|_| text.len() - text_left.len() + 2).or(longest);
        rest = text_left.strip_prefix(b"25");
    }
    longest
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::testing::TempFile;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_is_private_and_holds_one_key() {
        let file = TempFile::new(b"  AIza-secret_123\r\n");
        let mode = |mode| set_permissions(file.path(), Permissions::from_mode(mode)).expect("its own file");
        for others in [0o604, 0o640, 0o620, 0o601] {
            mode(others);
            let error = Key::read(file.path(), true).expect_err("others may use it");
            assert!(
                error.contains(&format!("mode {others:03o}"))
                    && error.contains("(chmod 600 ")
                    && !error.contains("AIza"),
                "{error}"
            );
            assert!(Key::read(file.path(), false).is_ok());
        }
        mode(0o600);
        let key = Key::read(file.path(), true).expect("it is private");
        assert_eq!(key.expose(), "AIza-secret_123");
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert!(key.is_in(b"x AIza-secret_123") && !key.is_in(b"AIza-secret_12") && !key.is_in(b""));
    }

    #[test]
    fn an_encoded_key_is_found() {
        let key = Key::new("SEC%RET+KEY/12345==").expect("a key");
        for text in [
            "SEC%RET+KEY/12345==",
            "you asked for /p?key=SEC%25RET%2BKEY%2F12345%3D%3D&x",
            "SEC%25RET%2bKEY%2f12345%3d%3D",
            "SEC%2525RET%252BKEY%252f12345%25253D%3d",
            "SEC%RET+KEY\\/12345==",
            "SEC\\u0025RET\\u002bKEY\\u002F12345\\u003d=",
            "%53%45%43%25%52%45%54%2B%4B%45%59/12345==",
            "SSEC%25RET%2BKEY%2F12345%3D%3D",
        ] {
            assert!(key.is_in(format!("{{\"x\":\"{text}\"}}").as_bytes()), "{text}");
        }
        for text in [
            "SEC%25RET%2CKEY%2F12345%3D%3D",
            "SEC%RET+KEY/12345%3D%3",
            "SEC%2",
            "%",
            "\\",
            "\\u00",
            "%25%25%25",
        ] {
            assert!(!key.is_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn invalid_keys_are_refused_and_not_shown() {
        let long = "x".repeat(257);
        for text in ["", "\n", "short12", "two words", "two\nlines-of-it", "schl\u{fc}ssel", &long] {
            let file = TempFile::new(text.as_bytes());
            let error = Key::read(file.path(), false).expect_err("no key");
            assert!(error.contains("visible ASCII"), "{error}");
            assert!(text.len() < 2 || !error.contains(text), "{error}");
        }
        assert!(Key::read(Path::new("/nowhere/key"), true).expect_err("no file").contains("/nowhere/key"));
        assert!(Key::read(&std::env::temp_dir(), true).expect_err("a folder").contains("regular"));
    }
}
