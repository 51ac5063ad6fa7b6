//! Log lines on their way to rows.

use std::sync::Arc;

use roadstead_control::LogEntry;
use roadstead_metrics::{Metrics, Record};
use roadstead_model::{Clock, InstanceId, LogLevel, LogSource};
use roadstead_store::{NewLog, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batches::{BatchTask, Batches, Table};

/// Where lines are handed in; clones are the same writer.
#[derive(Debug, Clone)]
pub struct LogWriter {
    batches: Batches<NewLog>,
    arrivals: watch::Sender<u64>,
}

/// The task that stores them.
#[derive(Debug)]
pub struct LogTask(BatchTask<Lines>);

#[derive(Debug)]
struct Lines {
    store: Store,
    arrivals: watch::Sender<u64>,
}

impl Table for Lines {
    type Row = NewLog;
    const MAX_ROWS: usize = 1000;
    const ROWS: &'static str = "log lines";
    const RECORD: Record = Record::LogLines;

    async fn append(&self, rows: &[NewLog]) -> Result<u64, StoreError> {
        append(&self.store, rows).await
    }

    fn stored(&self) {
        self.arrivals.send_modify(|count| *count += 1);
    }
}

impl LogWriter {
    /// A writer and its task, which the wiring runs.
    pub fn new(store: Store, metrics: &Arc<Metrics>) -> (Self, LogTask) {
        let arrivals = watch::Sender::new(0);
        let (batches, task) = Batches::new(Lines { store, arrivals: arrivals.clone() }, metrics);
        (Self { batches, arrivals }, LogTask(task))
    }

    /// Hands in lines of a shim; `stored` is told the last one's number once they are rows.
    pub(crate) async fn hand_in(
        &self,
        instance: InstanceId,
        entries: Vec<LogEntry>,
        stored: watch::Sender<u64>,
    ) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        let lines = entries.into_iter().map(|entry| as_row(instance, entry)).collect();
        self.batches.hand_in(lines, stored, last).await;
    }

    /// A line of our own.
    pub(crate) async fn say(
        &self,
        clock: &dyn Clock,
        instance: InstanceId,
        level: LogLevel,
        message: String,
    ) {
        let line = NewLog {
            instance,
            at: clock.now(),
            shim_seq: None,
            level,
            source: LogSource::System,
            message,
            metadata: None,
        };
        self.batches.add(line).await;
    }

    /// Changes whenever lines were stored.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }
}

impl LogTask {
    /// Stores lines until `hard` is cancelled; what was handed in until then is still stored.
    pub async fn run(self, hard: CancellationToken) {
        self.0.run(hard).await;
    }
}

/// A month that nobody prepared is prepared then: a shim's clock may be off, and a spool may be old.
pub(crate) async fn append(store: &Store, lines: &[NewLog]) -> Result<u64, StoreError> {
    match store.logs().append(lines).await {
        Err(StoreError::NoPartition { .. }) => {
            let ends = [lines.iter().map(|line| line.at).min(), lines.iter().map(|line| line.at).max()];
            for end in ends.into_iter().flatten() {
                store.ensure_partitions(end).await?;
            }
            store.logs().append(lines).await
        }
        done => done,
    }
}

/// A shim's line as a row.
pub(crate) fn as_row(instance: InstanceId, entry: LogEntry) -> NewLog {
    NewLog {
        instance,
        at: entry.at,
        shim_seq: i64::try_from(entry.seq).ok(),
        level: entry.level,
        source: entry.source,
        message: entry.message,
        metadata: None,
    }
}
