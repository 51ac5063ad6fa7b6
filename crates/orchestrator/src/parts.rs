//! What the orchestrator is made of.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use roadstead_accounts::{Accounts, AccountsError, Settings};
use roadstead_control::HTTP_SOCKET;
use roadstead_gateway::{RouteLease, Routes};
use roadstead_metrics::Metrics;
use roadstead_model::reconcile::Streak;
use roadstead_model::{BootId, Clock, InstallationId, InstanceId, NodeId, Randomness};
use roadstead_packages::PackageStore;
use roadstead_port_allocator::PortPool;
use roadstead_store::Store;
use roadstead_supervisor::{FreeMemory, Supervisor};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::compiled::Compiling;
use crate::live::LiveInstances;
use crate::logs::LogWriter;
use crate::reap::{Reaper, ReaperParts};
use crate::stats::Samples;
use crate::usage::UsageWriter;
use crate::witness::{Steps, Witness};

/// The machine and the installation that instances belong to.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Whose data folder.
    pub installation: InstallationId,
    /// Which machine.
    pub node: NodeId,
    /// Which boot of it.
    pub boot: BootId,
}

/// Times that a test shortens and an operator may change.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One step of the stop ladder.
    pub stop_step: Duration,
    /// What calls in flight get after the deadline.
    pub grace: Duration,
    /// How long a released port rests.
    pub quarantine: Duration,
}

/// What a shim may take beyond grace and ladder before it is killed with all that belongs to it.
const END_MARGIN: Duration = Duration::from_secs(5);

impl Limits {
    /// How long an instance may take to end, from the moment on at which it begins to.
    pub(crate) fn longest_end(&self) -> Duration {
        self.grace + self.stop_step * 3 + END_MARGIN
    }
}

/// What the wiring hands over.
#[derive(Debug)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Opens and seals credentials.
    pub accounts: Accounts,
    /// Starts shims.
    pub supervisor: Arc<Supervisor>,
    /// The gateway's ways.
    pub routes: Routes,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For ids, tokens and control secrets.
    pub randomness: Arc<Randomness>,
    /// Log lines on their way to rows.
    pub log_writer: LogWriter,
    /// What calls cost, on its way to rows.
    pub usage_writer: UsageWriter,
    /// Work that outlives a request: launches and changes, which a stop of the service waits for.
    pub tasks: TaskTracker,
    /// The owners of running instances, which live as long as those.
    pub drivers: TaskTracker,
    /// Cancelled when nothing new may begin.
    pub stopping: CancellationToken,
    /// Where and who we are.
    pub node: Node,
    /// Times.
    pub limits: Limits,
    /// The servers' own folders are made in here.
    pub workplaces: PathBuf,
    /// The folder of bundled servers' programs.
    pub bundled: PathBuf,
    /// Installed packages, which types are made of.
    pub packages: PackageStore,
    /// Folders of ours of which a server sees nothing but its own: data, sockets.
    pub hidden: Vec<PathBuf>,
    /// TCP ports of ours beside the pool: no server connects to them.
    pub closed_ports: Vec<u16>,
    /// Origins of web pages that may call instances.
    pub allowed_origins: Vec<String>,
    /// The operator's own program that looks at what a type's servers offer.
    pub scanner: Option<PathBuf>,
    /// What the settings said at the start.
    pub settings: Settings,
    /// Hears of each step.
    pub witness: Arc<dyn Witness>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Parts {
    fn of_reaper(&self) -> ReaperParts {
        ReaperParts {
            store: self.store.clone(),
            supervisor: Arc::clone(&self.supervisor),
            clock: Arc::clone(&self.clock),
            node: self.node,
            limits: self.limits,
            workplaces: self.workplaces.clone(),
            stopping: self.stopping.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// The orchestrator; clones are the same one.
#[derive(Debug, Clone)]
pub struct Orchestrator(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) ports: PortPool,
    pub(crate) live: LiveInstances,
    /// Ends what nobody answers for, and writes every end down.
    pub(crate) reaper: Reaper,
    /// Shims that no live row claims, as often as they were seen so.
    pub(crate) strangers: Mutex<HashMap<InstanceId, Streak>>,
    pub(crate) settings: RwLock<Arc<Settings>>,
    pub(crate) running_as_root: bool,
    pub(crate) steps: Arc<Steps>,
    pub(crate) samples: Samples,
    /// Who starts processes, and who waits to.
    pub(crate) admission: Admission,
    /// Whose servers compile for others.
    pub(crate) compiling: Mutex<Compiling>,
    /// Events about limits that wait for the database.
    pub(crate) events_waiting: AtomicUsize,
}

impl Orchestrator {
    /// An orchestrator over its parts; nothing runs until `recover` and the reaper are called.
    pub fn new(parts: Parts) -> Self {
        let steps = Arc::new(Steps::new(Arc::clone(&parts.witness), Arc::clone(&parts.metrics)));
        let heard = Arc::clone(&steps);
        parts.supervisor.tell_steps(Arc::new(move |instance, step| heard.taken(instance, step)));
        let pool = PortPool::new(parts.settings.ports, parts.limits.quarantine, Arc::clone(&parts.clock));
        let live = LiveInstances::default();
        let reaper = Reaper::beside(parts.of_reaper(), live.clone(), Arc::clone(&steps));
        let settings_in_force = RwLock::new(Arc::new(parts.settings.clone()));
        let running_as_root = crate::workplace::running_as_root();
        let free = FreeMemory::find();
        Self(Arc::new(Inner {
            parts,
            ports: pool,
            live,
            reaper,
            strangers: Mutex::default(),
            compiling: Mutex::default(),
            settings: settings_in_force,
            running_as_root,
            steps,
            samples: Samples::default(),
            admission: Admission::new(move || free.bytes()),
            events_waiting: AtomicUsize::new(0),
        }))
    }

    /// The ways to running instances, for the gateway.
    pub fn routes(&self) -> Routes {
        self.0.parts.routes.clone()
    }

    /// Cancelled when the service is told to stop: whoever streams ends then.
    pub fn stopping(&self) -> CancellationToken {
        self.0.parts.stopping.clone()
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings()
    }

    /// Reads the settings again and obeys them: the pool grows or shrinks, the quota changes.
    pub async fn settings_changed(&self) -> Result<(), AccountsError> {
        let settings = self.0.parts.accounts.settings_in_force().await?;
        let before = self.0.settings();
        if settings != *before {
            let ports = settings.ports;
            self.0.ports.resize(ports);
            *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
            self.0
                .parts
                .store
                .ports()
                .ensure_range(self.0.parts.node.node, ports)
                .await
                .map_err(AccountsError::Store)?;
        }
        Ok(())
    }
}

impl Inner {
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn now(&self) -> time::OffsetDateTime {
        self.parts.clock.now()
    }

    /// Opens the gateway's way to a living shim.
    pub(crate) fn route_to(&self, instance: InstanceId) -> RouteLease {
        let socket = self.parts.supervisor.run_folder(instance).join(HTTP_SOCKET);
        self.parts.routes.open(instance, socket)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }
}
