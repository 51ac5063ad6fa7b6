//! What an earlier run left behind: ended, with everything that belongs to it, and reported.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use roadstead_control::{
    EXIT_FILE, ExitRecord, LAUNCH_FILE, LaunchNote, LogEntry, ProcessId, SPOOL_FILE, STATE_FILE, ShimState,
    USAGE_FILE, UsageFact,
};
use roadstead_model::{BootId, InstallationId, InstanceId};

use crate::Supervisor;
use crate::owner::read;
use crate::process;

/// How long what was killed may take to go.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Rest between two looks at shims that were asked to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// An instance of an earlier run.
#[derive(Debug, Clone)]
pub struct Survivor {
    /// The instance.
    pub instance: InstanceId,
    /// Its shim was alive, and was ended now.
    pub was_alive: bool,
    /// How it ended, in its shim's own words, if it had the time to say so.
    pub record: Option<ExitRecord>,
    /// Lines that nobody had stored.
    pub spool: Vec<LogEntry>,
}

/// Why the survivors could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum SurvivorError {
    /// Two installations share a run folder; neither may touch the other's instances.
    #[error("{} belongs to installation {installation}, not to this one", folder.display())]
    Foreign {
        /// The instance's folder.
        folder: PathBuf,
        /// Whose it is.
        installation: InstallationId,
    },
    /// The run folder could not be read.
    #[error("could not read the run folder {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something that was killed does not go.
    #[error("{left} processes of an earlier run do not end")]
    StillThere {
        /// How many.
        left: usize,
    },
}

struct Found {
    folder: PathBuf,
    instance: InstanceId,
    shim: Option<ProcessId>,
    init: Option<ProcessId>,
    was_alive: bool,
}

impl Supervisor {
    /// Ends every shim that an earlier run of this installation left, and everything below them: asked first,
    /// killed when `patience` is over. The folders stay until `forget`, so that a crash before their records
    /// are stored loses nothing. Touches nothing when one folder is foreign.
    pub async fn end_survivors(
        &self,
        installation: InstallationId,
        boot: BootId,
        patience: Duration,
    ) -> Result<Vec<Survivor>, SurvivorError> {
        let mut found = self.find(installation, boot)?;
        let asked: Vec<ProcessId> = found.iter_mut().filter_map(ask).collect();
        wait_gone(&asked, patience).await;
        let instances: HashSet<InstanceId> = found.iter().map(|each| each.instance).collect();
        if !instances.is_empty() {
            let known = found.iter().flat_map(|each| [each.shim, each.init]).flatten().collect();
            let left = process::end_strays(instances, known, KILL_PATIENCE).await;
            if left > 0 {
                return Err(SurvivorError::StillThere { left });
            }
        }
        self.cgroups.sweep(installation);
        Ok(found.iter().map(report).collect())
    }

    /// The usage facts that a shim, now gone, left unconfirmed; of what was written half there is nothing.
    pub fn usage_left(&self, instance: InstanceId) -> Vec<UsageFact> {
        json_lines(&self.run_folder(instance).join(USAGE_FILE))
    }

    fn find(&self, installation: InstallationId, boot: BootId) -> Result<Vec<Found>, SurvivorError> {
        let root = &self.config.run_root;
        let unreadable = |source| SurvivorError::Unreadable { path: root.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(root).map_err(unreadable)? {
            let folder = entry.map_err(unreadable)?.path();
            if let Some(each) = look_into(folder, installation, boot)? {
                found.push(each);
            }
        }
        Ok(found)
    }
}

fn look_into(
    folder: PathBuf,
    installation: InstallationId,
    boot: BootId,
) -> Result<Option<Found>, SurvivorError> {
    let Some(note) = read::<LaunchNote>(&folder.join(LAUNCH_FILE)) else {
        // Cut short before its process was told anything: such a process ends by itself.
        let _ = std::fs::remove_dir_all(&folder);
        return Ok(None);
    };
    if note.installation != installation {
        return Err(SurvivorError::Foreign { folder, installation: note.installation });
    }
    let state: Option<ShimState> = read(&folder.join(STATE_FILE));
    // After a reboot the numbers belong to others.
    let same_boot = note.boot == boot;
    Ok(Some(Found {
        instance: note.instance,
        shim: same_boot.then_some(note.shim),
        init: state.filter(|_| same_boot).map(|state| state.init),
        was_alive: false,
        folder,
    }))
}

fn ask(found: &mut Found) -> Option<ProcessId> {
    let shim = found.shim.filter(|shim| process::is_alive(*shim))?;
    found.was_alive = true;
    process::signal(shim, Signal::SIGTERM);
    Some(shim)
}

async fn wait_gone(asked: &[ProcessId], patience: Duration) {
    let until = tokio::time::Instant::now() + patience;
    while asked.iter().any(|shim| process::is_alive(*shim)) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn report(found: &Found) -> Survivor {
    Survivor {
        instance: found.instance,
        was_alive: found.was_alive,
        record: read(&found.folder.join(EXIT_FILE)),
        spool: json_lines(&found.folder.join(SPOOL_FILE)),
    }
}

fn json_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
