//! The master key: from the environment, or a file of its own that is made at the first start. Changed by a rotation alone:
//! the new one is written beside it, and takes its place when it is on the disk.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};
use roadstead_accounts::master_key::RingChange;
use roadstead_accounts::{KeeperError, KeyKeeper, KeySource};
use roadstead_crypto::{ExposeSecret, KeyRing, KeyRingError, OpenError, SecretString};
use roadstead_model::{Clock, Randomness};
use roadstead_store::{Store, StoreError};

/// The key file's name in the data folder.
const KEY_FILE: &str = "master.key";
/// What a changed one is called until it is whole.
const NEW_KEY_FILE: &str = "master.key.new";
/// Permission bits that the key file must not have.
const FOREIGN_BITS: u32 = 0o077;

/// Why there is no usable master key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The environment's key is none.
    #[error("ROADSTEAD_MASTER_KEY is not a master key: it must be 64 hexadecimal digits")]
    BadVariable(#[source] KeyRingError),
    /// The file's key is none.
    #[error("{} does not hold a master key; put back the one that was there, from your backup", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyRingError,
    },
    /// Others may read the file.
    #[error("{} can be read by others; run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not read or make {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Secrets exist, the key does not.
    #[error(
        "the database holds secrets, but there is no master key at {}: put back that file from your backup, or set \
         ROADSTEAD_MASTER_KEY; nothing was changed",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Secrets exist, sealed with another key.
    #[error(
        "this master key does not open the secrets in the database: use the key that sealed them (file {} or \
         ROADSTEAD_MASTER_KEY); nothing was changed",
        path.display()
    )]
    Wrong {
        /// Where the right one should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The database.
    #[error("the master key could not be checked against the database")]
    Store(#[source] StoreError),
}

/// The key ring, checked against what the database holds, and where it is kept; made at the very first start.
pub async fn open(
    data_folder: &Path,
    from_environment: Option<&SecretString>,
    store: &Store,
    clock: &dyn Clock,
    randomness: &Randomness,
) -> Result<(KeyRing, Arc<dyn KeyKeeper>), KeyFileError> {
    let path = data_folder.join(KEY_FILE);
    let known = match from_environment {
        Some(text) => Some(KeyRing::parse(text.expose_secret()).map_err(KeyFileError::BadVariable)?),
        None => read(&path)?,
    };
    let keeper: Arc<dyn KeyKeeper> = match from_environment {
        Some(_) => Arc::new(Variable),
        None => Arc::new(KeyFile { path: path.clone() }),
    };
    let sealed = store.ring_check().load().await.map_err(KeyFileError::Store)?;
    match (known, sealed) {
        (Some(ring), Some(sealed)) => {
            ring.check_self_test(&sealed).map_err(|source| KeyFileError::Wrong { path, source })?;
            Ok((ring, keeper))
        }
        (None, Some(_)) => Err(KeyFileError::Missing { path }),
        (known, None) => {
            let ring = match known {
                Some(ring) => ring,
                None => make(&path, randomness)?,
            };
            let value = ring.self_test_value(&mut *randomness.lock());
            store.ring_check().insert(&value, clock.now()).await.map_err(KeyFileError::Store)?;
            Ok((ring, keeper))
        }
    }
}

/// Keys in the environment of a process cannot be changed by it.
#[derive(Debug)]
struct Variable;

impl KeyKeeper for Variable {
    fn source(&self) -> KeySource {
        KeySource::Environment
    }

    fn load(&self) -> Result<Option<KeyRing>, KeeperError> {
        Ok(None)
    }

    fn change(&self, _change: &RingChange) -> Result<KeyRing, KeeperError> {
        Err(KeeperError::Place("ROADSTEAD_MASTER_KEY cannot be changed from within".into()))
    }
}

/// The file in the data folder.
#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    fn ring(&self) -> Result<KeyRing, KeyFileError> {
        read(&self.path)?.ok_or_else(|| KeyFileError::Missing { path: self.path.clone() })
    }

    /// Reads, changes, and writes: whole to a file of its own, which takes the place of the old one when it is on the disk.
    fn replace(&self, change: &RingChange) -> Result<Result<KeyRing, KeeperError>, KeyFileError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyFileError::File { path, source }
        };
        let folder = self.path.parent().expect("the file lies in the data folder");
        // A service that leaves and the one that follows it must not write over each other.
        let folder_file = fs::File::open(folder).map_err(failed(folder))?;
        let _alone = Flock::lock(folder_file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| failed(folder)(errno.into()))?;
        let ring = match change(&self.ring()?) {
            Ok(ring) => ring,
            Err(refused) => return Ok(Err(refused.into())),
        };
        let new = folder.join(NEW_KEY_FILE);
        match fs::remove_file(&new) {
            // Left by a process that was killed here.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&new)(error)),
        }
        write_new(&new, &ring).map_err(failed(&new))?;
        fs::rename(&new, &self.path).map_err(failed(&self.path))?;
        crate::data_folder::sync_parent(&self.path).map_err(failed(&self.path))?;
        Ok(Ok(ring))
    }
}

