//! What a terminal may be sent, and what a shell takes as one word.

use std::borrow::Cow;

/// The bytes for standard output. For a terminal, control characters but tab and line feed are escaped: a client id, a line that is
/// copied or a node's answer may hold codes that move the cursor or change the title.
pub(in crate::cli) fn for_terminal(bytes: &[u8], is_terminal: bool) -> Cow<'_, [u8]> {
    if !is_terminal || !(0..bytes.len()).any(|at| is_control(bytes, at)) {
        return Cow::Borrowed(bytes);
    }
    let mut shown = Vec::with_capacity(bytes.len() + 16);
    for (at, byte) in bytes.iter().enumerate() {
        if is_control(bytes, at) { shown.extend(byte.escape_ascii()) } else { shown.push(*byte) }
    }
    Cow::Owned(shown)
}

/// Whether the byte begins a control character: C0, DEL, or C1 in UTF-8 (U+0080 to U+009F). The second byte of a C1 character then
/// stands alone, and a terminal shows a sign for it.
fn is_control(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        b'\n' | b'\t' => false,
        // At the end of a piece the second byte is unknown.
        0xC2 => bytes.get(at + 1).is_none_or(|next| matches!(next, 0x80..=0x9F)),
        byte => byte.is_ascii_control(),
    }
}

/// Quotes a word for a shell.
#[cfg(feature = "tools")]
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tools")]
    #[test]
    fn a_word_is_one_for_a_shell() {
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word("a/b.json"), "a/b.json");
    }

    #[test]
    fn a_terminal_gets_no_control_codes() {
        for (bytes, shown) in [
            (&b"AT Hill +1 a +1+2 3\n"[..], &b"AT Hill +1 a +1+2 3\n"[..]),
            (b"a\tb\xc3\xa9\n", b"a\tb\xc3\xa9\n"),
            (b"\x1b]0;title\x07", b"\\x1b]0;title\\x07"),
            (b"a\rb\x7f", b"a\\rb\\x7f"),
            (b"\xc2\x9b31m", b"\\xc2\x9b31m"),
            (b"\xc2\xa9", b"\xc2\xa9"),
            (b"a\xc2", b"a\\xc2"),
        ] {
            assert_eq!(&*for_terminal(bytes, true), shown, "{}", bytes.escape_ascii());
            assert_eq!(&*for_terminal(bytes, false), bytes);
        }
    }
}
