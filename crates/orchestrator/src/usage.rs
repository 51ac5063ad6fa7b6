//! What calls cost, on its way from shims to rows, and looking at it afterwards.

use std::sync::Arc;

use roadstead_access::InstancePermit;
use roadstead_control::UsageFact;
use roadstead_metrics::{Metrics, Record};
use roadstead_model::{InstanceId, UsageStatus};
use roadstead_store::{
    Cursor, NewUsage, Order, Page, Store, StoreError, UsageBy, UsageFilter, UsageRow, UsageSum,
};
use roadstead_supervisor::Found;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batches::{BatchTask, Batches, Table};
use crate::error::ChangeError;
use crate::parts::Orchestrator;
use crate::reap::Reaper;

/// Facts of one statement.
const MAX_FACTS: usize = 2000;

/// Where facts are handed in; clones are the same writer.
#[derive(Debug, Clone)]
pub struct UsageWriter(Batches<NewUsage>);

/// The task that stores them.
#[derive(Debug)]
pub struct UsageTask(BatchTask<Facts>);

#[derive(Debug)]
struct Facts(Store);

impl Table for Facts {
    type Row = NewUsage;
    const MAX_ROWS: usize = MAX_FACTS;
    const ROWS: &'static str = "usage facts";
    const RECORD: Record = Record::UsageFacts;

    async fn append(&self, rows: &[NewUsage]) -> Result<u64, StoreError> {
        append(&self.0, rows).await
    }
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
    pub fn new(store: Store, metrics: &Arc<Metrics>) -> (Self, UsageTask) {
        let (batches, task) = Batches::new(Facts(store), metrics);
        (Self(batches), UsageTask(task))
    }

    /// Hands in facts of a shim; `stored` is told the last one's number once they are rows.
    pub(crate) async fn hand_in(
        &self,
        instance: InstanceId,
        facts: Vec<UsageFact>,
        stored: watch::Sender<u64>,
    ) {
        let Some(last) = facts.last().map(|fact| fact.seq) else { return };
        self.0.hand_in(as_rows(instance, facts), stored, last).await;
    }
}

impl UsageTask {
    /// Stores facts until `hard` is cancelled; what was handed in until then is still stored.
    pub async fn run(self, hard: CancellationToken) {
        self.0.run(hard).await;
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
        let seen = self.0.store().seen_by(permit.view());
        Ok(seen.usage().list(&filter(permit, query), after, limit, order).await?)
    }

    /// What it adds up to. Order, place and limit of the query mean nothing here.
    pub async fn usage_sums(
        &self,
        permit: &InstancePermit,
        query: UsageQuery,
        by: UsageBy,
    ) -> Result<Vec<UsageSum>, ChangeError> {
        let seen = self.0.store().seen_by(permit.view());
        Ok(seen.usage().sums(&filter(permit, query), by).await?)
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
        view: Some(permit.view()),
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
