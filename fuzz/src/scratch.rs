//! One file of this process, written anew for each input: what is read by its path has to lie somewhere.
//!
//! Invariant: one input at a time. A fuzzer and the corpora's test play one after the other.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a file costs no disk.
const IN_MEMORY: &str = "/dev/shm";

/// Writes `bytes` to the file and gives its path.
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

/// Removes the file: to be called when the last input was played.
pub(crate) fn remove() {
    let _ = std::fs::remove_file(file_of(b""));
}
