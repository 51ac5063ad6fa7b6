//! The data folder: which one, who may enter it, who holds it, and which installation it belongs to.
//!
//! The folder is held by an advisory lock on the file `lock`, which ends with the process that holds it, however
//! that process ends. The process id in the file is for the message alone; nothing is decided by it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rand::CryptoRng;
use roadstead_model::{Clock, InstallationId};

/// Where root's data lives. A home of root's is closed to every other user, and PostgreSQL refuses to run as root.
const SYSTEM_FOLDER: &str = "/var/lib/roadstead";
/// As root: other users may pass through to what is theirs, and see no names.
const SYSTEM_MODE: u32 = 0o711;
/// As an ordinary user: nobody else has any business here.
const USER_MODE: u32 = 0o700;

/// What went wrong with the data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// There is no home to put a default folder in.
    #[error("there is no home folder to keep data in; set ROADSTEAD_DATA_DIR to a folder")]
    NoHome,
    /// The folder could not be made or entered.
    #[error("could not make the data folder {}", path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("the data folder {} is in use by another roadstead{}", path.display(), holder.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that holds it, unless it has not written its id yet.
        holder: Option<u32>,
    },
    /// The lock file could not be used.
    #[error("could not lock the data folder with {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The installation's id could not be read or written.
    #[error("could not keep the installation's id in {}", path.display())]
    InstallationFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The installation's file holds something else.
    #[error("{} does not hold an installation's id", path.display())]
    NotAnInstallationId {
        /// The file.
        path: PathBuf,
    },
}

/// A data folder that exists.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
}

/// The sole right to use a data folder, until dropped.
#[derive(Debug)]
#[must_use = "the data folder is free again as soon as the lock is dropped"]
pub struct DataFolderLock {
    _file: Flock<File>,
}

// === impl DataFolder ===

impl DataFolder {
    /// The folder to use: the one asked for, else the system's for root, else the user's.
    pub fn choose(asked: Option<&Path>) -> Result<PathBuf, DataFolderError> {
        if let Some(path) = asked {
            return std::path::absolute(path)
                .map_err(|source| DataFolderError::Create { path: path.to_owned(), source });
        }
        if nix::unistd::geteuid().is_root() {
            return Ok(PathBuf::from(SYSTEM_FOLDER));
        }
        let base = etcetera::choose_base_strategy().map_err(|_| DataFolderError::NoHome)?;
        Ok(base.data_dir().join("roadstead"))
    }

    /// Opens a folder, making it first if it is missing. The mode of a folder that exists is left alone.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        let mode = if nix::unistd::geteuid().is_root() { SYSTEM_MODE } else { USER_MODE };
        let failed = |source| DataFolderError::Create { path: path.to_owned(), source };
        if !path.is_dir() {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            make_folder(path, mode).map_err(failed)?;
        }
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path })
    }

    /// The folder, absolute and without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the folder for this process alone, or says who has it.
    pub fn lock(&self) -> Result<DataFolderLock, DataFolderError> {
        let path = self.path.join("lock");
        let failed = |source| DataFolderError::Lock { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                write_holder(&mut file).map_err(failed)?;
                Ok(DataFolderLock { _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => {
                Err(DataFolderError::InUse { path: self.path.clone(), holder: read_holder(file) })
            }
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }

    /// The process that took the folder last, whether or not it still has it.
    pub fn holder(&self) -> Option<u32> {
        read_holder(File::open(self.path.join("lock")).ok()?)
    }

    /// The installation's id, made at the first call. Call it while the lock is held.
    pub fn installation_id(
        &self,
        clock: &dyn Clock,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<InstallationId, DataFolderError> {
        let path = self.path.join("installation");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| DataFolderError::NotAnInstallationId { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = InstallationId::new(clock, rng);
                write_private(&path, format!("{id}\n").as_bytes())
                    .map_err(|source| DataFolderError::InstallationFile { path, source })?;
                Ok(id)
            }
            Err(source) => Err(DataFolderError::InstallationFile { path, source }),
        }
    }
}

/// The installation of a data folder that has been used before.
pub fn known_installation(folder: &Path) -> Option<InstallationId> {
    fs::read_to_string(folder.join("installation")).ok()?.trim().parse().ok()
}

/// Makes one folder with exactly this mode, whatever the umask; a folder that exists is kept as it is.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a file that only we may read. After a crash the old content or the new is there, never half of it.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    sync_parent(path)
}

/// Makes a rename or a new name in a folder durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(mut file: File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use roadstead_model::MockClock;

    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_holders_process_id() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        let second = DataFolder::open(folder.path()).unwrap();
        let lock = first.lock().unwrap();
        let refused = second.lock().unwrap_err();
        assert!(
            matches!(refused, DataFolderError::InUse { holder: Some(pid), .. } if pid == std::process::id())
        );
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        let _again = second.lock().unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_process_that_ended_does_not_lock() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "1\n").unwrap();
        let _lock = DataFolder::open(folder.path()).unwrap().lock().unwrap();
        let text = fs::read_to_string(folder.path().join("lock")).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }

    #[test]
    fn the_installation_id_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let clock = MockClock::default();
        let mut rng = StdRng::seed_from_u64(1);
        let first = data.installation_id(&clock, &mut rng).unwrap();
        assert_eq!(data.installation_id(&clock, &mut rng).unwrap(), first);
        let mode = fs::metadata(folder.path().join("installation")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_installation_file_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        fs::write(folder.path().join("installation"), "nonsense").unwrap();
        let refused = data.installation_id(&MockClock::default(), &mut StdRng::seed_from_u64(1));
        assert!(matches!(refused, Err(DataFolderError::NotAnInstallationId { .. })));
        assert_eq!(fs::read_to_string(folder.path().join("installation")).unwrap(), "nonsense");
    }

    #[test]
    fn a_new_folder_lets_others_pass_only_where_root_owns_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(&folder.path().join("a/b")).unwrap();
        let mode = fs::metadata(data.path()).unwrap().permissions().mode() & 0o777;
        let expected = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        assert_eq!(mode, expected);
    }

    #[test]
    fn a_folder_asked_for_is_taken_as_it_is() {
        assert_eq!(DataFolder::choose(Some(Path::new("/some/where"))).unwrap(), Path::new("/some/where"));
    }
}
