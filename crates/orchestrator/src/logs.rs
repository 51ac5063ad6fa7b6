//! Log lines on their way to rows: many instances, one writer, in batches.
//!
//! A batch is confirmed to its sender when it is stored; until then the shim keeps its lines.

use std::sync::Arc;
use std::time::Duration;

use roadstead_control::LogEntry;
use roadstead_metrics::{Metrics, Record};
use roadstead_model::{Clock, InstanceId, LogLevel, LogSource};
use roadstead_store::{NewLog, Store};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Batches that may wait; beyond, the instances' drivers wait, and lines stay in the shims.
const QUEUE: usize = 256;
/// Lines of one statement.
const MAX_LINES: usize = 1000;
/// How long the first line of a batch may wait for others.
const LINGER: Duration = Duration::from_millis(25);
/// The pause between two attempts when the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Lines of one instance, and whom to tell when they are stored.
#[derive(Debug)]
struct Batch {
    lines: Vec<NewLog>,
    stored: Option<(watch::Sender<u64>, u64)>,
}

/// Where lines are handed in; clones are the same writer.
#[derive(Debug, Clone)]
pub struct LogWriter {
    metrics: Arc<Metrics>,
    batches: mpsc::Sender<Batch>,
    arrivals: watch::Sender<u64>,
}

/// The task that stores them.
#[derive(Debug)]
pub struct LogTask {
    metrics: Arc<Metrics>,
    batches: mpsc::Receiver<Batch>,
    arrivals: watch::Sender<u64>,
    store: Store,
}

impl LogWriter {
    /// A writer and its task, which the wiring runs.
    pub fn new(store: Store, metrics: &Arc<Metrics>) -> (Self, LogTask) {
        let (sender, batches) = mpsc::channel(QUEUE);
        let arrivals = watch::Sender::new(0);
        let writer = Self { metrics: Arc::clone(metrics), batches: sender, arrivals: arrivals.clone() };
        (writer, LogTask { metrics: Arc::clone(metrics), batches, arrivals, store })
    }

    /// Hands in lines of a shim; `stored` is told the last one's number once they are rows.
    pub(crate) async fn hand_in(
        &self,
        instance: InstanceId,
        entries: Vec<LogEntry>,
        stored: watch::Sender<u64>,
    ) {
        let Some(last) = entries.last().map(|entry| entry.seq) else { return };
        let lines: Vec<_> = entries.into_iter().map(|entry| as_row(instance, entry)).collect();
        self.metrics.records_came(Record::LogLines, lines.len());
        // The task outlives the drivers; if it is gone, the lines are still in the shim.
        let _ = self.batches.send(Batch { lines, stored: Some((stored, last)) }).await;
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
        self.metrics.records_came(Record::LogLines, 1);
        let _ = self.batches.send(Batch { lines: vec![line], stored: None }).await;
    }

    /// Changes whenever lines were stored.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
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

impl LogTask {
    /// Stores lines until `hard` is cancelled; what was handed in until then is still stored.
    pub async fn run(mut self, hard: CancellationToken) {
        while let Some(first) = self.next(&hard).await {
            let batches = self.gather(first).await;
            let lines: Vec<NewLog> = batches.iter().flat_map(|batch| batch.lines.iter().cloned()).collect();
            if !self.store(&lines, &hard).await {
                return;
            }
            for (stored, last) in batches.into_iter().filter_map(|batch| batch.stored) {
                stored.send_if_modified(|known| {
                    let newer = last > *known;
                    *known = last.max(*known);
                    newer
                });
            }
            self.arrivals.send_modify(|count| *count += 1);
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
        let mut lines = first.lines.len();
        let mut batches = vec![first];
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while lines < MAX_LINES {
            tokio::select! {
                batch = self.batches.recv() => match batch {
                    Some(batch) => {
                        lines += batch.lines.len();
                        batches.push(batch);
                    }
                    None => break,
                },
                () = &mut linger => break,
            }
        }
        batches
    }

    async fn store(&self, lines: &[NewLog], hard: &CancellationToken) -> bool {
        loop {
            match self.store.logs().append(lines).await {
                Ok(_) => {
                    self.metrics.records_went(Record::LogLines, lines.len(), true);
                    return true;
                }
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "log lines wait for the database"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                        () = hard.cancelled() => return false,
                    }
                }
                Err(error) => {
                    // Retrying would block every other line for ever.
                    self.metrics.records_went(Record::LogLines, lines.len(), false);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        lines = lines.len(),
                        "log lines were refused and are lost"
                    );
                    return true;
                }
            }
        }
    }
}
