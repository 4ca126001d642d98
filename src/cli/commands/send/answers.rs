//! Which answer belongs to which line, and whether it is whole.
//!
//! The stream of answers has no numbers. An answer to IAMAT ends with its line, one to WHATSAT with an empty line, and one
//! that begins with `? ` with its line (PROTOCOL). So the reader must know, in order, which of the lines sent are WHATSAT.

use std::collections::VecDeque;

use crate::proto::client::Command;
use crate::proto::limits::{ANSWER_BYTES_MAX, CLIENT_LINE_BYTES_MAX};

/// The lines sent that still wait for the end of their answer.
#[derive(Default)]
pub(super) struct Sent {
    /// For each line whether it is a valid WHATSAT.
    waiting: VecDeque<bool>,
    /// The start of a line whose end has not been sent, as far as a command can be long.
    partial: Vec<u8>,
    /// Bytes of that line.
    partial_bytes: usize,
    lines: usize,
}

impl Sent {
    /// Takes bytes that are about to be sent.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            // One byte over the limit is enough to know that the line is too long.
            let room = (CLIENT_LINE_BYTES_MAX + 1).saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..room.min(text.len())]);
            self.partial_bytes += text.len();
            if ends {
                self.end_line();
            }
        }
    }

    /// The end of the input ends the last line.
    pub(super) fn end(&mut self) {
        if self.partial_bytes > 0 {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.waiting.push_back(matches!(Command::parse(&self.partial), Some(Command::Whatsat { .. })));
        self.partial.clear();
        self.partial_bytes = 0;
        self.lines += 1;
    }

    /// Lines sent so far.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Lines whose answer has not ended.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len()
    }
}

/// An answer of one line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'a> {
    /// The copy of a line that the node did not take.
    Rejected(&'a [u8]),
    /// The AT line that answers an IAMAT.
    #[cfg(feature = "tools")]
    At(&'a [u8]),
}

/// The answers received, as a stream of bytes.
#[derive(Default)]
pub(super) struct Answers {
    /// The start of the current answer's current line: enough to tell its kind and to explain it.
    line: Vec<u8>,
    /// The AT line of an answer to WHATSAT has been received: its JSON follows.
    in_json: bool,
    /// Bytes of the current line, `line` may hold fewer.
    line_bytes: usize,
}

impl Answers {
    /// Takes received bytes. Calls `came` with each answer of one line.
    pub(super) fn push(&mut self, bytes: &[u8], sent: &mut Sent, came: &mut dyn FnMut(Answer<'_>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = ANSWER_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..room.min(text.len())]);
            self.line_bytes += text.len();
            if ends {
                self.end_line(sent, came);
            }
        }
    }

    fn end_line(&mut self, sent: &mut Sent, came: &mut dyn FnMut(Answer<'_>)) {
        let is_whole = if self.in_json {
            self.line_bytes == 0
        } else if let Some(copy) = self.line.strip_prefix(b"? ") {
            came(Answer::Rejected(copy));
            true
        } else {
            self.in_json = sent.waiting.front() == Some(&true);
            #[cfg(feature = "tools")]
            if !self.in_json {
                came(Answer::At(&self.line));
            }
            !self.in_json
        };
        if is_whole {
            sent.waiting.pop_front();
            self.in_json = false;
        }
        self.line.clear();
        self.line_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "AT Hill +0.1 a +1+2 3\n";

    /// Pushes both streams in pieces of this size; returns unanswered lines and copies of rejected ones.
    fn after(lines: &[u8], answers: &[u8], size: usize) -> (usize, Vec<String>) {
        let (mut sent, mut received, mut copies) = (Sent::default(), Answers::default(), Vec::new());
        lines.chunks(size).for_each(|piece| sent.push(piece));
        sent.end();
        for piece in answers.chunks(size) {
            received.push(piece, &mut sent, &mut |answer| match answer {
                Answer::Rejected(copy) => copies.push(String::from_utf8_lossy(copy).into_owned()),
                #[cfg(feature = "tools")]
                Answer::At(line) => assert_eq!(line, AT.trim_end().as_bytes()),
            });
        }
        (sent.unanswered(), copies)
    }

    #[test]
    fn answers_are_counted_by_the_kind_of_their_line() {
        let places = format!("{AT}{{\n\"results\" : []\n}}\n\n");
        let cases: [(&str, String, usize, &[&str]); 9] = [
            ("IAMAT a +1+2 3\n", AT.to_owned(), 0, &[]),
            ("IAMAT a +1+2 3", AT.to_owned(), 0, &[]),
            ("IAMAT a +1+2 3\n", AT.trim_end().to_owned(), 1, &[]),
            ("WHATSAT a 10 5\n", places.clone(), 0, &[]),
            ("WHATSAT a 10 5\n", places[..places.len() - 1].to_owned(), 1, &[]),
            ("WHATSAT a 10 5\n", "? WHATSAT a 10 5\n".to_owned(), 0, &["WHATSAT a 10 5"]),
            ("\n x \n", "? \n?  x \n".to_owned(), 0, &["", " x "]),
            ("IAMAT a +1+2 3\nWHATSAT a 10 5\nx\n", format!("{AT}{places}"), 1, &[]),
            ("WHATSAT a 10 5\nWHATSAT a 10 5\nIAMAT a +1+2 3\n", format!("{places}{places}{AT}"), 0, &[]),
        ];
        for (lines, answers, unanswered, copies) in cases {
            for size in [1, 2, 7, 4096] {
                let found = after(lines.as_bytes(), answers.as_bytes(), size);
                assert_eq!(found.0, unanswered, "{lines:?} by {size}");
                assert_eq!(found.1, copies, "{lines:?} by {size}");
            }
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut sent = Sent::default();
        let mut answers = Answers::default();
        for _ in 0..1000 {
            sent.push(&[b'x'; 4096]);
            answers.push(&[b'?'; 4096], &mut sent, &mut |_| {});
        }
        assert!(
            sent.partial.capacity() <= 2 * CLIENT_LINE_BYTES_MAX + 2
                && answers.line.capacity() <= 2 * ANSWER_BYTES_MAX
        );
    }
}
