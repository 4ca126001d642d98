//! What the kernel says of a process: its private memory and its descriptors.

/// One look at a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// `Private_Clean` and `Private_Dirty` of `smaps_rollup`: what would be had back if the process ended.
    pub(crate) private_kib: u64,
    /// `Anonymous` of it: the same without pages of the program that happen to be this process's alone.
    pub(crate) anonymous_kib: u64,
    pub(crate) descriptors: u64,
}

/// `None` when there is no such process.
pub(crate) fn look(pid: i32) -> Option<Look> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
    };
    Some(Look {
        private_kib: kib("Private_Clean")? + kib("Private_Dirty")?,
        anonymous_kib: kib("Anonymous")?,
        descriptors: u64::try_from(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()).ok()?,
    })
}
