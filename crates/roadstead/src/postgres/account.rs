//! The user that PostgreSQL's programs run as, and the one place that builds their command lines.
//!
//! PostgreSQL refuses to run as root; then a user without privileges runs it, and owns the cluster.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};
use tokio::process::Command;

use super::error::{PostgresError, file_error};

/// Those whom root may become, best first: the packaged user, and the one that every system has.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// All that the programs and their shell need.
const PROGRAM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Who runs the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
    /// Whether we are root and must become this user.
    drops: bool,
}

impl Account {
    /// The current user, or for root the owner of the cluster if there is one, else the first user that exists.
    pub(super) fn choose(cluster: &Path) -> Result<Self, PostgresError> {
        let own = nix::unistd::geteuid();
        if !own.is_root() {
            let name = User::from_uid(own).ok().flatten().map_or_else(|| own.to_string(), |user| user.name);
            return Ok(Self { name, uid: own, gid: nix::unistd::getegid(), drops: false });
        }
        let owner = cluster.metadata().ok().map(|folder| Uid::from_raw(folder.uid()));
        let owner = owner.filter(|uid| !uid.is_root()).and_then(|uid| User::from_uid(uid).ok().flatten());
        owner
            .or_else(|| USERS.iter().find_map(|name| User::from_name(name).ok().flatten()))
            .map(|user| Self { name: user.name, uid: user.uid, gid: user.gid, drops: true })
            .ok_or(PostgresError::NoServerUser)
    }

    /// The current user, whoever that is: for programs that talk to somebody else's server.
    pub(super) fn own_user() -> Self {
        let uid = nix::unistd::geteuid();
        Self { name: uid.to_string(), uid, gid: nix::unistd::getegid(), drops: false }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> Uid {
        self.uid
    }

    /// A command that runs as this user, with an environment of nothing but what it needs.
    #[expect(clippy::disallowed_methods, reason = "the one place that builds PostgreSQL's command lines")]
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PROGRAM_PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        if self.drops {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), PostgresError> {
        if !self.drops {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(file_error("hand over", path))
    }

    /// Checks that this user can pass through a folder and all those above it.
    pub(super) fn reaches(&self, folder: &Path) -> Result<(), PostgresError> {
        if !self.drops {
            return Ok(());
        }
        let folder = folder.canonicalize().map_err(file_error("find", folder))?;
        match folder.ancestors().find(|ancestor| !self.may_pass(ancestor)) {
            Some(closed) => Err(self.unreachable(closed.to_owned())),
            None => Ok(()),
        }
    }

    fn may_pass(&self, folder: &Path) -> bool {
        folder.metadata().is_ok_and(|found| {
            let bit = if found.uid() == self.uid.as_raw() {
                0o100
            } else if found.gid() == self.gid.as_raw() {
                0o010
            } else {
                0o001
            };
            found.mode() & bit != 0
        })
    }

    fn unreachable(&self, folder: PathBuf) -> PostgresError {
        PostgresError::Unreachable { user: self.name.clone(), folder }
    }
}
