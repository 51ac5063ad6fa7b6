//! Taking packages away: out of their place in one step, once nobody can begin to use them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::hold::{self, Asked, Sole};
use crate::record::{FILE, Stored};
use crate::seal;
use crate::store::{InstallError, PackageStore, failed};

/// The file beside a package whose time says when the package was needed last.
const USED: &str = "used";
/// The file of the store whose time says when it was cleaned last.
const CLEANED: &str = ".cleaned";

/// A package that nobody uses and nobody can begin to use, until this is dropped.
#[derive(Debug)]
#[must_use = "whoever would use the package waits until this is dropped"]
pub struct Claim {
    stored: Stored,
    sole: Sole,
}

/// A package that is out of its place; its files go when this is removed.
#[derive(Debug)]
pub struct Outgoing(PathBuf);

impl Claim {
    /// Which.
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }
}

impl Outgoing {
    /// Removes the files. What cannot be removed now is by the next start.
    pub fn remove(self) -> Result<(), InstallError> {
        seal::remove(&self.0).map_err(failed("remove a package"))
    }
}

impl PackageStore {
    /// The sole right to a package; none when somebody uses it this moment, or it is gone.
    pub fn claim(&self, stored: Stored) -> Result<Option<Claim>, InstallError> {
        Ok(match hold::claim(&self.path_of(&stored.place)).map_err(failed("lock a package"))? {
            Asked::Got(sole) => Some(Claim { stored, sole }),
            Asked::Busy | Asked::Gone => None,
        })
    }

    /// Takes a package out of its place: from now on it is not there.
    pub fn take_out(&self, claim: Claim) -> Result<Outgoing, InstallError> {
        let Claim { stored, sole } = claim;
        let place = self.path_of(&stored.place);
        let going = self.staging_folder()?;
        // An empty folder is replaced: what is half gone is found by nobody.
        fs::rename(&place, &going).map_err(failed("move a package out of its place"))?;
        drop(sole);
        let synced = place.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
        synced.map_err(failed("write to the disk that a package is gone"))?;
        Ok(Outgoing(going))
    }

    /// When a package was installed.
    pub fn installed_at(&self, stored: &Stored) -> Option<SystemTime> {
        modified(&self.path_of(&stored.place).join(FILE))
    }

    /// When a package was needed last, as far as anybody has said so.
    pub fn used_at(&self, stored: &Stored) -> Option<SystemTime> {
        modified(&self.path_of(&stored.place).join(USED))
    }

    /// Says that a package is needed now.
    pub fn mark_used(&self, place: &str, now: SystemTime) -> Result<(), InstallError> {
        set_modified(&self.path_of(place).join(USED), now).map_err(failed("write when a package was used"))
    }

    /// When the store was cleaned last.
    pub fn cleaned_at(&self) -> Option<SystemTime> {
        modified(&self.folder().join(CLEANED))
    }

    /// Says that the store was cleaned now.
    pub fn mark_cleaned(&self, now: SystemTime) -> Result<(), InstallError> {
        set_modified(&self.folder().join(CLEANED), now).map_err(failed("write when the store was cleaned"))
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn set_modified(path: &Path, now: SystemTime) -> std::io::Result<()> {
    File::options().create(true).append(true).open(path)?.set_modified(now)
}
