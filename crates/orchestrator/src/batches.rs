//! What many instances tell, on its way to rows: one task for each kind, which stores it in batches.
//!
//! A batch is confirmed to its shim when it is stored; until then the shim keeps it, in memory and on disk.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use roadstead_metrics::{Metrics, Record};
use roadstead_store::StoreError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Batches that may wait; beyond, the instances' drivers wait, and what they have stays in the shims.
const QUEUE: usize = 256;
/// How long the first of a statement may wait for those of other instances.
const LINGER: Duration = Duration::from_millis(25);
/// The pause between two attempts when the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where one kind of row goes.
pub(crate) trait Table: Send + Sync {
    /// What is stored.
    type Row: Send + Sync;
    /// Rows of one statement, about.
    const MAX_ROWS: usize;
    /// What they are, for messages.
    const ROWS: &'static str;
    /// What they are, for metrics.
    const RECORD: Record;

    /// Stores rows; those that are stored already do no harm.
    fn append(&self, rows: &[Self::Row]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Rows were stored.
    fn stored(&self) {}
}

/// What a statement under way gets when the task is told to end.
const LAST_APPEND: Duration = Duration::from_secs(1);

/// Rows of one instance.
#[derive(Debug)]
struct Batch<R> {
    rows: Vec<R>,
    confirm: Option<Confirm>,
}

/// Whom to tell when rows are stored, and the number of the last.
#[derive(Debug)]
struct Confirm {
    stored: watch::Sender<u64>,
    last: u64,
}

/// Where rows are handed in; clones lead to the same task.
#[derive(Debug)]
pub(crate) struct Batches<R> {
    sender: mpsc::Sender<Batch<R>>,
    metrics: Arc<Metrics>,
    record: Record,
}

/// The task that stores them.
#[derive(Debug)]
pub(crate) struct BatchTask<T: Table> {
    batches: mpsc::Receiver<Batch<T::Row>>,
    table: T,
    metrics: Arc<Metrics>,
}

/// When what is being stored is left to whoever reads it next.
async fn too_late(hard: &CancellationToken) {
    hard.cancelled().await;
    tokio::time::sleep(LAST_APPEND).await;
}

impl<R> Clone for Batches<R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), metrics: Arc::clone(&self.metrics), record: self.record }
    }
}

impl<R: Send + Sync> Batches<R> {
    /// A way in, and the task at its end.
    pub(crate) fn new<T: Table<Row = R>>(table: T, metrics: &Arc<Metrics>) -> (Self, BatchTask<T>) {
        let (sender, batches) = mpsc::channel(QUEUE);
        let this = Self { sender, metrics: Arc::clone(metrics), record: T::RECORD };
        (this, BatchTask { batches, table, metrics: Arc::clone(metrics) })
    }

    /// Hands in rows of a shim; `stored` is told the number of the last once they are stored.
    pub(crate) async fn hand_in(&self, rows: Vec<R>, stored: watch::Sender<u64>, last: u64) {
        self.send(Batch { rows, confirm: Some(Confirm { stored, last }) }).await;
    }

    /// Hands in a row of our own.
    pub(crate) async fn add(&self, row: R) {
        self.send(Batch { rows: vec![row], confirm: None }).await;
    }

    async fn send(&self, batch: Batch<R>) {
        self.metrics.records_came(self.record, batch.rows.len());
        // The task outlives the drivers; if it is gone, what a shim told is still with it.
        let _ = self.sender.send(batch).await;
    }
}

impl<T: Table> BatchTask<T> {
    /// Stores rows until `hard` is cancelled; what was handed in until then is still stored.
    pub(crate) async fn run(mut self, hard: CancellationToken) {
        while let Some(first) = self.next(&hard).await {
            let (rows, confirms) = self.gather(first).await;
            if !self.store(&rows, &hard).await {
                return;
            }
            for Confirm { stored, last } in confirms {
                stored.send_if_modified(|known| {
                    let newer = last > *known;
                    *known = last.max(*known);
                    newer
                });
            }
            self.table.stored();
        }
    }

    async fn next(&mut self, hard: &CancellationToken) -> Option<Batch<T::Row>> {
        tokio::select! {
            biased;
            batch = self.batches.recv() => batch,
            () = hard.cancelled() => self.batches.try_recv().ok(),
        }
    }

    async fn gather(&mut self, first: Batch<T::Row>) -> (Vec<T::Row>, Vec<Confirm>) {
        let mut rows = first.rows;
        let mut confirms: Vec<Confirm> = first.confirm.into_iter().collect();
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while rows.len() < T::MAX_ROWS {
            tokio::select! {
                batch = self.batches.recv() => {
                    let Some(batch) = batch else { break };
                    rows.extend(batch.rows);
                    confirms.extend(batch.confirm);
                }
                () = &mut linger => break,
            }
        }
        (rows, confirms)
    }

    /// Whether rows are dealt with; `false` when there is no time left for them.
    async fn store(&self, rows: &[T::Row], hard: &CancellationToken) -> bool {
        loop {
            let appended = tokio::select! {
                appended = self.table.append(rows) => appended,
                () = too_late(hard) => return false,
            };
            match appended {
                Ok(_) => {
                    self.metrics.records_went(T::RECORD, rows.len(), true);
                    return true;
                }
                Err(error) if error.is_unavailable() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        what = T::ROWS,
                        "rows wait for the database"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                        () = hard.cancelled() => return false,
                    }
                }
                Err(error) => {
                    // Retrying would block every other row for ever.
                    self.metrics.records_went(T::RECORD, rows.len(), false);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        what = T::ROWS,
                        rows = rows.len(),
                        "rows were refused and are lost"
                    );
                    return true;
                }
            }
        }
    }
}
