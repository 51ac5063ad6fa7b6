//! What runs beside the requests, on a schedule: a look at the instances, the reconcile, the watch over the database.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use roadstead_accounts::Accounts;
use roadstead_limits::Limits;
use roadstead_metrics::{Metrics, Work};
use roadstead_model::{Randomness, SystemClock};
use roadstead_orchestrator::{Orchestrator, ReapStatus};
use tokio_util::sync::CancellationToken;

use crate::postgres::{Postgres, Running};

/// How often deadlines are looked at.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How often rows and owners are compared.
const RECONCILE: Duration = Duration::from_secs(30);
/// How often it is forgotten who asked.
const TIDY: Duration = Duration::from_mins(1);
/// The pause before a private database that does not start is tried again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Looks after the instances that this process answers for, every second.
pub async fn attend(orchestrator: Orchestrator, soft: CancellationToken) {
    every(TICK, &soft, || async {
        match orchestrator.attend().await {
            Ok(status) => report("attend", status, Ok(())),
            Err(error) => report("attend", ReapStatus::default(), Err(error)),
        }
    })
    .await;
}

/// Writes down what keys are used for, until the end, and then the rest.
pub async fn write_key_uses(accounts: Accounts, hard: CancellationToken) {
    accounts.write_key_uses(hard.cancelled()).await;
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
        report("reconcile", ReapStatus::default(), done);
    })
    .await;
}

/// Forgets who has not asked for a while, every minute.
pub async fn tidy_limits(limits: Arc<Limits>, soft: CancellationToken) {
    let mut forgotten = 0;
    every(TIDY, &soft, || {
        limits.tidy();
        let now = limits.addresses_forgotten();
        if now > forgotten {
            tracing::warn!(
                addresses = now - forgotten,
                "more addresses ask without a key than can be remembered"
            );
        }
        forgotten = now;
        std::future::ready(())
    })
    .await;
}

/// Runs something and counts how long it took.
pub(crate) async fn timed<T, E>(
    metrics: &Metrics,
    work: Work,
    run: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    let outcome = run.await;
    metrics.ran(work, outcome.is_ok(), began.elapsed());
    outcome
}

pub(crate) async fn every<F: Future<Output = ()>>(
    period: Duration,
    soft: &CancellationToken,
    mut work: impl FnMut() -> F,
) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = soft.cancelled() => return,
        }
        if run(soft, Box::pin(work())).await.is_none() {
            return;
        }
    }
}

/// One run, given up when the service is told to stop: whatever a run does may be cut off anywhere, and the next one is the
/// retry. None when it was; a run that panics is not the last.
pub(crate) async fn run(soft: &CancellationToken, work: impl Future<Output = ()>) -> Option<()> {
    tokio::select! {
        done = AssertUnwindSafe(work).catch_unwind() => {
            if done.is_err() {
                tracing::error!("a run panicked; the next one is the retry");
            }
            Some(())
        }
        () = soft.cancelled() => None,
    }
}

/// Says once what a run did, and whether it came to its end.
pub(crate) fn report(task: &str, status: ReapStatus, outcome: Result<(), roadstead_store::StoreError>) {
    if status != ReapStatus::default() {
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
    if let Err(error) = outcome {
        tracing::warn!(
            task,
            error = &error as &dyn std::error::Error,
            "a run failed; the next one is the retry"
        );
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
