//! The folder of the server's socket: short enough for a socket address, and closed to everyone else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use roadstead_model::InstallationId;

use super::account::Account;
use super::error::{PostgresError, file_error};
use super::postmaster::LockFile;
use crate::data_folder::make_folder;

/// The number in the socket's name; nothing listens on TCP.
pub(super) const PORT: u16 = 5432;
/// A socket address holds 108 bytes, the last of which is zero.
const MAX_SOCKET_PATH: usize = 106;
/// Enough of an installation's random part to tell those of one machine apart.
const ID_DIGITS: usize = 8;

/// Where the socket of an installation goes: below /run for root, in the user's runtime folder if that is short
/// enough, else in a private folder below /tmp.
pub fn socket_folder(runtime_folder: Option<&Path>, installation: InstallationId) -> PathBuf {
    let id = installation.uuid().simple().to_string();
    let name = format!("pg-{}", &id[id.len() - ID_DIGITS..]);
    let user = nix::unistd::geteuid();
    if user.is_root() {
        return Path::new("/run/roadstead").join(name);
    }
    runtime_folder
        .filter(|folder| folder.is_absolute() && folder.is_dir())
        .map(|folder| folder.join("roadstead").join(&name))
        .filter(|folder| fits(folder))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/roadstead-{user}")).join(&name))
}

fn fits(folder: &Path) -> bool {
    socket_file(folder).as_os_str().len() <= MAX_SOCKET_PATH
}

fn socket_file(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

/// Makes the folder, checks that it is ours alone, and clears away what a crash left in it.
pub(super) fn prepare(folder: &Path, account: &Account) -> Result<(), PostgresError> {
    if !fits(folder) {
        return Err(PostgresError::SocketPathTooLong { folder: folder.to_owned() });
    }
    if let Some(parent) = folder.parent() {
        make_parent(parent)?;
        account.reaches(parent)?;
    }
    make_folder(folder, 0o700).map_err(file_error("make", folder))?;
    let found = folder.symlink_metadata().map_err(file_error("inspect", folder))?;
    let ours = [account.uid().as_raw(), nix::unistd::geteuid().as_raw()].contains(&found.uid());
    if !found.is_dir() || !ours || !is_private(&found) {
        return Err(PostgresError::SocketFolderNotPrivate { folder: folder.to_owned() });
    }
    account.own(folder)?;
    clear(folder)
}

/// Whether nobody but its owner may enter.
pub(super) fn is_private(found: &fs::Metadata) -> bool {
    [0o070, 0o007].iter().all(|others| found.mode() & others == 0)
}

/// Whoever owns the folder above could swap ours for theirs: it must be ours, root's, or guarded by the sticky bit.
fn make_parent(parent: &Path) -> Result<(), PostgresError> {
    if !parent.exists() {
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        if let Some(above) = parent.parent() {
            fs::create_dir_all(above).map_err(file_error("make", above))?;
        }
        make_folder(parent, mode).map_err(file_error("make", parent))?;
    }
    let found = parent.symlink_metadata().map_err(file_error("inspect", parent))?;
    let owned = found.uid() == 0 || found.uid() == nix::unistd::geteuid().as_raw();
    let guarded = found.mode() & 0o022 == 0 || found.mode() & 0o1000 != 0;
    if owned && guarded {
        return Ok(());
    }
    Err(PostgresError::SocketFolderNotPrivate { folder: parent.to_owned() })
}

/// A lock file left by a server that is gone blocks the next one when its process id has a new owner.
fn clear(folder: &Path) -> Result<(), PostgresError> {
    let socket = socket_file(folder);
    let lock = folder.join(format!(".s.PGSQL.{PORT}.lock"));
    if let Some(left) = LockFile::read(&lock)?
        && left.serves(&left.cluster)
    {
        return Err(PostgresError::SocketInUse { folder: folder.to_owned(), pid: left.pid });
    }
    for file in [lock, socket] {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("remove", file)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn id() -> InstallationId {
        "0198c0de-0000-7000-8000-0123456789ab".parse().unwrap()
    }

    #[test]
    fn a_chosen_folder_always_leaves_room_for_the_socket() {
        let long = tempfile::tempdir().unwrap();
        let long = long.path().join("x".repeat(90));
        fs::create_dir(&long).unwrap();
        let chosen = socket_folder(Some(&long), id());
        assert!(fits(&chosen), "{}", chosen.display());
        assert!(chosen.ends_with("pg-456789ab"), "{}", chosen.display());
    }

    #[test]
    fn a_folder_that_is_too_long_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let account = Account::choose(Path::new("/nonexistent")).unwrap();
        let refused = prepare(&root.path().join("x".repeat(100)), &account).unwrap_err();
        assert!(matches!(refused, PostgresError::SocketPathTooLong { .. }), "{refused}");
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let folder = root.path().join("s");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let account = Account::choose(Path::new("/nonexistent")).unwrap();
        let refused = prepare(&folder, &account).unwrap_err();
        assert!(matches!(refused, PostgresError::SocketFolderNotPrivate { .. }), "{refused}");
    }
}
