//! When a launch may start its processes: users take turns, a few servers start at one time, and the machine must have the
//! memory.
//!
//! ```text
//! Coming ──row written──► Waiting ──its turn, a slot, enough free memory──► Starting ──ready or failed──► slot free
//!  │ └ too many: full        └ stopped, or waited too long: the row ends        ▲
//!  └──nobody waits, a slot, enough free memory: before the row is written───────┘
//! ```
//! Each of the three is a lease: dropped, it gives back what it held. Nobody holds anything else while they wait for a turn
//! that others wait for: a restart of a running server takes none, and adoption starts nothing.

mod memory;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_accounts::LaunchSettings;
use roadstead_model::{InstanceId, Turns, TypeId, UserId};
use tokio::sync::watch;
use tokio::time::Instant;

use memory::{Largest, Measure};

/// A server that has not become ready by then does not keep others from starting any more: it waits for something itself,
/// or will fail. The memory that it was promised stays its own.
const LONGEST_START: Duration = Duration::from_secs(10);
/// How often one that waits looks again: memory comes and goes without telling.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a launch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its turn.
    Turn,
    /// Free memory.
    Memory,
}

impl WaitsFor {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Memory => "memory",
        }
    }
}

/// Where a launch stands that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// How many turns it is until its own: 1 for the next.
    pub position: usize,
    /// What the next one waits for.
    pub waits_for: WaitsFor,
}

/// It waited as long as a launch may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it waited for {} seconds", waited.as_secs())]
pub(crate) struct WaitedTooLong {
    /// For how long.
    waited: Duration,
    /// For what.
    pub(crate) waits_for: WaitsFor,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// The place that the next one would have.
    pub(crate) position: usize,
}

/// Everybody who starts something, or waits to.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Told when somebody left: it may be another's turn.
    changes: watch::Sender<()>,
    measure: Measure,
}

#[derive(Debug, Default)]
struct State {
    turns: Turns,
    /// Those whose rows are being written.
    coming: usize,
    starting: HashMap<InstanceId, Start>,
    /// The next one found too little memory when it looked last.
    is_short: bool,
    largest: Largest,
}

#[derive(Debug)]
struct Start {
    since: Instant,
    /// Memory that it was promised, and may not have taken yet.
    promised: u64,
}

/// The right to wait, from before the row is written.
#[derive(Debug)]
#[must_use = "the place is another's as soon as this is dropped"]
pub(crate) struct Coming(Admission);

/// A place among those who wait.
#[derive(Debug)]
#[must_use = "the place is given up as soon as this is dropped"]
pub(crate) struct Waiting {
    admission: Admission,
    instance: InstanceId,
    need: u64,
    since: Instant,
}

/// The right to start processes.
#[derive(Debug)]
#[must_use = "another starts as soon as this is dropped"]
pub(crate) struct Starting {
    admission: Admission,
    instance: InstanceId,
}

/// Whatever of these a launch holds at the time.
#[derive(Debug)]
pub(crate) enum Place {
    /// It waits.
    Waiting(Waiting),
    /// It starts.
    Starting(#[expect(dead_code, reason = "held for its drop")] Starting),
}

impl State {
    /// How many more may start now.
    fn slots(&self, settings: &LaunchSettings) -> usize {
        let under_way = self.starting.values().filter(|start| start.since.elapsed() < LONGEST_START).count();
        settings.at_once.saturating_sub(under_way)
    }

    fn promised(&self) -> u64 {
        self.starting.values().map(|start| start.promised).sum()
    }

    /// Whether there is too little memory for one that needs so much. Where the kernel does not say, nobody has to wait for it.
    fn lacks(&self, free: Option<u64>, need: u64, settings: &LaunchSettings) -> bool {
        let wanted = need.saturating_add(self.promised()).saturating_add(settings.min_free_memory);
        free.is_some_and(|free| free < wanted)
    }

    fn waits_for(&self) -> WaitsFor {
        if self.is_short { WaitsFor::Memory } else { WaitsFor::Turn }
    }
}

impl Admission {
    /// Nobody waits yet; `free` tells how much memory is free, and may take a moment.
    pub(crate) fn new(free: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        let measure = Measure(Arc::new(free));
        Self(Arc::new(Inner { state: Mutex::default(), changes: watch::Sender::new(()), measure }))
    }

