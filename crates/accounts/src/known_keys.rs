//! Keys that were looked up a moment ago. A change by this service is seen at once: it makes everything that was known
//! before worth nothing. One that somebody makes in the database is seen within a second.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use roadstead_store::KeyWithUser;

/// After so long a key is looked up again, by one request; the others go on with what is known meanwhile.
const FRESH: Duration = Duration::from_millis(500);
/// After so long nobody goes on with it.
const LAST: Duration = Duration::from_secs(1);
/// Keys that are known at a time: a few megabytes.
const MAX_KEYS: NonZeroUsize = NonZeroUsize::new(4_096).expect("it is not zero");

/// The keys, by their SHA-256.
#[derive(Debug)]
pub(crate) struct KnownKeys<T = KeyWithUser>(Mutex<LruCache<[u8; 32], Known<T>>>);

#[derive(Debug)]
struct Known<T> {
    found: Arc<T>,
    /// The changes there had been before it was looked up.
    changes: u64,
    at: Instant,
    is_renewed: bool,
}

impl<T> Default for KnownKeys<T> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_KEYS)))
    }
}

impl<T> KnownKeys<T> {
    /// What is known of a key; none if somebody has to look it up, which then is whoever asked.
    pub(crate) fn get(&self, hash: &[u8; 32], changes: u64, now: Instant) -> Option<Arc<T>> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get_mut(hash)?;
        let age = now.saturating_duration_since(known.at);
        if known.changes != changes || age >= LAST {
            keys.pop(hash);
            return None;
        }
        if age >= FRESH && !known.is_renewed {
            known.is_renewed = true;
            return None;
        }
        Some(Arc::clone(&known.found))
    }

    /// Keeps what was found, with the number of changes and the time from before it was looked for.
    pub(crate) fn put(&self, hash: [u8; 32], found: Arc<T>, changes: u64, at: Instant) {
        let known = Known { found, changes, at, is_renewed: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(hash, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn any_change_makes_what_was_known_worth_nothing_also_what_was_looked_up_meanwhile() {
        let (keys, now) = (KnownKeys::default(), Instant::now());
        keys.put(KEY, Arc::new(1), 5, now);
        assert_eq!(keys.get(&KEY, 5, now).as_deref(), Some(&1));
        assert_eq!(keys.get(&KEY, 6, now), None);
        // Read before the change, and kept after it.
        keys.put(KEY, Arc::new(1), 5, now);
        assert_eq!(keys.get(&KEY, 6, now), None);
        assert_eq!(keys.get(&[8; 32], 6, now), None);
    }

    #[test]
    fn one_request_renews_what_grows_old_and_nobody_uses_what_is_a_second_old() {
        let (keys, now) = (KnownKeys::default(), Instant::now());
        keys.put(KEY, Arc::new(1), 0, now);
        let old = now + FRESH;
        assert_eq!(keys.get(&KEY, 0, old), None, "the first looks it up");
        assert_eq!(keys.get(&KEY, 0, old).as_deref(), Some(&1), "the second goes on meanwhile");
        assert_eq!(keys.get(&KEY, 0, now + LAST), None, "the first never came back");
        keys.put(KEY, Arc::new(2), 0, old);
        assert_eq!(keys.get(&KEY, 0, old).as_deref(), Some(&2));
    }
}
