//! How many may read at once, and how that number falls while room is made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns that one piece of work keeps from readers: its processes, and what the database does for it, take two processors.
const KEPT_FOR_ONE: usize = 2;
/// Readers make room for no longer: what takes longer waits for something else.
const LONGEST_ROOM: Duration = Duration::from_millis(250);

/// Who may read.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    kept: Arc<Mutex<Kept>>,
}

/// What is kept from readers.
#[derive(Debug)]
struct Kept {
    /// Turns there are in all.
    all: usize,
    /// Who asked for room, by their number, and since when.
    rooms: BTreeMap<u64, Instant>,
    /// The number of the next.
    next: u64,
    /// Turns that were taken out for them.
    turns: usize,
}

impl Kept {
    /// Turns to keep; one is always left.
    fn wanted(&mut self) -> usize {
        if !self.rooms.is_empty() {
            let now = Instant::now();
            self.rooms.retain(|_, since| now.saturating_duration_since(*since) < LONGEST_ROOM);
        }
        (self.rooms.len() * KEPT_FOR_ONE).min(self.all.saturating_sub(1))
    }

    /// Takes out of the free turns what is wanted and there, or puts back what is not wanted any more.
    fn settle(&mut self, free: &Semaphore) {
        let wanted = self.wanted();
        if wanted >= self.turns {
            self.turns += free.forget_permits(wanted - self.turns);
        } else {
            free.add_permits(self.turns - wanted);
            self.turns = wanted;
        }
    }
}

impl Turns {
    pub(super) fn new(all: usize) -> Self {
        let kept = Kept { all, rooms: BTreeMap::new(), next: 0, turns: 0 };
        Self { free: Arc::new(Semaphore::new(all)), kept: Arc::new(Mutex::new(kept)) }
    }

    /// A turn, in the order in which they were asked for.
    pub(super) async fn wait(&self) -> Permit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        Permit { permit: Some(permit.expect("it is never closed")), turns: self.clone() }
    }

    /// Turns that are free go at once, the others as they are given back.
    pub(super) fn make_room(&self) -> Room {
        let number = self.change(|kept| {
            let number = kept.next;
            kept.next += 1;
            kept.rooms.insert(number, Instant::now());
            number
        });
        Room { number, turns: self.clone() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        // Numbers are right whoever panicked beside them.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut kept);
        kept.settle(&self.free);
        changed
    }
}

/// One reader's turn.
#[derive(Debug)]
pub(super) struct Permit {
    permit: Option<OwnedSemaphorePermit>,
    turns: Turns,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        self.turns.change(|kept| {
            // Given back, it would be the next reader's before it could be taken out.
            if kept.turns < kept.wanted() {
                kept.turns += 1;
                permit.forget();
            }
        });
    }
}

/// Room for work that readers would hold up: as long as it is there, and for its first moments, fewer of them read at once.
#[derive(Debug)]
#[must_use = "the room is there as long as this is"]
pub struct Room {
    number: u64,
    turns: Turns,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.turns.change(|kept| kept.rooms.remove(&self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_takes_free_turns_at_once_and_the_others_as_they_come_back_and_leaves_one() {
        let turns = Turns::new(3);
        let first = turns.wait().await;
        let second = turns.wait().await;
        let room = turns.make_room();
        assert_eq!(turns.free.available_permits(), 0, "the third was free");
        drop(first);
        assert_eq!(turns.free.available_permits(), 0, "it is kept");
        drop(second);
        assert_eq!(turns.free.available_permits(), 1, "one is left");
        let another = turns.make_room();
        assert_eq!(turns.free.available_permits(), 1, "however much room is made");
        drop(room);
        assert_eq!(turns.free.available_permits(), 1);
        drop(another);
        assert_eq!(turns.free.available_permits(), 3);
    }

    #[tokio::test]
    async fn room_that_takes_long_is_given_back_by_the_next_reader() {
        let turns = Turns::new(3);
        let _room = turns.make_room();
        let last = turns.wait().await;
        assert_eq!(turns.free.available_permits(), 0);
        for since in turns.kept.lock().unwrap().rooms.values_mut() {
            *since -= LONGEST_ROOM;
        }
        drop(last);
        assert_eq!(turns.free.available_permits(), 3);
    }

    #[tokio::test]
    async fn whoever_gave_up_waiting_takes_no_turn_with_them() {
        let turns = Turns::new(1);
        let held = turns.wait().await;
        let room = turns.make_room();
        let waiting = turns.clone();
        let impatient = tokio::time::timeout(std::time::Duration::ZERO, waiting.wait()).await;
        assert!(impatient.is_err());
        drop((held, room));
        assert_eq!(turns.free.available_permits(), 1);
    }
}
