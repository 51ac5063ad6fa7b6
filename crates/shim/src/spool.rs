//! Lines on disk from the moment they are read until roadstead has stored them: they survive whatever ends the shim. Written
//! without waiting for the disk, so a power loss may take them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// Bytes after which the file is written anew, without what is stored or dropped by now.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The file, made with the first line.
pub(crate) struct Spool {
    path: PathBuf,
    file: Option<File>,
    bytes: usize,
}

impl Spool {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0 }
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Appends whole lines. Whether the file has grown so large that it wants to be written anew.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<bool> {
        if lines.is_empty() {
            return Ok(false);
        }
        self.file()?.write_all(lines)?;
        self.bytes += lines.len();
        Ok(self.bytes > MAX_BYTES)
    }

    /// Writes the file anew with these lines.
    pub(crate) fn replace(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file()?.set_len(0)?;
        self.bytes = 0;
        self.append(lines).map(drop)
    }

    /// Everything is stored elsewhere.
    pub(crate) fn clear(&mut self) {
        if self.bytes > 0 && self.replace(&[]).is_err() {
            // What is stored twice is kept once.
            self.bytes = 0;
        }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_was_appended_since_it_was_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::new(path.clone());
        spool.clear();
        assert!(!path.exists(), "no file before the first line");
        assert!(!spool.append(b"one\n").unwrap());
        spool.append(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        spool.replace(b"two\n").unwrap();
        spool.append(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\nthree\n");
        spool.clear();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert!(spool.append(&vec![b'x'; MAX_BYTES + 1]).unwrap(), "it wants to be written anew");
    }
}
