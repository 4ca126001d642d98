//! Reads inputs as lines of any length. Opens files and counts the bytes read. A line ends with LF, CR LF, CR CR LF, or
//! CR alone.
//!
//! Invariant: a line uses at most [`LINE_BYTES_MAX`] bytes of memory. A longer line is reported and skipped.

use super::error::ImportError;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Longest line of text, and longest CSV row: six times the longest column of GeoNames (10,000 letters).
pub(super) const LINE_BYTES_MAX: usize = 64 * 1_024;
const BUFFER_BYTES: usize = 64 * 1_024;

/// A file that counts the bytes read from it.
pub(super) struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }
}

/// Opens an input. Skips a UTF-8 byte order mark.
///
/// # Errors
/// The file is missing, a folder, an archive or UTF-16. An archive or UTF-16 would give only bad rows.
pub(super) fn open(path: &Path, bytes: &Rc<Cell<u64>>) -> Result<BufReader<Counted>, ImportError> {
    let fail = |error| ImportError::Read(path.into(), error);
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, Counted { file, bytes: Rc::clone(bytes) });
    let head = reader.fill_buf().map_err(fail)?;
    let foreign = match head {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "is UTF-16 (convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW)",
        [b'P', b'K', 3, 4, ..] => "is a zip archive (unpack it: unzip FILE)",
        [0x1F, 0x8B, ..] => "is compressed (unpack it: gunzip FILE)",
        [b'B', b'Z', b'h', ..] => "is compressed (unpack it: bunzip2 FILE)",
        [b'H', b'E', b'R', b'D', b'P', b'L', b'C', b'S', ..] => "is a places file (merge it: --base FILE)",
        [0, 0, 0, _, _, _, b'O', b'S', b'M', b'H', ..] => "is OpenStreetMap's PBF (give --format pbf)",
        _ => "",
    };
    if !foreign.is_empty() {
        return Err(ImportError::Malformed(path.into(), 1, foreign.into()));
    }
    if head.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    Ok(reader)
}

/// The lines of a text.
pub(super) struct Lines<R> {
    reader: R,
    number: usize,
    /// The last byte of a line, once the first line has shown it.
    end: Option<u8>,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole,
    /// The line is longer than [`LINE_BYTES_MAX`]; the buffer holds its begin.
    TooLong,
    /// The text has no further line.
    End,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0, end: None }
    }

    /// The number of the last line read, from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Puts the next line into `line`, without its line end.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let end = match self.end {
            Some(end) => end,
            None => *self.end.insert(line_end(self.reader.fill_buf()?)),
        };
        // Three more bytes for the line end.
        let most = LINE_BYTES_MAX as u64 + 3;
        if self.reader.by_ref().take(most).read_until(end, line)? == 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        let is_ended = line.pop_if(|byte| *byte == end).is_some();
        while is_ended && line.pop_if(|byte| *byte == b'\r').is_some() {}
        if line.len() <= LINE_BYTES_MAX {
            return Ok(Line::Whole);
        }
        if !is_ended {
            self.reader.skip_until(end)?;
        }
        line.truncate(LINE_BYTES_MAX);
        Ok(Line::TooLong)
    }
}

/// CR if the first line of `head` ends with a CR that no LF follows, as old Macs and some Excels write it.
fn line_end(head: &[u8]) -> u8 {
    let at = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    match head[at..].iter().find(|byte| **byte != b'\r') {
        Some(b'\n') | None => b'\n',
        Some(_) => b'\r',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::testing::TempFile;

    fn lines_of(text: &str) -> Vec<(Line, usize, usize)> {
        let mut lines = Lines::new(text.as_bytes());
        let (mut line, mut all) = (Vec::new(), Vec::new());
        loop {
            match lines.next(&mut line).expect("memory can be read") {
                Line::End => return all,
                what => all.push((what, line.len(), lines.number())),
            }
        }
    }

    #[test]
    fn lines_as_they_occur() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let text = format!("a\r\n\n{long}\r\n{long}y\n{long}{long}\nb\r\rc\nend");
        let lengths = [
            (Line::Whole, 1, 1),
            (Line::Whole, 0, 2),
            (Line::Whole, LINE_BYTES_MAX, 3),
            (Line::TooLong, LINE_BYTES_MAX, 4),
            (Line::TooLong, LINE_BYTES_MAX, 5),
            (Line::Whole, 4, 6),
            (Line::Whole, 3, 7),
        ];
        assert_eq!(lines_of(&text), lengths);
    }

    #[test]
    fn line_ends_of_other_systems() {
        let three = [(Line::Whole, 1, 1), (Line::Whole, 2, 2), (Line::Whole, 0, 3), (Line::Whole, 1, 4)];
        for end in ["\n", "\r\n", "\r\r\n", "\r"] {
            assert_eq!(lines_of(&["a", "bc", "", "d"].join(end)), three, "{end:?}");
        }
        assert_eq!(lines_of("a\r"), [(Line::Whole, 2, 1)]);
    }

    #[test]
    fn foreign_files_get_a_remedy() {
        let table: [(&[u8], &str); 7] = [
            (b"\xFF\xFEa\0", "UTF-16"),
            (b"\xFE\xFF\0a", "UTF-16"),
            (b"PK\x03\x04....", "unzip"),
            (b"\x1F\x8B\x08", "gunzip"),
            (b"BZh9", "bunzip2"),
            (b"HERDPLCS\x02", "--base"),
            (b"\0\0\0\x0D\x0A\x09OSMHeader\x18", "--format pbf"),
        ];
        for (bytes, word) in table {
            let file = TempFile::new(bytes);
            let error = open(file.path(), &Rc::default()).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(word)), "{word}: {error:?}");
        }
        let error = open(&std::env::temp_dir(), &Rc::default()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("cannot be read: is a directory")));
        assert!(matches!(open(Path::new("/nowhere"), &Rc::default()), Err(ImportError::Read(..))));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let bytes = Rc::new(Cell::new(0));
        let file = TempFile::new(b"\xEF\xBB\xBFa\n");
        let mut text = String::new();
        open(file.path(), &bytes).expect("there").read_to_string(&mut text).expect("UTF-8");
        assert_eq!((text.as_str(), bytes.get()), ("a\n", 5));
    }
}
