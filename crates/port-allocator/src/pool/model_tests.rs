//! Any sequence of operations, held against a pool so simple that it is surely right.

use proptest::prelude::*;
use roadstead_model::MockClock;

use super::*;
use crate::snapshot::{PortStatus, PortView};

const REST: u64 = 10;
const LOW: u16 = 2000;

#[derive(Debug, Clone)]
enum Step {
    Lease,
    Drop(usize),
    TakenByOther(usize),
    Adopt(u16),
    Quarantine(u16),
    Resize(u16, u16),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Lease),
        3 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::TakenByOther),
        1 => (0_u16..10).prop_map(Step::Adopt),
        1 => (0_u16..10).prop_map(Step::Quarantine),
        1 => (0_u16..8, 0_u16..4).prop_map(|(first, more)| Step::Resize(first, more)),
        3 => (0_u64..12).prop_map(Step::Advance),
    ]
}

/// One port of the simple pool: when it was given back, and whether it is leased or rests.
#[derive(Debug, Clone, Copy)]
struct Entry {
    port: u16,
    returned: u64,
    leased: bool,
    rests: Option<(u64, QuarantineReason)>,
}

#[derive(Debug)]
struct Simple {
    now: u64,
    returns: u64,
    range: (u16, u16),
    entries: Vec<Entry>,
}

impl Simple {
    fn new(first: u16, last: u16) -> Self {
        let mut simple = Self { now: 0, returns: 0, range: (first, last), entries: Vec::new() };
        simple.resize(first, last);
        simple
    }

    fn tick(&mut self) {
        let (now, (first, last)) = (self.now, self.range);
        for entry in &mut self.entries {
            entry.rests = entry.rests.filter(|(until, _)| *until > now);
        }
        self.entries.retain(|e| e.leased || e.rests.is_some() || (first..=last).contains(&e.port));
    }

    fn resize(&mut self, first: u16, last: u16) {
        self.tick();
        self.range = (first, last);
        for port in first..=last {
            if !self.entries.iter().any(|entry| entry.port == port) {
                self.entries.push(Entry { port, returned: 0, leased: false, rests: None });
            }
        }
        self.tick();
    }

    fn lease(&mut self) -> Option<u16> {
        self.tick();
        let free = self.entries.iter_mut().filter(|entry| !entry.leased && entry.rests.is_none());
        let oldest = free.min_by_key(|entry| (entry.returned, entry.port))?;
        oldest.leased = true;
        Some(oldest.port)
    }

    fn adopt(&mut self, port: u16) -> bool {
        match self.entries.iter_mut().find(|entry| entry.port == port) {
            Some(entry) if entry.leased => false,
            Some(entry) => {
                (entry.leased, entry.rests) = (true, None);
                true
            }
            None => {
                self.entries.push(Entry { port, returned: 0, leased: true, rests: None });
                true
            }
        }
    }

    fn rest(&mut self, port: u16, why: QuarantineReason) {
        self.returns += 1;
        let entry = self.entries.iter_mut().find(|entry| entry.port == port).unwrap();
        (entry.leased, entry.returned) = (false, self.returns);
        entry.rests = Some((self.now + REST, why));
    }

    fn view(&mut self) -> Vec<PortView> {
        self.tick();
        self.entries.sort_by_key(|entry| entry.port);
        let status = |entry: &Entry| match entry.rests {
            _ if entry.leased => PortStatus::Leased,
            Some((until, why)) => {
                PortStatus::Quarantined { remaining: Duration::from_secs(until - self.now), why }
            }
            None => PortStatus::Free,
        };
        let view = |entry: &Entry| PortView { port: Port::new(entry.port).unwrap(), status: status(entry) };
        self.entries.iter().map(view).collect()
    }
}

struct Both {
    pool: PortPool,
    clock: Arc<MockClock>,
    simple: Simple,
    leases: Vec<PortLease>,
}

impl Both {
    fn new() -> Self {
        let clock = Arc::new(MockClock::default());
        let range = PortRange::new(LOW, LOW + 3).unwrap();
        let pool = PortPool::new(range, Duration::from_secs(REST), clock.clone());
        Self { pool, clock, simple: Simple::new(LOW, LOW + 3), leases: Vec::new() }
    }

    fn pick(&mut self, index: usize) -> Option<PortLease> {
        if self.leases.is_empty() { None } else { Some(self.leases.swap_remove(index % self.leases.len())) }
    }

    fn expect_lease(&mut self, leased: Result<PortLease, Exhausted>) {
        assert_eq!(leased.as_ref().ok().map(|lease| lease.port().get()), self.simple.lease());
        self.leases.extend(leased);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Lease => {
                let leased = self.pool.lease();
                self.expect_lease(leased);
            }
            Step::Drop(index) => {
                if let Some(lease) = self.pick(index) {
                    self.simple.rest(lease.port().get(), QuarantineReason::Released);
                }
            }
            Step::TakenByOther(index) => {
                if let Some(lease) = self.pick(index) {
                    self.simple.rest(lease.port().get(), QuarantineReason::TakenByOther);
                    let next = lease.taken_by_other();
                    self.expect_lease(next);
                }
            }
            Step::Adopt(offset) => {
                let adopted = self.pool.adopt(Port::new(LOW + offset).unwrap());
                assert_eq!(adopted.is_ok(), self.simple.adopt(LOW + offset));
                self.leases.extend(adopted);
            }
            Step::Quarantine(offset) => {
                let port = Port::new(LOW + offset).unwrap();
                if self.pool.quarantine(port, QuarantineReason::Requested).is_ok() {
                    self.simple.rest(port.get(), QuarantineReason::Requested);
                }
            }
            Step::Resize(first, more) => {
                self.pool.resize(PortRange::new(LOW + first, LOW + first + more).unwrap());
                self.simple.resize(LOW + first, LOW + first + more);
            }
            Step::Advance(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                self.simple.now += seconds;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_operations_matches_the_simple_pool(steps in proptest::collection::vec(step(), 1..80)) {
        let mut both = Both::new();
        for step in &steps {
            both.apply(step);
            prop_assert_eq!(both.pool.snapshot().ports, both.simple.view());
            let mut held: Vec<u16> = both.leases.iter().map(|lease| lease.port().get()).collect();
            held.sort_unstable();
            held.dedup();
            prop_assert_eq!(held.len(), both.leases.len(), "a port is in two leases");
        }
    }
}
