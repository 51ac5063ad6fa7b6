//! What runs beside the requests, on a schedule: the reaper's tick, the reconcile, the watch over the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_metrics::{Metrics, Work};
use roadstead_model::{Randomness, SystemClock};
use roadstead_orchestrator::{Orchestrator, ReapStatus};
use tokio_util::sync::CancellationToken;

use crate::postgres::{Postgres, Running};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often rows and owners are compared.
const RECONCILE: Duration = Duration::from_secs(30);
/// The pause before a private database that does not start is tried again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Ends what is past its deadline, every second.
pub async fn reap(orchestrator: Orchestrator, metrics: Arc<Metrics>, soft: CancellationToken) {
    every(TICK, &soft, || async {
        report("reaper", timed(&metrics, Work::Reaper, orchestrator.tick()).await);
    })
    .await;
}

/// Compares rows and owners, every 30 seconds.
pub async fn reconcile(
    orchestrator: Orchestrator,
    clock: Arc<SystemClock>,
    metrics: Arc<Metrics>,
    soft: CancellationToken,
) {
    every(RECONCILE, &soft, || async {
        let done = timed(&metrics, Work::Reconcile, orchestrator.reconcile(&clock)).await;
        report("reconcile", done.map(|()| ReapStatus::default()));
    })
    .await;
}

async fn timed<T, E>(metrics: &Metrics, work: Work, run: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let began = Instant::now();
    let outcome = run.await;
    metrics.ran(work, outcome.is_ok(), began.elapsed());
    outcome
}

async fn every<F: Future<Output = ()>>(
    period: Duration,
    soft: &CancellationToken,
    mut work: impl FnMut() -> F,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => work().await,
            () = soft.cancelled() => return,
        }
    }
}

fn report(task: &str, outcome: Result<ReapStatus, roadstead_store::StoreError>) {
    match outcome {
        Ok(status) if status == ReapStatus::default() => {}
        Ok(status) => {
            tracing::info!(
                task,
                told = status.told,
                reaped = status.reaped,
                warned = status.warned,
                expired = status.expired,
                failed = status.failed,
                "reaped"
            );
        }
        Err(error) => {
            tracing::warn!(
                task,
                error = &error as &dyn std::error::Error,
                "a run failed; the next one is the retry"
            );
        }
    }
}

/// Starts a private database again whenever it dies. Answers with it when the service stops.
pub async fn keep_database(
    postgres: Postgres,
    mut running: Running,
    randomness: Arc<Randomness>,
    hard: CancellationToken,
) -> Postgres {
    loop {
        tokio::select! {
            () = running.watch() => {}
            () = hard.cancelled() => return postgres,
        }
        tracing::error!("the private database has ended; it is started again");
        let mut rng = crate::database::seeded(&randomness);
        loop {
            tokio::select! {
                started = postgres.start(&mut rng, |_| {}) => match started {
                    Ok(again) => {
                        running = again;
                        break;
                    }
                    Err(error) => tracing::error!(error = &error as &dyn std::error::Error,
                        "the private database does not start"),
                },
                () = hard.cancelled() => return postgres,
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}
