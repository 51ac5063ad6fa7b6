//! The wiring: from a configuration to a service that listens. Back down: `leave`.

mod leave;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rand::Rng;
use roadstead_accounts::Accounts;
use roadstead_api::{ApiParts, ApiState, Browsers};
use roadstead_gateway::{Endings, Gateway, Routes};
use roadstead_metrics::Metrics;
use roadstead_model::{BootId, Clock, InstallationId, NodeId, Randomness, SystemClock, limits};
use roadstead_orchestrator::{
    Limits, LogWriter, Node, Orchestrator, RecoverStatus, Unwitnessed, UsageWriter,
};
use roadstead_store::{PgConnectOptions, Store, migrate};
use roadstead_supervisor::{Supervisor, SupervisorConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::data_folder::{DataFolder, DataFolderError, DataFolderLock};
use crate::database::{Database, private_cluster};
use crate::handover::{Manners, Offer, Predecessor};
use crate::listen::listen;
use crate::postgres::{Postgres, Step, StopMode};
use crate::sockets::Listening;

/// Connections of the service to its database: more than two processors can use at once, few enough for any server.
const MAX_CONNECTIONS: u32 = 16;
/// How long a process that hung up in the middle may take to be gone, and its lock with it.
const LAST_BREATH: Duration = Duration::from_secs(2);
/// The pause between two attempts at that lock.
const LOOK: Duration = Duration::from_millis(20);
/// The manifests of the servers that come with the product.
const BUNDLED: &[&str] = &[
    include_str!("../../../mcp-servers/echo/manifest.toml"),
    include_str!("../../../mcp-servers/github/manifest.toml"),
    include_str!("../../../mcp-servers/figma/manifest.toml"),
    include_str!("../../../mcp-servers/gmail/manifest.toml"),
];

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The private database.
    Database(Step),
    /// Tables were brought up to date; so many migrations were new.
    Migrated(usize),
    /// What an earlier run left was dealt with.
    Recovered(RecoverStatus),
    /// Callers are taken.
    Listening(SocketAddr),
}

/// What becomes of instances and the private database when the service stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// They go on: the next start finds them.
    Leave,
    /// They end with us.
    End,
}

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    /// Where callers reach it.
    pub url: String,
    /// Its data folder.
    pub data_folder: PathBuf,
    orchestrator: Orchestrator,
    store: Store,
    soft: CancellationToken,
    hard: CancellationToken,
    /// Ends connections, whatever is under way on them.
    cut: CancellationToken,
    /// Ends event streams.
    endings: Endings,
    drain: Duration,
    works: Works,
    server: JoinHandle<()>,
    database: Option<JoinHandle<Postgres>>,
    /// Folders for sockets: when everything has ended, they are empty and go.
    sockets: [PathBuf; 2],
    /// Where the next process asks for our place, and who answers it.
    asked_at: PathBuf,
    offer: Option<Offer>,
    lock: leave::Lock,
}

/// All that runs, by who has to wait for it.
#[derive(Debug, Clone, Default)]
struct Works {
    /// Launches and changes, which outlive their requests.
    tasks: TaskTracker,
    /// The owners of instances.
    drivers: TaskTracker,
    /// What is done on a schedule.
    chores: TaskTracker,
    /// Writers, and the watch over the database.
    background: TaskTracker,
    /// Requests of the REST API.
    requests: TaskTracker,
    /// The listener and its connections.
    callers: TaskTracker,
    /// Those who come for our place.
    askers: TaskTracker,
    /// Who has asked how often.
    limits: Arc<roadstead_limits::Limits>,
}

