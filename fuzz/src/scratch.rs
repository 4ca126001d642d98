//! A temporary file of this process, rewritten for each input, for code that reads by path.
//!
//! Invariant: one input at a time. The fuzzer and the test of the corpora run inputs one after another.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A folder in memory.
const IN_MEMORY: &str = "/dev/shm";

/// Writes `bytes` to the file and returns its path.
pub(crate) fn file_of(bytes: &[u8]) -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let in_memory = Path::new(IN_MEMORY);
        let folder = if in_memory.is_dir() { in_memory.into() } else { std::env::temp_dir() };
        folder.join(format!("herd-fuzz-{}", std::process::id()))
    });
    std::fs::write(file, bytes).expect("the folder for temporary files can be written");
    file
}

/// Removes the file. Called after the last input.
pub(crate) fn remove() {
    let _ = std::fs::remove_file(file_of(b""));
}
