//! Sorts more records than fit into memory: sorts runs of a fixed size, writes them to an unnamed file, and merges them.
//!
//! Records are byte strings and sort as bytes. The caller puts the sort key first, in big-endian order. This module does not
//! know places. The crates for this take records through serde and open a file for each run in the merge. This module has
//! 200 lines and one file descriptor.
//!
//! Invariants: a sorter holds [`Sorter::new`]'s `run_bytes` and little more. A merge holds [`WINDOWS_BYTES`], or a window of
//! the least size for each of at most [`RUNS_MAX`] runs. The files have no name, so the system deletes them even after a
//! crash.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering as Atomic};

/// Bytes of a run. A million short records are about ten runs.
pub(super) const RUN_BYTES: usize = 8 << 20;
/// Most runs of one sorter: 16 GB of records, four times the limit of the format.
const RUNS_MAX: usize = 2_048;
/// Longest record. A longer one is a bug.
pub(super) const RECORD_BYTES_MAX: usize = 2_048;
/// Bytes of all windows of a merge, unless so many runs exist that each has the least window.
const WINDOWS_BYTES: usize = 4 << 20;
const WINDOW_BYTES_MIN: usize = 4 * 1_024;
const _: () = assert!(WINDOW_BYTES_MIN >= RECORD_BYTES_MAX + LENGTH_BYTES);
const WINDOW_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of a record's length in a file.
const LENGTH_BYTES: usize = 2;

