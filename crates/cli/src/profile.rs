//! The profile file: where the service is and the key that opens it, readable by its owner alone.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Longest profile that is read: it holds three short strings.
const MAX_PROFILE_BYTES: u64 = 64 * 1024;
/// Permission bits that a profile must not have: anything for group or others.
const FOREIGN_BITS: u32 = 0o077;

/// Where a service is, and the API key that opens it.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The service's base, such as `http://127.0.0.1:8700`.
    pub url: String,
    /// The API key.
    pub api_key: SecretString,
    /// The data folder of the service that wrote the profile, when it is on this machine.
    pub data_dir: Option<PathBuf>,
}

/// Why a profile could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is none.
    #[error("there is no profile at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error(
        "the profile {} holds an API key, and its permissions {mode:03o} let others at it; \
         run `chmod 600 {}`, and replace the key if others use this machine",
        path.display(),
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a JSON document of the expected form.
    #[error("the profile {} is not a JSON object with \"url\" and \"api_key\"", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser met; its position only, never the content.
        #[source]
        source: serde_json::Error,
    },
    /// Not a regular file of a sensible size.
    #[error("the profile {} is not a regular file of at most 64 KiB", path.display())]
    NotAProfile {
        /// What is there.
        path: PathBuf,
    },
    /// The system refused to read it.
    #[error("could not read the profile {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system refused to write it.
    #[error("could not write the profile {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Document {
    url: String,
    api_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
}

impl Profile {
    /// Reads a profile, and refuses one that others than its owner may read.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let refused = |source| ProfileError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProfileError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(refused(error)),
        };
        // The open file is asked, not the path: the path may name another file by now.
        let about = file.metadata().map_err(refused)?;
        let mode = about.permissions().mode() & 0o777;
        if !about.is_file() || about.len() > MAX_PROFILE_BYTES {
            return Err(ProfileError::NotAProfile { path: path.to_owned() });
        }
        if mode & FOREIGN_BITS != 0 {
            return Err(ProfileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(MAX_PROFILE_BYTES).read_to_string(&mut text).map_err(refused)?;
        let document: Document = serde_json::from_str(&text)
            .map_err(|source| ProfileError::Malformed { path: path.to_owned(), source })?;
        Ok(Self { url: document.url, api_key: document.api_key.into(), data_dir: document.data_dir })
    }

    /// Writes the profile for its owner alone, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ProfileError> {
        self.replace(path).map_err(|source| ProfileError::Write { path: path.to_owned(), source })
    }

    fn replace(&self, path: &Path) -> std::io::Result<()> {
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder)?;
        let document = Document {
            url: self.url.clone(),
            api_key: self.api_key.expose_secret().to_owned(),
            data_dir: self.data_dir.clone(),
        };
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &document)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            url: "http://127.0.0.1:8700".to_owned(),
            api_key: "rs_canary".to_owned().into(),
            data_dir: Some("/somewhere".into()),
        }
    }

    #[test]
    fn a_written_profile_is_its_owners_alone_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/profile.json");
        profile().write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Profile::read(&path).unwrap();
        assert_eq!(read.url, "http://127.0.0.1:8700");
        assert_eq!(read.api_key.expose_secret(), "rs_canary");
        assert_eq!(read.data_dir, Some("/somewhere".into()));
    }

    #[test]
    fn writing_over_an_exposed_profile_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        std::fs::write(&path, "{}").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        profile().write(&path).unwrap();
        assert!(Profile::read(&path).is_ok());
    }

    #[test]
    fn a_profile_that_others_may_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        profile().write(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Profile::read(&path).unwrap_err();
            assert!(matches!(error, ProfileError::Exposed { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn a_missing_or_broken_profile_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.json");
        assert!(matches!(Profile::read(&path), Err(ProfileError::Missing { .. })));
        assert!(matches!(Profile::read(folder.path()), Err(ProfileError::NotAProfile { .. })));
        std::fs::write(&path, "{\"api_key\": \"rs_canary\"}").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = Profile::read(&path).unwrap_err();
        assert!(matches!(error, ProfileError::Malformed { .. }));
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn the_key_is_not_in_debug() {
        assert!(!format!("{:?}", profile()).contains("canary"));
    }
}
