//! Truncates the upstream's answer to the item count and leaves every other byte unchanged.
//!
//! Digits (`1.10`, `12345678901234567890`, `1E5`), the order of members, escapes and white space stay, because the text is
//! not parsed and printed again. The code checks the text, finds the surplus elements, and removes them in place. This
//! module must not know the origin of a text.
//!
//! # What is removed, and what is refused
//! The first N elements of `results` stay, with all text before them and the white space before the closing bracket. The
//! comma behind the Nth element goes. With N = 0 nothing is left between the brackets; Google writes an empty array in the
//! same way.
//!
//! A text is refused if it is not UTF-8, not JSON, not an object, or nested deeper than
//! [`DEPTH_MAX`]. It is also refused if `results` or `status` appears twice, even with escapes in the
//! name: parsers differ in which one counts, so a duplicate could bypass the limit. If `results` is missing or not an array,
//! [`Reply::has_results`] is false and the text stays as it is.

use crate::places::json::{DEPTH_MAX, elements, is_deeper, members, range_in, string};
use serde_json::value::RawValue;
use std::ops::Range;

/// Longest accepted status word. Google's longest has 18 bytes.
const STATUS_BYTES_MAX: usize = 32;

/// The members of an answer that the node reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The member `status`, if it is a word of 1 to 32 capital letters and underscores.
    pub status: Option<String>,
    /// The member `error_message`, if it is a string.
    pub error_message: Option<String>,
    /// Whether `results` exists and is an array. Otherwise the text does not have the shape that clients expect.
    pub has_results: bool,
}

/// Truncates `results` of the JSON text `body` to its first `items` elements, in place. Heap use does not grow with `body`.
///
/// ```
/// let mut body = br#"{ "results" : [ 1.10, 1E5 , 3 ], "status":"OK" }"#.to_vec();
/// let reply = herd::places::upstream::truncate::cut(&mut body, 2).expect("it is JSON");
/// assert_eq!(body, br#"{ "results" : [ 1.10, 1E5 ], "status":"OK" }"#);
/// assert_eq!(reply.status.as_deref(), Some("OK"));
/// ```
///
/// # Errors
/// Why the text is not an answer, in a few words. `body` is then unchanged.
pub fn cut(body: &mut Vec<u8>, items: usize) -> Result<Reply, &'static str> {
    let text = str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    let (reply, surplus) = look_at(text, items)?;
    if !surplus.is_empty() {
        body.drain(surplus);
    }
    Ok(reply)
}

/// Reads the members, and finds the range of bytes to remove.
fn look_at(text: &str, items: usize) -> Result<(Reply, Range<usize>), &'static str> {
    if is_deeper(text, DEPTH_MAX) {
        return Err("it is nested too deeply");
    }
    let (mut results, mut status, mut message, mut is_double) = (None, None, None, false);
    let mut once = |slot: &mut Option<_>, value| is_double |= slot.replace(value).is_some();
    members(text, |name, value| match &*name {
        "results" => once(&mut results, value),
        "status" => once(&mut status, value),
        "error_message" => message = Some(value),
        _ => {}
    })
    .map_err(|error| why_not(text, &error))?;
    if is_double {
        return Err("a member appears twice");
    }
    let array: Option<&RawValue> = results.filter(|value| value.get().starts_with('['));
    let mut reply = Reply {
        status: status.and_then(string).filter(|word| is_status(word)),
        error_message: message.and_then(string),
        has_results: array.is_some(),
    };
    reply.error_message.as_mut().map(String::shrink_to_fit);
    let surplus = array.map_or(0..0, |array| surplus(text, array, items));
    Ok((reply, surplus))
}

fn is_status(word: &str) -> bool {
    let is_word = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_word && (1..=STATUS_BYTES_MAX).contains(&word.len())
}

