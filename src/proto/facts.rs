//! What a node reports of itself in a census that asks for facts, before its sum. The facts lie in one list for all
//! censuses, so a census stores none of its own, whatever the herd's size.

/// The version of a node's program: at most 16 characters of printable ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version([u8; 16]);

impl Version {
    /// The version in a text. Of a longer text, its first 16 bytes.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(text.bytes().filter(u8::is_ascii_graphic)).for_each(|(to, from)| *to = from);
        Version(bytes)
    }

    /// The text. It is empty if the node has not reported its version.
    #[must_use]
    pub fn text(&self) -> &str {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        core::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }

    /// Reads a field of a line. `None` if it is empty, too long, or not printable ASCII.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes.get_mut(..field.len())?.copy_from_slice(field);
        let is_token = !field.is_empty() && field.iter().all(u8::is_ascii_graphic);
        is_token.then_some(Version(bytes))
    }
}

/// The facts of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version of its program.
    pub version: Version,
    /// Time since its start, in seconds.
    pub up_s: u32,
    /// Number of clients in its table.
    pub clients: u32,
    /// Number of updates pending on its links.
    pub pending: u32,
    /// Its private memory in KB. 0 if its system does not report it.
    pub private_kb: u32,
}

impl Facts {
    /// No facts: all bytes are zero.
    pub const NONE: Facts =
        Facts { version: Version([0; 16]), up_s: 0, clients: 0, pending: 0, private_kb: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_short_token() {
        for (text, version) in [
            ("0.1.0", "0.1.0"),
            ("", ""),
            ("1.0 beta\n", "1.0beta"),
            ("12345678901234567", "1234567890123456"),
        ] {
            assert_eq!(Version::of(text).text(), version);
        }
        for wrong in [&b""[..], b"1 0", b"12345678901234567", b"1\0", "é".as_bytes()] {
            assert_eq!(Version::parse(wrong), None, "{wrong:?}");
        }
    }
}
