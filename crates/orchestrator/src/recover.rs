//! After a restart of our own: shims of an earlier run are ended, and every row tells what became of it.

use std::collections::HashMap;
use std::time::Duration;

use roadstead_model::{Actor, InstanceId, InstanceStatus};
use roadstead_store::StoreError;
use roadstead_supervisor::{Survivor, SurvivorError};

use crate::end::End;
use crate::logs::as_row;
use crate::parts::Orchestrator;

/// How long survivors get to leave by themselves.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a start found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RecoverStatus {
    /// Shims that were alive and were ended.
    pub ended: usize,
    /// Rows that were live and now say how their instance ended.
    pub rows: usize,
}

/// Why a start cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The processes.
    #[error("instances of an earlier run could not be ended")]
    Survivors(#[from] SurvivorError),
    /// The database.
    #[error("the rows of an earlier run could not be read or written")]
    Store(#[from] StoreError),
}

impl Orchestrator {
    /// Ends what an earlier run left, and makes the rows truthful. Called before anything is launched.
    pub async fn recover(&self) -> Result<RecoverStatus, RecoverError> {
        let node = self.0.parts.node;
        let survivors = self.0.parts.supervisor.end_survivors(node.installation, node.boot, PATIENCE).await?;
        let ended = survivors.iter().filter(|survivor| survivor.was_alive).count();
        let mut status = RecoverStatus { ended, rows: 0 };
        let mut found: HashMap<InstanceId, Survivor> =
            survivors.into_iter().map(|survivor| (survivor.instance, survivor)).collect();
        for row in self.0.store().instances().live_of_node(node.node).await? {
            let survivor = found.remove(&row.id);
            let end = self.end_of(&row, survivor.as_ref());
            if let Some(survivor) = survivor {
                self.store_spool(survivor).await?;
            }
            if self.0.write_end(row.id, &end, Actor::SYSTEM).await? {
                status.rows += 1;
            }
            self.0.remove_folders(row.id);
        }
        for (id, survivor) in found {
            // Its row has ended, or there is none: only what it said last is missing.
            let known = self.0.store().instances().get(id, None).await?.is_some();
            if known {
                self.store_spool(survivor).await?;
            }
            self.0.remove_folders(id);
        }
        // The ports of what ended just now rest as well.
        self.rest_released().await?;
        Ok(status)
    }

    fn end_of(&self, row: &roadstead_store::InstanceRow, survivor: Option<&Survivor>) -> End {
        if let Some(Survivor { was_alive: false, record: Some(record), .. }) = survivor {
            return End::of(record);
        }
        let now = self.0.now();
        if row.expires_at <= now {
            return End::unrecorded(
                InstanceStatus::Expired,
                "its time was up while the service did not run",
                now,
            );
        }
        let message = match survivor {
            Some(Survivor { was_alive: true, .. }) => "the service was started again, which ended it",
            _ => "it was gone when the service was started again",
        };
        End::unrecorded(InstanceStatus::Disconnected, message, now)
    }

    async fn store_spool(&self, survivor: Survivor) -> Result<(), StoreError> {
        let id = survivor.instance;
        for step in &survivor.steps {
            self.0.store_step(id, step).await?;
        }
        let lines: Vec<_> = survivor.spool.into_iter().map(|entry| as_row(id, entry)).collect();
        if !lines.is_empty() {
            self.0.store().logs().append(&lines).await?;
        }
        Ok(())
    }
}
