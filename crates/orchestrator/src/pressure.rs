//! What a look at the machine says of limits: told as events, and carried out where nobody else holds one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roadstead_model::{Actor, EventType, InstanceId};
use roadstead_store::{NewEvent, StoreError};
use roadstead_supervisor::{LimitName, Over, Reached};
use serde_json::json;

use crate::live::Request;
use crate::parts::Inner;

/// The pause between two attempts when the database does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Events that may wait for the database. Each instance brings a handful in ten minutes at most.
const MOST_WAITING: usize = 256;
const BYTES_PER_MEBIBYTE: u64 = 1024 * 1024;

impl Inner {
    /// Ends what is above a limit that nobody else holds. Called at each look until it has ended.
    pub(crate) fn end_over(&self, over: Vec<(InstanceId, Over)>) {
        for (instance, over) in over {
            // Without an owner, it is about to end anyway.
            let Some(handle) = self.live.find(instance) else { continue };
            // A full queue means that it has much to do; the next look asks again.
            let _ = handle.requests.try_send(Request::EndOver { message: message(over) });
        }
    }

    /// Stores an event for each limit that was reached, in a task of its own: a look waits for no database.
    pub(crate) fn tell_reached(
        self: &Arc<Self>,
        reached: Vec<(InstanceId, Reached)>,
        runtime: &tokio::runtime::Handle,
    ) {
        for (instance, reached) in reached {
            let event = NewEvent {
                instance,
                at: self.now(),
                shim_seq: None,
                event_type: EventType::LimitReached,
                data: json!({
                    "limit": reached.limit.as_str(),
                    "at": reached.at.as_str(),
                    "value": reached.value,
                    "limit_value": reached.limit_value,
                }),
                actor: Actor::SYSTEM,
            };
            if self.events_waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
                self.events_waiting.fetch_sub(1, Ordering::Relaxed);
                tracing::warn!(instance.id = %instance, event = %event.data,
                    "too many events wait for the database: that a limit was reached is not kept");
                continue;
            }
            let inner = Arc::clone(self);
            let storing = async move {
                inner.store_event(&event).await;
                inner.events_waiting.fetch_sub(1, Ordering::Relaxed);
            };
            self.parts.tasks.spawn_on(storing, runtime);
        }
    }

    async fn store_event(&self, event: &NewEvent) {
        loop {
            let Err(error) = self.store().events().append(event).await else { return };
            if !error.is_unavailable() || self.parts.stopping.is_cancelled() {
                return lost(event, &error);
            }
            tokio::select! {
                () = self.parts.stopping.cancelled() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }
}

fn lost(event: &NewEvent, error: &StoreError) {
    tracing::warn!(instance.id = %event.instance, event = %event.data, error = error as &dyn std::error::Error,
        "that a limit was reached could not be kept");
}

/// Why an instance was ended, and what to do about it.
fn message(over: Over) -> String {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes.div_ceil(BYTES_PER_MEBIBYTE));
    let of_bytes = || (mebibytes(over.value), mebibytes(over.limit_value));
    let of_count = || (over.value.to_string(), over.limit_value.to_string());
    let (what, field, (used, limit)) = match over.limit {
        LimitName::Memory => ("memory", "memory_mb", of_bytes()),
        LimitName::Disk => ("disk space for its folder", "disk_mb", of_bytes()),
        LimitName::Processes => ("processes and threads", "processes", of_count()),
        LimitName::Cpu => ("processor time", "cpu", of_count()),
    };
    format!(
        "ended for taking more {what} than its type allows: {used} of {limit}; raise `resource_limits.{field}` of the \
         type if its server needs that much"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_names_the_limit_what_was_used_and_what_to_do() {
        let (value, limit_value) = (65 * BYTES_PER_MEBIBYTE - 1, 64 * BYTES_PER_MEBIBYTE);
        let text = message(Over { limit: LimitName::Memory, value, limit_value });
        assert!(text.contains("65 MiB of 64 MiB") && text.contains("`resource_limits.memory_mb`"), "{text}");
        let text = message(Over { limit: LimitName::Processes, value: 70, limit_value: 64 });
        assert!(text.contains("70 of 64") && text.contains("`resource_limits.processes`"), "{text}");
    }
}
