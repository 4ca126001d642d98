//! Writes the log lines of a herd's nodes: to the terminal with the node's name, or to one file per node.
//!
//! Invariants:
//! - Each line is one write, so lines of different nodes never mix.
//! - The buffer of a node's output is bounded.
//! - If a write fails, for example on a full disk, the line is lost and the node continues.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::server::logging::has_room;

/// The longest line, in bytes. A longer line is split: a node that never ends its line must not fill the memory.
pub(in crate::cli) const PIECE_BYTES_MAX: usize = 8 * 1024;

/// A writer of lines, shared by all sinks that use it.
pub(in crate::cli) type Target = Arc<Mutex<dyn Write + Send>>;

/// How long a reader of standard error may have no room before lines are dropped.
const ROOM_WAIT: Duration = Duration::from_millis(200);

/// Standard error, without waiting for a reader that does not read: lines are dropped then, and counted. A supervisor that waits
/// for its log can neither start nor stop a node.
#[derive(Default)]
pub(in crate::cli) struct PatientStderr {
    lost: usize,
}

impl Write for PatientStderr {
    /// Writes a line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        // A reader that has not read for a while gets no second wait.
        let wait = if self.lost == 0 { ROOM_WAIT } else { Duration::ZERO };
        if !has_room(&stderr, wait) {
            self.lost += 1;
            return Ok(line.len());
        }
        if self.lost > 0 {
            let _ = writeln!(stderr, "{} lines were dropped: the log was not read in time", self.lost);
            self.lost = 0;
        }
        // A ready pipe takes this much at once (pipe(7), PIPE_BUF).
        stderr.write(&line[..line.len().min(4096)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the lines of one node, each with its prefix.
#[derive(Clone)]
pub(in crate::cli) struct Sink {
    prefix: String,
    target: Target,
}

impl Sink {
    /// Prefixes each line with `name | `, the name padded to `width`.
    pub(in crate::cli) fn named(name: &str, width: usize, target: Target) -> Sink {
        Sink { prefix: format!("{name:width$} | "), target }
    }

    /// Writes lines unchanged.
    pub(in crate::cli) fn plain(target: Target) -> Sink {
        Sink { prefix: String::new(), target }
    }

    /// Writes one line and a line feed.
    pub(in crate::cli) fn line(&self, line: &[u8]) {
        let mut whole = Vec::with_capacity(self.prefix.len() + line.len() + 1);
        whole.extend_from_slice(self.prefix.as_bytes());
        whole.extend_from_slice(line);
        whole.push(b'\n');
        // After a panic in another writer, at worst half a line is there.
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = target.write_all(&whole).and_then(|()| target.flush());
    }

    /// Copies lines until the end of input or an error. Returns the last line that is not blank.
    pub(in crate::cli) fn copy_lines(&self, mut from: impl Read) -> String {
        let mut line = Vec::new();
        let mut last = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            for &byte in &chunk[..count] {
                if byte != b'\n' {
                    line.push(byte);
                }
                if byte == b'\n' || line.len() == PIECE_BYTES_MAX {
                    self.end_line(&mut line, &mut last);
                }
            }
        }
        if !line.is_empty() {
            self.end_line(&mut line, &mut last);
        }
        String::from_utf8_lossy(&last).trim().to_owned()
    }

    fn end_line(&self, line: &mut Vec<u8>, last: &mut Vec<u8>) {
        self.line(line);
        if !line.trim_ascii().is_empty() {
            std::mem::swap(line, last);
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_named_and_whole() {
        let target = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::named("Hill", 6, target.clone());
        let last = sink.copy_lines(&b"one\n\ntwo\n \nthree"[..]);
        assert_eq!(last, "three");
        let written = target.lock().expect("no thread panicked");
        assert_eq!(
            written.as_slice(),
            b"Hill   | one\nHill   | \nHill   | two\nHill   |  \nHill   | three\n"
        );
    }

    #[test]
    fn a_line_without_end_comes_out_in_pieces() {
        let target = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::plain(target.clone());
        let last = sink.copy_lines(io::repeat(b'x').take(PIECE_BYTES_MAX as u64 * 2 + 5));
        assert_eq!(last, "xxxxx");
        let written = target.lock().expect("no thread panicked");
        let lengths: Vec<_> = written.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 5, 0]);
    }
}
