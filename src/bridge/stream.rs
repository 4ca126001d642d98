//! A node's stream of server-sent events (WHATWG HTML, 9.2): its entries, and the names of its other events.
//!
//! Invariant: the stream stores at most [`STREAM_LINE_BYTES_MAX`] bytes of a line.

use super::limits::STREAM_LINE_BYTES_MAX;

/// An item of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The line of an entry.
    Entry(&'a [u8]),
    /// Another event, by its name.
    Other(&'a [u8]),
}

/// The incomplete part of the stream.
#[derive(Debug, Default)]
pub struct Stream {
    line: Vec<u8>,
    is_too_long: bool,
    event: Vec<u8>,
}

impl Stream {
    /// Takes bytes in pieces of any size, and passes on each complete item.
    pub fn take(&mut self, bytes: &[u8], mut pass: impl FnMut(Item)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let held = text.len().min(STREAM_LINE_BYTES_MAX - self.line.len());
            self.line.extend_from_slice(&text[..held]);
            self.is_too_long |= held < text.len();
            if ends {
                self.end_line(&mut pass);
            }
        }
    }

    fn end_line(&mut self, pass: &mut impl FnMut(Item)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if let Some(event) = line.strip_prefix(b"event: ") {
            self.event = event.to_vec();
        } else if line.is_empty() && !self.is_too_long {
            self.event.clear();
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            match &*self.event {
                [] | b"message" if !self.is_too_long => pass(Item::Entry(data)),
                event => pass(Item::Other(event)),
            }
        }
        self.line.clear();
        self.is_too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let (mut stream, mut all) = (Stream::default(), Vec::new());
        for piece in pieces {
            stream.take(piece, |item| all.push(format!("{item:?}")));
        }
        all
    }

    #[test]
    fn entries_differ_from_other_events() {
        let long = format!("event: status\ndata: {}\n\ndata: b\n\n", "x".repeat(3 * STREAM_LINE_BYTES_MAX));
        let text = format!(": a word\nevent: hello\ndata: {{}}\n\ndata: a 1\n\n{long}data: c\r\n\r\nid: 7\n");
        let (entry, other) = (
            |text: &'static str| format!("{:?}", Item::Entry(text.as_bytes())),
            |event: &'static str| format!("{:?}", Item::Other(event.as_bytes())),
        );
        let expected = [other("hello"), entry("a 1"), other("status"), entry("b"), entry("c")];
        assert_eq!(all(&[text.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(all(&bytes), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_memory_is_bounded(pieces in prop::collection::vec(prop::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\n'), Just(b'd')], 0..3000), 0..8)) {
            let mut stream = Stream::default();
            for piece in pieces {
                stream.take(&piece, |_| ());
                prop_assert!(stream.line.len() <= STREAM_LINE_BYTES_MAX && stream.event.len() <= STREAM_LINE_BYTES_MAX);
            }
        }
    }
}
