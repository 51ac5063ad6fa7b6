//! The instances that this process answers for: how to ask each one's owner for something.
//!
//! An entry exists from before the row is written until after it has ended, so a row without an entry belongs
//! to nobody and is the reaper's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use roadstead_control::{StopReason, TokenHash};
use roadstead_model::{Actor, InstanceId};
use roadstead_supervisor::ShimControl;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for one instance's owner: more at once is a mistake of the callers.
const REQUEST_QUEUE: usize = 16;

/// What may be asked of an instance's owner.
#[derive(Debug)]
pub(crate) enum Request {
    /// End it.
    Stop {
        /// Why.
        reason: StopReason,
        /// Who asks.
        actor: Actor,
    },
    /// The way to its shim, for questions that change nothing.
    Control {
        /// The way.
        done: oneshot::Sender<ShimControl>,
    },
    /// The deadline has moved.
    SetDeadline {
        /// The row's new generation.
        generation: u64,
        /// The new deadline.
        expires_at: OffsetDateTime,
        /// Whether the shim acknowledged.
        done: oneshot::Sender<bool>,
    },
    /// The token was replaced.
    SetToken {
        /// The row's new generation.
        generation: u64,
        /// The new token's hash.
        sha256: TokenHash,
        /// Whether the shim acknowledged.
        done: oneshot::Sender<bool>,
    },
}

/// The way to an instance's owner.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) requests: mpsc::Sender<Request>,
    /// Closes when the instance has ended and its row says so.
    pub(crate) ended: watch::Receiver<()>,
}

/// What an instance's owner holds; dropping it takes the entry away.
#[derive(Debug)]
#[must_use = "an instance without an owner is the reaper's"]
pub(crate) struct Ownership {
    pub(crate) requests: mpsc::Receiver<Request>,
    instance: InstanceId,
    live: LiveInstances,
    _ended: watch::Sender<()>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveInstances(std::sync::Arc<Mutex<HashMap<InstanceId, Handle>>>);

impl LiveInstances {
    /// Enters an instance.
    pub(crate) fn enter(&self, instance: InstanceId) -> Ownership {
        let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
        let (ended_sender, ended) = watch::channel(());
        let handle = Handle { requests: sender, ended };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(instance, handle);
        Ownership { requests, instance, live: self.clone(), _ended: ended_sender }
    }

    /// The way to an instance's owner.
    pub(crate) fn find(&self, instance: InstanceId) -> Option<Handle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&instance).cloned()
    }

    /// Every instance that has an owner.
    pub(crate) fn all(&self) -> Vec<(InstanceId, Handle)> {
        let live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter().map(|(instance, handle)| (*instance, handle.clone())).collect()
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.live.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.instance);
    }
}

impl Handle {
    /// Waits until the instance has ended.
    pub(crate) async fn wait_ended(mut self) {
        // The sender sends nothing: it is dropped at the end.
        while self.ended.changed().await.is_ok() {}
    }
}
