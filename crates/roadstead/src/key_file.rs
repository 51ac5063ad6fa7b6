//! The master key: from the environment, or a file of its own that is made at the first start and never overwritten.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use roadstead_crypto::{ExposeSecret, KeyRing, KeyRingError, OpenError, SecretString};
use roadstead_model::{Clock, Randomness};
use roadstead_store::{Store, StoreError};

/// The key file's name in the data folder.
const KEY_FILE: &str = "master.key";
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

/// The key ring, checked against what the database holds; made at the very first start.
pub async fn open(
    data_folder: &Path,
    from_environment: Option<&SecretString>,
    store: &Store,
    clock: &dyn Clock,
    randomness: &Randomness,
) -> Result<KeyRing, KeyFileError> {
    let path = data_folder.join(KEY_FILE);
    let known = match from_environment {
        Some(text) => Some(KeyRing::parse(text.expose_secret()).map_err(KeyFileError::BadVariable)?),
        None => read(&path)?,
    };
    let sealed = store.ring_check().load().await.map_err(KeyFileError::Store)?;
    match (known, sealed) {
        (Some(ring), Some(sealed)) => {
            ring.check_self_test(&sealed).map_err(|source| KeyFileError::Wrong { path, source })?;
            Ok(ring)
        }
        (None, Some(_)) => Err(KeyFileError::Missing { path }),
        (known, None) => {
            let ring = match known {
                Some(ring) => ring,
                None => make(&path, randomness)?,
            };
            let value = ring.self_test_value(&mut *randomness.lock());
            store.ring_check().insert(&value, clock.now()).await.map_err(KeyFileError::Store)?;
            Ok(ring)
        }
    }
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
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(ring.to_text().expose_secret().as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    crate::data_folder::sync_parent(path).map_err(failed)?;
    Ok(ring)
}
