//! What a service does for the instances that it answers for, whoever has the reaper's lease.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_control::StopReason;
use roadstead_model::{Actor, SystemClock};
use roadstead_store::{InstanceRow, NodeRow, StoreError};

use super::ReapStatus;
use crate::live::Request;
use crate::parts::Orchestrator;

impl Orchestrator {
    /// Moves the deadlines of what was used, and tells the owners of what is past its own. Called every second; takes no
    /// longer for a backlog of rows that nobody answers for.
    pub async fn attend(&self) -> Result<ReapStatus, StoreError> {
        // First, so that what was used just before its deadline lives on.
        self.0.note_uses().await?;
        let live = self.0.live.all().into_iter();
        let owned: Vec<_> = live.filter(|(_, handle)| !handle.is_reaped).map(|(id, _)| id).collect();
        let mut status = ReapStatus::default();
        if owned.is_empty() {
            return Ok(status);
        }
        for instance in self.0.store().instances().due_among(&owned, self.0.now()).await? {
            let Some(handle) = self.0.live.find(instance) else { continue };
            // Its owner's own timer is first, as a rule; told twice, it acts once.
            let request = Request::Stop { reason: StopReason::Expired, actor: Actor::SYSTEM };
            if handle.requests.try_send(request).is_ok() {
                status.told += 1;
            }
        }
        Ok(status)
    }

    /// Compares the rows with the owners, and does the chores that need no hurry. Called every 30 seconds.
    pub async fn reconcile(&self, clock: &SystemClock) -> Result<(), StoreError> {
        self.0.reaper.set_clock(clock).await?;
        if let Err(error) = self.compare().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "rows and processes could not be compared"
            );
        }
        let node = self.0.parts.node;
        let rows = self.0.store().instances().live_of_node(node.node).await?;
        let held = |row: &InstanceRow| row.port().filter(|_| self.0.live.find(row.id).is_some());
        let seen: Vec<_> = rows.iter().filter_map(|row| Some((held(row)?, self.0.now()))).collect();
        self.0.store().ports().stamp_health(node.node, &seen).await?;
        // What the reaper ended, here or elsewhere, has ports that rest.
        self.rest_released().await?;
        if let Err(error) = self.renew_stale().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "instances whose credentials were replaced could not be looked for"
            );
        }
        if let Err(error) = self.settings_changed().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the settings could not be read again");
        }
        Ok(())
    }

    /// Ends every instance and waits until they have ended: what Ctrl-C does.
    pub async fn end_all(&self) -> usize {
        let live = self.0.live.all();
        let count = live.len();
        let ends = live.into_iter().map(|(id, _)| self.ask_to_end(id, StopReason::Shutdown, Actor::SYSTEM));
        futures_util::future::join_all(ends).await;
        count
    }

    /// Writes down that this node lives.
    pub async fn enter_node(&self, hostname: String) -> Result<(), StoreError> {
        let node = self.0.parts.node;
        let row = NodeRow { id: node.node, hostname, boot_id: node.boot, last_seen_at: self.0.now() };
        self.0.store().nodes().upsert(&row).await?;
        self.0.store().ports().ensure_range(node.node, self.0.settings().ports).await?;
        self.rest_released().await
    }

    /// Lets ports rest in the pool that rest by their rows.
    pub(crate) async fn rest_released(&self) -> Result<(), StoreError> {
        let node = self.0.parts.node;
        let now = self.0.now();
        let resting = self.0.store().ports().recently_released(node.node).await?;
        let mut known = BTreeSet::new();
        for port in resting.into_iter().filter(|port| known.insert(port.port)) {
            let until = port.quarantined_until.unwrap_or(now);
            if let Ok(remaining) = Duration::try_from(until - now) {
                let why = roadstead_port_allocator::QuarantineReason::Released;
                // Outside the range it needs no rest: it is not given away.
                let _ = self.0.ports.quarantine_for(port.port, why, remaining);
            }
        }
        Ok(())
    }
}
