//! Keys of upstream services: read from a private file, never shown.
//!
//! Must not know what a key is for. Invariants: `Debug` prints dots; there is no `Display`; the text leaves the module
//! only for a request that is about to be sent.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Fewest and most bytes of a key. Google's have 39. Fewer than eight would occur in answers by chance, and an answer that
/// holds the key is not passed on.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=256;

/// Longest key file that is read: a key, and an editor's white space.
const KEY_FILE_BYTES_MAX: u64 = 4096;

/// A key of an upstream service. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Arc<str>);

impl Key {
    /// A key from its text; white space around it is ignored.
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

    /// Reads a key file: the key and nothing else. With `must_be_private` it is refused when anyone but its owner has a
    /// right to it. systemd's credentials are read without that check: their folder is closed to others, and the access
    /// list that systemd puts on the file shows as a right of the group.
    ///
    /// # Errors
    /// What is wrong with the file, named by its path, and the remedy; never what it holds.
    pub fn read(file: &Path, must_be_private: bool) -> Result<Self, String> {
        let name = file.display();
        let fail = |what: &dyn fmt::Display| format!("{name}: {what}");
        // A named pipe would be waited on for ever.
        let metadata = std::fs::metadata(file).map_err(|error| fail(&error))?;
        if !metadata.is_file() {
            return Err(fail(&"not a regular file"));
        }
        let file = File::open(file).map_err(|error| fail(&error))?;
        let mode = file.metadata().map_err(|error| fail(&error))?.mode();
        if must_be_private && mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(fail(&format!(
                "others than its owner may use the key, mode {mode:03o}; chmod 600 {name}"
            )));
        }
        let mut text = String::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| fail(&error))?;
        Self::new(&text).map_err(|error| fail(&error))
    }

    /// The key itself. For a request only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the key occurs in `text`.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        text.windows(self.0.len()).any(|window| window == self.0.as_bytes())
    }
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
                error.contains(&format!("{others:03o}; chmod 600")) && !error.contains("AIza"),
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
    fn what_is_no_key_is_refused_without_being_shown() {
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
