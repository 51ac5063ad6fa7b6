//! Live rows past their deadline that nobody answers for: those of which nothing is left on this machine are ended many at
//! a time, the others one by one, when their processes have gone.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use roadstead_metrics::OrphanKind;
use roadstead_model::{InstanceId, InstanceStatus};
use roadstead_store::{Reaping, StoreError};
use roadstead_supervisor::Found;
use time::OffsetDateTime;

use super::{BATCH, BATCH_PAUSE, Owners, ReapStatus, Reaper};
use crate::end::End;
use crate::live::Ownership;

/// Instances that are ended at one time; each holds a connection to the database while its processes go.
const ENDS_AT_ONCE: usize = 4;
/// How long a shim that is ended gets to leave by itself.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// What an owner in another process gets beyond the longest end, in which it kills what does not go.
const OWNER_MARGIN: Duration = Duration::from_secs(5);

/// What is known about instances of which there is nothing to be read.
const UNRECORDED: &str = "its time was up; it was reaped";

impl Reaper {
    /// Batch after batch, the most overdue first.
    pub(super) async fn end_overdue(
        &self,
        status: &mut ReapStatus,
        may_go_on: &(impl Fn() -> bool + Sync),
    ) -> Result<(), StoreError> {
        // Those that this run could not end must not hide the others.
        let mut left = Vec::new();
        loop {
            let by = self.nobodys_since();
            let without = [self.owners.ids(), left.clone()].concat();
            let due = self.store().instances().due(self.parts.node.node, by, &without, BATCH).await?;
            let is_last = due.len() < BATCH as usize;
            if !due.is_empty() {
                left.extend(self.end_batch(due, by, status).await?);
            }
            if is_last || !may_go_on() {
                return Ok(());
            }
            tokio::time::sleep(BATCH_PAUSE).await;
        }
    }

    /// Ends one row past its deadline that the caller answers for, and whose processes have gone.
    pub(crate) async fn reap_one(&self, id: InstanceId) -> Result<(), StoreError> {
        let (by, node) = (self.now(), self.parts.node);
        match self.parts.supervisor.look_at(id, node.installation, node.boot) {
            Some(found) => self.end_one(&found, by).await.map(drop),
            None => self.end_bare(&[id], by, &mut ReapStatus::default()).await.map(drop),
        }
    }

    /// A deadline at or before this moment, of an instance that no owner is known of, is nobody's business but ours.
    fn nobodys_since(&self) -> OffsetDateTime {
        match self.owners {
            Owners::Here(_) => self.now(),
            // Its owner may be at work, or about to take it over; a shim needs its grace and its ladder.
            Owners::Elsewhere => self.now() - self.parts.limits.longest_end() - OWNER_MARGIN,
        }
    }

