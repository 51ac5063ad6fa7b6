//! All rates of the service.

use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use governor::clock::{Clock, DefaultClock};
use roadstead_model::{ApiKeyId, ProjectId, UserId};

use crate::network::Network;
use crate::rate::{ByRate, Subject, Verdict};

/// Addresses that are remembered: a flood from more of them makes us forget some, and not grow.
const MOST_ADDRESSES: usize = 100_000;
/// Keys, users and projects that are remembered for one rate: valid ones, so fewer than rows.
const MOST_KNOWN: usize = 100_000;

/// The rates that the settings say, a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests of one address without a valid key.
    pub address: u32,
    /// Requests of a key that has no rate of its own.
    pub key: u32,
    /// Requests of one user, with all keys.
    pub user: u32,
    /// Launches of one user.
    pub launches: u32,
}

/// Who has asked how often.
#[derive(Debug)]
pub struct Limits<C: Clock = DefaultClock> {
    rates: RwLock<Rates>,
    addresses: ByRate<Network, C>,
    keys: ByRate<ApiKeyId, C>,
    users: ByRate<UserId, C>,
    projects: ByRate<ProjectId, C>,
    launches: ByRate<UserId, C>,
}

impl Limits {
    /// Nobody has asked yet.
    pub fn new(rates: Rates) -> Self {
        Self::with_clock(rates, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// The same by another clock.
    pub fn with_clock(rates: Rates, clock: &C) -> Self {
        Self {
            rates: RwLock::new(rates),
            addresses: ByRate::new(Subject::Address, clock.clone(), MOST_ADDRESSES),
            keys: ByRate::new(Subject::Key, clock.clone(), MOST_KNOWN),
            users: ByRate::new(Subject::User, clock.clone(), MOST_KNOWN),
            projects: ByRate::new(Subject::Project, clock.clone(), MOST_KNOWN),
            launches: ByRate::new(Subject::Launches, clock.clone(), MOST_KNOWN),
        }
    }

    /// Other rates from now on. Who is held to one that changed starts with all of it.
    pub fn set_rates(&self, rates: Rates) {
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// A request without a valid key.
    pub fn address(&self, address: IpAddr) -> Verdict {
        self.addresses.check(Network::of(address), self.rates().address)
    }

    /// A request with a key, which may have a rate of its own.
    pub fn key(&self, key: ApiKeyId, own: Option<u32>) -> Verdict {
        self.keys.check(key, own.unwrap_or_else(|| self.rates().key))
    }

    /// A request of a user.
    pub fn user(&self, user: UserId) -> Verdict {
        self.users.check(user, self.rates().user)
    }

    /// A request in a project that has a rate.
    pub fn project(&self, project: ProjectId, per_minute: u32) -> Verdict {
        self.projects.check(project, per_minute)
    }

    /// A launch of a user.
    pub fn launch(&self, user: UserId) -> Verdict {
        self.launches.check(user, self.rates().launches)
    }

    /// Forgets those who have all of their rate again; called from time to time.
    pub fn tidy(&self) {
        self.addresses.tidy();
        self.keys.tidy();
        self.users.tidy();
        self.projects.tidy();
        self.launches.tidy();
    }

    /// How many addresses were forgotten for want of room since the start.
    pub fn addresses_forgotten(&self) -> u64 {
        self.addresses.forgotten()
    }

    fn rates(&self) -> Rates {
        *self.rates.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::Refused;

    const RATES: Rates = Rates { address: 3, key: 5, user: 6, launches: 2 };
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limits::with_clock(RATES, &clock), clock)
    }

    fn id(number: u8) -> ApiKeyId {
        ApiKeyId::from_uuid(format!("01980000-0000-7000-8000-0000000000{number:02}").parse().unwrap())
    }

    #[test]
    fn as_many_as_the_rate_are_let_through_at_once_and_then_one_after_its_share_of_a_minute() {
        let (limits, clock) = limits();
        for left in [2, 1, 0] {
            assert_eq!(limits.address(HERE).unwrap().remaining, left);
        }
        let refused = limits.address(HERE).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(20));
        assert_eq!((refused.limit, refused.whole_in), (3, Duration::from_mins(1)));
        clock.advance(refused.wait);
        assert_eq!(limits.address(HERE).unwrap().whole_in, Duration::from_mins(1));
        assert!(limits.address(HERE).is_err());
        clock.advance(Duration::from_mins(1));
        assert_eq!(limits.address(HERE).unwrap().remaining, 2);
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_through() {
        let (limits, clock) = limits();
        let mut refusals = 0;
        for _ in 0..100 {
            if let Err(Refused { wait, .. }) = limits.key(id(1), Some(7)) {
                refusals += 1;
                clock.advance(wait);
                assert!(limits.key(id(1), Some(7)).is_ok());
            }
        }
        assert_eq!(refusals, 93);
    }

    #[test]
    fn each_has_a_rate_of_their_own_and_takes_nothing_from_others() {
        let (limits, _) = limits();
        while limits.address(HERE).is_ok() {}
        assert!(limits.address("192.0.2.7".parse().unwrap()).is_ok());
        while limits.key(id(1), None).is_ok() {}
        assert_eq!(limits.key(id(2), None).unwrap().remaining, 4);
        assert_eq!(limits.key(id(3), Some(100)).unwrap().remaining, 99);
        let user = UserId::from_uuid(id(1).uuid());
        while limits.launch(user).is_ok() {}
        assert_eq!(limits.user(user).unwrap().remaining, 5);
        let project = ProjectId::from_uuid(id(1).uuid());
        assert_eq!(limits.project(project, 10).unwrap().remaining, 9);
        assert_eq!(limits.project(project, 10).unwrap().tighter(limits.user(user).unwrap()).remaining, 4);
    }

    #[test]
    fn a_changed_rate_holds_at_once() {
        let (limits, _) = limits();
        while limits.key(id(1), None).is_ok() {}
        limits.set_rates(Rates { key: 50, ..RATES });
        assert_eq!(limits.key(id(1), None).unwrap().remaining, 49);
        limits.set_rates(Rates { key: 0, ..RATES });
        assert_eq!(limits.key(id(1), None).unwrap().limit, 1, "a rate of nothing would lock everybody out");
    }

    #[test]
    fn what_is_whole_again_is_forgotten() {
        let (limits, clock) = limits();
        for rate in 1..=20 {
            limits.key(id(1), Some(rate)).unwrap();
        }
        limits.tidy();
        assert_eq!(limits.keys.rates(), 20);
        clock.advance(Duration::from_mins(5));
        limits.tidy();
        assert_eq!(limits.keys.rates(), 0);
        assert_eq!(limits.addresses_forgotten(), 0);
    }

    #[test]
    fn a_flood_from_many_addresses_does_not_grow_without_end() {
        let (limits, _) = limits();
        let loud: IpAddr = "198.51.100.1".parse().unwrap();
        while limits.address(loud).is_ok() {}
        for address in 0..150_000_u32 {
            let _ = limits.address(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + address)));
        }
        assert!(limits.addresses_forgotten() >= 50_000);
        assert!(limits.address(loud).is_err(), "who has used all is the last to be forgotten");
    }
}
