//! The pool: a lock around what decides, and a clock.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_model::{Clock, Port, PortRange};

use crate::lease::PortLease;
use crate::snapshot::{QuarantineReason, Snapshot};
use state::State;

/// The ports of one machine. Clones are handles to the same pool; nothing here waits.
#[derive(Clone)]
pub struct PortPool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

/// No port can be leased now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {size} ports of the pool are leased or in quarantine")]
pub struct Exhausted {
    /// How many ports the pool has.
    pub size: usize,
    /// When a port can be free at the earliest: the end of the next quarantine, or a whole quarantine from now
    /// when every port is leased.
    pub retry_after: Duration,
}

/// Why a port named by a row cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// Two rows name one port.
    #[error("port {port} is already leased")]
    AlreadyLeased {
        /// The port.
        port: Port,
    },
}

/// Why a port cannot be put into quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuarantineError {
    /// Somebody has it; it goes into quarantine when they give it back.
    #[error("port {port} is leased")]
    Leased {
        /// The port.
        port: Port,
    },
    /// The pool never leases it.
    #[error("port {port} is not in the pool")]
    OutsidePool {
        /// The port.
        port: Port,
    },
}

impl PortPool {
    /// A pool of every port in `range`, each of which rests for `quarantine` after it was given back.
    pub fn new(range: PortRange, quarantine: Duration, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(State::new(range, quarantine));
        Self { shared: Arc::new(Shared { state, clock }) }
    }

    /// The free port that was given back longest ago; ports never leased come first, lowest first.
    pub fn lease(&self) -> Result<PortLease, Exhausted> {
        let port = self.state().take(self.now())?;
        Ok(PortLease::new(port, self.clone()))
    }

    /// A port that its last holder wants again: free, or resting only because it was given back, for then it rests for
    /// the sake of those who still know its last holder. None when somebody has it, or the range is without it.
    pub fn lease_again(&self, port: Port) -> Option<PortLease> {
        let taken = self.state().take_again(port, self.now());
        taken.then(|| PortLease::new(port, self.clone()))
    }

    /// The port of a row that is live already, in quarantine or outside the range as it may be.
    pub fn adopt(&self, port: Port) -> Result<PortLease, AdoptError> {
        self.state().adopt(port)?;
        Ok(PortLease::new(port, self.clone()))
    }

    /// Keeps a port that nobody has leased from being leased, for one quarantine from now.
    pub fn quarantine(&self, port: Port, why: QuarantineReason) -> Result<(), QuarantineError> {
        let mut state = self.state();
        let whole = state.quarantine();
        state.rest(port, why, self.now(), whole)
    }

    /// Keeps a port from being leased for `remaining`: what was left of its quarantine before our own restart.
    pub fn quarantine_for(
        &self,
        port: Port,
        why: QuarantineReason,
        remaining: Duration,
    ) -> Result<(), QuarantineError> {
        self.state().rest(port, why, self.now(), remaining)
    }

    /// Lets a port be leased again before its quarantine is over.
    pub fn end_quarantine(&self, port: Port) -> Result<(), QuarantineError> {
        self.state().end_rest(port, self.now())
    }

    /// Changes the range. Leases and quarantines outside the new one go on, and their ports then vanish.
    pub fn resize(&self, range: PortRange) {
        self.state().resize(range, self.now());
    }

    /// Changes how long ports rest from now on; those that rest already keep their time.
    pub fn set_quarantine(&self, quarantine: Duration) {
        self.state().set_quarantine(quarantine);
    }

    /// Every port and what became of it.
    pub fn snapshot(&self) -> Snapshot {
        self.state().snapshot(self.now())
    }

    pub(crate) fn give_back(&self, port: Port, why: QuarantineReason) {
        self.state().give_back(port, why, self.now());
    }

    fn now(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything could panic, so a poisoned state is a sound one.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PortPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let map = self.snapshot();
        f.debug_struct("PortPool")
            .field("range", &map.range)
            .field("free", &map.free())
            .field("leased", &map.leased())
            .field("quarantined", &map.quarantined())
            .finish()
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
