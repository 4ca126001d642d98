//! An upstream's answer cut to the item count, and tidied, against `serde_json`'s own reading.
//!
//! Input: a byte, less `0`, for the item count (modulo 32); then the answer. Checked: a text of the right shape is taken,
//! and what is taken is JSON; what is left is the old text less one gap, which lies in `results`; the elements that are
//! left are the first ones, byte for byte; what is refused is left alone. After the tidying no two newlines follow each
//! other, none stands at the end, and nothing else has changed.

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
            assert!(!is_unfit(text), "no answer is let through");
            assert_eq!(reply.has_results, results(text).is_some(), "whether there are results");
            check_cut(text, &body, items);
            check_words(text, &reply);
        }
        Err(why) => {
            assert_eq!(body, text, "what is refused is left alone");
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

/// The elements of `results`, as they stand in the text.
fn results(text: &[u8]) -> Option<Vec<&RawValue>> {
    serde_json::from_str(object(text)?.get("results")?.get()).ok()
}

fn check_cut(text: &[u8], cut: &[u8], items: usize) {
    assert!(serde_json::from_slice::<IgnoredAny>(cut).is_ok(), "what is passed on is JSON");
    let begin = text.iter().zip(cut).take_while(|(a, b)| a == b).count();
    let end = text.iter().rev().zip(cut.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(begin + end >= cut.len(), "there is one gap");
    let (was, is) = (object(text).expect("it was taken"), object(cut).expect("it is JSON"));
    assert!(was.keys().eq(is.keys()));
    for (name, value) in &was {
        assert!(name == "results" || value.get() == is[name].get(), "{name} is as it was");
    }
    if let Some(was) = results(text) {
        let is = results(cut).expect("an array is left");
        let kept = was.iter().take(items).map(|element| element.get());
        assert!(kept.eq(is.iter().map(|element| element.get())), "the first {items} are left");
        // With nothing to cut nothing is changed, but for white space where no item is wanted.
        assert!(was.len() > items || items == 0 || text == cut, "nothing had to go");
    } else {
        assert_eq!(text, cut, "without results nothing goes");
    }
}

fn check_words(text: &[u8], reply: &herd::places::upstream::truncate::Reply) {
    let members = object(text).expect("it was taken");
    let word = |name: &str| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    let is_status = |word: &String| {
        let is_word = word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
        is_word && !word.is_empty() && word.len() <= 32
    };
    assert_eq!(reply.status, word("status").filter(is_status));
    assert_eq!(reply.error_message, word("error_message"));
}

/// Whether a text is to be refused: no JSON, no object, too deep, or with a member twice that must be there once.
fn is_unfit(text: &[u8]) -> bool {
    object(text).is_none()
        || depth(text) > DEPTH_MAX
        || is_double(text, "results")
        || is_double(text, "status")
}

/// Brackets within brackets of a text that is JSON.
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

/// Whether the object has this member twice: a list of members, which an object's text is with other brackets, has both.
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
    assert!(!is.ends_with(b"\n"), "none stands at the end");
    let mut lines: Vec<&[u8]> = was.split(|&byte| byte == b'\n').collect();
    // An empty line at the beginning is one newline that is no run.
    let first = lines.remove(0);
    lines.retain(|line| !line.is_empty());
    lines.insert(0, first);
    assert_eq!(is, lines.join(&b'\n'), "nothing else has changed");
}
