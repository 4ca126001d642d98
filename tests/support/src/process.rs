//! What the kernel tells of a process.

/// A member of `smaps_rollup` in KiB: `Anonymous`, `Rss`, `Pss`. `None` when the process does not exist.
pub fn memory_kib(pid: u32, member: &str) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// `Private_Clean` and `Private_Dirty`, in KiB: what would be had back if the process ended.
pub fn private_kib(pid: u32) -> Option<u64> {
    Some(memory_kib(pid, "Private_Clean")? + memory_kib(pid, "Private_Dirty")?)
}

/// Seconds on a processor, of all threads there are.
pub fn cpu_s(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let ns = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    ns.sum::<f64>() / 1e9
}
