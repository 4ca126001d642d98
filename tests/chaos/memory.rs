//! What the kernel says of a process: its private memory and its descriptors.

use herd_test_support::{memory_kib, private_kib};

/// One look at a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// `Private_Clean` and `Private_Dirty` of `smaps_rollup`: what would be had back if the process ended.
    pub(crate) private_kib: u64,
    /// `Anonymous` of it: the same without pages of the program that happen to be this process's alone.
    pub(crate) anonymous_kib: u64,
    pub(crate) descriptors: u64,
}

/// `None` when the process does not exist.
pub(crate) fn look(pid: u32) -> Option<Look> {
    Some(Look {
        private_kib: private_kib(pid)?,
        anonymous_kib: memory_kib(pid, "Anonymous")?,
        descriptors: u64::try_from(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()).ok()?,
    })
}
