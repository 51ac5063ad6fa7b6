//! Whether the kernel ended a server because the instance's memory was used up: to its parent that is a plain SIGKILL.

use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Counts the kernel's kills in the instance's control group.
pub(crate) struct MemoryKills {
    files: Vec<PathBuf>,
    known: Cell<u64>,
}

impl MemoryKills {
    /// Looks into the group's folders; either version's file may be there, or none.
    pub(crate) fn new(groups: &[PathBuf]) -> Self {
        let names = ["memory.events", "memory.oom_control"];
        let files = groups.iter().flat_map(|group| names.map(|name| group.join(name)));
        Self { files: files.filter(|file| file.exists()).collect(), known: Cell::new(0) }
    }

    /// Whether there has been another kill since the last time this was asked.
    pub(crate) fn is_new(&self) -> bool {
        let now = self.files.iter().map(|file| count(file)).max().unwrap_or(0);
        self.known.replace(now) < now
    }
}

fn count(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_seen_once_in_the_words_of_either_version() {
        for name in ["memory.events", "memory.oom_control"] {
            let group = tempfile::tempdir().expect("a folder");
            let file = group.path().join(name);
            std::fs::write(&file, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n").expect("written");
            let kills = MemoryKills::new(&[group.path().to_owned()]);
            assert!(!kills.is_new());
            std::fs::write(&file, "oom 1\noom_kill 2\n").expect("written");
            assert!(kills.is_new() && !kills.is_new(), "{name}");
        }
    }

    #[test]
    fn without_a_group_no_kill_is_claimed() {
        assert!(!MemoryKills::new(&[]).is_new());
    }
}
