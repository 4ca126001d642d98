//! The herd's keys: their format, and their file.
//!
//! A key never appears in a message or in `Debug` output.

use std::fmt;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use crate::files::open_secret;
use crate::proto::auth::KEYS_MAX;
use crate::proto::out::read_hex;

/// Bytes of a key: as many as a SHA-256 tag, so guessing a tag is as hard as guessing the key.
pub const KEY_BYTES: usize = 32;

/// The longest key file, in bytes: two keys of 64 digits fill 130. A longer file is not a key file.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// How to make a key, as a remedy.
pub(super) const HOW_TO_MAKE_A_KEY: &str =
    r"make a key with: head -c32 /dev/urandom | od -An -tx1 | tr -d ' \n' > key; chmod 600 key";

/// The keys with which the nodes of a herd authenticate each other. Erased when they are dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The key that this node authenticates with.
    pub current: [u8; KEY_BYTES],
    /// A key that this node also accepts, so an operator can change the key one board at a time.
    pub previous: Option<[u8; KEY_BYTES]>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.current.zeroize();
        self.previous.zeroize();
    }
}

impl fmt::Debug for Keys {
    /// Shows which keys are there, never their bytes: `Debug` output can end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = if self.previous.is_some() { "Some(..)" } else { "None" };
        write!(f, "Keys {{ current: .., previous: {previous} }}")
    }
}

impl Keys {
    /// Reads a key file's text: one key of 64 hex digits per line, first the current key, then optionally the previous
    /// one. Blank lines are skipped.
    ///
    /// # Errors
    /// The mistake and its line, without any byte of the text.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let mut found = Zeroizing::new(Vec::with_capacity(KEYS_MAX));
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            let line_number = index + 1;
            if found.len() == KEYS_MAX {
                return Err(format!("line {line_number}: a third key; the maximum is two"));
            }
            let key = from_hex(line.trim_ascii());
            found.push(key.ok_or_else(|| format!("line {line_number}: not a key of 64 hex digits"))?);
        }
        let current = *found.first().ok_or_else(|| "the file contains no key".to_owned())?;
        Ok(Keys { current, previous: found.get(1).copied() })
    }

    /// Reads the line that [`Keys::to_line`] writes: the current key, then optionally a space and the previous one.
    ///
    /// # Errors
    /// The mistake, without any byte of the line.
    pub fn from_line(line: &str) -> Result<Keys, String> {
        Keys::parse(&Zeroizing::new(line.trim_ascii().replacen(' ', "\n", 1)))
    }

    /// The keys as one line of hex digits with its line feed, for a child process and a file.
    #[must_use]
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(KEYS_MAX * (2 * KEY_BYTES + 1)));
        line.push_str(&key_digits(&self.current));
        if let Some(previous) = &self.previous {
            line.push(' ');
            line.push_str(&key_digits(previous));
        }
        line.push('\n');
        line
    }

    /// Generates a key from the kernel's random bytes.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn fresh() -> io::Result<Keys> {
        Ok(Keys { current: *Keys::random()?, previous: None })
    }

    /// Random bytes for a key, from the same source. Erased when they are dropped.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn random() -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        crate::random::fill(bytes.as_mut())?;
        Ok(bytes)
    }

    /// Reads a key file. `must_be_private` as for [`open_secret`].
    ///
    /// # Errors
    /// The message and the remedy.
    pub(super) fn read(path: &Path, must_be_private: bool) -> Result<Keys, (String, String)> {
        let name = path.display();
        let mut file = open_secret(path, must_be_private)?;
        // With room for all, so that no copy stays behind.
        let room = usize::try_from(KEY_FILE_BYTES_MAX + 1).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(room));
        let read = Read::by_ref(&mut file).take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text);
        match read {
            Ok(_) if text.len() as u64 > KEY_FILE_BYTES_MAX => {
                Err("the file is too long for a key file".to_owned())
            }
            Ok(_) => Keys::parse(&text),
            Err(error) => Err(error.to_string()),
        }
        .map_err(|message| (format!("{name}: {message}"), HOW_TO_MAKE_A_KEY.to_owned()))
    }
}

/// A key as the hex digits of files and messages. For a private key, erased when it is dropped.
#[must_use]
pub fn key_digits(key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    // With room for all, so that no copy stays behind.
    let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
    for byte in key {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// A key of 64 hex digits, of either case.
pub(super) fn from_hex(digits: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    let digits = Zeroizing::new(digits.to_ascii_lowercase());
    read_hex(digits.as_bytes(), &mut key).map(|()| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_holds_one_key_or_two() {
        let (a, b) = ("0f".repeat(32), "A5".repeat(32));
        let keys = Keys::parse(&format!("{a}\r\n\n{b}\n")).expect("two keys");
        assert_eq!(keys, Keys { current: [0x0f; 32], previous: Some([0xa5; 32]) });
        assert_eq!(Keys::parse(&a).expect("one key, no line end").previous, None);
        for (text, message) in [
            (String::new(), "the file contains no key"),
            (format!("{a}\n{b}\n\n{a}\n"), "line 4: a third key; the maximum is two"),
            (format!("\n{}\n", &a[1..]), "line 2: not a key of 64 hex digits"),
            (format!("{a}{b}"), "line 1: not a key of 64 hex digits"),
            (format!("+{}", &a[1..]), "line 1: not a key of 64 hex digits"),
            ("\u{e9}".repeat(32), "line 1: not a key of 64 hex digits"),
        ] {
            assert_eq!(Keys::parse(&text).expect_err("no key"), message);
        }
    }

    #[test]
    fn keys_survive_the_way_to_a_child() {
        for previous in [None, Some([9; 32])] {
            let keys = Keys { current: [0xc3; 32], previous };
            assert_eq!(Keys::from_line(&keys.to_line()), Ok(keys));
        }
        assert!(Keys::from_line("").is_err());
        assert_ne!(Keys::fresh().expect("random bytes"), Keys::fresh().expect("random bytes"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let shown = format!("{:?}", Keys { current: [0xc3; 32], previous: Some([0xc3; 32]) });
        assert_eq!(shown, "Keys { current: .., previous: Some(..) }");
    }
}
