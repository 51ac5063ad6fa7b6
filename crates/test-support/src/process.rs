//! What a process holds: descriptors and memory.

/// Open descriptors.
pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs, and may be looked at").count()
}

/// Memory that the kernel attributes to it alone or in part, in KiB.
pub fn memory_kib(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("the sum is there");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
