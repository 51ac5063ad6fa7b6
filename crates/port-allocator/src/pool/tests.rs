//! What a pool promises, one sentence each.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roadstead_model::{MockClock, SystemClock};

use super::*;
use crate::snapshot::PortStatus;

const REST: Duration = Duration::from_mins(1);

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn pool(first: u16, last: u16) -> (PortPool, Arc<MockClock>) {
    let clock = Arc::new(MockClock::default());
    (PortPool::new(range(first, last), REST, clock.clone()), clock)
}

fn numbers(leases: &[PortLease]) -> Vec<u16> {
    leases.iter().map(|lease| lease.port().get()).collect()
}

#[track_caller]
fn lease_all(pool: &PortPool, count: usize) -> Vec<PortLease> {
    (0..count).map(|_| pool.lease().unwrap()).collect()
}

#[test]
fn a_new_pool_leases_its_ports_lowest_first() {
    let (pool, _) = pool(3001, 3003);
    assert_eq!(numbers(&lease_all(&pool, 3)), [3001, 3002, 3003]);
}

#[test]
fn a_dropped_lease_rests_before_its_port_can_be_leased_again() {
    let (pool, clock) = pool(3001, 3001);
    drop(pool.lease().unwrap());
    clock.advance(Duration::from_secs(59));
    assert!(pool.lease().is_err());
    clock.advance(Duration::from_secs(1));
    assert_eq!(pool.lease().unwrap().port(), port(3001));
}

#[test]
fn the_port_given_back_longest_ago_is_leased_first() {
    let (pool, clock) = pool(3001, 3003);
    let mut leases = lease_all(&pool, 3);
    for index in [1, 1, 0] {
        leases.remove(index).release();
        clock.advance(Duration::from_secs(1));
    }
    clock.advance(REST);
    assert_eq!(numbers(&lease_all(&pool, 3)), [3002, 3003, 3001]);
}

#[test]
fn a_port_never_used_comes_before_one_that_rested() {
    let (pool, clock) = pool(3001, 3002);
    pool.lease().unwrap().release();
    clock.advance(2 * REST);
    assert_eq!(numbers(&lease_all(&pool, 2)), [3002, 3001]);
}

#[test]
fn a_port_is_had_again_while_it_rests_for_its_last_holder() {
    let (pool, clock) = pool(3001, 3002);
    pool.lease().unwrap().release();
    let again = pool.lease_again(port(3001)).expect("it only rests");
    assert!(pool.lease_again(port(3001)).is_none(), "it is leased");
    assert_eq!(numbers(&lease_all(&pool, 1)), [3002]);
    drop(again);
    clock.advance(REST);
    assert_eq!(pool.lease_again(port(3001)).unwrap().port(), port(3001));
    assert!(pool.lease_again(port(4000)).is_none(), "it is not in the pool");
}

#[test]
fn a_port_that_something_else_holds_or_that_left_the_range_is_not_had_again() {
    let (pool, _clock) = pool(3001, 3002);
    pool.quarantine(port(3001), QuarantineReason::TakenByOther).unwrap();
    assert!(pool.lease_again(port(3001)).is_none());
    pool.lease().unwrap().release();
    pool.resize(range(3001, 3001));
    assert!(pool.lease_again(port(3002)).is_none());
}

#[test]
fn an_exhausted_pool_says_when_the_next_quarantine_ends() {
    let (pool, clock) = pool(3001, 3002);
    let leases = lease_all(&pool, 2);
    assert_eq!(pool.lease().unwrap_err(), Exhausted { size: 2, retry_after: REST });
    drop(leases);
    clock.advance(Duration::from_secs(20));
    let error = pool.lease().unwrap_err();
    assert_eq!(error.retry_after, Duration::from_secs(40));
    assert_eq!(error.to_string(), "all 2 ports of the pool are leased or in quarantine");
    clock.advance(error.retry_after);
    assert!(pool.lease().is_ok(), "the promise is kept");
}

#[test]
fn the_end_of_a_quarantine_outside_the_range_is_not_promised() {
    let (pool, clock) = pool(3001, 3002);
    let mut leases = lease_all(&pool, 2);
    leases.pop();
    pool.resize(range(3001, 3001));
    clock.advance(Duration::from_secs(50));
    assert_eq!(pool.lease().unwrap_err(), Exhausted { size: 1, retry_after: REST });
}

