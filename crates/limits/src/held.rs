//! What is remembered of those who asked: one number each, for so many at most.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use dashmap::{DashMap, Entry};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

/// The states of those who asked. When it is full, the half that has used the least of its rate is forgotten: what they lose
/// is what they had hardly begun to use.
#[derive(Debug)]
pub(crate) struct Held<K: Eq + Hash>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Eq + Hash> {
    states: DashMap<K, Nanos>,
    /// Kept beside the map, whose own count locks all of it.
    count: AtomicUsize,
    most: usize,
    forgotten: AtomicU64,
    /// Held by the one who makes room.
    making_room: Mutex<()>,
}

impl<K: Eq + Hash + Copy> Held<K> {
    /// Room for `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            states: DashMap::new(),
            count: AtomicUsize::new(0),
            most,
            forgotten: AtomicU64::new(0),
            making_room: Mutex::new(()),
        }))
    }

    /// How many were forgotten for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.0.forgotten.load(Ordering::Relaxed)
    }

    fn make_room(&self) {
        let _alone = match self.0.making_room.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is at it: one more meanwhile does no harm.
            Err(TryLockError::WouldBlock) => return,
        };
        if self.len() < self.0.most {
            return;
        }
        let mut uses: Vec<u64> = self.0.states.iter().map(|entry| entry.value().as_u64()).collect();
        if uses.is_empty() {
            return;
        }
        let half = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(half);
        let middle = *middle;
        let before = self.0.states.len();
        self.0.states.retain(|_, state| state.as_u64() > middle);
        let after = self.0.states.len();
        self.0.count.store(after, Ordering::Relaxed);
        let forgotten = u64::try_from(before.saturating_sub(after)).unwrap_or(u64::MAX);
        self.0.forgotten.fetch_add(forgotten, Ordering::Relaxed);
    }
}

impl<K: Eq + Hash> Clone for Held<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Copy> StateStore for Held<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.len() >= self.0.most && !self.0.states.contains_key(key) {
            self.make_room();
        }
        match self.0.states.entry(*key) {
            Entry::Occupied(mut held) => {
                let (answer, state) = measure(Some(*held.get()))?;
                held.insert(state);
                Ok(answer)
            }
            Entry::Vacant(place) => {
                let (answer, state) = measure(None)?;
                place.insert(state);
                self.0.count.fetch_add(1, Ordering::Relaxed);
                Ok(answer)
            }
        }
    }
}

impl<K: Eq + Hash + Copy> ShrinkableKeyedStateStore<K> for Held<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.states.retain(|_, state| *state > drop_below);
        self.0.count.store(self.0.states.len(), Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_up_to(held: &Held<u32>, key: u32, state: u64) {
        held.measure_and_replace::<(), _, ()>(&key, |_| Ok(((), Nanos::from(state)))).unwrap();
    }

    #[test]
    fn when_it_is_full_those_who_used_least_are_forgotten() {
        let held = Held::new(10);
        for key in 0..10 {
            use_up_to(&held, key, u64::from(key));
        }
        use_up_to(&held, 99, 99);
        assert_eq!((held.len(), held.forgotten()), (5, 6));
        let remembered = |key: u32| held.0.states.contains_key(&key);
        assert!(remembered(9) && remembered(99) && !remembered(0));
        use_up_to(&held, 9, 100);
        assert_eq!(held.len(), 5, "who is known needs no more room");
    }

    #[test]
    fn a_refusal_takes_no_room() {
        let held: Held<u32> = Held::new(10);
        assert!(held.measure_and_replace::<(), _, ()>(&1, |_| Err(())).is_err());
        assert!(held.is_empty());
    }
}
