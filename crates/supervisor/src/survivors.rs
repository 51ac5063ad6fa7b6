//! What an earlier run left behind: looked at, taken over, or ended with everything that belongs to it.
//!
//! ```text
//! survey ──► Found ──► contact ──► adopt: owner and link, as if it had been started here
//!              │                └─► end: asked, then killed, with its strays
//!              └─ gone ──► record, spool ──► forget
//! ```

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use roadstead_control::{
    ControlSecret, EVENTS_FILE, EXIT_FILE, ExitRecord, LAUNCH_FILE, LaunchNote, LifecycleEntry, LogEntry,
    ProcessId, SPOOL_FILE, STATE_FILE, ShimState, Status, USAGE_FILE, UsageFact, handshake,
};
use roadstead_model::reconcile::{self, Boot, OwnFolder, Record, Stage};
use roadstead_model::{BootId, InstallationId, InstanceId};

use crate::Supervisor;
use crate::link;
use crate::owner::{Process, read};
use crate::process::{self, Known, Stranger};
use crate::shim::Shim;
use crate::start::Watch;

/// How long what was killed may take to go.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Rest between two looks at shims that were asked to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// An instance that has a run folder.
#[derive(Debug, Clone)]
pub struct Found {
    /// The instance.
    pub instance: InstanceId,
    installation: InstallationId,
    path: PathBuf,
    /// Known unless the machine was started again since.
    shim: Option<ProcessId>,
    init: Option<ProcessId>,
    stage: Stage,
    boot: Boot,
}

/// What came of a look at a shim.
#[derive(Debug)]
pub enum Contact {
    /// It proved itself.
    Proved {
        /// With which of the secrets.
        secret: usize,
        /// How it is.
        status: Box<Status>,
    },
    /// It knows none of the secrets.
    Refused,
    /// It did not answer.
    Silent,
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
        source: io::Error,
    },
    /// Something that was killed does not go.
    #[error("{left} processes of an earlier run do not end")]
    StillThere {
        /// How many.
        left: usize,
    },
}

impl Found {
    /// Whether its shim lives.
    pub fn is_alive(&self) -> bool {
        self.shim.is_some_and(process::is_alive)
    }

    /// Whether its shim has a socket to be asked on.
    pub fn is_bound(&self) -> bool {
        self.stage == Stage::Bound
    }

    /// What there is to decide about, as of now.
    pub fn seen(&self) -> reconcile::Folder {
        let record = match self.record() {
            None => Record::Absent,
            Some(record) if record.complete => Record::Complete,
            Some(_) => Record::Begun,
        };
        let process = if self.is_alive() { reconcile::Process::Alive } else { reconcile::Process::Gone };
        reconcile::Folder::Own(OwnFolder { stage: self.stage, boot: self.boot, process, record })
    }

    /// How it ended, or why it is ending, in its shim's own words.
    pub fn record(&self) -> Option<ExitRecord> {
        read(&self.path.join(EXIT_FILE))
    }

    /// Lines that nobody had stored when its shim ended.
    pub fn spool(&self) -> Vec<LogEntry> {
        json_lines(&self.path.join(SPOOL_FILE))
    }

    /// Facts of calls that nobody is known to have stored; of what was written half there is nothing.
    pub fn usage(&self) -> Vec<UsageFact> {
        json_lines(&self.path.join(USAGE_FILE))
    }

    /// Steps that its shim took by itself and that nobody is known to have stored.
    pub fn steps(&self) -> Vec<LifecycleEntry> {
        json_lines(&self.path.join(EVENTS_FILE))
    }
}

impl Supervisor {
    /// Every instance that has a run folder. Touches nothing when one folder is foreign. `is_start` says that nothing is
    /// being launched: then folders of launches that were cut short before they had a process are removed.
    pub fn survey(
        &self,
        installation: InstallationId,
        boot: BootId,
        is_start: bool,
    ) -> Result<Vec<Found>, SurvivorError> {
        let root = &self.config.run_root;
        let unreadable = |source| SurvivorError::Unreadable { path: root.clone(), source };
        let (mut found, mut empty) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(root).map_err(unreadable)? {
            let folder = entry.map_err(unreadable)?.path();
            match look_into(&folder, installation, boot)? {
                Some(each) => found.push(each),
                None => empty.push(folder),
            }
        }
        if is_start {
            // Cut short before its process was told anything: such a process ends by itself.
            for folder in empty {
                let _ = std::fs::remove_dir_all(folder);
            }
            self.cgroups.sweep(installation);
        }
        Ok(found)
    }

