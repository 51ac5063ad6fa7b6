//! The reaper: beside the requests of a service, or in a process of its own that needs no master key, takes no folder's lock and
//! works on while the service is down. A lease in the database keeps it one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use roadstead_accounts::Cleaner;
use roadstead_metrics::{Metrics, Work};
use roadstead_model::{Clock, InstallationId, NodeId, Randomness, ReaperId, SystemClock};
use roadstead_orchestrator::{Lease, LeaseKind, Orchestrator, ReapStatus, Reaper, ReaperParts};
use roadstead_store::Store;
use roadstead_supervisor::{Supervisor, SupervisorConfig};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::database::Database;
use crate::lifecycle::Signals;
use crate::service::{boot_id, os_seed, program_folder, run_root, times};
use crate::tasks::{TICK, report, run, timed};
use crate::up::{reassure, tell};

/// How often the chores are done that need no hurry.
const CHORES: Duration = Duration::from_secs(30);
/// The pause before a daemon looks again for what it cannot work without.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Connections of a daemon: those that hold a row while processes go, and some for what is written meanwhile.
const MAX_CONNECTIONS: u32 = 8;

/// The reaper of a service, for as long as it runs.
pub fn beside(
    orchestrator: &Orchestrator,
    cleaner: Cleaner,
    clock: &SystemClock,
    randomness: &Randomness,
    soft: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let reaper = orchestrator.reaper();
    let id = ReaperId::new(clock, &mut *randomness.lock());
    let lease = Lease::new(&reaper, LeaseKind::Service, id);
    keep_reaping(reaper, cleaner, lease, None, soft.clone())
}

/// Reaps while the lease is held, until `soft` is cancelled; then gives the lease up. `clock` is set where nobody else sets it.
pub async fn keep_reaping(
    reaper: Reaper,
    cleaner: Cleaner,
    lease: Lease,
    clock: Option<Arc<SystemClock>>,
    soft: CancellationToken,
) {
    tokio::join!(
        lease.keep(&soft),
        reap(&reaper, &lease, clock.as_deref(), &soft),
        roadstead_orchestrator::keep_sealing(&reaper, &lease, &soft),
        crate::retention::daily(&cleaner, &lease, &soft)
    );
    lease.give_up().await;
}

async fn reap(reaper: &Reaper, lease: &Lease, clock: Option<&SystemClock>, soft: &CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut chores_at = tokio::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if !lease.is_held() {
            continue;
        }
        let work = async {
            if tokio::time::Instant::now() >= chores_at {
                chores_at = tokio::time::Instant::now() + CHORES;
                report("reaper's chores", ReapStatus::default(), chores(reaper, clock).await);
            }
            let mut status = ReapStatus::default();
            let running = reaper.run(&mut status, || lease.is_held() && !soft.is_cancelled());
            let outcome = timed(reaper.metrics(), Work::Reaper, running).await;
            report("reaper", status, outcome);
        };
        if run(soft, Box::pin(work)).await.is_none() {
            return;
        }
    }
}

async fn chores(reaper: &Reaper, clock: Option<&SystemClock>) -> Result<(), roadstead_store::StoreError> {
    if let Some(clock) = clock {
        reaper.set_clock(clock).await?;
    }
    reaper.chores().await
}

/// `roadstead reaper`: waits for whatever is missing, and works until a signal ends it.
pub async fn daemon(config: &Config) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let soft = CancellationToken::new();
    tell(NotifyState::Ready);
    let working = work(config, &soft);
    tokio::pin!(working);
    tokio::select! {
        done = &mut working => return done,
        _ = signals.next() => {}
        never = reassure() => match never {},
    }
    tell(NotifyState::Stopping);
    soft.cancel();
    // A batch under way is finished, unless somebody is in a hurry.
    tokio::select! {
        done = working => done,
        _ = signals.next() => Ok(()),
    }
}

async fn work(config: &Config, soft: &CancellationToken) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock::new());
    let randomness = Arc::new(Randomness::from_seed(os_seed()));
    let mut said = None;
    let (reaper, cleaner, tasks) = loop {
        match prepare(config, &clock, &randomness, soft).await {
            Ok(ready) => break ready,
            Err(error) => {
                let why = format!("{error:#}");
                if said.as_ref() != Some(&why) {
                    tracing::warn!(why, "there is nothing to reap in yet; looking again");
                    said = Some(why);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = soft.cancelled() => return Ok(()),
        }
    };
    let id = ReaperId::new(&*clock, &mut *randomness.lock());
    let lease = Lease::new(&reaper, LeaseKind::Daemon, id);
    keep_reaping(reaper, cleaner, lease, Some(clock), soft.clone()).await;
    tasks.close();
    Ok(())
}

/// What a service has made must be there: its folder, its database, its tables.
async fn prepare(
    config: &Config,
    clock: &Arc<SystemClock>,
    randomness: &Arc<Randomness>,
    soft: &CancellationToken,
) -> anyhow::Result<(Reaper, Cleaner, TaskTracker)> {
    let (folder, installation) = folder(config)?;
    let options = Database::running(config, folder.path(), installation)?;
    let store = Store::connect(options, MAX_CONNECTIONS).await.context("the database does not answer")?;
    let pending = store.pending_migrations().await?;
    anyhow::ensure!(pending.is_empty(), "the tables are not up to date; starting the service brings them so");
    clock.set_offset(store.clock_offset(|| clock.machine_now()).await?);
    let tasks = TaskTracker::new();
    let entropy = {
        let randomness = Arc::clone(randomness);
        Arc::new(move |bytes: &mut [u8; 32]| rand::Rng::fill_bytes(&mut *randomness.lock(), bytes))
    };
    let settings = SupervisorConfig {
        shim_program: program_folder()?.join("roadstead-shim"),
        run_root: run_root(config, installation),
    };
    let as_clock: Arc<dyn Clock> = clock.clone();
    let supervisor = Supervisor::new(settings, tasks.clone(), Arc::clone(&as_clock), entropy)?;
    let cleaner = Cleaner::new(
        store.clone(),
        Arc::clone(&as_clock),
        Arc::clone(randomness),
        Some(folder.path().join(crate::retention::FOLDER)),
    );
    let reaper = Reaper::alone(ReaperParts {
        store,
        supervisor: Arc::new(supervisor),
        clock: as_clock,
        node: roadstead_orchestrator::Node {
            installation,
            node: NodeId::from_uuid(installation.uuid()),
            boot: boot_id()?,
        },
        limits: times(),
        workplaces: folder.path().join("instances"),
        stopping: soft.clone(),
        metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
    });
    Ok((reaper, cleaner, tasks))
}

/// The data folder that a service has made; looked at, not taken.
fn folder(config: &Config) -> anyhow::Result<(DataFolder, InstallationId)> {
    let path: PathBuf = DataFolder::choose(config.data_dir.as_deref())?;
    anyhow::ensure!(path.is_dir(), "there is no data folder {} yet", path.display());
    let folder = DataFolder::open(&path)?;
    let installation = crate::down::installation(&folder)
        .with_context(|| format!("no service has begun in {} yet", path.display()))?;
    Ok((folder, installation))
}
