//! The cut of an upstream's answer against a plain reference: a parser that knows nothing but the grammar, takes a text
//! apart byte by byte, and puts the answer together from the parts it keeps.

use herd::places::DEPTH_MAX;
use herd::places::upstream::truncate::cut;
use proptest::prelude::*;

/// A text and how far it is read. Every method gives `None` where the text is not JSON.
struct Plain<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Plain<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    /// The raw text between the quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let begin = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                0..=0x1f => return None,
                b'\\' => {
                    self.at += 1;
                    let escape = self.peek()?;
                    let digits = self.text.get(self.at + 1..self.at + 5);
                    match escape {
                        b'u' if digits?.iter().all(u8::is_ascii_hexdigit) => self.at += 5,
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                        _ => return None,
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(&self.text[begin..self.at - 1])
    }

    /// The ends of the elements of an array, and where its closing bracket stands.
    fn array(&mut self, depth: usize) -> Option<(Vec<usize>, usize)> {
        self.take(b'[')?;
        let mut ends = Vec::new();
        self.space();
        while self.peek()? != b']' || !ends.is_empty() {
            self.space();
            self.value(depth)?;
            ends.push(self.at);
            self.space();
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b']')?;
        Some((ends, self.at - 1))
    }

    /// Name, raw, and begin of each member's value.
    fn object(&mut self, depth: usize) -> Option<Vec<(&'a [u8], usize)>> {
        self.take(b'{')?;
        let mut members = Vec::new();
        self.space();
        while self.peek()? != b'}' || !members.is_empty() {
            self.space();
            let name = self.string()?;
            self.space();
            self.take(b':')?;
            self.space();
            members.push((name, self.at));
            self.value(depth)?;
            self.space();
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b'}').map(|()| members)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let word = |word: &[u8]| self.text[self.at..].starts_with(word).then_some(word.len());
        match self.peek()? {
            b'{' | b'[' if depth == DEPTH_MAX => None,
            b'{' => self.object(depth + 1).map(drop),
            b'[' => self.array(depth + 1).map(drop),
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                self.at += word(b"true").or(word(b"false")).or(word(b"null"))?;
                Some(())
            }
        }
    }
}

/// A member's name without its escapes; `None` for one that is not text.
fn unescaped(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", raw, b"\""].concat()).ok()
}

/// What a cut has to give: the text with at most so many results; `None` where it is not an answer.
fn plain_cut(text: &[u8], items: usize) -> Option<Vec<u8>> {
    str::from_utf8(text).ok()?;
    let mut plain = Plain { text, at: 0 };
    plain.space();
    let members = plain.object(1)?;
    plain.space();
    if plain.at < text.len() {
        return None;
    }
    let mut named = Vec::new();
    for (name, begin) in members {
        named.push((unescaped(name)?, begin));
    }
    let count = |wanted: &str| named.iter().filter(|(name, _)| name == wanted).count();
    if count("results") > 1 || count("status") > 1 {
        return None;
    }
    let results = named.iter().find(|(name, begin)| name == "results" && text[*begin] == b'[');
    let Some(&(_, begin)) = results else { return Some(text.to_vec()) };
    let (ends, close) = Plain { text, at: begin }.array(2)?;
    let end = match (items, ends.len()) {
        (0, _) => return Some([&text[..=begin], &text[close..]].concat()),
        (items, count) if items >= count => return Some(text.to_vec()),
        (items, _) => ends[items - 1],
    };
    Some([&text[..end], &text[ends[ends.len() - 1]..]].concat())
}

fn space() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["", "", " ", "\n", "\n\n\n", "\t \r\n"])
}

/// Numbers, words and strings as no printer would choose to write them.
fn leaf() -> impl Strategy<Value = String> {
    let numbers = ["1.10", "-0", "-0.0", "1E5", "1e-7", "12345678901234567890", "1e999", "0"];
    let strings =
        [r#""""#, r#""\u0041\n\/""#, r#""],[{\"""#, "\"\u{e9}\\\\\"", r#""\ud83d\ude00""#, r#""\udead""#];
    let others = ["null", "true", "false", "{}", "[ ]", "[\n]"];
    let mut all = numbers.to_vec();
    all.extend(strings);
    all.extend(others);
    prop::sample::select(all).prop_map(str::to_owned)
}

/// Names of which some mean something, one of them written in two ways.
fn name() -> impl Strategy<Value = &'static str> {
    let some =
        ["a", "b", "\\u0061", "", "error_message", "status", "results", "re\\u0073ults", "Results", "\u{e9}"];
    prop::sample::select(some.to_vec())
}

fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((space(), value, space()), 1..7).prop_map(|elements| {
        let parts: Vec<_> = elements.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
        format!("[{}]", parts.join(","))
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((space(), name(), space(), space(), value, space()), 1..6).prop_map(|members| {
        let part = |(a, name, b, c, value, d): &(&str, &str, &str, &str, String, &str)| {
            format!("{a}\"{name}\"{b}:{c}{value}{d}")
        };
        format!("{{{}}}", members.iter().map(part).collect::<Vec<_>>().join(","))
    })
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 32, 6, |inner| prop_oneof![array(inner.clone()), object(inner)])
}

/// An answer: mostly with one array of results, sometimes with none, two, or something else.
fn answer() -> impl Strategy<Value = String> {
    let usual = (space(), object(value()), space(), array(value()), space(), space()).prop_map(
        |(a, rest, b, results, c, d)| {
            let rest = rest.replace("results\"", "others\"").replace("re\\u0073ults\"", "more\"");
            let rest = rest.strip_prefix('{').unwrap_or("").to_owned();
            format!("{a}{{{b}\"results\"{c}:{d}{results}{b},{rest}{c}")
        },
    );
    prop_oneof![3 => usual, 1 => object(value()), 1 => value()]
}

/// Nesting about the limit, within results and beside them.
fn deep() -> impl Strategy<Value = String> {
    (DEPTH_MAX - 4..DEPTH_MAX + 3, any::<bool>()).prop_map(|(depth, within)| {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        if within {
            format!("{{\"results\":[1,{nested},2]}}")
        } else {
            format!("{{\"results\":[1,2],\"x\":{nested}}}")
        }
    })
}

#[track_caller]
fn assert_agrees(text: &[u8], items: usize) {
    let mut body = text.to_vec();
    let reply = cut(&mut body, items);
    let shown = String::from_utf8_lossy(text);
    match plain_cut(text, items) {
        Some(expected) => {
            assert!(reply.is_ok(), "{reply:?}: {shown}");
            assert_eq!(
                String::from_utf8_lossy(&body),
                String::from_utf8_lossy(&expected),
                "{items} of {shown}"
            );
        }
        None => {
            assert!(reply.is_err(), "it should be refused: {shown}");
            assert_eq!(body, text, "what is refused is left alone");
        }
    }
}

#[test]
fn reference_parser() {
    let cut = |text: &str| plain_cut(text.as_bytes(), 1).map(|text| String::from_utf8(text).expect("UTF-8"));
    assert_eq!(cut(" {\"results\" : [ 1.10 , 2 ] } ").as_deref(), Some(" {\"results\" : [ 1.10 ] } "));
    for bad in [
        "{\"results\":[1,]}",
        "{,}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "[1]",
        "{\"a\":\"\t\"}",
        "{} x",
    ] {
        assert_eq!(cut(bad), None, "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn answers(text in prop_oneof![9 => answer(), 1 => deep()], items in 0_usize..9) {
        assert_agrees(text.as_bytes(), items);
    }

    /// A byte put in, taken out or put in another's place: both still agree on what is JSON and on what is left of it.
    #[test]
    fn damaged_answers(
        text in answer(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![
            prop::sample::select(b"{}[]\",:\\ 0a.-+eEu\n\x00\x1f\x7f".to_vec()),
            any::<u8>(),
        ],
        how in 0..3,
        items in 0_usize..5,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes.insert(at, byte),
            1 => { bytes.remove(at); }
            _ => bytes[at] = byte,
        }
        assert_agrees(&bytes, items);
    }

    #[test]
    fn any_bytes(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(prop::sample::select(b"{}[]\",:\\ 0a".to_vec()), 0..40),
        ],
        items in 0_usize..4,
    ) {
        assert_agrees(&bytes, items);
    }
}
