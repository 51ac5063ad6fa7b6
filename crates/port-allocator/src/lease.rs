//! The right to one port, until it is dropped.

use roadstead_model::Port;

use crate::pool::{Exhausted, PortPool};
use crate::snapshot::QuarantineReason;

/// The right to one port. Dropping it puts the port into quarantine.
#[must_use = "the port goes back to the pool as soon as the lease is dropped"]
pub struct PortLease {
    port: Port,
    pool: PortPool,
    /// What the pool is told when the lease ends.
    why: QuarantineReason,
}

impl PortLease {
    pub(crate) const fn new(port: Port, pool: PortPool) -> Self {
        Self { port, pool, why: QuarantineReason::Released }
    }

    /// The port.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// Gives the port back: what dropping does, said aloud.
    pub fn release(self) {
        drop(self);
    }

    /// Gives back a port that turned out to be held by something else, and takes the next.
    pub fn taken_by_other(mut self) -> Result<Self, Exhausted> {
        let pool = self.pool.clone();
        self.why = QuarantineReason::TakenByOther;
        // Before the next is leased: of a pool of one port, the answer must be that none is left.
        drop(self);
        pool.lease()
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.pool.give_back(self.port, self.why);
    }
}

impl std::fmt::Debug for PortLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortLease({})", self.port)
    }
}