impl Works {
    /// Begins what is done on a schedule.
    fn spawn_chores(
        &self,
        (config, database): (&Config, &Database),
        ground: &Ground,
        (accounts, orchestrator): (&Accounts, &Orchestrator),
        metrics: &Arc<Metrics>,
        soft: &CancellationToken,
    ) {
        self.chores.spawn(crate::doctor::log_absent());
        if let Ok(Some(archive)) = database.archive() {
            self.chores.spawn(crate::archive::watch(archive, database.service(), soft.clone()));
        }
        self.chores.spawn(crate::tasks::attend(orchestrator.clone(), soft.clone()));
        self.chores.spawn(crate::tasks::tidy_limits(Arc::clone(&self.limits), soft.clone()));
        if config.reaps {
            accounts.archive_to(ground.folder.path().join(crate::retention::FOLDER));
            let cleaner = accounts.cleaner();
            let reaping =
                crate::reaper::beside(orchestrator, cleaner, &ground.clock, &ground.randomness, soft);
            self.chores.spawn(reaping);
        }
        self.chores.spawn(crate::packages::look_after(orchestrator.clone(), soft.clone()));
        let rotation = crate::rotation::rotate(accounts.clone(), Arc::clone(metrics), soft.clone());
        self.chores.spawn(rotation);
        self.chores.spawn(crate::audit::look_after(accounts.clone(), soft.clone()));
        let (clock, metrics) = (Arc::clone(&ground.clock), Arc::clone(metrics));
        self.chores.spawn(crate::tasks::reconcile(orchestrator.clone(), clock, metrics, soft.clone()));
    }
}

/// What is known before the database is.
struct Ground {
    folder: DataFolder,
    lock: Arc<DataFolderLock>,
    installation: InstallationId,
    clock: Arc<SystemClock>,
    randomness: Arc<Randomness>,
}

impl Service {
    /// Starts everything, in an order in which nothing is open before what it needs is there.
    pub async fn start(config: &Config, mut stage: impl FnMut(Stage) + Send) -> anyhow::Result<Self> {
        let before = predecessor(config).await?;
        let ground = Ground::prepare(config, before.is_some()).await?;
        let folder = ground.folder.path().to_owned();
        let (installation, lock) = (ground.installation, Arc::clone(&ground.lock));
        crate::database::settle_archive(config, &folder, installation).await?;
        let mut began_cluster = false;
        let database = Database::open(config, &folder, installation, &ground.randomness, |step| {
            began_cluster |= step == Step::Ready { reused: false };
            stage(Stage::Database(step));
        })
        .await?;
        let started = Self::start_on(config, ground, database, before, stage).await;
        if started.is_err() && began_cluster {
            // Nobody would know of it.
            let stopped = private_cluster(config, &folder, installation).stop(StopMode::Fast).await;
            if let Err(error) = stopped {
                tracing::warn!(error = &error as &dyn std::error::Error, "the private database did not stop");
            }
        }
        drop(lock);
        started
    }

