//! Starting a shim: its folder, its process, its specification.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::unistd::{Gid, Uid};
use roadstead_control::{
    ControlSecret, FrameError, LAUNCH_FILE, LaunchNote, ProcessId, Ready, SHIM_LOG_FILE, Secrets,
    Specification, frame,
};
use roadstead_model::{Clock, InstallationId, InstanceId, Step};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgroups::{Cgroups, Group};
use crate::errand::ErrandGroups;
use crate::owner::{Owner, Process};
use crate::prepared::Prepared;
use crate::shim::{LaunchError, Shim, ShimControl};
use crate::{link, process};

/// A path longer than this does not fit a socket's address.
const MAX_SOCKET_PATH: usize = 107;
/// How long a shim may take to read its specification.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that may wait for the instance's driver. A shim keeps back lines long before this many batches are
/// unconfirmed, and all that it may hold at its end fits as well: reading from it never waits for the driver.
pub(crate) const EVENT_QUEUE: usize = 64;
/// Commands that may wait for the shim.
pub(crate) const COMMAND_QUEUE: usize = 16;

/// Fills nonces with unpredictable bytes.
pub type Entropy = Arc<dyn Fn(&mut [u8; 32]) + Send + Sync>;

/// Hears of each step of a launch that is taken here.
pub type Seen = Arc<dyn Fn(InstanceId, Step) + Send + Sync>;

/// Where shims come from and where they live.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// The program `roadstead-shim`, absolute; readable and executable by everybody when we are root.
    pub shim_program: PathBuf,
    /// Holds one folder for each instance. Short: socket paths end at 107 bytes.
    pub run_root: PathBuf,
}

/// What an owner needs to know of a shim.
pub(crate) struct Watch {
    pub(crate) process: ProcessId,
    pub(crate) instance: InstanceId,
    pub(crate) folder: PathBuf,
    pub(crate) group: Group,
    pub(crate) secret: ControlSecret,
}