/// A file in `folder` whose name is already removed.
pub(super) fn unnamed(folder: &Path) -> io::Result<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Atomic::Relaxed);
    let path = folder.join(format!(".herd-import.{}.{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Writes one part of a file through a buffer.
pub(super) struct Appender {
    at: u64,
    buffer: Vec<u8>,
}

impl Appender {
    pub(super) fn new(at: u64) -> Self {
        Self { at, buffer: Vec::with_capacity(WINDOW_BYTES_MAX) }
    }

    /// The offset of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    pub(super) fn push(&mut self, file: &File, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > WINDOW_BYTES_MAX {
            self.flush(file)?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes a record for [`Window`].
    pub(super) fn push_record(&mut self, file: &File, record: &[u8]) -> io::Result<()> {
        let length = u16::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.push(file, &length.to_le_bytes())?;
        self.push(file, record)
    }

    pub(super) fn flush(&mut self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads the records of one part of a file, in order.
pub(super) struct Window {
    left: Range<u64>,
    buffer: Vec<u8>,
    at: usize,
    bytes_max: usize,
}

impl Window {
    pub(super) fn new(part: Range<u64>) -> Self {
        Self::sized(part, WINDOW_BYTES_MAX)
    }

    fn sized(part: Range<u64>, bytes_max: usize) -> Self {
        Self { left: part, buffer: Vec::new(), at: 0, bytes_max }
    }

    /// Puts the next record into `record`. Returns `false` at the end.
    pub(super) fn next(&mut self, file: &File, record: &mut Vec<u8>) -> io::Result<bool> {
        if self.at == self.buffer.len() && self.left.is_empty() {
            return Ok(false);
        }
        let length = self.take(file, LENGTH_BYTES)?;
        let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
        record.clear();
        record.extend_from_slice(self.take(file, length)?);
        Ok(true)
    }

    fn take(&mut self, file: &File, count: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.at < count {
            self.buffer.drain(..self.at);
            self.at = 0;
            let had = self.buffer.len();
            let left = usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX);
            self.buffer.resize(had + left.min(self.bytes_max - had), 0);
            file.read_exact_at(&mut self.buffer[had..], self.left.start)?;
            self.left.start += (self.buffer.len() - had) as u64;
        }
        let taken = self.buffer.get(self.at..self.at + count).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += count;
        Ok(taken)
    }
}

/// Takes records in any order and sorts them.
pub(super) struct Sorter {
    file: File,
    appender: Appender,
    runs: Vec<Range<u64>>,
    run_bytes: usize,
    /// The records of the current run in a row, and the range of each.
    arena: Vec<u8>,
    index: Vec<(u32, u16)>,
    pushed: u64,
}

impl Sorter {
    /// A sorter with its runs in `folder`.
    pub(super) fn new(folder: &Path, run_bytes: usize) -> io::Result<Self> {
        let (file, appender) = (unnamed(folder)?, Appender::new(0));
        let (arena, index) = (Vec::new(), Vec::new());
        Ok(Self { file, appender, runs: Vec::new(), run_bytes, arena, index, pushed: 0 })
    }

    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        debug_assert!(record.len() <= RECORD_BYTES_MAX);
        let index_bytes = self.index.len() * size_of::<(u32, u16)>();
        if self.arena.len() + record.len() + index_bytes > self.run_bytes {
            self.spill()?;
        }
        let at = u32::try_from(self.arena.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let length = u16::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.arena.extend_from_slice(record);
        self.index.push((at, length));
        self.pushed += 1;
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.index.is_empty() {
            return Ok(());
        }
        if self.runs.len() == RUNS_MAX {
            let bytes = RUNS_MAX * self.run_bytes;
            return Err(io::Error::other(format!(
                "the rows are more than {bytes} bytes, which is what one import sorts"
            )));
        }
        let arena = &self.arena;
        let record = |&(at, length): &(u32, u16)| &arena[at as usize..][..usize::from(length)];
        self.index.sort_unstable_by(|a, b| record(a).cmp(record(b)));
        let begin = self.appender.at();
        for entry in &self.index {
            self.appender.push_record(&self.file, record(entry))?;
        }
        self.appender.flush(&self.file)?;
        self.runs.push(begin..self.appender.at());
        self.arena.clear();
        self.index.clear();
        Ok(())
    }

    /// All records, the smallest first. Frees the memory of the current run before the merge allocates its own.
    pub(super) fn merge(mut self) -> io::Result<Merge> {
        self.spill()?;
        let Self { file, runs, pushed, .. } = self;
        let bytes = (WINDOWS_BYTES / runs.len().max(1)).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let mut windows: Vec<Window> = runs.into_iter().map(|run| Window::sized(run, bytes)).collect();
        let mut heads = BinaryHeap::with_capacity(windows.len());
        for (run, window) in windows.iter_mut().enumerate() {
            let mut record = Vec::new();
            if window.next(&file, &mut record)? {
                heads.push(Head { record, run });
            }
        }
        Ok(Merge { file, windows, heads, pushed })
    }
}

/// Returns records in order.
pub(super) struct Merge {
    file: File,
    windows: Vec<Window>,
    heads: BinaryHeap<Head>,
    pushed: u64,
}

impl Merge {
    /// The total number of records.
    pub(super) fn total(&self) -> u64 {
        self.pushed
    }

    /// Puts the next record into `record`. Returns `false` at the end.
    pub(super) fn next(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(false) };
        std::mem::swap(&mut head.record, record);
        let run = head.run;
        if !self.windows[run].next(&self.file, &mut head.record)? {
            PeekMut::pop(head);
        }
        Ok(true)
    }
}

/// The next record of a run. The order is reversed, because the heap returns the largest element.
#[derive(PartialEq, Eq)]
struct Head {
    record: Vec<u8>,
    run: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.record, other.run).cmp(&(&self.record, self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(records: &[Vec<u8>], run_bytes: usize) -> (usize, Vec<Vec<u8>>) {
        let mut sorter = Sorter::new(&std::env::temp_dir(), run_bytes).expect("the folder can be written");
        for record in records {
            sorter.push(record).expect("the disk has room");
        }
        let mut merge = sorter.merge().expect("the disk has room");
        assert_eq!(merge.total(), records.len() as u64);
        let runs = merge.windows.len();
        let (mut all, mut record) = (Vec::new(), Vec::new());
        while merge.next(&mut record).expect("the file is there") {
            all.push(record.clone());
        }
        (runs, all)
    }

    #[test]
    fn many_runs_and_long_records_come_out_in_order() {
        // Multiplies as u64, so that a 32-bit board tests the same records.
        let record = |i: usize| (i as u64).wrapping_mul(2_654_435_761).to_be_bytes().repeat(1 + i % 250);
        let records: Vec<Vec<u8>> = (0..2_000).map(record).collect();
        let mut expected = records.clone();
        expected.sort();
        let (runs, all) = sorted(&records, 10_000);
        assert!(runs > 150 && all == expected, "{runs} runs");
    }

    #[test]
    fn rows_without_end_are_refused() {
        let mut sorter = Sorter::new(&std::env::temp_dir(), 1).expect("the folder can be written");
        let refused = (0..).find_map(|_| sorter.push(b"x").err()).expect("there is a limit");
        assert_eq!(sorter.runs.len(), RUNS_MAX);
        assert!(refused.to_string().contains("2048 bytes"), "{refused}");
    }

    #[test]
    fn nothing_lies_in_the_folder() {
        let folder = std::env::temp_dir().join(format!("herd-runs-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder can be written");
        let mut sorter = Sorter::new(&folder, 10).expect("the folder can be written");
        sorter.push(b"record").expect("the disk has room");
        let names = fs::read_dir(&folder).expect("the folder is there").count();
        let _ = fs::remove_dir_all(&folder);
        assert_eq!(names, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_records_come_out_as_sorting_them_gives(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..200),
            run_bytes in 1_usize..2_000,
        ) {
            let mut expected = records.clone();
            expected.sort();
            prop_assert_eq!(sorted(&records, run_bytes).1, expected);
        }
    }
}
