//! The lines of values in a JSON text, and values as the configuration reads them: an object is a list of members and an
//! array a list of elements, in order, duplicates included.
//!
//! serde_json checks the text once. A reader of valid text is short; serde's, which also explains what it finds, is 10 KB.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// A value: the part of a valid text that has it, without white space around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The text.
    pub(super) fn get(self) -> &'a str {
        self.0
    }
}

/// A JSON text and where its lines begin.
pub(super) struct Document<'a> {
    text: &'a str,
    /// Byte offset of the first byte of each line after the first.
    line_starts: Vec<usize>,
}

impl<'a> Document<'a> {
    /// The whole text as one value.
    ///
    /// # Errors
    /// The line, from 1, and the message of the first syntax error.
    pub(super) fn parse(text: &'a str) -> Result<(Document<'a>, Raw<'a>), (usize, String)> {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
            // serde_json ends its messages with the position, but the finding has its own line number.
            let message = error.to_string();
            let cut = message.find(" at line ").unwrap_or(message.len());
            (error.line().max(1), message[..cut].to_owned())
        })?;
        let line_starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1).collect();
        Ok((Document { text, line_starts }, Raw(text.trim_ascii())))
    }

    /// The line, from 1, on which this part of the text begins. For a part of another text the result is 1 or the last
    /// line.
    pub(super) fn line(&self, part: &str) -> usize {
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        self.line_starts.partition_point(|start| *start <= offset) + 1
    }

    /// The line of a member's name, or of its value if the name contains escapes and so is a copy.
    pub(super) fn member_line(&self, name: &str, value: Raw<'a>) -> usize {
        let offset = name.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.line(if offset < self.text.len() { name } else { value.get() })
    }
}

/// The kind of this JSON value, for messages: `a number`.
pub(super) fn kind(value: Raw<'_>) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The members of an object, or `None` for a value of another kind.
pub(super) fn members<'a>(value: Raw<'a>) -> Option<Vec<(Cow<'a, str>, Raw<'a>)>> {
    let member = |pair: &[&'a str]| match pair {
        [name, value] => Some((text(name)?, Raw(value))),
        _ => None,
    };
    parts(value.get(), b'{')?.chunks(2).map(member).collect()
}

/// The elements of an array, or `None` for a value of another kind.
pub(super) fn elements(value: Raw<'_>) -> Option<Vec<Raw<'_>>> {
    Some(parts(value.get(), b'[')?.into_iter().map(Raw).collect())
}

/// The value of a whole number from 0, or `None` for anything else.
pub(super) fn whole_number(value: Raw<'_>) -> Option<u64> {
    value.get().parse().ok()
}

/// The text of a string, or `None` for a value of another kind and for half of a surrogate pair.
pub(super) fn string(value: Raw<'_>) -> Option<String> {
    text(value.get()).map(Cow::into_owned)
}

/// What is between the commas and colons of an object or array, which this bracket opens.
fn parts(value: &str, bracket: u8) -> Option<Vec<&str>> {
    if value.as_bytes().first() != Some(&bracket) {
        return None;
    }
    let (mut parts, mut begin) = (Vec::new(), 1);
    let (mut depth, mut is_string, mut is_escape) = (0_usize, false, false);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            _ if is_escape => is_escape = false,
            b'\\' if is_string => is_escape = true,
            b'"' => is_string = !is_string,
            _ if is_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_separator = depth == 1 && matches!(byte, b',' | b':');
        if !is_string && (is_separator || depth == 0) {
            parts.push(value[begin..at].trim_ascii());
            begin = at + 1;
        }
    }
    if parts == [""] {
        parts.clear();
    }
    Some(parts)
}

