//! The steps that a shim took by itself, on their way to events. Told again, a step is stored once: its number and its time are
//! the shim's.

use std::sync::Arc;
use std::time::Duration;

use roadstead_control::{LifecycleEntry, LifecycleStep};
use roadstead_model::{Actor, EventType, InstanceId};
use roadstead_store::{NewEvent, StoreError};
use roadstead_supervisor::ShimControl;
use serde_json::json;

use crate::parts::Inner;
use crate::reap::Reaper;

/// The pause between two attempts when the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Stores a step and confirms it to its shim. One that cannot be stored now is tried again in a task of its own, so that the
    /// instance's owner does not wait for the database.
    pub(crate) async fn take_step(
        self: &Arc<Self>,
        instance: InstanceId,
        step: LifecycleEntry,
        control: &ShimControl,
    ) {
        let seq = step.seq;
        match self.reaper.store_step(instance, &step).await {
            Ok(()) => control.lifecycle_received(seq).await,
            Err(error) if error.is_unavailable() => {
                let (inner, control) = (Arc::clone(self), control.clone());
                self.parts.tasks.spawn(async move {
                    if inner.keep_storing(instance, step).await {
                        control.lifecycle_received(seq).await;
                    }
                });
            }
            Err(error) => refused(instance, &error),
        }
    }

    /// Whether it was stored before the service had to end; if not, the shim says it again to the next one.
    async fn keep_storing(&self, instance: InstanceId, step: LifecycleEntry) -> bool {
        loop {
            tokio::select! {
                () = self.parts.stopping.cancelled() => return false,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
            match self.reaper.store_step(instance, &step).await {
                Ok(()) => return true,
                Err(error) if error.is_unavailable() => {}
                Err(error) => {
                    refused(instance, &error);
                    return false;
                }
            }
        }
    }
}

impl Reaper {
    /// Stores a step, unless it is stored already.
    pub(crate) async fn store_step(
        &self,
        instance: InstanceId,
        step: &LifecycleEntry,
    ) -> Result<(), StoreError> {
        let is_new = self.store().events().append(&as_event(instance, step)).await?;
        if is_new && matches!(step.step, LifecycleStep::Restarted { .. }) {
            self.parts.metrics.restarted_by_policy();
        }
        Ok(())
    }
}

fn refused(instance: InstanceId, error: &StoreError) {
    tracing::error!(instance.id = %instance, error = error as &dyn std::error::Error,
        "a step of an instance's life was refused and is lost");
}

/// A shim's step as a row.
fn as_event(instance: InstanceId, entry: &LifecycleEntry) -> NewEvent {
    let (event_type, data) = match &entry.step {
        LifecycleStep::Restarted { attempt, ended, process_id, away_ms } => (
            EventType::Restarted,
            json!({
                "attempt": attempt,
                "server_end": ended.map(|end| end.to_string()),
                "process_id": process_id,
                "away_ms": away_ms,
            }),
        ),
    };
    NewEvent {
        instance,
        at: entry.at,
        shim_seq: i64::try_from(entry.seq).ok(),
        event_type,
        data,
        actor: Actor::SYSTEM,
    }
}
