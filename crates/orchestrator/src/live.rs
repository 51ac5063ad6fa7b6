//! The instances that this process answers for: how to ask each one's owner for something.
//!
//! An entry exists from before the row is written until after it has ended, so a row without an entry belongs
//! to nobody and is the reaper's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use roadstead_control::{StopReason, TokenHash};
use roadstead_model::{Actor, InstanceId};
use roadstead_supervisor::ShimControl;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::error::LaunchError;
use crate::launch::Plan;

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
    /// End it for having taken more than it may; the row says this.
    EndOver {
        /// What was above which limit, and what to do.
        message: String,
    },
    /// End its processes, and start it afresh.
    Restart(Box<Restart>),
}

/// A restart that was asked for.
pub(crate) struct Restart {
    /// The next launch, looked up and checked while the server still runs.
    pub(crate) plan: Plan,
    /// Who asks.
    pub(crate) actor: Actor,
    /// Told when it has begun; dropped when it will not.
    pub(crate) begun: oneshot::Sender<()>,
    /// Told when the server is ready again, or why not; dropped when the instance was ended instead.
    pub(crate) done: oneshot::Sender<Result<(), LaunchError>>,
    /// A stop of the service waits for it, whether or not whoever asked does.
    pub(crate) under_way: TaskTrackerToken,
}

impl std::fmt::Debug for Restart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restart").finish_non_exhaustive()
    }
}

/// The way to an instance's owner.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) requests: mpsc::Sender<Request>,
    restarting: Arc<AtomicBool>,
    /// Its owner is the reaper: it obeys nobody, and lets go soon.
    pub(crate) is_reaped: bool,
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
    restarting: Arc<AtomicBool>,
    _ended: watch::Sender<()>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveInstances(Arc<Mutex<HashMap<InstanceId, Handle>>>);

impl LiveInstances {
    /// Enters an instance that nobody else knows yet.
    pub(crate) fn enter(&self, instance: InstanceId) -> Ownership {
        let (handle, ownership) = self.entry(instance, false);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(instance, handle);
        ownership
    }

    /// Enters an instance that others may want to enter, too; none when it has an owner.
    pub(crate) fn claim(&self, instance: InstanceId) -> Option<Ownership> {
        self.claim_as(instance, false)
    }

    /// Keeps an instance that has no owner from getting one while it is reaped; none when it has one.
    pub(crate) fn claim_to_reap(&self, instance: InstanceId) -> Option<Ownership> {
        self.claim_as(instance, true)
    }

    fn claim_as(&self, instance: InstanceId, is_reaped: bool) -> Option<Ownership> {
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Vacant(vacant) = live.entry(instance) else { return None };
        let (handle, ownership) = self.entry(instance, is_reaped);
        vacant.insert(handle);
        Some(ownership)
    }

    fn entry(&self, instance: InstanceId, is_reaped: bool) -> (Handle, Ownership) {
        let (sender, requests) = mpsc::channel(REQUEST_QUEUE);
        let (ended_sender, ended) = watch::channel(());
        let restarting = Arc::new(AtomicBool::new(false));
        let handle = Handle { requests: sender, restarting: Arc::clone(&restarting), is_reaped, ended };
        (handle, Ownership { requests, instance, live: self.clone(), restarting, _ended: ended_sender })
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
        let mut live = self.live.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |handle: &Handle| Arc::ptr_eq(&handle.restarting, &self.restarting);
        if live.get(&self.instance).is_some_and(is_ours) {
            live.remove(&self.instance);
        }
    }
}

impl Ownership {
    /// Says whether the instance is being restarted: its row is that of a running one all the while.
    pub(crate) fn set_restarting(&self, restarting: bool) {
        self.restarting.store(restarting, Ordering::Relaxed);
    }
}

impl Handle {
    /// Whether the instance is being restarted.
    pub(crate) fn is_restarting(&self) -> bool {
        self.restarting.load(Ordering::Relaxed)
    }

    /// Waits until the instance has ended.
    pub(crate) async fn wait_ended(mut self) {
        // The sender sends nothing: it is dropped at the end.
        while self.ended.changed().await.is_ok() {}
    }
}
