//! Who uses a package right now, and who would take it away: locks of the kernel on the package's own folder.
//!
//! ```text
//! hold (shared)     an import until its type is written down, a launch until its row is; any number at once
//! claim (alone)     whoever cleans, from the question whether anybody needs the package until it is out of its place
//! ```
//! A lock of the kernel ends with its process, however that ends, and is seen by every process of the machine: also by a
//! service that follows another one while the first still finishes a launch.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// A package that stays where it is for as long as this is held.
#[derive(Debug)]
#[must_use = "the package may be removed as soon as this is dropped"]
pub struct Hold {
    _folder: Flock<File>,
}

/// The right to take a package away, or to leave it.
#[derive(Debug)]
#[must_use = "whoever would use the package waits until this is dropped"]
pub(crate) struct Sole {
    _folder: Flock<File>,
}

/// What came of asking for a package.
#[derive(Debug)]
pub(crate) enum Asked<T> {
    /// It is ours.
    Got(T),
    /// Somebody else has a lock that ours does not go with.
    Busy,
    /// It is not there.
    Gone,
}

/// Holds the package of a folder.
pub(crate) fn hold(folder: &Path) -> io::Result<Asked<Hold>> {
    lock(folder, FlockArg::LockSharedNonblock).map(|asked| asked.map(|folder| Hold { _folder: folder }))
}

/// Takes the package of a folder for oneself.
pub(crate) fn claim(folder: &Path) -> io::Result<Asked<Sole>> {
    lock(folder, FlockArg::LockExclusiveNonblock).map(|asked| asked.map(|folder| Sole { _folder: folder }))
}

fn lock(folder: &Path, how: FlockArg) -> io::Result<Asked<Flock<File>>> {
    let file = match File::open(folder) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Asked::Gone),
        Err(error) => return Err(error),
    };
    let locked = match Flock::lock(file, how) {
        Ok(locked) => locked,
        Err((_, Errno::EWOULDBLOCK)) => return Ok(Asked::Busy),
        Err((_, errno)) => return Err(errno.into()),
    };
    // What was opened may have been taken away before it was locked, and another one put in its place.
    let ours = locked.metadata()?;
    match folder.metadata() {
        Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(Asked::Got(locked)),
        Ok(_) => Ok(Asked::Busy),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Asked::Gone),
        Err(error) => Err(error),
    }
}

impl<T> Asked<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Asked<U> {
        match self {
            Self::Got(got) => Asked::Got(change(got)),
            Self::Busy => Asked::Busy,
            Self::Gone => Asked::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_hold_a_package_and_one_claims_it_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("package");
        std::fs::create_dir(&folder).unwrap();
        let (one, two) = (hold(&folder).unwrap(), hold(&folder).unwrap());
        assert!(matches!((&one, &two), (Asked::Got(_), Asked::Got(_))), "{one:?} {two:?}");
        assert!(matches!(claim(&folder).unwrap(), Asked::Busy));
        drop((one, two));
        let Asked::Got(sole) = claim(&folder).unwrap() else { panic!("nobody holds it") };
        assert!(matches!(hold(&folder).unwrap(), Asked::Busy));
        assert!(matches!(claim(&folder).unwrap(), Asked::Busy));
        std::fs::rename(&folder, root.path().join("away")).unwrap();
        assert!(matches!(hold(&folder).unwrap(), Asked::Gone));
        drop(sole);
        assert!(matches!(hold(&folder).unwrap(), Asked::Gone));
    }
}