    async fn start_on(
        config: &Config,
        ground: Ground,
        database: Database,
        mut before: Option<Predecessor>,
        mut stage: impl FnMut(Stage) + Send,
    ) -> anyhow::Result<Self> {
        let folder = ground.folder.path().to_owned();
        let migrated = migrate::up(database.owner(), None)
            .await
            .context("the tables could not be brought up to date")?;
        stage(Stage::Migrated(migrated.len()));
        let store = Store::connect(database.service(), MAX_CONNECTIONS)
            .await
            .context("the database does not answer")?;
        ground.clock.set_offset(store.clock_offset(|| ground.clock.machine_now()).await?);
        store.ensure_partitions(ground.clock.now()).await?;

        let listening = Listening::choose(config, before.as_mut().and_then(Predecessor::take_listener))?;
        let address = listening.listener.local_addr()?;
        let url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let accounts = accounts(config, &ground, &store).await?;
        crate::audit::tell_migrations(&accounts, migrated.len()).await;
        crate::profile::ensure(&accounts, &folder, &url, config.bootstrap_key_file.as_deref()).await?;

        let works = Works::default();
        let (soft, hard) = tokens();
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let (log_writer, log_task) = LogWriter::new(store.clone(), &metrics);
        let (usage_writer, usage_task) = UsageWriter::new(store.clone(), &metrics);
        let ours = Ours::of(config, &ground, address, &database.service());
        let wired = Wired { works: &works, soft: &soft, log_writer, usage_writer, metrics: &metrics, ours };
        let orchestrator = wired.orchestrator(config, &ground, &store, &accounts).await?;
        works.background.spawn(log_task.run(hard.clone()));
        works.background.spawn(usage_task.run(hard.clone()));
        works.background.spawn(crate::tasks::write_key_uses(accounts.clone(), hard.clone()));
        stage(Stage::Recovered(orchestrator.recover().await?));

        orchestrator.watch_processes().context("no thread could be started")?;
        works.spawn_chores((config, &database), &ground, (&accounts, &orchestrator), &metrics, &soft);
        let database = database.into_private().map(|(postgres, running)| {
            let randomness = ground.randomness.clone();
            works.background.spawn(crate::tasks::keep_database(postgres, running, randomness, hard.clone()))
        });
        let (cut, endings) = (CancellationToken::new(), Endings::default());
        let base = (url.as_str(), config.public_url.is_some());
        let browsers = Browsers::new(address, base.0, &config.allowed_origins);
        let app = app(&ground, &accounts, &orchestrator, base, &works, endings.clone(), (metrics, browsers));
        let spare = listening.listener.try_clone()?;
        listening.store();
        let listener = tokio::net::TcpListener::from_std(listening.listener)?;
        let server = works.callers.spawn(listen(listener, app, soft.clone(), cut.clone()));
        if let Some(before) = before {
            before.thank().await;
        }
        let asked_at = crate::handover::socket(config, ground.installation);
        let offer = offer(&asked_at, spare, &works.askers);
        stage(Stage::Listening(address));
        let sockets = socket_folders(config, ground.installation);
        let (drain, lock) = (config.drain, Some(ground.lock));
        Ok(Self {
            url,
            data_folder: folder,
            orchestrator,
            store,
            soft,
            hard,
            cut,
            endings,
            drain,
            works,
            server,
            database,
            sockets,
            asked_at,
            offer,
            lock,
        })
    }

    /// Resolves when the service can go on no longer by itself.
    pub async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.server).await {
            Ok(()) => anyhow::anyhow!("the listener has ended"),
            Err(error) => anyhow::Error::new(error).context("the listener has panicked"),
        }
    }
}

impl Ground {
    async fn prepare(config: &Config, follows: bool) -> anyhow::Result<Self> {
        let folder = DataFolder::open(&DataFolder::choose(config.data_dir.as_deref())?)?;
        let begun = tokio::time::Instant::now();
        let lock = loop {
            match folder.lock() {
                // The process before us died a moment ago, or hung up because it dies: what it leaves is about to be gone.
                Err(DataFolderError::InUse { holder, .. })
                    if (follows || !lives(holder)) && begun.elapsed() < LAST_BREATH =>
                {
                    tokio::time::sleep(LOOK).await;
                }
                locked => break Arc::new(locked?),
            }
        };
        let clock = Arc::new(SystemClock::new());
        let randomness = Arc::new(Randomness::from_seed(os_seed()));
        let installation = folder.installation_id(&*clock, &mut *randomness.lock())?;
        Ok(Self { folder, lock, installation, clock, randomness })
    }
}

/// Whether a process is there. One that was killed while it started another holds its lock until that is a program of its own.
fn lives(process: Option<u32>) -> bool {
    let process = process.and_then(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
    process.is_some_and(|process| nix::sys::signal::kill(process, None) != Err(nix::errno::Errno::ESRCH))
}

/// The process whose place we take, if there is one that leaves, or is to.
async fn predecessor(config: &Config) -> anyhow::Result<Option<Predecessor>> {
    let folder = DataFolder::choose(config.data_dir.as_deref())?;
    let Some(installation) = crate::data_folder::known_installation(&folder) else { return Ok(None) };
    let manners = if config.replace { Manners::Replace } else { Manners::Polite };
    Predecessor::ask(&crate::handover::socket(config, installation), config.listen, manners).await
}

/// Without it, all that is lost is that callers are refused during the next restart.
fn offer(path: &Path, listener: std::net::TcpListener, tasks: &TaskTracker) -> Option<Offer> {
    match Offer::new(path, listener, tasks) {
        Ok(offer) => Some(offer),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the listening socket cannot be handed to a next process");
            None
        }
    }
}

