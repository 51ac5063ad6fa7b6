//! What was installed, as it lies on the disk: no way out of it, no more than allowed, and one hash over all of it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::file;
use crate::request::Error;

/// Folders within folders.
const MAX_DEPTH: usize = 64;
/// Runs as its owner, or as its group, whoever starts it.
const SET_ID_BITS: u32 = 0o6000;
const EXECUTABLE_BITS: u32 = 0o111;
const PIECE_BYTES: usize = 64 * 1024;
/// Where npm links to programs by their names; no module is looked for there.
const PROGRAM_FOLDER: &str = ".bin";

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// Links but those to programs.
    pub(crate) links: u64,
}

struct Walk<'a> {
    root: &'a Path,
    hash: Sha256,
    bytes: u64,
    files: u64,
    links: u64,
    max_bytes: u64,
    max_files: u64,
}

/// Looks at everything below a folder.
pub(crate) fn look(root: &Path, max_bytes: u64, max_files: u64) -> Result<Measured, Error> {
    let mut walk = Walk { root, hash: Sha256::new(), bytes: 0, files: 0, links: 0, max_bytes, max_files };
    walk.folder(root, 0)?;
    let Walk { hash, bytes, files, links, .. } = walk;
    Ok(Measured { digest: hex::encode(hash.finalize()), bytes, files, links })
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooLarge { what: format!("folders are nested deeper than {MAX_DEPTH}") });
        }
        let what = self.named("could not look into", folder);
        let unread = || file::error(what.clone());
        let entries = fs::read_dir(folder).map_err(unread())?;
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unread())?;
            paths.push(entry.path());
            self.files += 1;
            if self.files > self.max_files {
                return Err(Error::TooLarge { what: format!("it has more than {} files", self.max_files) });
            }
        }
        paths.sort_unstable();
        for path in paths {
            self.entry(&path, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        let meta = fs::symlink_metadata(path).map_err(file::error(self.named("could not look at", path)))?;
        let kind = meta.file_type();
        let below = self.below(path);
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(file::error(self.named("could not read", path)))?;
            if !stays_below(&below, &target) {
                return Err(self.refused(path, "is a link that leads out of the package"));
            }
            self.mark(b'l', &below, target.as_os_str().as_bytes());
            let folder = below.parent().and_then(Path::file_name);
            self.links += u64::from(folder != Some(PROGRAM_FOLDER.as_ref()));
            return Ok(());
        }
        if meta.permissions().mode() & SET_ID_BITS != 0 && !kind.is_dir() {
            return Err(self.refused(path, "would run as its owner"));
        }
        if kind.is_dir() {
            self.mark(b'd', &below, b"");
            return self.folder(path, depth + 1);
        }
        if !kind.is_file() {
            return Err(self.refused(path, "is neither a file nor a folder"));
        }
        self.bytes = self.bytes.saturating_add(meta.len());
        if self.bytes > self.max_bytes {
            return Err(Error::TooLarge { what: format!("it has more than {} bytes", self.max_bytes) });
        }
        let kind = if meta.permissions().mode() & EXECUTABLE_BITS == 0 { b'f' } else { b'x' };
        let content = self.hash_of(path)?;
        self.mark(kind, &below, &content);
        Ok(())
    }

    fn hash_of(&self, path: &Path) -> Result<[u8; 32], Error> {
        let unread = || file::error(self.named("could not read", path));
        let mut file = File::open(path).map_err(unread())?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
        loop {
            let length = file.read(&mut piece).map_err(unread())?;
            if length == 0 {
                return Ok(hash.finalize().into());
            }
            hash.update(&piece[..length]);
        }
    }

    /// Each with its length in front, so that no two trees are written down alike.
    fn mark(&mut self, kind: u8, path: &Path, content: &[u8]) {
        self.hash.update([kind]);
        for text in [path.as_os_str().as_bytes(), content] {
            self.hash.update((text.len() as u64).to_be_bytes());
            self.hash.update(text);
        }
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.root).unwrap_or(path).to_owned()
    }

    fn named(&self, what: &str, path: &Path) -> String {
        format!("{what} {}", self.below(path).display())
    }

    fn refused(&self, path: &Path, why: &str) -> Error {
        Error::Refused { package: self.below(path).display().to_string(), why: format!("it {why}") }
    }
}

/// Whether a link at this place below the root leads to a place below it.
fn stays_below(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn made() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/file"), "text").unwrap();
        symlink("../a/b/file", root.path().join("a/link")).unwrap();
        root
    }

    #[test]
    fn equal_trees_have_equal_digests_and_others_others() {
        let (one, other) = (made(), made());
        let of = |root: &tempfile::TempDir| look(root.path(), 100, 100).unwrap();
        assert_eq!(of(&one), of(&other));
        assert_eq!((of(&one).bytes, of(&one).files, of(&one).links), (4, 4, 1));
        let before = of(&one).digest;
        fs::set_permissions(one.path().join("a/b/file"), fs::Permissions::from_mode(0o755)).unwrap();
        let executable = of(&one).digest;
        fs::write(one.path().join("a/b/file"), "tex2").unwrap();
        let changed = of(&one).digest;
        fs::rename(one.path().join("a/b/file"), one.path().join("a/b/fil2")).unwrap();
        let renamed = of(&one).digest;
        let all = std::collections::HashSet::from([before, executable, changed, renamed]);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn links_to_programs_are_not_counted() {
        let root = made();
        fs::create_dir(root.path().join(".bin")).unwrap();
        symlink("../a/b/file", root.path().join(".bin/run")).unwrap();
        assert_eq!(look(root.path(), 100, 100).unwrap().links, 1);
    }

    #[test]
    fn links_that_lead_out_are_refused() {
        for target in ["/etc/passwd", "../../outside", "b/../../..", "../a/../../x"] {
            let root = made();
            symlink(target, root.path().join("a/out")).unwrap();
            let error = look(root.path(), 100, 100).unwrap_err();
            assert!(
                matches!(&error, Error::Refused { package, .. } if package == "a/out"),
                "{target}: {error}"
            );
        }
    }

    #[test]
    fn what_runs_as_its_owner_or_is_no_file_is_refused() {
        let root = made();
        fs::set_permissions(root.path().join("a/b/file"), fs::Permissions::from_mode(0o4755)).unwrap();
        assert!(look(root.path(), 100, 100).is_err());
        let root = made();
        nix::unistd::mkfifo(&root.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(look(root.path(), 100, 100).is_err());
    }

    #[test]
    fn too_much_is_refused_by_name() {
        let root = made();
        assert!(look(root.path(), 3, 100).unwrap_err().to_string().contains("3 bytes"));
        assert!(look(root.path(), 100, 3).unwrap_err().to_string().contains("3 files"));
        let mut deep = root.path().to_owned();
        for _ in 0..=MAX_DEPTH + 1 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        assert!(look(root.path(), 1000, 1000).unwrap_err().to_string().contains("nested"));
    }
}
