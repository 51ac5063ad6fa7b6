//! Which port is free, leased or resting: pure, with the time as a parameter.
//!
//! `slots` says what became of each port; `free` and `resting` are the same facts in the order in which they
//! are needed, so that a lease costs the same in a pool of sixty ports and of sixty thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use roadstead_model::{Port, PortRange};

use super::{AdoptError, Exhausted, QuarantineError};
use crate::snapshot::{PortStatus, PortView, QuarantineReason, Snapshot};

pub(super) struct State {
    range: PortRange,
    quarantine: Duration,
    /// How many times a port was given back: the age of free ports.
    returns: u64,
    slots: BTreeMap<Port, Slot>,
    /// By when they were given back.
    free: BTreeSet<(u64, Port)>,
    /// By when their quarantine ends.
    resting: BTreeSet<(Duration, Port)>,
}

#[derive(Clone, Copy)]
enum Slot {
    Free { returned: u64 },
    Leased,
    Resting { until: Duration, returned: u64, why: QuarantineReason },
}

impl State {
    pub(super) fn new(range: PortRange, quarantine: Duration) -> Self {
        let mut state = Self {
            range,
            quarantine,
            returns: 0,
            slots: BTreeMap::new(),
            free: BTreeSet::new(),
            resting: BTreeSet::new(),
        };
        state.add_missing();
        state
    }

    pub(super) const fn quarantine(&self) -> Duration {
        self.quarantine
    }

    pub(super) const fn set_quarantine(&mut self, quarantine: Duration) {
        self.quarantine = quarantine;
    }

    pub(super) fn take(&mut self, now: Duration) -> Result<Port, Exhausted> {
        self.wake(now);
        match self.free.pop_first() {
            Some((_, port)) => {
                self.slots.insert(port, Slot::Leased);
                Ok(port)
            }
            None => Err(Exhausted { size: self.range.len(), retry_after: self.next_free_in(now) }),
        }
    }

    /// The end of the first quarantine inside the range. Without one every port is leased, and even one given
    /// back at this moment would have to rest first.
    fn next_free_in(&self, now: Duration) -> Duration {
        let mut inside = self.resting.iter().filter(|(_, port)| self.range.contains(*port));
        inside.next().map_or(self.quarantine, |(until, _)| until.saturating_sub(now))
    }

    /// Takes a port of the range that is free or rests after a release; whether it did.
    pub(super) fn take_again(&mut self, port: Port, now: Duration) -> bool {
        self.wake(now);
        let is_to_be_had = match self.slots.get(&port) {
            Some(Slot::Free { .. } | Slot::Resting { why: QuarantineReason::Released, .. }) => {
                self.range.contains(port)
            }
            Some(Slot::Leased | Slot::Resting { .. }) | None => false,
        };
        if is_to_be_had {
            self.unlist(port);
            self.slots.insert(port, Slot::Leased);
        }
        is_to_be_had
    }

    pub(super) fn adopt(&mut self, port: Port) -> Result<(), AdoptError> {
        if matches!(self.slots.get(&port), Some(Slot::Leased)) {
            return Err(AdoptError::AlreadyLeased { port });
        }
        self.unlist(port);
        self.slots.insert(port, Slot::Leased);
        Ok(())
    }

    pub(super) fn give_back(&mut self, port: Port, why: QuarantineReason, now: Duration) {
        self.put_to_rest(port, why, now.saturating_add(self.quarantine));
    }

    pub(super) fn rest(
        &mut self,
        port: Port,
        why: QuarantineReason,
        now: Duration,
        length: Duration,
    ) -> Result<(), QuarantineError> {
        match self.slots.get(&port) {
            None => Err(QuarantineError::OutsidePool { port }),
            Some(Slot::Leased) => Err(QuarantineError::Leased { port }),
            Some(Slot::Free { .. } | Slot::Resting { .. }) => {
                self.put_to_rest(port, why, now.saturating_add(length));
                Ok(())
            }
        }
    }

    /// Ends the rest of a port that nobody has; one that does not rest stays as it is.
    pub(super) fn end_rest(&mut self, port: Port, now: Duration) -> Result<(), QuarantineError> {
        match self.slots.get(&port).copied() {
            None => Err(QuarantineError::OutsidePool { port }),
            Some(Slot::Leased) => Err(QuarantineError::Leased { port }),
            Some(Slot::Free { .. }) => Ok(()),
            Some(Slot::Resting { until, returned, why }) => {
                self.resting.remove(&(until, port));
                self.slots.insert(port, Slot::Resting { until: now, returned, why });
                self.resting.insert((now, port));
                self.wake(now);
                Ok(())
            }
        }
    }

    pub(super) fn resize(&mut self, range: PortRange, now: Duration) {
        self.wake(now);
        self.range = range;
        self.add_missing();
        let outside: Vec<(u64, Port)> =
            self.free.iter().copied().filter(|(_, port)| !range.contains(*port)).collect();
        for entry in outside {
            self.free.remove(&entry);
            self.slots.remove(&entry.1);
        }
    }

    pub(super) fn snapshot(&mut self, now: Duration) -> Snapshot {
        self.wake(now);
        let status = |slot: &Slot| match *slot {
            Slot::Free { .. } => PortStatus::Free,
            Slot::Leased => PortStatus::Leased,
            Slot::Resting { until, why, .. } => {
                PortStatus::Quarantined { remaining: until.saturating_sub(now), why }
            }
        };
        let ports = self.slots.iter().map(|(port, slot)| PortView { port: *port, status: status(slot) });
        Snapshot { range: self.range, ports: ports.collect() }
    }

    /// Adds the ports of the range that the pool does not know. Those still leased or resting from an earlier
    /// range stay what they are.
    fn add_missing(&mut self) {
        for port in self.range.ports() {
            self.slots.entry(port).or_insert_with(|| {
                self.free.insert((0, port));
                Slot::Free { returned: 0 }
            });
        }
    }

    fn put_to_rest(&mut self, port: Port, why: QuarantineReason, until: Duration) {
        self.unlist(port);
        self.returns += 1;
        self.slots.insert(port, Slot::Resting { until, returned: self.returns, why });
        self.resting.insert((until, port));
    }

    /// Frees every port whose quarantine is over, or forgets it when it lies outside the range.
    fn wake(&mut self, now: Duration) {
        while let Some(&(until, port)) = self.resting.first().filter(|(until, _)| *until <= now) {
            self.resting.remove(&(until, port));
            match self.slots.remove(&port) {
                Some(Slot::Resting { returned, .. }) if self.range.contains(port) => {
                    self.slots.insert(port, Slot::Free { returned });
                    self.free.insert((returned, port));
                }
                _ => {}
            }
        }
    }

    /// Takes a port out of the two ordered lists.
    fn unlist(&mut self, port: Port) {
        match self.slots.get(&port) {
            Some(Slot::Free { returned }) => {
                self.free.remove(&(*returned, port));
            }
            Some(Slot::Resting { until, .. }) => {
                self.resting.remove(&(*until, port));
            }
            Some(Slot::Leased) | None => {}
        }
    }
}
