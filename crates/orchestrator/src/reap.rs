//! What nobody else noticed: instances past their deadline, rows that nobody answers for. No input, idempotent,
//! in batches; each run says once what it did, and the next run is the retry.
//!
//! ```text
//! what has to be done                          │ by whom
//! ─────────────────────────────────────────────┼──────────────────────────────────────────────────────────
//! deadlines moved on by uses; owners told that │ every service, for the instances that it answers for:
//! their time is up; rows, shims and owners     │ Orchestrator::attend, Orchestrator::reconcile (attend.rs)
//! compared; what was used written down         │
//! ─────────────────────────────────────────────┼──────────────────────────────────────────────────────────
//! deadlines that are near said so; live rows   │ one process per machine, whoever has the lease (lease.rs):
//! that nobody answers for ended; rows that     │ Reaper::run, Reaper::chores (here, and overdue.rs)
//! ended otherwise moved to `expired`; tables   │
//! prepared, answers that are too old removed;   │
//! credentials that end soon said so (remind.rs) │
//! ```
//! The second half needs rows, run folders and signals, and neither secrets nor the service: it works in a process of its
//! own, too. There it cannot see who answers for an instance, so it waits until nobody can have any business with it.

mod attend;
mod erase;
mod lease;
mod overdue;
mod remind;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roadstead_metrics::Metrics;
use roadstead_model::expiry::WARNING_LEAD;
use roadstead_model::{Clock, InstanceId, Step, SystemClock};
use roadstead_store::{Store, StoreError};
use roadstead_supervisor::Supervisor;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::live::LiveInstances;
use crate::parts::{Limits, Node, Orchestrator};
use crate::witness::{Steps, Unwitnessed};
pub use lease::{Lease, LeaseKind};

/// Rows that one statement deals with: a large backlog must not starve launches.
const BATCH: u32 = 200;
/// The pause between two batches, in which the database belongs to others.
const BATCH_PAUSE: Duration = Duration::from_millis(50);

/// What one run did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReapStatus {
    /// Owners that were told that their instance's time is up.
    pub told: usize,
    /// Rows that nobody answered for, ended.
    pub reaped: usize,
    /// Rows that could not be ended; the next run tries again.
    pub failed: usize,
    /// Instances whose time is up soon, and which say so.
    pub warned: u64,
    /// Rows that had ended otherwise before their deadline passed.
    pub expired: u64,
}

/// What ends instances, and what the reaper is made of.
#[derive(Debug)]
pub struct ReaperParts {
    /// Rows.
    pub store: Store,
    /// Finds and ends processes.
    pub supervisor: Arc<Supervisor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where and who we are.
    pub node: Node,
    /// Times.
    pub limits: Limits,
    /// The servers' own folders are in here.
    pub workplaces: PathBuf,
    /// Cancelled when nothing new may begin.
    pub stopping: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Ends what nobody answers for; clones are the same one.
#[derive(Debug, Clone)]
pub struct Reaper {
    pub(crate) parts: Arc<ReaperParts>,
    owners: Owners,
    steps: Arc<Steps>,
}

/// Where those are who answer for instances.
#[derive(Debug, Clone)]
enum Owners {
    /// In this process, or nowhere.
    Here(LiveInstances),
    /// In another process, if that runs.
    Elsewhere,
}

impl Reaper {
    /// A reaper in a process of its own.
    pub fn alone(parts: ReaperParts) -> Self {
        let steps = Arc::new(Steps::new(Arc::new(Unwitnessed), Arc::clone(&parts.metrics)));
        Self { parts: Arc::new(parts), owners: Owners::Elsewhere, steps }
    }

    /// The reaper of the process that answers for these instances.
    pub(crate) fn beside(parts: ReaperParts, live: LiveInstances, steps: Arc<Steps>) -> Self {
        Self { parts: Arc::new(parts), owners: Owners::Here(live), steps }
    }

    /// Says which deadlines are near and ends what is past its own, batch by batch while `may_go_on`.
    pub async fn run(
        &self,
        status: &mut ReapStatus,
        may_go_on: impl Fn() -> bool + Sync,
    ) -> Result<(), StoreError> {
        status.warned += self.warn().await?;
        self.end_overdue(status, &may_go_on).await?;
        loop {
            let (node, now) = (self.parts.node.node, self.now());
            let expired = self.store().instances().expire_ended(node, now, None, BATCH).await?;
            status.expired += expired;
            if expired < u64::from(BATCH) || !may_go_on() {
                return Ok(());
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }

    /// What needs no hurry: the tables of the months to come, answers that nobody asks for again, reminders of
    /// credentials that end in days.
    pub async fn chores(&self) -> Result<(), StoreError> {
        self.store().ensure_partitions(self.now()).await?;
        self.store().idempotency().purge(self.now()).await?;
        self.erase_accounts().await?;
        self.remind_of_credentials().await
    }

    /// Measures how far the database's clock is ahead of this machine's.
    pub async fn set_clock(&self, clock: &SystemClock) -> Result<(), StoreError> {
        clock.set_offset(self.store().clock_offset(|| clock.machine_now()).await?);
        Ok(())
    }

    /// Says of each deadline once that it is near; the rows remember, so that the next start does not say it again.
    async fn warn(&self) -> Result<u64, StoreError> {
        let (instances, now) = (self.store().instances(), self.now());
        let near = instances.near(self.parts.node.node, now + WARNING_LEAD, BATCH).await?;
        if near.is_empty() {
            return Ok(0);
        }
        let looked_at: Vec<_> = near.into_iter().map(|one| (one, one.warning.is_due(now))).collect();
        instances.settle_warnings(&looked_at, now).await
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// A step of an end has been taken.
    pub(crate) fn took(&self, instance: InstanceId, step: Step) {
        self.steps.taken(instance, step);
    }

    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.parts.clock.now()
    }
}

impl Owners {
    /// The instances that somebody answers for, as far as can be seen from here.
    fn ids(&self) -> Vec<InstanceId> {
        match self {
            Self::Here(live) => live.all().into_iter().map(|(id, _)| id).collect(),
            Self::Elsewhere => Vec::new(),
        }
    }
}

impl Orchestrator {
    /// The reaper for what nobody of this process answers for.
    pub fn reaper(&self) -> Reaper {
        self.0.reaper.clone()
    }
}
