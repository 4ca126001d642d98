//! Splits GeoJSON text into its features. The text is a FeatureCollection, features in a row (with or without line ends), or
//! a text sequence (RFC 8142), where a record separator precedes each feature.
//!
//! This module looks only at brackets and strings; `geojson.rs` parses each feature as JSON. For a sequence from a stream,
//! serde_json does not report the line of an element, cannot continue after a malformed one, and holds strings of any
//! length. Invariant: at most [`FEATURE_BYTES_MAX`] bytes are held, and deep nesting uses no more memory.

use std::io::{self, BufRead};

/// Longest feature. A longer one is not a point.
pub(super) const FEATURE_BYTES_MAX: usize = 256 * 1_024;

const RECORD_SEPARATOR: u8 = 0x1E;

/// The next item of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole object.
    Object,
    /// An object too long for a point.
    TooLong,
    /// An object that ends early, at a record separator.
    Cut,
    End,
}

/// Why the text cannot be split further, and the line.
#[derive(Debug)]
pub(super) enum Broken {
    Read(io::Error),
    Malformed(usize, String),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// The features of a text.
pub(super) struct Features<R> {
    reader: R,
    /// The current line, from 1.
    line: usize,
    /// Whether the reader is inside the features of a FeatureCollection.
    is_in_collection: bool,
}

/// How an object ended.
enum Ended {
    Whole,
    TooLong,
    /// At a record separator before its end.
    Cut,
    /// The object is a FeatureCollection, and its features begin here.
    Collection,
}

impl<R: BufRead> Features<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 1, is_in_collection: false }
    }

    /// Puts the next feature's text into `text`. Returns the feature's first line.
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> Result<(usize, Next), Broken> {
        loop {
            let byte = self.byte()?;
            let line = self.line;
            match byte {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r' | RECORD_SEPARATOR) => {}
                Some(b',') if self.is_in_collection => {}
                Some(b']') if self.is_in_collection => {
                    self.is_in_collection = false;
                    // The rest of the collection behind its features.
                    Scan::new(text, false).run(self, line)?;
                }
                Some(b'{') => match Scan::new(text, !self.is_in_collection).run(self, line)? {
                    Ended::Whole => return Ok((line, Next::Object)),
                    Ended::TooLong => return Ok((line, Next::TooLong)),
                    Ended::Cut => return Ok((line, Next::Cut)),
                    Ended::Collection => self.is_in_collection = true,
                },
                Some(byte) => {
                    let remedy = "is this GeoJSON, as osmium export writes it?";
                    let what = format!("{:?} where a feature is due ({remedy})", char::from(byte));
                    return Err(Broken::Malformed(line, what));
                }
                None if self.is_in_collection => {
                    let what = "ends in the middle of the features (has it been cut off?)";
                    return Err(Broken::Malformed(line, what.to_owned()));
                }
                None => return Ok((line, Next::End)),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.reader.fill_buf() {
                Ok(chunk) => {
                    let byte = chunk.first().copied();
                    self.reader.consume(usize::from(byte.is_some()));
                    return Ok(byte);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads one object after its opening brace.
struct Scan<'a> {
    text: &'a mut Vec<u8>,
    is_too_long: bool,
    /// Number of open brackets. The first is the object's own.
    depth: u64,
    is_string: bool,
    is_escaped: bool,
    /// Whether this may be a FeatureCollection, whose text is not stored.
    may_be_collection: bool,
    /// Range of the last string. Before a colon it is a member's name.
    name: std::ops::Range<usize>,
    /// Whether the last tokens are the name `features` and a colon.
    is_features: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a mut Vec<u8>, may_be_collection: bool) -> Self {
        text.clear();
        text.push(b'{');
        Self {
            text,
            is_too_long: false,
            depth: 1,
            is_string: false,
            is_escaped: false,
            may_be_collection,
            name: 0..0,
            is_features: false,
        }
    }

    /// Reads to the object's end, a chunk at a time. The object begins on line `begin`.
    fn run<R: BufRead>(mut self, from: &mut Features<R>, begin: usize) -> Result<Ended, Broken> {
        loop {
            let chunk = match from.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                let what =
                    format!("ends in the middle of what begins on line {begin} (has it been cut off?)");
                return Err(Broken::Malformed(from.line, what));
            }
            let mut ended = None;
            let mut used = 0;
            for &byte in chunk {
                used += 1;
                from.line += usize::from(byte == b'\n');
                ended = self.take(byte);
                if ended.is_some() {
                    break;
                }
            }
            from.reader.consume(used);
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    fn take(&mut self, byte: u8) -> Option<Ended> {
        if byte == RECORD_SEPARATOR {
            return Some(Ended::Cut);
        }
        if self.text.len() < FEATURE_BYTES_MAX {
            self.text.push(byte);
        } else {
            self.is_too_long = true;
        }
        if self.is_string {
            self.take_in_string(byte);
            return None;
        }
        let was_features = self.is_features;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return None,
            b'"' => {
                self.is_string = true;
                self.name.start = self.text.len();
            }
            b':' if self.depth == 1 && self.may_be_collection => {
                self.is_features = self.text.get(self.name.clone()) == Some(b"features");
                return None;
            }
            b'[' if was_features => return Some(Ended::Collection),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.is_features = false;
        if self.depth > 0 {
            return None;
        }
        Some(if self.is_too_long { Ended::TooLong } else { Ended::Whole })
    }

    fn take_in_string(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => {
                self.is_string = false;
                self.name.end = self.text.len() - 1;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    /// Each feature with its line, and the end of the text. Reads chunks of `bytes`.
    fn parted(text: &str, bytes: usize) -> (Vec<(usize, String)>, String) {
        let mut features = Features::new(BufReader::with_capacity(bytes, text.as_bytes()));
        let (mut all, mut object) = (Vec::new(), Vec::new());
        loop {
            match features.next(&mut object) {
                Ok((line, Next::End)) => return (all, format!("end {line}")),
                Ok((line, Next::Object)) => all.push((line, String::from_utf8_lossy(&object).into_owned())),
                Ok((line, other)) => all.push((line, format!("{other:?}"))),
                Err(Broken::Malformed(line, what)) => return (all, format!("{line}: {what}")),
                Err(Broken::Read(error)) => panic!("memory cannot be read: {error}"),
            }
        }
    }

    #[test]
    fn features_in_every_wrapping() {
        let table = [
            ("", vec![], "end 1"),
            ("{\"a\":1}\n{\"b\":[{}]}\n", vec![(1, "{\"a\":1}"), (2, "{\"b\":[{}]}")], "end 3"),
            ("\u{1E}{\"a\":\n1}\n\u{1E}{\"b\":2}", vec![(1, "{\"a\":\n1}"), (3, "{\"b\":2}")], "end 3"),
            (
                "{\"type\":\"FeatureCollection\",\"x\":[\"features\",[]],\"features\":[\n{\"a\":1},\n{\"b\":2}\n],\"c\":{\"features\":[]}}\n",
                vec![(2, "{\"a\":1}"), (3, "{\"b\":2}")],
                "end 5",
            ),
            ("{\"features\" : [ ] } {\"z\":0}", vec![(1, "{\"z\":0}")], "end 1"),
            ("{\"a\":\"}\\\"]\\\\\"}", vec![(1, "{\"a\":\"}\\\"]\\\\\"}")], "end 1"),
            ("{\"features\":{\"x\":[1]}}", vec![(1, "{\"features\":{\"x\":[1]}}")], "end 1"),
            ("{\"y\":\"features\",\"z\":[]}", vec![(1, "{\"y\":\"features\",\"z\":[]}")], "end 1"),
            // A sequence continues after an incomplete record.
            ("\u{1E}{\"a\":\"\n\u{1E}{\"b\":2}\n", vec![(1, "Cut"), (2, "{\"b\":2}")], "end 3"),
            ("\n[1]", vec![], "2: '[' where a feature is due (is this GeoJSON, as osmium export writes it?)"),
            (
                "{\"features\":[\n null]}",
                vec![],
                "2: 'n' where a feature is due (is this GeoJSON, as osmium export writes it?)",
            ),
            (
                "{\"features\":[{}\n",
                vec![(1, "{}")],
                "2: ends in the middle of the features (has it been cut off?)",
            ),
            (
                "{}\n{\"a\":\n[",
                vec![(1, "{}")],
                "3: ends in the middle of what begins on line 2 (has it been cut off?)",
            ),
        ];
        for (text, features, end) in table {
            let features: Vec<_> = features.into_iter().map(|(line, text)| (line, text.to_owned())).collect();
            for bytes in [1, 2, 7, 4_096] {
                assert_eq!(parted(text, bytes), (features.clone(), end.to_owned()), "{text:?} by {bytes}");
            }
        }
    }

    #[test]
    fn long_and_deep_features_are_too_long() {
        let long = format!("{{\"a\":[{}1]}}\n{{}}", "[[0,0]],".repeat(FEATURE_BYTES_MAX / 8));
        assert_eq!(parted(&long, 4_096).0, [(1, "TooLong".to_owned()), (2, "{}".to_owned())]);
        let deep = format!("{}{}\n{{}}", "{\"a\":[".repeat(100_000), "]}".repeat(100_000));
        assert_eq!(parted(&deep, 4_096).0, [(1, "TooLong".to_owned()), (2, "{}".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "[]\\[{}\"a,:\\\\\n\u{1E} ]{0,60}") {
            prop_assert!(parted(&text, 3).0.len() <= text.len());
        }

        #[test]
        fn any_objects_come_back(strings in prop::collection::vec("[]\\[{}\"a,:\\\\\n é]{0,10}", 1..8), is_collection: bool) {
            let objects: Vec<_> = strings.iter().map(|s| serde_json::json!({ "b": [s, { "features": [s] }] }).to_string()).collect();
            let text = if is_collection {
                format!("{{\"type\":\"FeatureCollection\",\"features\":[{}]}}", objects.join(","))
            } else {
                objects.join("\n")
            };
            let found: Vec<_> = parted(&text, 16).0.into_iter().map(|(_, text)| text).collect();
            prop_assert_eq!(found, objects);
        }
    }
}
