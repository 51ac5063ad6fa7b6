//! What is remembered between requests: refusals that are only counted, and how much of what is dear goes on at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use roadstead_model::ApiKeyId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::audit_layer::Refusals;

/// Exports of the audit log at one time.
const EXPORTS: usize = 4;
/// Verifications at one time: each reads a whole log.
const VERIFICATIONS: usize = 1;
/// Event streams of one key.
const STREAMS_OF_KEY: usize = 10;

/// All of it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) refusals: Refusals,
    exports: Arc<Semaphore>,
    verifications: Arc<Semaphore>,
    streams: Mutex<HashMap<ApiKeyId, usize>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            refusals: Refusals::default(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            verifications: Arc::new(Semaphore::new(VERIFICATIONS)),
            streams: Mutex::default(),
        }
    }
}

/// The right to one stream; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    kept: Arc<Kept>,
    key: ApiKeyId,
}

impl Kept {
    /// The right to one export; none when as many go on as may.
    pub(crate) fn export(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.exports).try_acquire_owned().ok()
    }

    /// The right to verify; none while somebody else does.
    pub(crate) fn verification(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.verifications).try_acquire_owned().ok()
    }

    /// The right to one more stream of a key; none when it has as many as it may.
    pub(crate) fn stream(self: &Arc<Self>, key: ApiKeyId) -> Option<StreamSlot> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let count = streams.entry(key).or_default();
        if *count >= STREAMS_OF_KEY {
            return None;
        }
        *count += 1;
        Some(StreamSlot { kept: Arc::clone(self), key })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut streams = self.kept.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.key);
            }
        }
    }
}