/// Randomness of the operating system, asked for here alone; everything else is given a generator.
pub fn os_seed() -> [u8; 32] {
    use rand::TryRng;
    let mut seed = [0_u8; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).expect("the operating system has randomness to give");
    seed
}

fn tokens() -> (CancellationToken, CancellationToken) {
    let hard = CancellationToken::new();
    (hard.child_token(), hard)
}

async fn accounts(config: &Config, ground: &Ground, store: &Store) -> anyhow::Result<Accounts> {
    let (ring, keeper) = crate::key_file::open(
        ground.folder.path(),
        config.master_key.as_ref(),
        store,
        &*ground.clock,
        &ground.randomness,
    )
    .await?;
    let accounts = Accounts::new(roadstead_accounts::Parts {
        store: store.clone(),
        ring,
        keeper,
        clock: ground.clock.clone(),
        randomness: Arc::clone(&ground.randomness),
    });
    accounts.resume_rotation().await.context("the master key cannot be used")?;
    accounts.insert_bundled(BUNDLED).await.context("the bundled server types could not be entered")?;
    Ok(accounts)
}

/// What the orchestrator needs of the life cycle.
struct Wired<'a> {
    works: &'a Works,
    soft: &'a CancellationToken,
    log_writer: LogWriter,
    usage_writer: UsageWriter,
    metrics: &'a Arc<Metrics>,
    ours: Ours,
}

/// What no server may reach.
struct Ours {
    folders: Vec<PathBuf>,
    ports: Vec<u16>,
}

impl Ours {
    fn of(config: &Config, ground: &Ground, listen: SocketAddr, database: &PgConnectOptions) -> Self {
        let mut folders = vec![ground.folder.path().to_owned()];
        folders.extend(socket_folders(config, ground.installation));
        let mut ports = vec![listen.port()];
        match database.get_socket() {
            Some(socket) => folders.push(socket.clone()),
            None => ports.push(database.get_port()),
        }
        Self { folders, ports }
    }
}

impl Wired<'_> {
    async fn orchestrator(
        self,
        config: &Config,
        ground: &Ground,
        store: &Store,
        accounts: &Accounts,
    ) -> anyhow::Result<Orchestrator> {
        let programs = program_folder()?;
        let supervisor = supervisor(config, ground, &programs, &self.works.drivers)?;
        let workplaces = ground.folder.path().join("instances");
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        crate::data_folder::make_folder(&workplaces, mode)
            .with_context(|| format!("could not make {}", workplaces.display()))?;
        let orchestrator = Orchestrator::new(roadstead_orchestrator::Parts {
            store: store.clone(),
            accounts: accounts.clone(),
            packages: crate::packages::store(
                config,
                ground.folder.path(),
                &programs,
                supervisor.errand_groups(ground.installation),
            )?,
            supervisor: Arc::new(supervisor),
            routes: Routes::default(),
            clock: ground.clock.clone(),
            randomness: Arc::clone(&ground.randomness),
            log_writer: self.log_writer,
            usage_writer: self.usage_writer,
            tasks: self.works.tasks.clone(),
            drivers: self.works.drivers.clone(),
            stopping: self.soft.clone(),
            node: Node {
                installation: ground.installation,
                // One machine per data folder: they share an id.
                node: NodeId::from_uuid(ground.installation.uuid()),
                boot: boot_id()?,
            },
            limits: times(),
            workplaces,
            bundled: programs,
            hidden: self.ours.folders,
            closed_ports: self.ours.ports,
            allowed_origins: config.allowed_origins.clone(),
            scanner: config.scanner.clone(),
            settings: accounts.settings_in_force().await?,
            witness: config.witness.clone().unwrap_or_else(|| Arc::new(Unwitnessed)),
            metrics: Arc::clone(self.metrics),
        });
        let hostname = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        orchestrator.enter_node(hostname.unwrap_or_else(|| "localhost".to_owned())).await?;
        Ok(orchestrator)
    }
}

