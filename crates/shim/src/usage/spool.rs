//! The file of facts that nobody has confirmed: one line each, written as they are made.
//!
//! Whoever kills the shim loses nothing that was written; only a machine that loses its power may. What is in the file and was
//! confirmed does no harm: it is known by its number.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use roadstead_control::{UsageFact, frame};

/// A file of this many bytes is written anew, without what was confirmed meanwhile.
const LONG_BYTES: u64 = 4 * 1024 * 1024;

pub(super) struct Spool {
    path: PathBuf,
    /// Made with the first fact: most instances are gone before many calls, some without any.
    file: Option<File>,
    bytes: u64,
    long: u64,
    line: Vec<u8>,
}

impl Spool {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0, long: LONG_BYTES, line: Vec::new() }
    }

    /// Writes one more fact; whether that could be done.
    pub(super) fn append(&mut self, fact: &UsageFact) -> bool {
        self.line.clear();
        if serde_json::to_writer(&mut self.line, fact).is_err() {
            return false;
        }
        self.line.push(b'\n');
        self.write_line().is_ok()
    }

    /// Whether it has become worth writing anew.
    pub(super) const fn is_long(&self) -> bool {
        self.bytes > self.long
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        if self.bytes > 0 && self.open().and_then(|file| file.set_len(0)).is_ok() {
            self.bytes = 0;
        }
    }

    /// Puts these facts in the place of all that is there: a reader sees the old ones or the new ones.
    pub(super) fn replace<'f>(&mut self, facts: impl IntoIterator<Item = &'f UsageFact>) -> io::Result<()> {
        let lines: Vec<u8> = facts.into_iter().flat_map(frame::line).collect();
        if lines.is_empty() && self.bytes == 0 {
            return Ok(());
        }
        let temporary = self.path.with_extension("new");
        let options = &mut OpenOptions::new();
        private(options.write(true).create(true).truncate(true), &temporary)?.write_all(&lines)?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = None;
        self.bytes = lines.len() as u64;
        self.long = LONG_BYTES.max(self.bytes * 2);
        Ok(())
    }

    fn write_line(&mut self) -> io::Result<()> {
        let (line, bytes) = (std::mem::take(&mut self.line), self.bytes);
        let file = self.open()?;
        let written = file.write_all(&line);
        match written {
            Ok(()) => self.bytes += line.len() as u64,
            // Half a line would spoil the next one.
            Err(_) => file.set_len(bytes)?,
        }
        self.line = line;
        written
    }

    fn open(&mut self) -> io::Result<&mut File> {
        Ok(match &mut self.file {
            Some(file) => file,
            none => none.insert(private(OpenOptions::new().append(true).create(true), &self.path)?),
        })
    }
}

fn private(options: &mut OpenOptions, path: &std::path::Path) -> io::Result<File> {
    options.mode(0o600).open(path)
}
