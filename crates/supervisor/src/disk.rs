//! What an instance's own folder takes of the disk, counted a little at each look: a server that makes millions of files
//! must not make the looks long.

use std::fs::{Metadata, ReadDir};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Entries of one folder that are looked at in one look.
pub(crate) const MOST_ENTRIES: usize = 5_000;
/// Folders of one instance that may wait for their turn: what lies in the others is not counted.
const MOST_WAITING: usize = 50_000;
/// The kernel's unit of what a file takes.
const BLOCK_BYTES: u64 = 512;
/// What an entry takes at least, however empty it is: its place in a table, and in its folder.
const LEAST_BYTES: u64 = 512;

/// A walk through a folder that goes on from look to look, and begins again when it has seen all.
#[derive(Debug, Default)]
pub(crate) struct DiskWalk {
    waiting: Vec<PathBuf>,
    open: Option<ReadDir>,
    device: u64,
    counted: u64,
    /// What the last whole walk has counted.
    whole: Option<u64>,
}

impl DiskWalk {
    /// Looks at no more entries than that, and takes them off.
    pub(crate) fn go_on(&mut self, root: &Path, entries: &mut usize) {
        if self.open.is_none() && self.waiting.is_empty() {
            let Ok(about) = std::fs::symlink_metadata(root) else { return };
            self.device = about.dev();
            self.counted = 0;
            self.waiting.push(root.to_owned());
        }
        while *entries > 0 {
            if let Some(open) = &mut self.open {
                match open.next() {
                    Some(entry) => {
                        *entries -= 1;
                        let entry = entry.and_then(|entry| Ok((entry.metadata()?, entry.path())));
                        // What has gone meanwhile takes nothing.
                        if let Ok((about, path)) = entry {
                            self.count(&about, path);
                        }
                    }
                    None => self.open = None,
                }
                continue;
            }
            let Some(next) = self.waiting.pop() else {
                self.whole = Some(self.counted);
                return;
            };
            // A folder that shuts us out counts by itself alone.
            self.open = std::fs::read_dir(next).ok();
        }
    }

    fn count(&mut self, about: &Metadata, path: PathBuf) {
        if about.dev() != self.device {
            return;
        }
        let bytes = (about.blocks() * BLOCK_BYTES).max(LEAST_BYTES);
        if about.is_dir() {
            self.counted += bytes;
            if self.waiting.len() < MOST_WAITING {
                self.waiting.push(path);
            }
        } else {
            // Each of a file's names counts for its share.
            self.counted += bytes / about.nlink().max(1);
        }
    }

    /// Bytes that it takes: what the last whole walk counted, or more if this one has found more already.
    pub(crate) fn used(&self) -> Option<u64> {
        self.whole.map_or((self.counted > 0).then_some(self.counted), |whole| Some(whole.max(self.counted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk_whole(walk: &mut DiskWalk, root: &Path) -> usize {
        for looks in 1.. {
            let mut entries = 10;
            walk.go_on(root, &mut entries);
            if entries > 0 {
                return looks;
            }
        }
        unreachable!("it ends")
    }

    #[test]
    fn a_folder_is_counted_over_several_looks_and_again_when_it_has_shrunk() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).expect("made");
        for number in 0..40 {
            std::fs::write(below.join(number.to_string()), vec![1_u8; 8192]).expect("written");
        }
        let mut walk = DiskWalk::default();
        assert_eq!(walk.used(), None);
        let looks = walk_whole(&mut walk, folder.path());
        assert!(looks >= 4, "ten entries at a time: {looks}");
        let full = walk.used().expect("counted");
        assert!((40 * 8192..80 * 8192).contains(&full), "{full}");
        std::fs::remove_dir_all(folder.path().join("a")).expect("removed");
        walk_whole(&mut walk, folder.path());
        assert!(walk.used().expect("counted") < 8192);
    }

    #[test]
    fn a_hole_takes_nothing_a_link_is_not_followed_and_a_file_of_two_names_counts_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let sparse = std::fs::File::create(folder.path().join("sparse")).expect("made");
        sparse.set_len(1 << 30).expect("a hole");
        std::os::unix::fs::symlink("/usr", folder.path().join("out")).expect("linked");
        std::fs::write(folder.path().join("one"), vec![1_u8; 1 << 20]).expect("written");
        std::fs::hard_link(folder.path().join("one"), folder.path().join("two")).expect("linked");
        let mut walk = DiskWalk::default();
        walk_whole(&mut walk, folder.path());
        let used = walk.used().expect("counted");
        assert!((1 << 20..(1 << 20) + 65_536).contains(&used), "{used}");
    }
}
