//! Who hears of each step of a launch and of an end, at the moment at which it has been taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use roadstead_model::{InstanceId, Step};

/// Hears of each step, in the task that took it: what it does there, the launch waits for.
pub trait Witness: std::fmt::Debug + Send + Sync {
    /// `since` is the time since the step before; none for the first of a launch or an end.
    fn saw(&self, instance: InstanceId, step: Step, since: Option<Duration>);
}

/// Nobody wants to hear.
#[derive(Debug, Clone, Copy)]
pub struct Unwitnessed;

impl Witness for Unwitnessed {
    fn saw(&self, _instance: InstanceId, _step: Step, _since: Option<Duration>) {}
}

/// The last step of each instance that is on its way up or down.
#[derive(Debug)]
pub(crate) struct Steps {
    witness: Arc<dyn Witness>,
    last: Mutex<HashMap<InstanceId, Instant>>,
}

impl Steps {
    pub(crate) fn new(witness: Arc<dyn Witness>) -> Self {
        Self { witness, last: Mutex::default() }
    }

    /// A step has been taken.
    pub(crate) fn taken(&self, instance: InstanceId, step: Step) {
        let now = Instant::now();
        let before = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if step.is_last() { last.remove(&instance) } else { last.insert(instance, now) }
        };
        // A first step has none before it, whatever an end that was given up has left.
        let since = before.filter(|_| !step.is_first()).map(|before| now.duration_since(before));
        self.witness.saw(instance, step, since);
    }
}
