//! The folder in which a server runs and may write, and the user it runs as when we are root.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use roadstead_control::UserIds;
use roadstead_model::{InstanceId, Port};

use crate::error::ShimError;

/// The first of the user ids that instances run as when we are root: one per port, so never two at once. The range
/// lies above those that systemd and container engines give away, and below the last that is valid.
const FIRST_UID: u32 = 1_879_080_000;

/// Whether instances need users of their own, because we are root.
pub(crate) fn running_as_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The user of the instance on a port.
pub(crate) fn user_of(port: Port) -> UserIds {
    let id = FIRST_UID + u32::from(port.get());
    UserIds { uid: id, gid: id }
}

/// The user of a program that asks something on behalf of a user, above those of the ports; none unless we are root.
pub(crate) fn errand_user() -> Option<u32> {
    running_as_root().then_some(FIRST_UID + 1 + u32::from(u16::MAX))
}

/// The user who installs packages, likewise.
pub fn installer_user() -> Option<u32> {
    running_as_root().then_some(FIRST_UID + 2 + u32::from(u16::MAX))
}

/// Makes an instance's folder, for its user alone.
pub(crate) fn make(root: &Path, instance: InstanceId, user: Option<UserIds>) -> Result<PathBuf, ShimError> {
    let path = root.join(instance.to_string());
    let made = DirBuilder::new().mode(0o700).create(&path).and_then(|()| match user {
        Some(user) => chown(&path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    });
    made.map_err(|source| ShimError::Workplace { path: path.clone(), source })?;
    Ok(path)
}

/// The instances that have a folder.
pub(crate) fn all(root: &Path) -> Vec<InstanceId> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Removes an instance's folder with all that its server wrote.
pub(crate) fn remove(root: &Path, instance: InstanceId) {
    let path = root.join(instance.to_string());
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(instance.id = %instance, path = %path.display(), error = &error as &dyn std::error::Error,
                "a server's folder could not be removed");
        }
        _ => {}
    }
}
