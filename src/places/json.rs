//! Reads JSON without a tree: each member of an object and each element of an array is a slice of the text, so a reader
//! knows where it stands. Duplicate members are not lost.
//!
//! This module does not know places; the configuration is read with it too. Invariants: the heap is used only for a member's name with escapes. No function
//! recurses, so no text overflows the stack. All results are slices of the given text.

use serde::Deserialize;
use serde::de::{Deserializer as _, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Highest nesting of a text that the node reads or forwards. Google's answers have six levels. A client's parser may
/// recurse, so the node does not forward a text that could overflow the client's stack.
pub const DEPTH_MAX: usize = 64;

/// Whether brackets nest deeper than `depth_max`. Does not check that the text is JSON.
pub(crate) fn is_deeper(text: &str, depth_max: usize) -> bool {
    let (mut depth, mut is_string, mut is_escape) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escape => is_escape = false,
            b'\\' if is_string => is_escape = true,
            b'"' => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > depth_max {
            return true;
        }
    }
    false
}

/// Calls `take` with each member of the object `text`, in order, duplicates included. A name is a slice of the text unless
/// it holds an escape.
///
/// # Errors
/// `text` is not an object or not JSON. `take` may already have had calls.
pub(crate) fn members<'a>(
    text: &'a str,
    take: impl FnMut(Cow<'a, str>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members(take))?;
    deserializer.end()
}

/// Calls `take` with each element of the array `text`, in order.
///
/// # Errors
/// `text` is not an array or not JSON. `take` may already have had calls.
pub(crate) fn elements<'a>(text: &'a str, take: impl FnMut(&'a RawValue)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(take))?;
    deserializer.end()
}

/// The text of a string. `None` for a value of another type and for invalid escapes.
pub(crate) fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The range of `part`, a slice of `text`, in `text`. Compares addresses as numbers.
pub(crate) fn range_in(text: &str, part: &str) -> std::ops::Range<usize> {
    let begin = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    debug_assert!(begin + part.len() <= text.len());
    begin..begin + part.len()
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry()? {
            (self.0)(name, value);
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(element) = array.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// A member's name. Borrowed unless it contains an escape; `Cow` itself always copies.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_in_order_with_duplicates() {
        let mut seen = Vec::new();
        members(r#"{"b": 1.10, "\u0061" : [ 1 ], "b":null}"#, |name, value| {
            seen.push(format!("{name}={}", value.get()));
        })
        .expect("an object");
        assert_eq!(seen, ["b=1.10", "a=[ 1 ]", "b=null"]);
        for text in ["", "[]", "{} x", "{\"a\":}", "{", "null"] {
            assert!(members(text, |_, _| {}).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_deeper(&nested(DEPTH_MAX), DEPTH_MAX));
        assert!(is_deeper(&nested(DEPTH_MAX + 1), DEPTH_MAX));
        assert!(!is_deeper(&format!("[\"{}\\\"{}\"]", "[".repeat(100), "{".repeat(100)), DEPTH_MAX));
        assert!(is_deeper(&"[".repeat(250_000), DEPTH_MAX));
        assert!(!is_deeper(&"[]".repeat(1_000), DEPTH_MAX));
    }
}
