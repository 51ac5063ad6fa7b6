//! What calls cost, on its way from shims to rows, and looking at it afterwards.
//!
//! A batch is confirmed to its shim when it is stored; until then the shim keeps it, in memory and on disk.

use std::time::Duration;

use roadstead_access::InstancePermit;
use roadstead_control::UsageFact;
use roadstead_model::{InstanceId, UsageStatus};
use roadstead_store::{
    Cursor, NewUsage, Order, Page, Store, StoreError, UsageBy, UsageFilter, UsageRow, UsageSum,
};
use roadstead_supervisor::Found;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::error::ChangeError;
use crate::parts::Orchestrator;
use crate::reap::Reaper;

/// Batches that may wait; beyond, the instances' drivers wait, and facts stay in the shims.
const QUEUE: usize = 256;
/// Facts of one statement.
const MAX_FACTS: usize = 2000;
/// How long the first facts of a statement may wait for those of other instances.
const LINGER: Duration = Duration::from_millis(25);
/// The pause between two attempts when the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Facts of one instance, and whom to tell when they are stored.
#[derive(Debug)]
struct Batch {
    facts: Vec<NewUsage>,
    stored: watch::Sender<u64>,
    last: u64,
}

/// Where facts are handed in; clones are the same writer.
#[derive(Debug, Clone)]
pub struct UsageWriter {
    batches: mpsc::Sender<Batch>,
}

/// The task that stores them.
#[derive(Debug)]
pub struct UsageTask {
    batches: mpsc::Receiver<Batch>,
    store: Store,
}

/// Which facts are wanted.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Through this instance.
    pub instance: Option<InstanceId>,
    /// Of instances of this type.
    pub type_name: Option<String>,
    /// Of this name.
    pub tool: Option<String>,
    /// That ended so.
    pub status: Option<UsageStatus>,
    /// Not older.
    pub since: Option<OffsetDateTime>,
    /// Older.
    pub until: Option<OffsetDateTime>,
    /// Oldest first.
    pub oldest_first: bool,
    /// After this place.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

impl UsageWriter {
    /// A writer and its task, which the wiring runs.
    pub fn new(store: Store) -> (Self, UsageTask) {
        let (sender, batches) = mpsc::channel(QUEUE);
        (Self { batches: sender }, UsageTask { batches, store })
    }

    /// Hands in facts of a shim; `stored` is told the last one's number once they are rows.
    pub(crate) async fn hand_in(
        &self,
        instance: InstanceId,
        facts: Vec<UsageFact>,
        stored: watch::Sender<u64>,
    ) {
        let Some(last) = facts.last().map(|fact| fact.seq) else { return };
        let facts = as_rows(instance, facts);
        // The task outlives the drivers; if it is gone, the facts are still with the shim.
        let _ = self.batches.send(Batch { facts, stored, last }).await;
    }
}

impl UsageTask {
    /// Stores facts until `hard` is cancelled; what was handed in until then is still stored.
    pub async fn run(mut self, hard: CancellationToken) {
        while let Some(first) = self.next(&hard).await {
            let batches = self.gather(first).await;
            let facts: Vec<NewUsage> = batches.iter().flat_map(|batch| batch.facts.iter().cloned()).collect();
            if !self.store(&facts, &hard).await {
                return;
            }
            for Batch { stored, last, .. } in batches {
                stored.send_if_modified(|known| {
                    let newer = last > *known;
                    *known = last.max(*known);
                    newer
                });
            }
        }
    }

    async fn next(&mut self, hard: &CancellationToken) -> Option<Batch> {
        tokio::select! {
            biased;
            batch = self.batches.recv() => batch,
            () = hard.cancelled() => self.batches.try_recv().ok(),
        }
    }

    async fn gather(&mut self, first: Batch) -> Vec<Batch> {
        let mut facts = first.facts.len();
        let mut batches = vec![first];
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while facts < MAX_FACTS {
            tokio::select! {
                batch = self.batches.recv() => match batch {
                    Some(batch) => {
                        facts += batch.facts.len();
                        batches.push(batch);
                    }
                    None => break,
                },
                () = &mut linger => break,
            }
        }
        batches
    }

    async fn store(&self, facts: &[NewUsage], hard: &CancellationToken) -> bool {
        loop {
            match append(&self.store, facts).await {
                Ok(_) => return true,
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "usage facts wait for the database"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                        () = hard.cancelled() => return false,
                    }
                }
                Err(error) => {
                    // Retrying would block every other fact for ever.
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        facts = facts.len(),
                        "usage facts were refused and are lost"
                    );
                    return true;
                }
            }
        }
    }
}

impl Orchestrator {
    /// What calls cost, of the instances that the permit reaches.
    pub async fn usage(
        &self,
        permit: &InstancePermit,
        query: UsageQuery,
    ) -> Result<Page<UsageRow>, ChangeError> {
        let order = if query.oldest_first { Order::Ascending } else { Order::Descending };
        let (after, limit) = (query.after, query.limit);
        Ok(self.0.store().usage().list(&filter(permit, query), after, limit, order).await?)
    }

    /// What it adds up to. Order, place and limit of the query mean nothing here.
    pub async fn usage_sums(
        &self,
        permit: &InstancePermit,
        query: UsageQuery,
        by: UsageBy,
    ) -> Result<Vec<UsageSum>, ChangeError> {
        Ok(self.0.store().usage().sums(&filter(permit, query), by).await?)
    }
}

impl Reaper {
    /// Stores what a shim that is gone had written down and nobody had confirmed. What is stored already does no harm.
    pub(crate) async fn store_usage_left(&self, found: &Found) -> Result<(), StoreError> {
        let instance = found.instance;
        let facts = as_rows(instance, found.usage());
        for part in facts.chunks(MAX_FACTS) {
            match append(self.store(), part).await {
                Ok(_) => {}
                Err(error) if error.is_unavailable() => return Err(error),
                // Nothing of an instance may wait for ever for what will never be taken.
                Err(error) => tracing::error!(instance.id = %instance, facts = part.len(),
                    error = &error as &dyn std::error::Error, "usage facts were refused and are lost"),
            }
        }
        Ok(())
    }
}

/// A month that nobody prepared is prepared then: a shim's clock may be off, and a spool may be old.
async fn append(store: &Store, facts: &[NewUsage]) -> Result<u64, StoreError> {
    match store.usage().append(facts).await {
        Err(StoreError::NoPartition { .. }) => {
            let ends = [facts.iter().map(|fact| fact.at).min(), facts.iter().map(|fact| fact.at).max()];
            for end in ends.into_iter().flatten() {
                store.ensure_partitions(end).await?;
            }
            store.usage().append(facts).await
        }
        done => done,
    }
}

fn filter(permit: &InstancePermit, query: UsageQuery) -> UsageFilter {
    UsageFilter {
        user: permit.visible().owner(),
        instance: query.instance,
        type_name: query.type_name,
        tool: query.tool,
        status: query.status,
        since: query.since,
        until: query.until,
    }
}

fn as_rows(instance: InstanceId, facts: Vec<UsageFact>) -> Vec<NewUsage> {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let row = |fact: UsageFact| NewUsage {
        instance,
        at: fact.at,
        seq: whole(fact.seq),
        method: fact.method,
        name: fact.name,
        request_id: fact.request_id,
        parent_request_id: fact.parent_request_id,
        era: fact.era,
        status: fact.status,
        calls: whole(fact.calls),
        latency_us: whole(fact.latency_us),
        request_bytes: whole(fact.request_bytes),
        answer_bytes: whole(fact.answer_bytes),
    };
    facts.into_iter().map(row).collect()
}
