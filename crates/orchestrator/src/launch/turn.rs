//! The step between `Reserved` and `Spawned`: the row is there, and no process before it is its turn.

use std::sync::Arc;

use roadstead_control::StopReason;
use roadstead_model::{InstanceId, InstanceStatus, UserId};

use super::steps::Reserved;
use crate::admission::{Coming, Place, Queued, WaitedTooLong, WaitsFor};
use crate::end::End;
use crate::error::{Failure, LaunchError, QUEUE_FULL_PATIENCE};
use crate::live::Request;
use crate::parts::{Inner, Orchestrator};
use crate::shortage::Shortage;

/// Why a launch does not wait any longer.
enum Over {
    /// Somebody asked for the end.
    Asked { status: InstanceStatus, message: String },
    /// The service stops.
    Stopping,
    /// It waited as long as it may.
    TooLong(WaitedTooLong),
}

impl Inner {
    /// Lets a launch in that somebody asks for.
    pub(super) fn let_in(&self) -> Result<Coming, LaunchError> {
        self.admission.let_in(&self.settings().launches).map_err(|full| LaunchError::QueueFull {
            position: full.position,
            retry_after: QUEUE_FULL_PATIENCE,
        })
    }
}

impl Orchestrator {
    /// Where a pending instance stands among those that wait to be started; none for one that does not wait.
    pub fn queued(&self, id: InstanceId) -> Option<Queued> {
        self.0.admission.place(id, &self.0.settings().launches)
    }

    /// How many launches wait for their turn.
    pub fn waiting(&self) -> usize {
        self.0.admission.waiting()
    }
}

impl Reserved {
    /// Takes a place among those who wait to start processes.
    pub(super) fn enter(mut self, coming: Coming, owner: UserId) -> Self {
        let waiting = coming.enter(owner, self.instance, self.plan.type_id, self.plan.memory_limit());
        self.place = Some(Place::Waiting(waiting));
        self
    }

    /// Waits until it is its turn, unless somebody asks for the end before.
    pub(super) async fn wait_turn(mut self, inner: &Arc<Inner>) -> Result<Self, LaunchError> {
        let Some(Place::Waiting(waiting)) = self.place.take() else { return Ok(self) };
        let turn = waiting.turn(|| inner.settings().launches);
        tokio::pin!(turn);
        let over = loop {
            tokio::select! {
                biased;
                begun = &mut turn => match begun {
                    Ok(starting) => {
                        self.place = Some(Place::Starting(starting));
                        return Ok(self);
                    }
                    Err(too_long) => break Over::TooLong(too_long),
                },
                Some(request) = self.ownership.requests.recv() => match request {
                    Request::Stop { reason, actor } => {
                        self.actor = actor;
                        let is_expired = reason == StopReason::Expired;
                        let status =
                            if is_expired { InstanceStatus::Expired } else { InstanceStatus::Stopped };
                        break Over::Asked { status, message: "it was ended before its turn to start".to_owned() };
                    }
                    Request::EndOver { message } => {
                        break Over::Asked { status: InstanceStatus::Error, message };
                    }
                    // Other requests need a running instance; dropping one answers no.
                    _ => {}
                },
                () = inner.parts.stopping.cancelled() => break Over::Stopping,
            }
        };
        Err(self.end_before_its_turn(inner, over).await)
    }

    async fn end_before_its_turn(self, inner: &Arc<Inner>, over: Over) -> LaunchError {
        let instance = self.instance;
        let (status, error) = match over {
            Over::Asked { status, message } => {
                let failure =
                    Failure { code: "ENDED".to_owned(), message, stderr_tail: Vec::new(), timed_out: false };
                (status, LaunchError::ServerFailed { instance, failure })
            }
            Over::Stopping => (InstanceStatus::Error, LaunchError::ShuttingDown),
            Over::TooLong(too_long) => {
                let shortage = match too_long.waits_for {
                    WaitsFor::Turn => Shortage::Turns,
                    WaitsFor::Memory => Shortage::FreeMemory,
                };
                let source = Box::new(too_long);
                let error = LaunchError::Exhausted { instance: Some(instance), shortage, source };
                (InstanceStatus::Error, error)
            }
        };
        let message = match &error {
            LaunchError::ServerFailed { failure, .. } => failure.message.clone(),
            LaunchError::ShuttingDown => "the service stopped before it was its turn to start".to_owned(),
            error => error.to_string(),
        };
        let end = End::unrecorded(status, &message, inner.now());
        inner.finish(instance, &end, &self.actor).await;
        error
    }
}
