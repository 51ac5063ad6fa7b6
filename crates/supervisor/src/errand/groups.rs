//! Control groups for errands that run strangers' programs: their memory and their number have a limit, and whatever left the
//! process group ends with the errand all the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_control::Limits;
use roadstead_model::InstallationId;

use crate::cgroups::{Cgroups, Group};

/// How often those in a group are ended anew who began between two looks.
const ROUNDS: usize = 100;

/// Where such groups are made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ErrandGroups {
    cgroups: Arc<Cgroups>,
    installation: InstallationId,
    made: Arc<AtomicU64>,
}

/// What all processes of an errand may have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrandLimits {
    /// Memory.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// The group of one errand. Dropped, everything in it is ended.
#[derive(Debug)]
pub struct ErrandGroup(Option<Group>);

impl ErrandGroups {
    pub(crate) fn new(cgroups: Arc<Cgroups>, installation: InstallationId) -> Self {
        Self { cgroups, installation, made: Arc::default() }
    }

    /// For a process that starts no shims: looks once what this machine lets us limit.
    pub fn find(installation: InstallationId) -> Self {
        Self::new(Arc::new(Cgroups::find()), installation)
    }

    /// Makes a group. Where none can be made, the errand runs without one, and that is said.
    pub fn make(&self, limits: ErrandLimits) -> ErrandGroup {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("errand-{}-{number}", std::process::id());
        let limits = Limits {
            memory_bytes: Some(limits.memory_bytes),
            processes: Some(limits.processes),
            ..Limits::default()
        };
        match self.cgroups.create_named(self.installation, &name, &limits) {
            Ok(group) => ErrandGroup(Some(group)),
            Err(error) => {
                tracing::warn!(%error, "an errand runs without a control group");
                ErrandGroup(None)
            }
        }
    }
}

impl ErrandGroup {
    /// What the errand has to enter; empty where nothing can be limited.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.0.as_ref().map_or_else(Vec::new, |group| group.folders().to_vec())
    }

    /// Ends what is in it, and removes it.
    pub async fn end(mut self) {
        if let Some(group) = self.0.take() {
            end_all(group.folders());
            group.remove().await;
        }
    }
}

impl Drop for ErrandGroup {
    fn drop(&mut self) {
        if let Some(group) = &self.0 {
            end_all(group.folders());
        }
    }
}

/// Each of them is in all folders: one is enough.
fn end_all(folders: &[PathBuf]) {
    let Some(folder) = folders.first() else { return };
    // Version 2 has a word for it.
    if std::fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..ROUNDS {
        let members = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        let members: Vec<i32> = members.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if members.is_empty() {
            return;
        }
        for pid in members {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
}