/// Starts shims.
pub struct Supervisor {
    pub(crate) config: SupervisorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) tasks: TaskTracker,
    pub(crate) entropy: Entropy,
    seen: OnceLock<Seen>,
    /// Cancelled when shims are left to the next process.
    pub(crate) leaving: CancellationToken,
    /// The owners of instances, and what makes them leave.
    owners: TaskTracker,
    owners_leave: CancellationToken,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why a shim could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Sockets in it would have paths that are too long.
    #[error("the run folder {} is too long a path: sockets in it would exceed {MAX_SOCKET_PATH} bytes", .0.display())]
    RunRootTooLong(PathBuf),
    /// A folder could not be made.
    #[error("could not make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program could not be started.
    #[error("could not start {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The specification is too large.
    #[error("could not write down the specification")]
    Specification(#[source] FrameError),
    /// The shim did not take its specification.
    #[error("could not hand the specification over")]
    HandOver(#[source] io::Error),
}

impl Supervisor {
    /// Makes the run folder if need be. Tasks that watch shims run on `tasks`.
    pub fn new(
        config: SupervisorConfig,
        tasks: TaskTracker,
        clock: Arc<dyn Clock>,
        entropy: Entropy,
    ) -> Result<Self, StartError> {
        let root = &config.run_root;
        let longest = root.join("0123456789ab").join("c");
        if longest.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(StartError::RunRootTooLong(root.clone()));
        }
        let failed = |source| StartError::Folder { path: root.clone(), source };
        // As root, the instances' users pass through it to their own folders, without reading it.
        let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(root).map_err(failed)?;
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let (leaving, owners_leave) = (CancellationToken::new(), CancellationToken::new());
        let (cgroups, owners, seen) = (Arc::new(Cgroups::find()), TaskTracker::new(), OnceLock::new());
        Ok(Self { config, clock, cgroups, tasks, entropy, seen, leaving, owners, owners_leave })
    }

    /// Control groups for errands, beside those of instances.
    pub fn errand_groups(&self, installation: InstallationId) -> ErrandGroups {
        ErrandGroups::new(Arc::clone(&self.cgroups), installation)
    }

    /// Tells each step of the launches to come; told already to somebody, it stays with them.
    pub fn tell_steps(&self, seen: Seen) {
        let _ = self.seen.set(seen);
    }

    fn saw(&self, instance: InstanceId, step: Step) {
        if let Some(seen) = self.seen.get() {
            seen(instance, step);
        }
    }

    /// Leaves all shims to the next process: whoever watches them here stops, whatever it was doing, and neither ends a shim
    /// nor speaks to one any more. The owners of instances first: to them, a watcher that has gone is an instance that ended.
    pub async fn let_go(&self) {
        self.owners_leave.cancel();
        self.owners.close();
        self.owners.wait().await;
        self.leaving.cancel();
    }

    /// Removes from the machine what was made for an installation as a whole, unless an instance of it lives.
    pub fn leave(&self, installation: InstallationId) {
        self.cgroups.leave(installation);
    }

    /// The work of an instance's owner: given up as soon as the shims are let go.
    pub fn until_let_go<F: Future<Output = ()>>(&self, work: F) -> impl Future<Output = ()> + use<F> {
        let (leave, counted) = (self.owners_leave.clone(), self.owners.token());
        async move {
            let _counted = counted;
            tokio::select! {
                biased;
                () = leave.cancelled() => {}
                () = work => {}
            }
        }
    }

    /// The folder of an instance: its name is the random tail of the id, short for the sockets' sake.
    pub fn run_folder(&self, instance: InstanceId) -> PathBuf {
        let id = instance.uuid().simple().to_string();
        self.config.run_root.join(&id[20..])
    }

    /// Starts a shim and hands it its specification, whose run folder is filled in here, and its secrets.
    pub async fn start(&self, specification: Specification, secrets: Secrets) -> Result<Shim, StartError> {
        let prepared = self.prepare(specification).await?;
        self.start_prepared(prepared, secrets).await
    }

    /// Starts a shim and hands it its specification, whose run folder is filled in here. It makes ready what it can without its
    /// secrets, and runs nothing.
    pub async fn prepare(&self, mut specification: Specification) -> Result<Prepared, StartError> {
        let instance = specification.instance;
        let folder = self.run_folder(instance);
        specification.run_folder.clone_from(&folder);
        make_folder(&folder).map_err(|source| StartError::Folder { path: folder.clone(), source })?;
        self.saw(instance, Step::RunFolderMade);
        let group = self.group(&specification);
        self.saw(instance, Step::GroupMade);
        specification.cgroups = group.folders().to_vec();
        let mut prepared = Prepared { instance, folder, group, shim: None, input: None };
        if let Err(error) = self.start_in(&mut prepared, &specification).await {
            // What is left of it was never an instance.
            prepared.discard().await;
            return Err(error);
        }
        Ok(prepared)
    }

    /// Hands a shim its secrets, with which it starts its server.
    pub async fn start_prepared(&self, mut prepared: Prepared, secrets: Secrets) -> Result<Shim, StartError> {
        let handed = match (frame::document(&secrets), prepared.input.take()) {
            (Ok(secret), Some(input)) => self.hand_over(prepared.instance, input, &secret).await,
            (Ok(_), None) => Ok(()),
            (Err(error), _) => Err(StartError::Specification(error)),
        };
        if let Err(error) = handed {
            prepared.discard().await;
            return Err(error);
        }
        let (child, process) = prepared.shim.take().expect("what was prepared has a shim");
        let (folder, group) = (std::mem::take(&mut prepared.folder), std::mem::take(&mut prepared.group));
        Ok(self.watch(child, process, folder, group, prepared.instance, secrets.control))
    }

    async fn hand_over(
        &self,
        instance: InstanceId,
        mut input: ChildStdin,
        secret: &[u8],
    ) -> Result<(), StartError> {
        let handed = tokio::time::timeout(HAND_OVER_TIMEOUT, input.write_all(secret)).await;
        match handed.unwrap_or_else(|late| Err(late.into())) {
            // It left while it was told: it says why, and the owner task reads that.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(StartError::HandOver(error)),
            _ => {
                self.saw(instance, Step::SecretsHanded);
                Ok(())
            }
        }
    }

    /// The control group of the instance; an instance without one is run nevertheless, and said to be.
    fn group(&self, specification: &Specification) -> Group {
        let Specification { installation, instance, limits, .. } = specification;
        self.cgroups.create(*installation, *instance, limits).unwrap_or_else(|error| {
            tracing::warn!(instance.id = %instance, %error, "the instance runs without a control group");
            Group::default()
        })
    }

    async fn start_in(
        &self,
        prepared: &mut Prepared,
        specification: &Specification,
    ) -> Result<(), StartError> {
        let plan = frame::document(specification).map_err(StartError::Specification)?;
        let (program, folder) = (&self.config.shim_program, &prepared.folder);
        let failed = |source| StartError::Spawn { program: program.clone(), source };
        give_folder(folder, specification)
            .map_err(|source| StartError::Folder { path: folder.clone(), source })?;
        let log = private_file(&folder.join(SHIM_LOG_FILE)).map_err(failed)?;
        let mut child = spawn(program, log).map_err(failed)?;
        self.saw(specification.instance, Step::ShimSpawned);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let process = ProcessId { pid, started: process::started(pid).unwrap_or_default() };
        let input = child.stdin.take();
        prepared.shim = Some((child, process));
        let told = async {
            note_launch(folder, specification, process)?;
            self.saw(specification.instance, Step::LaunchNoted);
            let mut input = input.ok_or(io::ErrorKind::BrokenPipe)?;
            input.write_all(&plan).await?;
            Ok::<_, io::Error>(input)
        };
        match tokio::time::timeout(HAND_OVER_TIMEOUT, told).await.unwrap_or_else(|late| Err(late.into())) {
            Ok(input) => prepared.input = Some(input),
            // It left while it was told: it says why, and the owner task reads that.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(StartError::HandOver(error)),
        }
        Ok(())
    }

    fn watch(
        &self,
        child: Child,
        process: ProcessId,
        folder: PathBuf,
        group: Group,
        instance: InstanceId,
        secret: ControlSecret,
    ) -> Shim {
        let (launched, decided) = oneshot::channel();
        let shim = Watch { process, instance, folder, group, secret };
        let mut shim = self.own(Process::Child(child), shim, Some(launched));
        shim.launched = Some(decided);
        shim
    }

    /// Gives a shim its owner, and says how to reach it. One whose launch is not ours to decide is not ours to kill.
    pub(crate) fn own(
        &self,
        process: Process,
        watch: Watch,
        launched: Option<oneshot::Sender<Result<Ready, LaunchError>>>,
    ) -> Shim {
        let (asked, asking) = mpsc::channel(COMMAND_QUEUE);
        let (events, heard) = mpsc::channel(EVENT_QUEUE);
        let kill = watch::Sender::new(false);
        let Watch { process: id, instance, folder, group, secret } = watch;
        let control = ShimControl { instance, process: id, asked, kill: kill.clone() };
        let link = link::Link {
            socket: folder.join(roadstead_control::CONTROL_SOCKET),
            secret,
            entropy: Arc::clone(&self.entropy),
            asking,
            events: events.clone(),
            forwarded: 0,
            usage: crate::link::Passed::default(),
        };
        let decided = launched.is_none();
        let owner = Owner {
            process,
            folder,
            group: Some(group),
            instance,
            clock: Arc::clone(&self.clock),
            events,
            launched,
            killed: kill.subscribe(),
            link: Some(link),
            tasks: self.tasks.clone(),
            seen: self.seen.get().cloned(),
            leaving: self.leaving.clone(),
        };
        self.tasks.spawn(self.leaving.clone().run_until_cancelled_owned(owner.run()));
        Shim { control, launched: None, events: Some(heard), decided }
    }

    /// Removes an ended instance's folder: its records have been stored.
    pub fn forget(&self, instance: InstanceId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.run_folder(instance)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Without hooks, so that the process is made without copying our memory map. The environment stays behind:
/// nothing of ours is the shim's business.
#[expect(clippy::disallowed_methods, reason = "the one place that starts shims")]
fn spawn(program: &Path, log: File) -> io::Result<Child> {
    Command::new(program).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()
}

/// Fails where the folder exists: two launches of one instance are a mistake.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

fn give_folder(folder: &Path, specification: &Specification) -> io::Result<()> {
    match specification.user {
        Some(user) => {
            Ok(nix::unistd::chown(folder, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?)
        }
        None => Ok(()),
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn note_launch(folder: &Path, specification: &Specification, shim: ProcessId) -> io::Result<()> {
    use std::io::Write as _;
    let note = LaunchNote {
        installation: specification.installation,
        instance: specification.instance,
        boot: specification.boot,
        shim,
        limits: Some(specification.limits),
        has_own_user: specification.user.is_some(),
    };
    private_file(&folder.join(LAUNCH_FILE))?.write_all(&frame::line(&note))
}
