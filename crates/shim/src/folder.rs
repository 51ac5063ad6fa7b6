//! The run folder: sockets, and the records that outlive the shim.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use roadstead_control::frame;
use roadstead_control::{
    CONTROL_SOCKET, EXIT_FILE, ExitRecord, HTTP_SOCKET, SECRETS_FOLDER, SPOOL_FILE, STATE_FILE, ShimState,
};
use serde::Serialize;

pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join(CONTROL_SOCKET)
    }

    pub(crate) fn http_socket(&self) -> PathBuf {
        self.0.join(HTTP_SOCKET)
    }

    pub(crate) fn save_state(&self, state: &ShimState) -> io::Result<()> {
        self.replace(STATE_FILE, state)
    }

    pub(crate) fn save_exit(&self, record: &ExitRecord) -> io::Result<()> {
        self.replace(EXIT_FILE, record)
    }

    /// Where lines are that nobody has stored: an owner that was away finds them.
    pub(crate) fn spool(&self) -> PathBuf {
        self.0.join(SPOOL_FILE)
    }

    /// Nobody is led to a socket that answers no more.
    pub(crate) fn remove_sockets(&self) {
        let _ = std::fs::remove_file(self.control_socket());
        let _ = std::fs::remove_file(self.http_socket());
    }

    /// Secrets in files go with the servers that read them.
    pub(crate) fn remove_secrets(&self) {
        let _ = std::fs::remove_dir_all(self.0.join(SECRETS_FOLDER));
    }

    /// A reader sees the old record or the new one, never half of either.
    fn replace(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        let temporary = self.0.join(format!("{name}.new"));
        private(&temporary)?.write_all(&frame::line(record))?;
        std::fs::rename(temporary, self.0.join(name))
    }
}

fn private(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
