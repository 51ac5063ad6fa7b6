//! What ends an installation from within: nobody waits for it any more, or it grows without end.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::getpgrp;

use crate::request::{Error, Line, Request};
use crate::say;

/// How often it is looked how much there is: a fast disk takes a gigabyte meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// What may lie there while it is worked on, by what may be left of it: archives, caches and what a build makes.
const WORKING_FACTOR: u64 = 4;
/// The kernel counts what a file takes in blocks of this size.
const BLOCK_BYTES: u64 = 512;

/// Ends this process and all it started when whoever asked has gone, killed or not: the end of our input says so. To be called
/// behind the walls, which hold for a thread that is started there.
pub(crate) fn end_with_whoever_asked() {
    std::thread::spawn(|| {
        let mut byte = [0];
        loop {
            match std::io::stdin().read(&mut byte) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        end_all();
    });
}

/// Whoever started us gave us a group of our own.
fn end_all() {
    let _ = killpg(getpgrp(), Signal::SIGKILL);
}

/// Looks at a package manager's folder until it has ended. When there is too much, says so and ends everything: what a package
/// manager started may hold its pipes open for ever.
pub(crate) fn growth(request: &Request, ended: &Receiver<()>) {
    let (bytes, files) =
        (request.max_bytes.saturating_mul(WORKING_FACTOR), request.max_files.saturating_mul(WORKING_FACTOR));
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        let so_far = measure(&request.folder);
        let what = if so_far.bytes > bytes {
            format!("it took more than {bytes} bytes while it was installed")
        } else if so_far.files > files {
            format!("it took more than {files} files while it was installed")
        } else {
            continue;
        };
        let error = Error::TooLarge { what };
        say::line(&Line::Failed { code: error.code().to_owned(), message: error.to_string() });
        end_all();
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct SoFar {
    bytes: u64,
    files: u64,
}

/// What lies below a folder that changes meanwhile: what is gone again is not counted.
fn measure(root: &Path) -> SoFar {
    let mut so_far = SoFar::default();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            so_far.files += 1;
            so_far.bytes = so_far.bytes.saturating_add(meta.blocks() * BLOCK_BYTES);
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    so_far
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there_is_counted_by_what_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/file"), vec![1; 100_000]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        let so_far = measure(folder.path());
        assert_eq!(so_far.files, 3);
        assert!((100_000..300_000).contains(&so_far.bytes), "{so_far:?}");
    }
}