#[test]
fn a_port_held_by_something_else_is_skipped_and_rests() {
    let (pool, clock) = pool(3001, 3002);
    let lease = pool.lease().unwrap().taken_by_other().unwrap();
    assert_eq!(lease.port(), port(3002));
    let expected = PortStatus::Quarantined { remaining: REST, why: QuarantineReason::TakenByOther };
    assert_eq!(pool.snapshot().status(port(3001)), Some(expected));
    assert!(lease.taken_by_other().is_err(), "both are held by something else");
    clock.advance(REST);
    assert_eq!(pool.snapshot().free(), 2, "whatever held them may be gone: they are tried again");
}

#[test]
fn a_free_port_can_be_put_into_quarantine_and_a_leased_one_cannot() {
    let (pool, clock) = pool(3001, 3002);
    pool.quarantine(port(3001), QuarantineReason::Requested).unwrap();
    let lease = pool.lease().unwrap();
    assert_eq!(lease.port(), port(3002));
    let leased = QuarantineError::Leased { port: port(3002) };
    assert_eq!(pool.quarantine(port(3002), QuarantineReason::Requested), Err(leased));
    let outside = QuarantineError::OutsidePool { port: port(4000) };
    assert_eq!(pool.quarantine(port(4000), QuarantineReason::Requested), Err(outside));
    clock.advance(REST);
    assert_eq!(pool.lease().unwrap().port(), port(3001));
}

#[test]
fn what_was_left_of_a_quarantine_before_a_restart_is_kept() {
    let (pool, clock) = pool(3001, 3001);
    pool.quarantine_for(port(3001), QuarantineReason::Released, Duration::from_secs(5)).unwrap();
    assert_eq!(pool.lease().unwrap_err().retry_after, Duration::from_secs(5));
    clock.advance(Duration::from_secs(5));
    assert!(pool.lease().is_ok());
}

#[test]
fn a_quarantine_asked_for_twice_ends_with_the_second() {
    let (pool, clock) = pool(3001, 3001);
    pool.quarantine(port(3001), QuarantineReason::Requested).unwrap();
    clock.advance(REST / 2);
    pool.quarantine(port(3001), QuarantineReason::Requested).unwrap();
    clock.advance(REST / 2);
    assert!(pool.lease().is_err());
    clock.advance(REST / 2);
    assert!(pool.lease().is_ok());
}

#[test]
fn an_adopted_port_is_leased_once_and_comes_back_like_any_other() {
    let (pool, clock) = pool(3001, 3002);
    let adopted = pool.adopt(port(3001)).unwrap();
    assert_eq!(pool.adopt(port(3001)).unwrap_err(), AdoptError::AlreadyLeased { port: port(3001) });
    let other = pool.lease().unwrap();
    assert_eq!(other.port(), port(3002));
    assert!(pool.lease().is_err());
    drop(adopted);
    clock.advance(REST);
    assert_eq!(pool.lease().unwrap().port(), port(3001));
}

#[test]
fn a_resting_port_can_be_adopted_and_is_not_freed_under_its_owner() {
    let (pool, clock) = pool(3001, 3001);
    pool.lease().unwrap().release();
    let adopted = pool.adopt(port(3001)).unwrap();
    clock.advance(2 * REST);
    assert!(pool.lease().is_err());
    drop(adopted);
    assert_eq!(pool.snapshot().quarantined(), 1);
}

#[test]
fn an_adopted_port_outside_the_range_vanishes_when_it_is_over() {
    let (pool, clock) = pool(3001, 3001);
    let adopted = pool.adopt(port(4000)).unwrap();
    assert_eq!(pool.snapshot().status(port(4000)), Some(PortStatus::Leased));
    drop(adopted);
    assert_eq!(pool.snapshot().quarantined(), 1);
    clock.advance(REST);
    assert_eq!(pool.snapshot().status(port(4000)), None);
    assert_eq!(pool.snapshot().ports.len(), 1);
}

#[test]
fn a_pool_that_grows_leases_the_new_ports_too() {
    let (pool, _) = pool(3002, 3002);
    let first = pool.lease().unwrap();
    pool.resize(range(3001, 3003));
    let more = lease_all(&pool, 2);
    assert_eq!(numbers(&more), [3001, 3003]);
    assert!(pool.lease().is_err());
    assert_eq!(first.port(), port(3002));
}

