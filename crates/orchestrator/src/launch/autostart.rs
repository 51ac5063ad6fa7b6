//! Instances that are started again by themselves when the machine was: restored as somebody would, with id, URL and token,
//! once it is written down how their last life ended.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use roadstead_model::{Actor, InstanceId};
use roadstead_store::{InstanceRow, StoreError};

use super::again::Asker;
use super::{Life, Wait};
use crate::parts::Orchestrator;

/// Servers that are started at one time: a machine that has just booted has other things to do.
const AUTOSTARTS_AT_ONCE: usize = 4;
/// The pause between two attempts to read rows from a database that does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Orchestrator {
    /// Waits until the rows of the boot before say how they ended, and restores those that are to be. What fails leaves the
    /// row as a restore does, and is not tried again by itself in this boot.
    pub(crate) async fn autostart(&self, of_the_boot_before: Vec<InstanceId>) {
        for id in of_the_boot_before {
            let Some(handle) = self.0.live.find(id) else { continue };
            tokio::select! {
                () = handle.wait_ended() => {}
                () = self.0.parts.stopping.cancelled() => return,
            }
        }
        let rows = match self.to_autostart().await {
            Ok(rows) => rows,
            Err(error) => {
                return tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the instances to start after a reboot could not be read"
                );
            }
        };
        let restores = stream::iter(rows).for_each_concurrent(AUTOSTARTS_AT_ONCE, |row| {
            let this = self.clone();
            async move { this.autostart_one(row).await }
        });
        restores.await;
    }

    async fn to_autostart(&self) -> Result<Vec<InstanceRow>, StoreError> {
        loop {
            let node = self.0.parts.node;
            let found = self.0.store().instances().to_autostart(node.node, node.boot, self.0.now()).await;
            match found {
                Err(error) if error.is_unavailable() && !self.0.parts.stopping.is_cancelled() => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn autostart_one(&self, row: InstanceRow) {
        if self.0.parts.stopping.is_cancelled() {
            // The next start finds it as we did.
            return;
        }
        // Its turn may come minutes after it was read: somebody may have started and stopped it since.
        let is_as_it_was = |now: &InstanceRow| {
            now.boot == row.boot && now.generation == row.generation && now.status() == row.status()
        };
        match self.0.store().instances().get(row.id, None).await {
            Ok(Some(now)) if is_as_it_was(&now) => {}
            Ok(_) => return,
            Err(error) => {
                return tracing::warn!(instance.id = %row.id, error = &error as &dyn std::error::Error,
                    "an instance could not be started again after a reboot");
            }
        }
        let asker = Asker { view: None, actor: Actor::SYSTEM, permit: None };
        match self.start_again(asker, row.id, Life::Same, Wait::Ready).await {
            Ok(_) => {
                tracing::info!(instance.id = %row.id, "an instance was started again after a reboot");
            }
            Err(error) => tracing::warn!(instance.id = %row.id, error = &error as &dyn std::error::Error,
                "an instance could not be started again after a reboot"),
        }
    }
}
