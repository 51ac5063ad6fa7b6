//! What a server will take, as far as anybody knows, and how much there is.

use std::collections::HashMap;
use std::sync::Arc;

use roadstead_model::{InstanceId, TypeId};

use super::Admission;

/// Of a type that nobody has seen run, this part of its limit is expected: few take all that they may.
const EXPECTED_PART: u64 = 4;
/// Types of which the largest instance is remembered.
const MOST_TYPES: usize = 10_000;

/// Tells how much memory is free.
#[derive(Clone)]
pub(super) struct Measure(pub(super) Arc<dyn Fn() -> Option<u64> + Send + Sync>);

impl Measure {
    /// Asked in a thread of its own: the kernel may take a moment to count.
    pub(super) async fn now(&self) -> Option<u64> {
        let measure = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || measure()).await.unwrap_or_default()
    }
}

/// The most that an instance of each type was seen to take.
#[derive(Debug, Default)]
pub(super) struct Largest {
    seen: HashMap<TypeId, u64>,
    /// What those are that live.
    types: HashMap<InstanceId, TypeId>,
}

impl Largest {
    /// What another one of a type is expected to take.
    pub(super) fn need(&self, of: TypeId, limit: u64) -> u64 {
        self.seen.get(&of).copied().unwrap_or(limit / EXPECTED_PART).min(limit)
    }

    fn saw(&mut self, instance: InstanceId, bytes: u64) {
        let Some(of) = self.types.get(&instance) else { return };
        if self.seen.len() < MOST_TYPES || self.seen.contains_key(of) {
            let largest = self.seen.entry(*of).or_default();
            *largest = bytes.max(*largest);
        }
    }
}

/// While this is held, what an instance is seen to take counts for its type.
#[derive(Debug)]
#[must_use = "what it takes counts for its type for as long as this is held"]
pub(crate) struct Known {
    admission: Admission,
    instance: InstanceId,
}

impl Admission {
    /// An instance of a type runs from now on.
    pub(crate) fn runs(&self, instance: InstanceId, of: TypeId) -> Known {
        self.state().largest.types.insert(instance, of);
        Known { admission: self.clone(), instance }
    }

    /// Instances were seen to take so many bytes.
    pub(crate) fn saw(&self, taken: impl IntoIterator<Item = (InstanceId, u64)>) {
        let mut state = self.state();
        for (instance, bytes) in taken {
            state.largest.saw(instance, bytes);
        }
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.admission.state().largest.types.remove(&self.instance);
    }
}