    /// Answers those that are still there.
    async fn end_batch(
        &self,
        due: Vec<InstanceId>,
        by: OffsetDateTime,
        status: &mut ReapStatus,
    ) -> Result<Vec<InstanceId>, StoreError> {
        let (due, _claims) = self.claim(due);
        let (bare, found) = self.look(&due).await;
        let mut left = self.end_bare(&bare, by, status).await?;
        let mut ends = stream::iter(found)
            .map(|found| {
                let this = self.clone();
                async move { (found.instance, this.end_one(&found, by).await) }
            })
            .buffer_unordered(ENDS_AT_ONCE);
        while let Some((id, ended)) = ends.next().await {
            match ended {
                Ok(true) => status.reaped += 1,
                Ok(false) => left.push(id),
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    status.failed += 1;
                    left.push(id);
                    tracing::warn!(instance.id = %id, error = &error as &dyn std::error::Error,
                        "an instance could not be reaped; the next run tries again");
                }
            }
        }
        Ok(left)
    }

    /// Becomes the owner of those that have none, where owners can be seen: nobody starts them again meanwhile.
    fn claim(&self, due: Vec<InstanceId>) -> (Vec<InstanceId>, Vec<Ownership>) {
        match &self.owners {
            Owners::Here(live) => {
                due.into_iter().filter_map(|id| Some((id, live.claim_to_reap(id)?))).unzip()
            }
            Owners::Elsewhere => (due, Vec::new()),
        }
    }

    /// Those of which there is no run folder, and what there is of the others.
    async fn look(&self, due: &[InstanceId]) -> (Vec<InstanceId>, Vec<Found>) {
        let (parts, ids) = (std::sync::Arc::clone(&self.parts), due.to_vec());
        let looked = tokio::task::spawn_blocking(move || {
            let node = parts.node;
            let look = |id: &InstanceId| parts.supervisor.look_at(*id, node.installation, node.boot);
            let found: Vec<Found> = ids.iter().filter_map(look).collect();
            let has_folder = |id: &InstanceId| found.iter().any(|each| each.instance == *id);
            (ids.iter().copied().filter(|id| !has_folder(id)).collect(), found)
        });
        // A look that failed has seen nothing, and nothing is ended by it.
        looked.await.unwrap_or_default()
    }

    /// Ends rows that have no run folder: one look for marked processes and one statement for all of them.
    async fn end_bare(
        &self,
        bare: &[InstanceId],
        by: OffsetDateTime,
        status: &mut ReapStatus,
    ) -> Result<Vec<InstanceId>, StoreError> {
        if bare.is_empty() {
            return Ok(Vec::new());
        }
        match self.parts.supervisor.end_marked(bare).await {
            Ok(orphans) => self.parts.metrics.orphans(OrphanKind::Process, orphans),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    rows = bare.len(),
                    "processes of instances whose time was up did not go; their rows stay as they are"
                );
                status.failed += bare.len();
                return Ok(bare.to_vec());
            }
        }
        let how = self.how(End::unrecorded(InstanceStatus::Expired, UNRECORDED, self.now()), by);
        let reaped = self.store().instances().reap(bare, &how).await?;
        if matches!(self.owners, Owners::Here(_)) {
            // Elsewhere, the service may start one of them again at this moment; it sweeps what is left over.
            for id in &reaped {
                self.remove_folders(*id);
            }
        }
        tracing::debug!(rows = reaped.len(), "rows of which nothing was left were ended");
        status.reaped += reaped.len();
        for _ in &reaped {
            self.parts.metrics.reaped(how.status);
        }
        Ok(bare.iter().copied().filter(|id| !reaped.contains(id)).collect())
    }

    /// Ends what is left of an instance, then its row, which nobody else changes in between. False when it is not our turn,
    /// or its processes do not go.
    async fn end_one(&self, found: &Found, by: OffsetDateTime) -> Result<bool, StoreError> {
        let was_alive = found.is_alive();
        // A living shim keeps the deadline itself, and gives calls in flight their grace.
        let by = if was_alive { by.min(self.now() - self.parts.limits.longest_end()) } else { by };
        let Some(mut row) = self.store().instances().hold_due(found.instance, by).await? else {
            return Ok(false);
        };
        match self.parts.supervisor.end(std::slice::from_ref(found), END_PATIENCE).await {
            Ok(orphans) => self.parts.metrics.orphans(OrphanKind::Process, orphans),
            Err(error) => {
                tracing::error!(instance.id = %found.instance, error = &error as &dyn std::error::Error,
                    "processes of an instance whose time was up did not go; its row stays as it is");
                return Ok(false);
            }
        }
        self.store_spool(found).await?;
        // How it ended by itself; what it says when we end it is not what happened.
        let record = found.record().filter(|record| record.complete && !was_alive);
        let unrecorded = || End::unrecorded(InstanceStatus::Expired, UNRECORDED, self.now());
        let end = record.as_ref().map_or_else(unrecorded, End::of);
        let (status, message) = (end.status, end.message.clone());
        let reaped = row.reap(&self.how(end, by)).await?;
        if reaped {
            self.parts.metrics.reaped(status);
            // Before the row is free: whoever starts it again begins with folders of its own.
            self.remove_folders(found.instance);
        }
        row.done().await?;
        if reaped {
            tracing::info!(instance.id = %found.instance, instance.status = %status,
                message = message.as_deref().unwrap_or(""), "an instance was reaped");
        }
        Ok(reaped)
    }

    fn how(&self, end: End, due_by: OffsetDateTime) -> Reaping {
        Reaping {
            status: end.status,
            at: end.at,
            due_by,
            error_message: end.message,
            details: end.details,
            event_type: end.event,
            quarantine_until: self.now() + self.parts.limits.quarantine,
        }
    }
}