/// The bytes from behind the last retained element to behind the last element; all bytes between the brackets for 0 items.
fn surplus(text: &str, array: &RawValue, items: usize) -> Range<usize> {
    let within = range_in(text, array.get());
    let (mut count, mut kept_end, mut end) = (0, within.start + 1, within.start + 1);
    let walked = elements(array.get(), |element| {
        count += 1;
        end = range_in(text, element.get()).end;
        if count <= items {
            kept_end = end;
        }
    });
    debug_assert!(walked.is_ok(), "the text was found to be JSON before");
    if items == 0 { within.start + 1..within.end - 1 } else { kept_end..end }
}

/// Says in a few words why a text is not an object. The parser's own text ends in a position that means nothing to a client.
fn why_not(text: &str, error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof if text.trim_ascii().is_empty() => "it is empty",
        serde_json::error::Category::Eof => "it breaks off",
        serde_json::error::Category::Data => "it is not an object",
        _ if text.trim_ascii_start().starts_with('<') => "it is HTML or XML",
        _ => "it is malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn after(text: &str, items: usize) -> Result<String, &'static str> {
        let mut body = text.as_bytes().to_vec();
        cut(&mut body, items).map(|_| String::from_utf8(body).expect("cut between elements"))
    }

    #[test]
    fn the_rest_of_the_answer_is_unchanged() {
        let odd = "{ \"z\" : 1.10,\"results\":[ 12345678901234567890 ,\n\t{\"a\\u00e9\":\"],[\\\"\"}\n, 1E5\n   ],\r\n \"a\":-0.0 }\n\n";
        let table = [
            (3, odd.to_owned()),
            (20, odd.to_owned()),
            (2, odd.replace("\n, 1E5", "")),
            (1, odd.replace(" ,\n\t{\"a\\u00e9\":\"],[\\\"\"}\n, 1E5", "")),
            (0, odd.replace(" 12345678901234567890 ,\n\t{\"a\\u00e9\":\"],[\\\"\"}\n, 1E5\n   ", "")),
        ];
        for (items, expected) in table {
            assert_eq!(after(odd, items), Ok(expected), "{items}");
        }
        let google = "{\n   \"results\" : [\n      {\n         \"x\" : 1\n      },\n      {\n      }\n   ],\n   \"status\" : \"OK\"\n}\n";
        assert_eq!(after(google, 1).expect("JSON"), google.replace(",\n      {\n      }", ""));
        assert!(after(google, 0).expect("JSON").contains("\"results\" : [],\n"));
        for empty in [r#"{"results":[]}"#, r#"{"results":[ ]}"#] {
            assert_eq!(after(empty, 5).as_deref(), Ok(empty));
        }
        assert_eq!(after(r#"{"results":[ ]}"#, 0).as_deref(), Ok(r#"{"results":[]}"#));
    }

    #[test]
    fn what_an_answer_says_of_itself() {
        let reply = |text: &str| cut(&mut text.as_bytes().to_vec(), 1).expect("JSON");
        let denied = reply(r#"{"error_message":"no \"key\"","results":[],"status":"REQUEST_DENIED"}"#);
        assert_eq!(denied.status.as_deref(), Some("REQUEST_DENIED"));
        assert_eq!(denied.error_message.as_deref(), Some("no \"key\""));
        assert!(denied.has_results);
        for text in ["{}", r#"{"results":{}}"#, r#"{"results":"[]"}"#, r#"{"Results":[1]}"#] {
            assert!(!reply(text).has_results, "{text}");
        }
        for status in ["7", "\"\"", "\"ok\"", "\"A B\"", "null", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""] {
            assert_eq!(reply(&format!("{{\"results\":[],\"status\":{status}}}")).status, None, "{status}");
        }
    }

    #[test]
    fn invalid_answers_are_refused_unchanged() {
        let deep = format!("{{\"results\":[{}{}]}}", "[".repeat(100_000), "]".repeat(100_000));
        let table: [(&[u8], &str); 14] = [
            (b"", "empty"),
            (b" \n", "empty"),
            (b"null", "not an object"),
            (b"[1]", "not an object"),
            (b"\"x\"", "not an object"),
            (b"{\"results\":[1,2", "breaks off"),
            (b"{\"results\":[1,2]", "breaks off"),
            (b"{\"results\":[1,,2]}", "malformed"),
            (b"{\"results\":[01]}", "malformed"),
            (b"{\"results\":[]} x", "malformed"),
            (b"<html>", "HTML"),
            (b"{\"results\":[\"\xff\"]}", "UTF-8"),
            (b"{\"results\":[],\"\\u0072esults\":[1]}", "twice"),
            (deep.as_bytes(), "nested"),
        ];
        for (text, expected) in table {
            let mut body = text.to_vec();
            let error = cut(&mut body, 1).expect_err("it is refused");
            assert!(error.contains(expected), "{error}: {expected}");
            assert_eq!(body, text);
        }
    }

    /// JSON values as text, with white space and spellings that a printer never writes.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            prop::sample::select(vec!["1.10", "-0", "1E5", "1e-7", "12345678901234567890", "null", "true"])
                .prop_map(str::to_owned),
            prop::sample::select(vec![r#""""#, r#""\u0041\n""#, r#""],[{\"""#, r#""é\\""#])
                .prop_map(str::to_owned),
        ];
        let space = || prop::sample::select(vec!["", " ", "\n", "\t \r\n"]);
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let list = prop::collection::vec((space(), inner.clone(), space()), 0..5);
            let named = prop::collection::vec((space(), "[a-e]{1,2}", space(), inner, space()), 0..5);
            prop_oneof![
                (list, space()).prop_map(|(list, empty)| {
                    let parts: Vec<_> = list.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect();
                    format!("[{}]", if parts.is_empty() { empty.to_owned() } else { parts.join(",") })
                }),
                named.prop_map(|named| {
                    let parts: Vec<_> =
                        named.iter().map(|(a, n, b, v, c)| format!("{a}\"{n}\"{b}:{v}{c}")).collect();
                    format!("{{{}}}", parts.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        /// The truncated text has the value of a truncated parsed value, and equals the old text without one range.
        #[test]
        fn agrees_with_a_plain_cut(
            elements in prop::collection::vec(value(), 0..8),
            around in value(),
            space in prop::sample::select(vec!["", " ", "\n\n", "\t"]),
            items in 0_usize..10,
        ) {
            let list = elements.join(&format!("{space},{space}"));
            let text = format!("{space}{{\"a\":{around},{space}\"results\"{space}:[{space}{list}{space}]{space},\"b\":{around}}}{space}");
            let cut = after(&text, items).expect("it is JSON");
            let mut expected: Value = serde_json::from_str(&text).expect("it is JSON");
            expected["results"].as_array_mut().expect("an array").truncate(items);
            prop_assert_eq!(serde_json::from_str::<Value>(&cut).expect("still JSON"), expected);
            let same_begin = text.bytes().zip(cut.bytes()).take_while(|(a, b)| a == b).count();
            let same_end = text.bytes().rev().zip(cut.bytes().rev()).take_while(|(a, b)| a == b).count();
            prop_assert!(same_begin + same_end >= cut.len());
        }

        #[test]
        fn any_bytes_end(mut bytes in prop::collection::vec(any::<u8>(), 0..200), items in 0_usize..4) {
            let _ = cut(&mut bytes, items);
        }

        /// Damage anywhere in a good text gives a refusal or an answer of at most `items` elements.
        #[test]
        fn damaged_text_is_refused_or_still_cut(at in 0_usize..60, byte in prop::sample::select(b"{}[]\",:\\ 0a\n".to_vec()), items in 0_usize..3) {
            let mut bytes = br#"{"x":[{"y":"z"}],"results":[{"a":1},[2],3,4],"status":"OK"}"#.to_vec();
            if let Some(old) = bytes.get_mut(at) { *old = byte; }
            if let Ok(reply) = cut(&mut bytes, items) {
                let value: Value = serde_json::from_slice(&bytes).expect("what passes is JSON");
                prop_assert!(!reply.has_results || value["results"].as_array().expect("an array").len() <= items);
            }
        }
    }
}