#[test]
fn a_pool_that_shrinks_keeps_its_leases_until_they_are_dropped() {
    let (pool, clock) = pool(3001, 3004);
    let mut leases = lease_all(&pool, 4);
    pool.resize(range(3001, 3002));
    assert_eq!(pool.snapshot().leased(), 4);
    leases.drain(1..).for_each(drop);
    clock.advance(REST);
    assert_eq!(pool.lease().unwrap().port(), port(3002));
    let known: Vec<u16> = pool.snapshot().ports.iter().map(|view| view.port.get()).collect();
    assert_eq!(known, [3001, 3002]);
}

#[test]
fn shrinking_and_growing_again_neither_frees_a_leased_port_nor_cuts_a_quarantine() {
    let (pool, clock) = pool(3001, 3003);
    let mut leases = lease_all(&pool, 3);
    leases.pop();
    pool.resize(range(3001, 3001));
    pool.resize(range(3001, 3003));
    assert!(pool.lease().is_err(), "two are leased, one rests");
    clock.advance(REST);
    assert_eq!(pool.lease().unwrap().port(), port(3003));
}

#[test]
fn a_changed_quarantine_holds_for_what_is_given_back_later() {
    let (pool, clock) = pool(3001, 3002);
    let mut leases = lease_all(&pool, 2);
    leases.remove(0).release();
    pool.set_quarantine(Duration::ZERO);
    leases.remove(0).release();
    assert_eq!(pool.lease().unwrap().port(), port(3002));
    clock.advance(REST);
    assert_eq!(pool.snapshot().free(), 2);
}

#[test]
fn a_snapshot_counts_every_port_once() {
    let (pool, clock) = pool(3001, 3010);
    let mut leases = lease_all(&pool, 4);
    leases.pop();
    clock.advance(Duration::from_secs(10));
    let map = pool.snapshot();
    assert_eq!((map.free(), map.leased(), map.quarantined()), (6, 3, 1));
    let resting =
        PortStatus::Quarantined { remaining: Duration::from_secs(50), why: QuarantineReason::Released };
    assert_eq!(map.status(port(3004)), Some(resting));
    assert_eq!(map.range, range(3001, 3010));
}

#[test]
fn two_hundred_concurrent_leases_are_distinct_and_the_next_is_refused() {
    let (pool, _) = pool(3001, 3200);
    let barrier = Barrier::new(200);
    let leases: Vec<PortLease> = std::thread::scope(|scope| {
        let take = || {
            barrier.wait();
            pool.lease().unwrap()
        };
        let threads: Vec<_> = (0..200).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: HashSet<Port> = leases.iter().map(PortLease::port).collect();
    assert_eq!(distinct.len(), 200);
    assert!(pool.lease().is_err());
    drop(leases);
    assert_eq!(pool.snapshot().quarantined(), 200);
}

#[test]
fn threads_that_lease_and_drop_never_hold_one_port_at_once() {
    let pool = PortPool::new(range(3001, 3004), Duration::ZERO, Arc::new(SystemClock::new()));
    let held: [AtomicBool; 4] = std::array::from_fn(|_| AtomicBool::new(false));
    let leased = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let Ok(lease) = pool.lease() else { continue };
                    let flag = &held[usize::from(lease.port().get() - 3001)];
                    assert!(!flag.swap(true, Ordering::SeqCst), "{lease:?} is leased twice");
                    leased.fetch_add(1, Ordering::SeqCst);
                    flag.store(false, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(leased.load(Ordering::SeqCst) >= 2_000);
    assert_eq!(pool.snapshot().free(), 4);
}

#[test]
fn a_thread_that_panics_with_a_lease_gives_it_back() {
    let (pool, _) = pool(3001, 3001);
    let other = pool.clone();
    let thread = std::thread::spawn(move || {
        let lease = other.lease().unwrap();
        panic!("{lease:?} is dropped on the way out");
    });
    assert!(thread.join().is_err());
    assert_eq!(pool.snapshot().quarantined(), 1);
}

#[test]
fn a_quarantine_longer_than_time_itself_does_not_overflow() {
    let (pool, clock) = pool(3001, 3001);
    clock.advance(Duration::from_secs(1));
    pool.quarantine_for(port(3001), QuarantineReason::Requested, Duration::MAX).unwrap();
    assert!(pool.lease().is_err());
}
