//! How many may read at once, and how that number falls while room is made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Turns that one piece of work keeps from readers: its processes, and what the database does for it, take two processors.
const KEPT_FOR_ONE: usize = 2;
/// Readers make room for no longer: what takes longer waits for something else.
const LONGEST_ROOM: Duration = Duration::from_millis(250);
/// Room begins with nobody being let in for so long, which is about what a quick launch takes. Then readers come first for
/// as long: whoever makes room without end leaves them half of the time.
const STILL: Duration = Duration::from_millis(25);

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
    /// When it last became still.
    still_since: Option<Instant>,
}

impl Kept {
    /// Turns to keep; one is always left when it is not still.
    fn wanted(&mut self) -> usize {
        if self.rooms.is_empty() {
            return 0;
        }
        let now = Instant::now();
        self.rooms.retain(|_, since| now.saturating_duration_since(*since) < LONGEST_ROOM);
        let is_still = self.still_since.is_some_and(|since| now.saturating_duration_since(since) < STILL);
        if is_still && !self.rooms.is_empty() {
            return self.all;
        }
        (self.rooms.len() * KEPT_FOR_ONE).min(self.all.saturating_sub(1))
    }

    /// Counts one more who wants room. True when it becomes still with that.
    fn enter(&mut self, now: Instant) -> bool {
        self.rooms.insert(self.next, now);
        self.next += 1;
        let becomes_still =
            self.still_since.is_none_or(|since| now.saturating_duration_since(since) >= 2 * STILL);
        if becomes_still {
            self.still_since = Some(now);
        }
        becomes_still
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
        let kept = Kept { all, rooms: BTreeMap::new(), next: 0, turns: 0, still_since: None };
        Self { free: Arc::new(Semaphore::new(all)), kept: Arc::new(Mutex::new(kept)) }
    }

    /// A turn, in the order in which they were asked for.
    pub(super) async fn wait(&self) -> Permit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        Permit { permit: Some(permit.expect("it is never closed")), turns: self.clone() }
    }

    /// Turns that are free go at once, the others as they are given back.
    pub(super) fn make_room(&self) -> Room {
        let (number, becomes_still) = self.change(|kept| (kept.next, kept.enter(Instant::now())));
        if let (true, Ok(runtime)) = (becomes_still, Handle::try_current()) {
            let turns = self.clone();
            // While nobody has a turn, nobody who gives one back can see that the time is over. It ends by itself, soon.
            runtime.spawn(async move {
                tokio::time::sleep(STILL).await;
                turns.change(|_| ());
            });
        }
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

/// Room for work that readers would hold up: at first none of them is let in, and as long as it is there, within limits, fewer
/// than otherwise.
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

    /// Longer than a stillness, shorter than what readers have after it.
    const A_LITTLE_LONGER: Duration = Duration::from_millis(26);

    #[tokio::test(start_paused = true)]
    async fn room_takes_all_turns_for_a_moment_and_then_leaves_one() {
        let turns = Turns::new(3);
        let first = turns.wait().await;
        let second = turns.wait().await;
        let room = turns.make_room();
        assert_eq!(turns.free.available_permits(), 0, "the third was free");
        drop(first);
        drop(second);
        assert_eq!(turns.free.available_permits(), 0, "what comes back is kept");
        tokio::time::sleep(A_LITTLE_LONGER).await;
        assert_eq!(turns.free.available_permits(), 1, "one is left");
        let another = turns.make_room();
        assert_eq!(turns.free.available_permits(), 1, "however much room is made");
        drop(room);
        assert_eq!(turns.free.available_permits(), 1);
        drop(another);
        assert_eq!(turns.free.available_permits(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_while_it_is_still_is_let_in_when_that_is_over() {
        let turns = Turns::new(2);
        let (_room, begun) = (turns.make_room(), Instant::now());
        let first = turns.wait().await;
        assert_eq!(begun.elapsed().as_millis(), STILL.as_millis());
        let second = tokio::time::timeout(LONGEST_ROOM / 2, turns.wait()).await;
        assert!(second.is_err(), "one at a time");
        drop(first);
        turns.wait().await;
    }

    #[tokio::test(start_paused = true)]
    async fn readers_have_half_of_the_time_when_room_is_made_without_end() {
        let turns = Turns::new(3);
        let mut seen = Vec::new();
        for _ in 0..6 {
            let room = turns.make_room();
            seen.push(turns.free.available_permits());
            drop(room);
            tokio::time::sleep(STILL).await;
        }
        assert_eq!(seen, [0, 1, 0, 1, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn room_that_takes_long_is_given_back_by_the_next_reader() {
        let turns = Turns::new(3);
        let _room = turns.make_room();
        let last = turns.wait().await;
        assert_eq!(turns.free.available_permits(), 0);
        tokio::time::sleep(LONGEST_ROOM).await;
        drop(last);
        assert_eq!(turns.free.available_permits(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gave_up_waiting_takes_no_turn_with_them() {
        let turns = Turns::new(1);
        let held = turns.wait().await;
        let room = turns.make_room();
        let waiting = turns.clone();
        let impatient = tokio::time::timeout(Duration::ZERO, waiting.wait()).await;
        assert!(impatient.is_err());
        drop((held, room));
        assert_eq!(turns.free.available_permits(), 1);
    }
}