impl KeyKeeper for KeyFile {
    fn source(&self) -> KeySource {
        KeySource::File
    }

    fn load(&self) -> Result<Option<KeyRing>, KeeperError> {
        self.ring().map(Some).map_err(|error| KeeperError::Place(error.into()))
    }

    fn change(&self, change: &RingChange) -> Result<KeyRing, KeeperError> {
        self.replace(change).unwrap_or_else(|error| Err(KeeperError::Place(error.into())))
    }
}

/// The key ring as it is, from the environment or the file; none where there is none. Nothing is made.
pub(crate) fn known(
    data_folder: &Path,
    from_environment: Option<&SecretString>,
) -> Result<Option<KeyRing>, KeyFileError> {
    match from_environment {
        Some(text) => KeyRing::parse(text.expose_secret()).map(Some).map_err(KeyFileError::BadVariable),
        None => read(&data_folder.join(KEY_FILE)),
    }
}

/// Puts a ring into the data folder. A file that is there already is kept under another name, which is answered.
pub(crate) fn put(data_folder: &Path, ring: &KeyRing) -> Result<Option<PathBuf>, KeyFileError> {
    let path = data_folder.join(KEY_FILE);
    let failed = |source| KeyFileError::File { path: path.clone(), source };
    let mut kept = None;
    if path.exists() {
        let free = |nth: &u32| !data_folder.join(format!("{KEY_FILE}.before-restore-{nth}")).exists();
        let nth = (1..=u32::MAX).find(free).expect("a folder does not hold so many files");
        let aside = data_folder.join(format!("{KEY_FILE}.before-restore-{nth}"));
        fs::rename(&path, &aside).map_err(failed)?;
        kept = Some(aside);
    }
    write_new(&path, ring).map_err(failed)?;
    crate::data_folder::sync_parent(&path).map_err(failed)?;
    Ok(kept)
}

/// Whether there is a key file that others cannot read and that holds a key.
pub fn look(data_folder: &Path) -> Result<bool, KeyFileError> {
    read(&data_folder.join(KEY_FILE)).map(|ring| ring.is_some())
}

fn read(path: &Path) -> Result<Option<KeyRing>, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if about.permissions().mode() & FOREIGN_BITS != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned() });
    }
    let text = SecretString::from(fs::read_to_string(path).map_err(failed)?);
    let ring = KeyRing::parse(text.expose_secret());
    ring.map(Some).map_err(|source| KeyFileError::BadFile { path: path.to_owned(), source })
}

/// Makes the key and its file; a file that appeared meanwhile is left alone and is an error.
fn make(path: &Path, randomness: &Randomness) -> Result<KeyRing, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    let ring = KeyRing::generate(&mut *randomness.lock());
    write_new(path, &ring).map_err(failed)?;
    crate::data_folder::sync_parent(path).map_err(failed)?;
    Ok(ring)
}

/// Writes a ring to a file that is not there yet, readable by its owner alone.
fn write_new(path: &Path, ring: &KeyRing) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(ring.to_text().expose_secret().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use roadstead_crypto::MasterKey;

    use super::*;

    fn randomness() -> Randomness {
        Randomness::from_seed([5; 32])
    }

    #[test]
    fn a_changed_ring_takes_the_place_of_the_old_one_and_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile { path: folder.path().join(KEY_FILE) };
        let first = make(&file.path, &randomness()).unwrap();
        // What a process has left that was killed while it wrote.
        fs::write(folder.path().join(NEW_KEY_FILE), "half a k").unwrap();
        let key = MasterKey::generate(&mut *Randomness::from_seed([6; 32]).lock());
        let added = key.clone();
        let changed = file.change(&move |ring| ring.with_new_first(added.clone())).unwrap();
        assert_eq!(changed.sealing_key(), key.id());
        let read = file.load().unwrap().unwrap();
        assert_eq!(read.key_ids().collect::<Vec<_>>(), [key.id(), first.sealing_key()]);
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_change_that_is_refused_leaves_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile { path: folder.path().join(KEY_FILE) };
        let first = make(&file.path, &randomness()).unwrap().sealing_key();
        let before = fs::read(&file.path).unwrap();
        let refused = file.change(&move |ring| ring.without(first)).unwrap_err();
        assert!(matches!(refused, KeeperError::Change(_)), "{refused:?}");
        assert_eq!(fs::read(&file.path).unwrap(), before);
        fs::remove_file(&file.path).unwrap();
        let gone = file.change(&move |ring| ring.without(first)).unwrap_err();
        assert!(matches!(gone, KeeperError::Place(_)), "{gone:?}");
        assert!(!file.path.exists(), "no file is made out of nothing");
    }
}