    /// The folder of one instance, if it has one of this installation.
    pub fn look_at(&self, instance: InstanceId, installation: InstallationId, boot: BootId) -> Option<Found> {
        look_into(&self.run_folder(instance), installation, boot).ok().flatten()
    }

    /// Asks a shim how it is, with each of the secrets that it may have been given.
    pub async fn contact(&self, found: &Found, secrets: &[ControlSecret]) -> Contact {
        let socket = found.path.join(roadstead_control::CONTROL_SOCKET);
        for (nth, secret) in secrets.iter().enumerate() {
            match link::connect(&socket, secret, &self.entropy).await {
                Ok(stream) => {
                    let asked = tokio::time::timeout(handshake::TIMEOUT, link::status(stream)).await;
                    return match asked {
                        Ok(Some(status)) => Contact::Proved { secret: nth, status: Box::new(status) },
                        Ok(None) | Err(_) => Contact::Silent,
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(_) => return Contact::Silent,
            }
        }
        Contact::Refused
    }

    /// Takes a living shim over. Nothing when it has gone meanwhile.
    pub fn adopt(&self, found: &Found, secret: ControlSecret) -> io::Result<Option<Shim>> {
        let Some(process) = found.shim else { return Ok(None) };
        let Some(stranger) = Stranger::find(process)? else { return Ok(None) };
        let watch = Watch {
            process,
            instance: found.instance,
            folder: found.path.clone(),
            group: self.cgroups.existing(found.installation, found.instance),
            secret,
        };
        Ok(Some(self.own(Process::Adopted(stranger), watch, None)))
    }

    /// Ends these shims and everything below them: asked first, killed when `patience` is over. Their folders stay until
    /// `forget`, so that a crash before their records are stored loses nothing. Answers how many processes lived although
    /// none of the shims did.
    pub async fn end(&self, found: &[Found], patience: Duration) -> Result<usize, SurvivorError> {
        let asked: Vec<ProcessId> = found.iter().filter_map(ask).collect();
        wait_gone(&asked, patience).await;
        let instances: HashSet<InstanceId> = found.iter().map(|each| each.instance).collect();
        if instances.is_empty() {
            return Ok(0);
        }
        let known = Known {
            shims: found.iter().filter_map(|each| each.shim).collect(),
            inits: found.iter().filter_map(|each| each.init).collect(),
        };
        let strays = process::end_strays(instances, known, KILL_PATIENCE).await;
        for each in found {
            self.cgroups.existing(each.installation, each.instance).remove().await;
        }
        if strays.left > 0 {
            return Err(SurvivorError::StillThere { left: strays.left });
        }
        Ok(if asked.is_empty() { strays.found } else { 0 })
    }

    /// Ends every process that carries the mark of one of these instances, of which there is no run folder; answers how many
    /// there were.
    pub async fn end_marked(&self, instances: &[InstanceId]) -> Result<usize, SurvivorError> {
        let marks = instances.iter().copied().collect();
        let strays = process::end_strays(marks, Known::default(), KILL_PATIENCE).await;
        if strays.left > 0 { Err(SurvivorError::StillThere { left: strays.left }) } else { Ok(strays.found) }
    }
}

fn look_into(
    folder: &Path,
    installation: InstallationId,
    boot: BootId,
) -> Result<Option<Found>, SurvivorError> {
    let Some(note) = read::<LaunchNote>(&folder.join(LAUNCH_FILE)) else { return Ok(None) };
    if note.installation != installation {
        return Err(SurvivorError::Foreign { folder: folder.to_owned(), installation: note.installation });
    }
    let state: Option<ShimState> = read(&folder.join(STATE_FILE));
    // After a reboot the numbers belong to others.
    let same_boot = note.boot == boot;
    Ok(Some(Found {
        instance: note.instance,
        installation,
        shim: same_boot.then_some(note.shim),
        stage: if state.is_some() { Stage::Bound } else { Stage::Noted },
        init: state.filter(|_| same_boot).map(|state| state.init),
        boot: if same_boot { Boot::This } else { Boot::Other },
        path: folder.to_owned(),
    }))
}

fn ask(found: &Found) -> Option<ProcessId> {
    let shim = found.shim.filter(|shim| process::is_alive(*shim))?;
    process::signal(shim, Signal::SIGTERM);
    Some(shim)
}

async fn wait_gone(asked: &[ProcessId], patience: Duration) {
    let until = tokio::time::Instant::now() + patience;
    while asked.iter().any(|shim| process::is_alive(*shim)) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn json_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