/// The times that hold for every instance.
pub(crate) const fn times() -> Limits {
    Limits { stop_step: limits::STOP_STEP, grace: limits::EXPIRY_GRACE, quarantine: limits::PORT_QUARANTINE }
}

/// Where our own programs lie: beside this one.
pub(crate) fn program_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("this program cannot tell where it lies")?;
    Ok(program.parent().unwrap_or_else(|| Path::new("/")).to_owned())
}

fn supervisor(
    config: &Config,
    ground: &Ground,
    programs: &Path,
    drivers: &TaskTracker,
) -> anyhow::Result<Supervisor> {
    let shim_program = programs.join("roadstead-shim");
    anyhow::ensure!(
        shim_program.is_file(),
        "{} is missing; build or install it beside this program (`cargo build --release` builds all)",
        shim_program.display()
    );
    let run_root = run_root(config, ground.installation);
    let randomness = Arc::clone(&ground.randomness);
    let entropy = Arc::new(move |bytes: &mut [u8; 32]| randomness.lock().fill_bytes(bytes));
    let clock: Arc<dyn Clock> = ground.clock.clone();
    Ok(Supervisor::new(SupervisorConfig { shim_program, run_root }, drivers.clone(), clock, entropy)?)
}

/// The folders for sockets of an installation: the shims', and the database's.
pub(crate) fn socket_folders(config: &Config, installation: InstallationId) -> [PathBuf; 2] {
    let database = crate::postgres::socket_folder(config.runtime_dir.as_deref(), installation);
    [run_root(config, installation), database]
}

/// Where instances have their sockets: beside the database's, in a folder of this installation.
pub fn run_root(config: &Config, installation: InstallationId) -> PathBuf {
    let database = crate::postgres::socket_folder(config.runtime_dir.as_deref(), installation);
    let name = database.file_name().and_then(|name| name.to_str()).unwrap_or_default().replace("pg-", "run-");
    database.with_file_name(name)
}

/// Ends every instance of an installation that a service which is gone has left.
pub async fn end_survivors(
    config: &Config,
    installation: InstallationId,
    patience: Duration,
) -> anyhow::Result<usize> {
    let root = run_root(config, installation);
    if !root.is_dir() {
        return Ok(0);
    }
    let tasks = TaskTracker::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let never_started = Arc::new(|bytes: &mut [u8; 32]| *bytes = os_seed());
    let settings =
        SupervisorConfig { shim_program: program_folder()?.join("roadstead-shim"), run_root: root };
    let supervisor = Supervisor::new(settings, tasks, clock, never_started)?;
    let found = supervisor.survey(installation, boot_id()?, true)?;
    let alive = found.iter().filter(|found| found.is_alive()).count();
    supervisor.end(&found, patience).await?;
    Ok(alive)
}

pub(crate) fn boot_id() -> anyhow::Result<BootId> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    text.trim().parse().with_context(|| format!("{path} holds no id"))
}

fn app(
    ground: &Ground,
    accounts: &Accounts,
    orchestrator: &Orchestrator,
    (url, is_proxied): (&str, bool),
    works: &Works,
    endings: Endings,
    (metrics, browsers): (Arc<Metrics>, Browsers),
) -> axum::Router {
    let state = ApiState::new(ApiParts {
        accounts: accounts.clone(),
        orchestrator: orchestrator.clone(),
        clock: ground.clock.clone(),
        randomness: Arc::clone(&ground.randomness),
        public_base: url.to_owned(),
        is_proxied,
        limits: Arc::clone(&works.limits),
        tasks: works.tasks.clone(),
    });
    works.chores.spawn(roadstead_api::write_refusals(state.clone()));
    let gateway = Gateway::new(
        orchestrator.routes(),
        Arc::new(orchestrator.clone()),
        ground.clock.clone(),
        Arc::clone(&ground.randomness),
    );
    let counted = axum::middleware::from_fn_with_state(works.requests.clone(), leave::count);
    let gateway = gateway.measured(metrics).with_endings(endings).router();
    let access = roadstead_api::shield(gateway, state.clone(), browsers.clone());
    access.merge(roadstead_api::router(state, browsers).layer(counted))
}