    /// Lets one more in, unless as many wait as may.
    pub(crate) fn let_in(&self, settings: &LaunchSettings) -> Result<Coming, Full> {
        let mut state = self.state();
        let there = state.turns.len() + state.coming;
        if there >= settings.max_waiting.saturating_add(state.slots(settings)) {
            return Err(Full { position: there + 1 });
        }
        state.coming += 1;
        Ok(Coming(self.clone()))
    }

    /// The same for one that the service starts by itself, which is never too many: there are no more than it was told to
    /// start.
    pub(crate) fn let_in_anyhow(&self) -> Coming {
        self.state().coming += 1;
        Coming(self.clone())
    }

    /// Where an instance stands, if it has to wait.
    pub(crate) fn place(&self, instance: InstanceId, settings: &LaunchSettings) -> Option<Queued> {
        let state = self.state();
        let place = state.turns.place(instance)?;
        // Whoever finds a slot free is about to take it.
        let about_to_start = if state.is_short { 0 } else { state.slots(settings) };
        let position = place.checked_sub(about_to_start).filter(|position| *position > 0)?;
        Some(Queued { position, waits_for: state.waits_for() })
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().turns.len()
    }

    fn is_next(&self, instance: InstanceId, settings: &LaunchSettings) -> bool {
        let state = self.state();
        state.turns.first() == Some(instance) && state.slots(settings) > 0
    }

    /// Takes a slot, if it is still one's turn and there is memory.
    fn begin(&self, waiting: &Waiting, free: Option<u64>, settings: &LaunchSettings) -> Option<Starting> {
        let mut state = self.state();
        if state.turns.first() != Some(waiting.instance) {
            return None;
        }
        state.is_short = state.lacks(free, waiting.need, settings);
        if state.is_short {
            return None;
        }
        let slots = state.slots(settings);
        let instance = state.turns.next(slots)?;
        state.starting.insert(instance, Start { since: Instant::now(), promised: waiting.need });
        drop(state);
        self.0.changes.send_replace(());
        Some(Starting { admission: self.clone(), instance })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming {
    /// Takes a slot without waiting, before the row is there; gives itself back if anybody waits, no slot is free or memory is short.
    pub(crate) async fn at_once(
        self,
        instance: InstanceId,
        of: TypeId,
        limit: u64,
        settings: &LaunchSettings,
    ) -> Result<Starting, Self> {
        let admission = self.0.clone();
        let may = |state: &State| state.turns.is_empty() && state.slots(settings) > 0;
        if !may(&admission.state()) {
            return Err(self);
        }
        let free = admission.0.measure.now().await;
        let mut state = admission.state();
        let need = state.largest.need(of, limit);
        if !may(&state) || state.lacks(free, need, settings) {
            drop(state);
            return Err(self);
        }
        state.starting.insert(instance, Start { since: Instant::now(), promised: need });
        drop(state);
        Ok(Starting { admission, instance })
    }

    /// Takes a place: the row is there. `limit` is the memory that instances of the type may take.
    pub(crate) fn enter(self, user: UserId, instance: InstanceId, of: TypeId, limit: u64) -> Waiting {
        let admission = self.0.clone();
        let mut state = admission.state();
        state.turns.enter(user, instance);
        let need = state.largest.need(of, limit);
        drop(state);
        Waiting { admission, instance, need, since: Instant::now() }
    }
}

impl Waiting {
    /// Waits for the turn, a slot and memory.
    pub(crate) async fn turn(
        &self,
        settings: impl Fn() -> LaunchSettings,
    ) -> Result<Starting, WaitedTooLong> {
        let mut changes = self.admission.0.changes.subscribe();
        loop {
            let settings = settings();
            if self.admission.is_next(self.instance, &settings) {
                let free = self.admission.0.measure.now().await;
                if let Some(starting) = self.admission.begin(self, free, &settings) {
                    return Ok(starting);
                }
            }
            let waited = self.since.elapsed();
            let left = settings.max_wait.saturating_sub(waited);
            if left.is_zero() {
                return Err(WaitedTooLong { waited, waits_for: self.admission.state().waits_for() });
            }
            // The sender lives as long as the admission that this waits in.
            let _ = tokio::time::timeout(left.min(LOOK_AGAIN), changes.changed()).await;
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.coming = state.coming.saturating_sub(1);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        let left = state.turns.leave(self.instance);
        // What it needed says nothing about the next one.
        state.is_short &= !left;
        drop(state);
        if left {
            self.admission.0.changes.send_replace(());
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.admission.state().starting.remove(&self.instance);
        self.admission.0.changes.send_replace(());
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
