//! The lines of values in a JSON text, and values as the configuration reads them: an object is a list of members and an
//! array a list of elements, in order, duplicates included.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::places::json;
pub(super) use crate::places::json::string;

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
    pub(super) fn parse(text: &'a str) -> Result<(Document<'a>, &'a RawValue), (usize, String)> {
        let root = serde_json::from_str::<&RawValue>(text).map_err(|error| {
            // serde_json ends its messages with the position, but the finding has its own line number.
            let message = error.to_string();
            let cut = message.find(" at line ").unwrap_or(message.len());
            (error.line().max(1), message[..cut].to_owned())
        })?;
        let line_starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1).collect();
        Ok((Document { text, line_starts }, root))
    }

    /// The line, from 1, on which this part of the text begins. For a part of another text the result is 1 or the last
    /// line.
    pub(super) fn line(&self, part: &str) -> usize {
        let offset = part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        self.line_starts.partition_point(|start| *start <= offset) + 1
    }

    /// The line of a member's name, or of its value if the name contains escapes and so is a copy.
    pub(super) fn member_line(&self, name: &str, value: &'a RawValue) -> usize {
        let offset = name.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.line(if offset < self.text.len() { name } else { value.get() })
    }
}

/// The kind of this JSON value, for messages: `a number`.
pub(super) fn kind(value: &RawValue) -> &'static str {
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
pub(super) fn members(value: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    let mut members = Vec::new();
    json::members(value.get(), |name, value| members.push((name, value))).ok().map(|()| members)
}

/// The elements of an array, or `None` for a value of another kind.
pub(super) fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    let mut elements = Vec::new();
    json::elements(value.get(), |element| elements.push(element)).ok().map(|()| elements)
}

/// The value of a whole number from 0, or `None` for anything else.
pub(super) fn whole_number(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_their_order_duplicates_and_lines() {
        let text = "{\n \"b\": 1,\n\n \"a\": [true,\n  {\"c\": null}],\n \"b\": \"x\",\n \"\\u0061\":\n 7 }";
        let (document, root) = Document::parse(text).expect("the text is JSON");
        let members = members(root).expect("the text is an object");
        let seen: Vec<_> = members
            .iter()
            .map(|(name, value)| (name.as_ref(), document.member_line(name, value), kind(value)))
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
