//! What a process holds: descriptors and memory.

/// Open descriptors.
pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs, and may be looked at").count()
}

/// Memory that the kernel attributes to it alone or in part, in KiB.
pub fn memory_kib(pid: i32) -> u64 {
    sum_of(pid, "Pss:")
}

/// The part of it that is no file's, in KiB: the pages of a program count less the more processes have them.
pub fn own_memory_kib(pid: i32) -> u64 {
    sum_of(pid, "Pss_Anon:")
}

fn sum_of(pid: i32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the sum is there");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
