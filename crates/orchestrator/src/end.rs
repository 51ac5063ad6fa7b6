//! The end of an instance, whoever noticed it: the row, its port and its event in one statement, then the folders.

use std::time::Duration;

use roadstead_control::{ExitRecord, Outcome, StopReason};
use roadstead_model::{Actor, BootId, EventType, InstanceId, InstanceStatus, Step};
use roadstead_store::{Ending, InstanceRow, InstanceState, StoreError};
use roadstead_supervisor::Found;
use serde_json::{Value, json};

use crate::logs::as_row;
use crate::parts::Inner;
use crate::reap::Reaper;

/// The pause between two attempts to write an end to a database that does not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why an instance was asked to leave, in its row, when it had taken more than it may.
pub(crate) const OVER_LIMIT: &str = "over limit";

/// What it had taken too much of, if a row says that it was told to end for that.
pub(crate) fn over(row: &InstanceRow) -> Option<String> {
    let InstanceState::Running { stopping: Some(stopping), .. } = &row.state else { return None };
    (stopping.reason == OVER_LIMIT).then(|| row.error_message.clone()).flatten()
}

/// How an instance ended, in the words of its row.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) status: InstanceStatus,
    pub(crate) event: EventType,
    pub(crate) message: Option<String>,
    pub(crate) details: Value,
    pub(crate) at: time::OffsetDateTime,
}

impl End {
    /// What a shim's exit record says.
    pub(crate) fn of(record: &ExitRecord) -> Self {
        let (status, event) = match (record.outcome, record.reason) {
            (Outcome::Expired, _) | (_, Some(StopReason::Expired)) => {
                (InstanceStatus::Expired, EventType::Expired)
            }
            // Ready, and that could not be written or the row had changed: nobody asked for this end.
            (Outcome::Stopped, Some(StopReason::LaunchFailed))
            | (Outcome::Failed | Outcome::CrashLoop, _) => (InstanceStatus::Error, EventType::Error),
            (Outcome::Stopped, _) => (InstanceStatus::Stopped, EventType::Stopped),
            (Outcome::Disconnected, _) => (InstanceStatus::Disconnected, EventType::Disconnected),
        };
        let message = match (&record.failure, status) {
            (None, InstanceStatus::Expired) => record.idle_ms.map(|idle| {
                let idle = Duration::from_millis(idle);
                format!("idle for {}", roadstead_model::duration::spoken(idle))
            }),
            (Some(failure), _) => Some(with_tail(&failure.message, &failure.stderr_tail)),
            (None, InstanceStatus::Disconnected) => {
                let how = record.server_end.map_or_else(
                    || "the server is gone, and with it the shim that watched over it".to_owned(),
                    |end| format!("the server ended with {end}, and nobody asked it to"),
                );
                Some(with_tail(&how, &record.stderr_tail))
            }
            (None, InstanceStatus::Error) if record.reason == Some(StopReason::LaunchFailed) => Some(
                "the server was ready, and that could not be written down; the service's log says why"
                    .to_owned(),
            ),
            (None, InstanceStatus::Error) => Some("the server did not become ready".to_owned()),
            (None, _) => None,
        };
        let details = json!({
            "server_end": record.server_end.map(|end| end.to_string()),
            "reason": record.reason,
            "dropped_log_lines": record.dropped_logs,
        });
        Self { status, event, message, details, at: record.at }
    }

    /// An end that nobody recorded.
    pub(crate) fn unrecorded(status: InstanceStatus, message: &str, at: time::OffsetDateTime) -> Self {
        let event = match status {
            InstanceStatus::Expired => EventType::Expired,
            InstanceStatus::Error => EventType::Error,
            InstanceStatus::Stopped => EventType::Stopped,
            _ => EventType::Disconnected,
        };
        Self { status, event, message: Some(message.to_owned()), details: json!({}), at }
    }

    /// Says that it was ended for having taken more than it may.
    pub(crate) fn was_over(&mut self, message: String) {
        (self.status, self.event) = (InstanceStatus::Error, EventType::Error);
        self.message = Some(message);
        self.details["reason"] = OVER_LIMIT.into();
    }

    /// Says of what was lost when the machine was started again that it was: it may be started again by itself. What
    /// somebody had asked to leave, or what was up, ended for that reason.
    pub(crate) fn after_reboot(&mut self, row: Option<&InstanceRow>, boot: BootId) {
        let is_of_another_boot = row.is_some_and(|row| {
            row.boot != boot && !matches!(row.state, InstanceState::Running { stopping: Some(_), .. })
        });
        if !is_of_another_boot || self.status == InstanceStatus::Expired {
            return;
        }
        if self.status == InstanceStatus::Stopped {
            // The machine asked its shim to leave, nobody else did.
            (self.status, self.event) = (InstanceStatus::Disconnected, EventType::Disconnected);
            self.message = Some("the machine was started again, which ended it".to_owned());
        }
        self.details["lost_with"] = "reboot".into();
    }
}

