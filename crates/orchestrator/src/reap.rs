//! What nobody else noticed: instances past their deadline, rows that nobody answers for. No input, idempotent,
//! in batches; each run says once what it did, and the next run is the retry.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_control::StopReason;
use roadstead_model::expiry::WARNING_LEAD;
use roadstead_model::{Actor, EventType, InstanceStatus, SystemClock};
use roadstead_store::{InstanceRow, NewEvent, NodeRow, StoreError};
use serde_json::json;

use crate::end::End;
use crate::live::Request;
use crate::parts::Orchestrator;

/// Instances that one tick deals with: a large backlog must not starve launches.
const TICK_BATCH: u32 = 200;

/// What one run did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReapStatus {
    /// Owners that were told that their instance's time is up.
    pub told: usize,
    /// Rows that nobody answered for, ended.
    pub reaped: usize,
    /// Of them, how many could not be written.
    pub failed: usize,
    /// Instances whose time is up soon, and which say so.
    pub warned: u64,
    /// Rows that had ended otherwise before their deadline passed.
    pub expired: u64,
}

impl Orchestrator {
    /// Moves deadlines on, says which are near, ends what is past its own. Called every second.
    pub async fn tick(&self) -> Result<ReapStatus, StoreError> {
        // First, so that what was used just before its deadline lives on.
        self.0.note_uses().await?;
        let mut status = ReapStatus { warned: self.warn().await?, ..ReapStatus::default() };
        let due = self.0.store().instances().due(self.0.parts.node.node, self.0.now(), TICK_BATCH).await?;
        for instance in due {
            if let Some(handle) = self.0.live.find(instance.id) {
                // Its owner's own timer is first, as a rule; told twice, it acts once.
                let request = Request::Stop { reason: StopReason::Expired, actor: Actor::SYSTEM };
                if handle.requests.try_send(request).is_ok() {
                    status.told += 1;
                }
            } else {
                let end =
                    End::unrecorded(InstanceStatus::Expired, "its time was up; it was reaped", self.0.now());
                self.reap(instance.id, &end, &mut status).await;
            }
        }
        let (node, now) = (self.0.parts.node.node, self.0.now());
        status.expired = self.0.store().instances().expire_ended(node, now, None, TICK_BATCH).await?;
        Ok(status)
    }

    /// Says of each deadline once that it is near; the rows remember, so that the next start does not say it again.
    async fn warn(&self) -> Result<u64, StoreError> {
        let (instances, now) = (self.0.store().instances(), self.0.now());
        let near = instances.near(self.0.parts.node.node, now + WARNING_LEAD, TICK_BATCH).await?;
        if near.is_empty() {
            return Ok(0);
        }
        let looked_at: Vec<_> = near.into_iter().map(|one| (one, one.warning.is_due(now))).collect();
        instances.settle_warnings(&looked_at, now).await
    }

    /// Compares the rows with the owners, and does the chores that need no hurry. Called every 30 seconds.
    pub async fn reconcile(&self, clock: &SystemClock) -> Result<(), StoreError> {
        let store = self.0.store();
        clock.set_offset(store.clock_offset(|| clock.machine_now()).await?);
        if let Err(error) = self.compare().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "rows and processes could not be compared"
            );
        }
        let node = self.0.parts.node;
        let rows = store.instances().live_of_node(node.node).await?;
        let held = |row: &InstanceRow| row.port().filter(|_| self.0.live.find(row.id).is_some());
        let seen: Vec<_> = rows.iter().filter_map(|row| Some((held(row)?, self.0.now()))).collect();
        store.ports().stamp_health(node.node, &seen).await?;
        store.ensure_partitions(self.0.now()).await?;
        self.0.parts.accounts.flush_uses().await?;
        store.idempotency().purge(self.0.now()).await?;
        if let Err(error) = self.settings_changed().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the settings could not be read again");
        }
        Ok(())
    }

    async fn reap(&self, id: roadstead_model::InstanceId, end: &End, status: &mut ReapStatus) {
        let at = self.0.now();
        // First, because a row that has ended is not looked at again.
        let left = self.0.store_last_words(id).await;
        let written = match left {
            Ok(()) => self.0.write_end(id, end, Actor::SYSTEM).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(true) => {
                status.reaped += 1;
                self.0.parts.metrics.reaped();
                self.0.remove_folders(id);
                let event = NewEvent {
                    instance: id,
                    at,
                    shim_seq: None,
                    event_type: EventType::Reaped,
                    data: json!({}),
                    actor: Actor::SYSTEM,
                };
                if let Err(error) = self.0.store().events().append(&event).await {
                    tracing::warn!(instance.id = %id, error = &error as &dyn std::error::Error,
                        "that an instance was reaped could not be written");
                }
            }
            // Its owner was quicker.
            Ok(false) => {}
            Err(error) => {
                status.failed += 1;
                tracing::warn!(instance.id = %id, error = &error as &dyn std::error::Error,
                    "an instance could not be reaped; the next run tries again");
            }
        }
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
