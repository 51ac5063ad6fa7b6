//! A shim between its specification and its secrets.

use std::fmt;
use std::path::PathBuf;

use roadstead_control::ProcessId;
use roadstead_model::InstanceId;
use tokio::process::{Child, ChildStdin};

use crate::cgroups::Group;

/// A shim that knows what it is to run, waits for its secrets and runs nothing. Dropped, it is killed, and its folder goes.
#[must_use = "the shim is killed when this is dropped"]
pub struct Prepared {
    pub(crate) instance: InstanceId,
    pub(crate) folder: PathBuf,
    pub(crate) group: Group,
    /// Nobody's any more once it was started.
    pub(crate) shim: Option<(Child, ProcessId)>,
    /// Where it waits; none if it has left.
    pub(crate) input: Option<ChildStdin>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Prepared {
    /// Kills it and removes what there is of it. When this returns, nothing is left.
    pub async fn discard(mut self) {
        if let Some((mut child, _)) = self.shim.take() {
            // Killed and waited for, so that it holds nothing when the caller goes on.
            let _ = child.kill().await;
        }
        let group = std::mem::take(&mut self.group);
        drop(self);
        group.remove().await;
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.shim {
            let _ = child.start_kill();
        }
        // Whoever started it took the folder along.
        if !self.folder.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
