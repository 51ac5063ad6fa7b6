//! How much memory is free for further processes: what the machine has, and what the control groups leave that we are in.

use std::path::{Path, PathBuf};

use procfs::{Current, Meminfo};

use crate::cgroups;

/// Where this process's memory is counted, found once: whoever moves us elsewhere moves our instances with us.
#[derive(Debug, Default)]
pub struct FreeMemory {
    groups: Vec<MemoryGroup>,
}

/// A control group that may have a limit of memory, with the names that its version has for it.
#[derive(Debug)]
struct MemoryGroup {
    folder: PathBuf,
    words: &'static Words,
}

#[derive(Debug)]
struct Words {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` that tells what of the usage is files that nobody has asked for lately.
    reclaimable: &'static str,
}

const VERSION_1: Words = Words {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};
const VERSION_2: Words = Words { limit: "memory.max", usage: "memory.current", reclaimable: "inactive_file" };

impl FreeMemory {
    /// Looks where this process's memory is counted.
    pub fn find() -> Self {
        let mut groups = Vec::new();
        for (folder, is_v2) in cgroups::of_own_memory() {
            let words = if is_v2 { &VERSION_2 } else { &VERSION_1 };
            // A limit of any group above ours is ours, too.
            let above = folder.ancestors().take_while(|folder| folder.join(words.usage).is_file());
            groups.extend(above.map(|folder| MemoryGroup { folder: folder.to_owned(), words }));
        }
        Self { groups }
    }

    /// Bytes that could be had now without anything being swapped out or killed. None where the kernel does not say. Reads
    /// a few files of the kernel, which may take it a moment.
    pub fn bytes(&self) -> Option<u64> {
        let machine = Meminfo::current().ok().and_then(|memory| memory.mem_available);
        self.groups.iter().filter_map(MemoryGroup::left).chain(machine).min()
    }
}

impl MemoryGroup {
    /// What is left of its limit; none where it has none.
    fn left(&self) -> Option<u64> {
        let number = |name: &str| read(&self.folder, name)?.trim().parse::<u64>().ok();
        // Version 2 says `max` where there is no limit; version 1 names more than any machine has.
        let limit = number(self.words.limit)?;
        let usage = number(self.words.usage)?;
        let stat = read(&self.folder, "memory.stat").unwrap_or_default();
        let reclaimable = stat.lines().find_map(|line| {
            let (name, bytes) = line.split_once(' ')?;
            (name == self.words.reclaimable).then(|| bytes.trim().parse::<u64>().ok())?
        });
        Some(limit.saturating_sub(usage.saturating_sub(reclaimable.unwrap_or_default())))
    }
}

fn read(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: u64 = 1024 * 1024;

    fn group(words: &'static Words, limit: &str, usage: u64, stat: &str) -> (tempfile::TempDir, MemoryGroup) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(words.limit), limit).unwrap();
        std::fs::write(folder.path().join(words.usage), usage.to_string()).unwrap();
        std::fs::write(folder.path().join("memory.stat"), stat).unwrap();
        let group = MemoryGroup { folder: folder.path().to_owned(), words };
        (folder, group)
    }

    #[test]
    fn this_machine_has_some_and_not_more_than_it_has() {
        let free = FreeMemory::find().bytes().expect("the kernel says it");
        let all = Meminfo::current().unwrap().mem_total;
        assert!(free > MEBIBYTE && free <= all, "{free} of {all}");
    }

    #[test]
    fn a_group_leaves_its_limit_without_what_is_in_use_and_cannot_be_dropped() {
        let stat = format!("anon 5\ninactive_file {}\nactive_file 9\n", 10 * MEBIBYTE);
        let (_folder, group) = group(&VERSION_2, &format!("{}\n", 100 * MEBIBYTE), 60 * MEBIBYTE, &stat);
        assert_eq!(group.left(), Some(50 * MEBIBYTE));
        let free = FreeMemory { groups: vec![group] };
        assert!(free.bytes().expect("it says") <= 50 * MEBIBYTE);
    }

    #[test]
    fn version_1_has_other_words_for_the_same() {
        let stat = format!("inactive_file 1\ntotal_inactive_file {}\n", 4 * MEBIBYTE);
        let (_folder, group) = group(&VERSION_1, &(64 * MEBIBYTE).to_string(), 14 * MEBIBYTE, &stat);
        assert_eq!(group.left(), Some(54 * MEBIBYTE));
    }

    #[test]
    fn a_group_without_a_limit_says_nothing() {
        let (_folder, group) = group(&VERSION_2, "max\n", MEBIBYTE, "");
        assert_eq!(group.left(), None);
    }
}