/// What the database will never take is lost, and said so: an end must not wait for it for ever.
fn spared(found: &Found, what: &str, stored: Result<(), StoreError>) -> Result<(), StoreError> {
    match stored {
        Err(error) if !error.is_unavailable() => {
            tracing::error!(instance.id = %found.instance, error = &error as &dyn std::error::Error, what,
                "what a shim had left was refused and is lost");
            Ok(())
        }
        stored => stored,
    }
}

fn with_tail(message: &str, tail: &[String]) -> String {
    if tail.is_empty() {
        message.to_owned()
    } else {
        format!("{message}; its last lines:\n{}", tail.join("\n"))
    }
}

impl Reaper {
    /// Writes an end down, once: a row that has ended already is left as it is. Answers whether it was this call.
    pub(crate) async fn write_end(
        &self,
        instance: InstanceId,
        end: &End,
        actor: Actor,
    ) -> Result<bool, StoreError> {
        let ending = Ending {
            status: end.status,
            at: end.at,
            error_message: end.message.clone(),
            exit: Some(end.details.clone()),
            event_type: end.event,
            event_data: end.details.clone(),
            actor,
            quarantine_until: Some(self.now() + self.parts.limits.quarantine),
        };
        let written = self.store().instances().finish(instance, &ending).await?;
        if written {
            self.took(instance, Step::RowEnded);
            self.parts.metrics.ended(end.status);
            tracing::info!(instance.id = %instance, instance.status = %end.status,
                message = end.message.as_deref().unwrap_or(""), "an instance has ended");
        }
        Ok(written)
    }

    /// Ends an instance whose processes are gone: the row, however long the database takes, then the folders.
    /// Gives up only when the service itself is told to end at once; the next start then finds the exit record.
    pub(crate) async fn finish(&self, instance: InstanceId, end: &End, actor: &Actor) {
        self.took(instance, Step::ProcessesGone);
        loop {
            // The folder goes with the end: what the shim could not hand over is stored first.
            let stored = self.store_last_words(instance).await;
            let written = match stored {
                Ok(()) => self.write_end(instance, end, actor.clone()).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(_) => break,
                Err(error) if error.is_unavailable() && !self.parts.stopping.is_cancelled() => {
                    tracing::warn!(instance.id = %instance, error = &error as &dyn std::error::Error,
                        "the end of an instance could not be written; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    tracing::error!(instance.id = %instance, error = &error as &dyn std::error::Error,
                        "the end of an instance was not written; the reaper or the next start will");
                    return;
                }
            }
        }
        self.remove_folders(instance);
    }

    /// Stores what a shim that is gone had written down and could not hand over.
    pub(crate) async fn store_last_words(&self, instance: InstanceId) -> Result<(), StoreError> {
        let node = self.parts.node;
        match self.parts.supervisor.look_at(instance, node.installation, node.boot) {
            Some(found) => self.store_spool(&found).await,
            None => Ok(()),
        }
    }

    /// The same, however long the database takes; false when the service is told to end before it could be done.
    pub(crate) async fn keep_last_words(&self, instance: InstanceId) -> bool {
        loop {
            let error = match self.store_last_words(instance).await {
                Ok(()) => return true,
                Err(error) => error,
            };
            tracing::warn!(instance.id = %instance, error = &error as &dyn std::error::Error,
                "the last words of a shim could not be stored");
            if !error.is_unavailable() {
                // They will never be taken, and an instance must not wait for them for ever.
                return true;
            }
            if self.parts.stopping.is_cancelled() {
                return false;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// What nobody had stored when a shim ended: steps that it took by itself, facts of calls, and lines.
    pub(crate) async fn store_spool(&self, found: &Found) -> Result<(), StoreError> {
        for step in &found.steps() {
            spared(found, "steps", self.store_step(found.instance, step).await)?;
        }
        self.store_usage_left(found).await?;
        let lines: Vec<_> = found.spool().into_iter().map(|entry| as_row(found.instance, entry)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        spared(found, "log lines", crate::logs::append(self.store(), &lines).await.map(drop))
    }

    /// Removes what an ended instance leaves on disk.
    pub(crate) fn remove_folders(&self, instance: InstanceId) {
        crate::workplace::remove(&self.parts.workplaces, instance);
        if let Err(error) = self.parts.supervisor.forget(instance) {
            tracing::warn!(instance.id = %instance, error = &error as &dyn std::error::Error,
                "an instance's run folder could not be removed");
        }
        self.took(instance, Step::FoldersRemoved);
    }
}

/// The same, for those who answer for instances.
impl Inner {
    /// See [`Reaper::finish`].
    pub(crate) async fn finish(&self, instance: InstanceId, end: &End, actor: &Actor) {
        self.keep_compiled(instance).await;
        self.reaper.finish(instance, end, actor).await;
    }

    /// See [`Reaper::remove_folders`].
    pub(crate) fn remove_folders(&self, instance: InstanceId) {
        self.reaper.remove_folders(instance);
    }

    /// See [`Reaper::store_spool`].
    pub(crate) async fn store_spool(&self, found: &Found) -> Result<(), StoreError> {
        self.reaper.store_spool(found).await
    }
}
