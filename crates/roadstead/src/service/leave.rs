//! How a service stops.
//!
//! ```text
//! SIGTERM ─► nothing new is taken; streams that never end are ended; the listening socket waits for the next process
//!         ─► launches and requests under way finish
//!         ─► release: owners let go of their shims, writers write, the pool closes, the data folder is free
//!         ─► drain: calls under way are copied to their end, beside the next process
//! ```
//! Nothing after the release touches a row or a shim's control socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Service, Survivors};
use crate::listen::IDLE_GRACE;
use crate::postgres::StopMode;

/// What launches under way may take before a stop of the service goes on without them.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(40);
/// What requests of the REST API may take beyond that: what they wait for has ended.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// What letting go of rows and shims may take.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);
/// What callers get to finish their requests when everything ends.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// What event streams get to come to the end of an event.
const LAST_EVENTS: Duration = Duration::from_millis(250);
/// What writers get to write down what they have when nobody wants to wait.
const HURRY_PATIENCE: Duration = Duration::from_secs(1);

impl Service {
    /// Stops: no new work, work under way finishes, then instances and database as told. `hurry` cuts it short.
    pub async fn stop(self, survivors: Survivors, hurry: CancellationToken) -> anyhow::Result<usize> {
        self.soft.cancel();
        self.endings.listening.cancel();
        self.works.callers.close();
        match survivors {
            Survivors::Leave => {
                self.leave(&hurry).await;
                Ok(0)
            }
            Survivors::End => self.end(&hurry).await,
        }
    }

    /// How long a stop that leaves the instances may take.
    pub fn longest_stop(&self) -> Duration {
        LAUNCH_PATIENCE + REQUEST_PATIENCE + RELEASE_PATIENCE + self.drain
    }

    async fn leave(mut self, hurry: &CancellationToken) {
        let begun = Instant::now();
        if let Some(offer) = &self.offer {
            offer.begin();
        }
        let released = tokio::select! {
            released = self.release() => released,
            () = hurry.cancelled() => false,
        };
        if released {
            drop(self.lock.take());
            if let Some(offer) = &self.offer {
                offer.release();
            }
            tracing::info!(
                "rows, shims and data folder are free for the next process; calls under way are finished"
            );
            let rest = self.drain.saturating_sub(begun.elapsed());
            let drained = tokio::select! {
                drained = timeout(rest, self.works.callers.wait()) => drained.is_ok(),
                () = hurry.cancelled() => false,
            };
            if !drained && !hurry.is_cancelled() {
                tracing::warn!(
                    drain_s = self.drain.as_secs(),
                    "calls that are under way for too long are cut"
                );
                self.endings.calls.cancel();
                let _ = timeout(LAST_EVENTS, self.works.callers.wait()).await;
            }
        }
        self.cut.cancel();
        self.hard.cancel();
        self.works.background.close();
        let _ = timeout(HURRY_PATIENCE, self.works.background.wait()).await;
    }

    /// Gives up rows and shims; false when something still uses them.
    async fn release(&self) -> bool {
        let (works, begun) = (&self.works, Instant::now());
        works.tasks.close();
        works.requests.close();
        if timeout(LAUNCH_PATIENCE, works.tasks.wait()).await.is_err() {
            tracing::warn!("launches under way took too long; the service ends without them");
            return false;
        }
        // A request that comes on a connection that was idle is still served.
        tokio::time::sleep(IDLE_GRACE.saturating_sub(begun.elapsed())).await;
        // One that goes on finds the pool closed.
        let _ = timeout(REQUEST_PATIENCE, works.requests.wait()).await;
        let letting_go = async {
            works.chores.close();
            works.chores.wait().await;
            self.orchestrator.let_go().await;
            self.hard.cancel();
            works.background.close();
            works.background.wait().await;
            self.store.close().await;
        };
        let has = timeout(RELEASE_PATIENCE, letting_go).await.is_ok();
        if !has {
            tracing::warn!("rows and shims are still in use; the service ends without draining calls");
        }
        has
    }

    async fn end(mut self, hurry: &CancellationToken) -> anyhow::Result<usize> {
        if let Some(offer) = &self.offer {
            offer.withdraw();
        }
        let mut ended = 0;
        let works = self.works.clone();
        let orderly = async {
            works.tasks.close();
            ended = self.orchestrator.end_all().await;
            let _ = timeout(LAUNCH_PATIENCE, works.tasks.wait()).await;
            ended += self.orchestrator.end_all().await;
            works.drivers.close();
            works.drivers.wait().await;
            self.orchestrator.leave_machine();
        };
        let callers = async {
            let _ = timeout(END_PATIENCE, works.callers.wait()).await;
            self.cut.cancel();
        };
        tokio::select! {
            _ = async { tokio::join!(orderly, callers) } => {}
            () = hurry.cancelled() => {}
        }
        self.cut.cancel();
        self.hard.cancel();
        for rest in [&works.chores, &works.background] {
            rest.close();
            let _ = timeout(END_PATIENCE, rest.wait()).await;
        }
        if let Some(database) = self.database.take() {
            let postgres = database.await.context("the watch over the database panicked")?;
            postgres.stop(StopMode::Fast).await.context("the private database did not stop")?;
            for folder in &self.sockets {
                // One that is not empty is still somebody's.
                let _ = std::fs::remove_dir(folder);
            }
        }
        let _ = std::fs::remove_file(&self.asked_at);
        Ok(ended)
    }
}

/// Counts requests of the REST API, so that rows are not given up under them.
pub(super) async fn count(
    axum::extract::State(requests): axum::extract::State<tokio_util::task::TaskTracker>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let _under_way = requests.token();
    next.run(request).await
}

/// The data folder's lock, which the process gives up before it ends.
pub(super) type Lock = Option<Arc<crate::data_folder::DataFolderLock>>;
