//! An upstream's answer: the target truncates it to the item count, tidies it, and compares it with the reading
//! of `serde_json`.
//!
//! Input: a byte minus `0` for the item count (modulo 32); then the answer. Checks: a text of the correct shape
//! is accepted, and an accepted text is JSON. The result is the text without one gap, which lies in `results`.
//! The remaining elements are the first ones, byte for byte. A refused text is unchanged. After tidying, two
//! newlines never follow each other, the text does not end in a newline, and nothing else has changed.

use std::collections::BTreeMap;

use herd::places::upstream::truncate::cut;
use herd::places::{DEPTH_MAX, tidy};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// See the head of the file.
pub fn json_cut(data: &[u8]) {
    let Some((&first, text)) = data.split_first() else { return };
    let items = usize::from(first.wrapping_sub(b'0') % 32);
    let mut body = text.to_vec();
    match cut(&mut body, items) {
        Ok(reply) => {
            assert!(!is_unfit(text), "an unfit answer is refused");
            assert_eq!(reply.has_results, results(text).is_some(), "`has_results` is correct");
            check_cut(text, &body, items);
            check_words(text, &reply);
        }
        Err(why) => {
            assert_eq!(body, text, "a refused text is unchanged");
            assert!(!why.is_empty() && is_unfit(text), "refused: {why}");
        }
    }
    let was = body.clone();
    tidy(&mut body);
    check_tidy(&was, &body);
}

fn object(text: &[u8]) -> Option<Object<'_>> {
    serde_json::from_slice(text).ok()
}

/// The elements of `results`, as text.
fn results(text: &[u8]) -> Option<Vec<&RawValue>> {
    serde_json::from_str(object(text)?.get("results")?.get()).ok()
}

fn check_cut(text: &[u8], cut: &[u8], items: usize) {
    assert!(serde_json::from_slice::<IgnoredAny>(cut).is_ok(), "an accepted text is JSON");
    let begin = text.iter().zip(cut).take_while(|(a, b)| a == b).count();
    let end = text.iter().rev().zip(cut.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(begin + end >= cut.len(), "the cut leaves one gap");
    let (was, is) = (object(text).expect("the text was accepted"), object(cut).expect("the result is JSON"));
    assert!(was.keys().eq(is.keys()));
    for (name, value) in &was {
        assert!(name == "results" || value.get() == is[name].get(), "{name} is as it was");
    }
    if let Some(was) = results(text) {
        let is = results(cut).expect("an array is left");
        let first = was.iter().take(items).map(|element| element.get());
        assert!(first.eq(is.iter().map(|element| element.get())), "the first {items} are left");
        // Without a cut nothing changes, except white space if the item count is 0.
        assert!(was.len() > items || items == 0 || text == cut, "a text without a cut is unchanged");
    } else {
        assert_eq!(text, cut, "a text without results is unchanged");
    }
}

fn check_words(text: &[u8], reply: &herd::places::upstream::truncate::Reply) {
    let members = object(text).expect("the text was accepted");
    let word = |name: &str| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    let is_status = |word: &String| {
        let is_word = word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
        is_word && !word.is_empty() && word.len() <= 32
    };
    assert_eq!(reply.status, word("status").filter(is_status));
    assert_eq!(reply.error_message, word("error_message"));
}

/// Whether the text must be refused: not JSON, not an object, too deep, or with a duplicate of a unique member.
fn is_unfit(text: &[u8]) -> bool {
    object(text).is_none()
        || depth(text) > DEPTH_MAX
        || is_double(text, "results")
        || is_double(text, "status")
}

/// The nesting depth of a JSON text.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut most, mut at) = (0_usize, 0, 0);
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += 1;
                while text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        most = most.max(depth);
        at += 1;
    }
    most
}

/// Whether the object has this member twice. A visitor counts them, because a map would merge duplicates.
fn is_double(text: &[u8], name: &str) -> bool {
    struct Count<'n>(&'n str);
    impl<'de> serde::de::Visitor<'de> for Count<'_> {
        type Value = usize;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                count += usize::from(key == self.0);
            }
            Ok(count)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    serde::Deserializer::deserialize_map(&mut deserializer, Count(name)).is_ok_and(|count| count > 1)
}

fn check_tidy(was: &[u8], is: &[u8]) {
    assert!(!is.windows(2).any(|pair| pair == b"\n\n"), "no two newlines follow each other");
    assert!(!is.ends_with(b"\n"), "the text does not end in a newline");
    let mut lines: Vec<&[u8]> = was.split(|&byte| byte == b'\n').collect();
    // A newline at the beginning stays: it does not follow another one.
    let first = lines.remove(0);
    lines.retain(|line| !line.is_empty());
    lines.insert(0, first);
    assert_eq!(is, lines.join(&b'\n'), "nothing else has changed");
}