/// The text of a string with its quotes. Borrowed unless it contains an escape.
fn text(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    // Escapes are of UTF-16.
    let mut units = Vec::new();
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next()? {
                'u' => {
                    let (digits, rest) = chars.as_str().split_at_checked(4)?;
                    units.push(u16::from_str_radix(digits, 16).ok()?);
                    chars = rest.chars();
                    continue;
                }
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            },
            char => char,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        /// What serde_json finds in a valid text is what this module finds.
        #[test]
        fn texts_are_read_as_serde_reads_them(
            names in proptest::collection::vec("[\\PC\u{0}-\u{1f}\"\\\\]{0,6}", 0..6),
            texts in proptest::collection::vec("[\\PC\u{0}-\u{1f}\"\\\\{}\\[\\],:]{0,9}", 0..6),
            is_pretty: bool,
        ) {
            let list = serde_json::json!(texts);
            let object: serde_json::Map<String, Value> =
                names.into_iter().map(|name| (name, serde_json::json!({ "a": list, "b": [], "c": {} }))).collect();
            let object = Value::Object(object);
            let written = if is_pretty { format!(" {object:#}\n") } else { object.to_string() };
            let (_, root) = Document::parse(&written).expect("JSON");
            let read: serde_json::Map<String, Value> = members(root).expect("an object").into_iter().map(|(name, value)| {
                let inner = members(value).expect("an object");
                prop_assert_eq!(inner.len(), 3);
                let texts: Option<Vec<_>> = elements(inner[0].1).expect("an array").into_iter().map(string).collect();
                prop_assert_eq!(serde_json::json!(texts), list.clone());
                prop_assert!(elements(inner[1].1).is_some_and(|none| none.is_empty()));
                prop_assert!(members(inner[2].1).is_some_and(|none| none.is_empty()));
                Ok((name.into_owned(), serde_json::json!({ "a": texts, "b": [], "c": {} })))
            }).collect::<Result<_, TestCaseError>>()?;
            prop_assert_eq!(Value::Object(read), object);
        }
    }

    #[test]
    fn strings_and_numbers_are_those_of_serde() {
        for text in [
            r#""""#,
            r#""a""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u00e9\u20AC\ud83d\ude00x""#,
            r#""\ud83d""#,
            r#""\ude00\ud83d""#,
            r#""\ud83dx\ude00""#,
            "0",
            "-0",
            "-1",
            "1.0",
            "1e2",
            "18446744073709551615",
            "18446744073709551616",
            "true",
            "[]",
        ] {
            let value = Raw(text);
            assert_eq!(string(value), serde_json::from_str(text).ok(), "{text}");
            assert_eq!(whole_number(value), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn members_have_their_order_duplicates_and_lines() {
        let text = "{\n \"b\": 1,\n\n \"a\": [true,\n  {\"c\": null}],\n \"b\": \"x\",\n \"\\u0061\":\n 7 }";
        let (document, root) = Document::parse(text).expect("the text is JSON");
        let members = members(root).expect("the text is an object");
        let seen: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_ref(), document.member_line(name, *value), kind(*value)))
            .collect();
        let expected =
            [("b", 2, "a number"), ("a", 4, "an array"), ("b", 6, "a string"), ("a", 8, "a number")];
        assert_eq!(seen, expected);
        let inner = elements(members[1].1).expect("the second member is an array");
        assert_eq!(inner.iter().map(|e| document.line(e.get())).collect::<Vec<_>>(), [4, 5]);
        assert!(elements(members[0].1).is_none());
        assert_eq!(whole_number(members[0].1), Some(1));
        assert_eq!(string(members[2].1).as_deref(), Some("x"));
    }

    #[test]
    fn an_invalid_text_is_refused_with_its_line() {
        for (text, line, message) in [
            ("", 1, "EOF while parsing a value"),
            ("{\n\"a\": 1,\n}", 3, "key must be a string"),
            ("{}\n\nx", 3, "trailing characters"),
            ("{\"a\": 1", 1, "EOF while parsing an object"),
        ] {
            let (found_line, found) = Document::parse(text).err().expect("the text is not JSON");
            assert_eq!((found_line, found.as_str()), (line, message), "{text:?}");
        }
    }

    #[test]
    fn nesting_does_not_use_up_the_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let (_, root) = Document::parse(&deep).expect("the text is JSON");
        assert_eq!(kind(root), "an array");
    }
}
