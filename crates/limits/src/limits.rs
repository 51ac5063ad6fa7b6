//! All rates of the service.

use std::net::IpAddr;

use governor::clock::{Clock, DefaultClock};
use roadstead_model::{ApiKeyId, ProjectId, UserId};

use crate::network::Network;
use crate::rate::{ByRate, Subject, Verdict};

/// Addresses that are remembered: a flood from more of them makes us forget some, and not grow.
const MOST_ADDRESSES: usize = 100_000;
/// Keys, users and projects that are remembered for one rate: valid ones, so fewer than rows.
const MOST_KNOWN: usize = 100_000;

/// Who has asked how often. Each check says the rate: whose rate changes is held to the new one at once, and starts with all of it.
#[derive(Debug)]
pub struct Limits<C: Clock = DefaultClock> {
    addresses: ByRate<Network, C>,
    keys: ByRate<ApiKeyId, C>,
    users: ByRate<UserId, C>,
    projects: ByRate<ProjectId, C>,
    launches: ByRate<UserId, C>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::with_clock(&DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// Nobody has asked yet.
    pub fn with_clock(clock: &C) -> Self {
        Self {
            addresses: ByRate::new(Subject::Address, clock.clone(), MOST_ADDRESSES),
            keys: ByRate::new(Subject::Key, clock.clone(), MOST_KNOWN),
            users: ByRate::new(Subject::User, clock.clone(), MOST_KNOWN),
            projects: ByRate::new(Subject::Project, clock.clone(), MOST_KNOWN),
            launches: ByRate::new(Subject::Launches, clock.clone(), MOST_KNOWN),
        }
    }

    /// A request without a valid key.
    pub fn address(&self, address: IpAddr, per_minute: u32) -> Verdict {
        self.addresses.check(Network::of(address), per_minute)
    }

    /// A request with a key.
    pub fn key(&self, key: ApiKeyId, per_minute: u32) -> Verdict {
        self.keys.check(key, per_minute)
    }

    /// A request of a user, with whichever key.
    pub fn user(&self, user: UserId, per_minute: u32) -> Verdict {
        self.users.check(user, per_minute)
    }

    /// A request in a project.
    pub fn project(&self, project: ProjectId, per_minute: u32) -> Verdict {
        self.projects.check(project, per_minute)
    }

    /// A launch of a user.
    pub fn launch(&self, user: UserId, per_minute: u32) -> Verdict {
        self.launches.check(user, per_minute)
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::Refused;

    /// Low rates, told apart.
    const ADDRESS: u32 = 3;
    const KEY: u32 = 5;
    const USER: u32 = 6;
    const LAUNCHES: u32 = 2;
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limits() -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limits::with_clock(&clock), clock)
    }

    fn id(number: u8) -> ApiKeyId {
        ApiKeyId::from_uuid(format!("01980000-0000-7000-8000-0000000000{number:02}").parse().unwrap())
    }

    #[test]
    fn as_many_as_the_rate_are_let_through_at_once_and_then_one_after_its_share_of_a_minute() {
        let (limits, clock) = limits();
        for left in [2, 1, 0] {
            assert_eq!(limits.address(HERE, ADDRESS).unwrap().remaining, left);
        }
        let refused = limits.address(HERE, ADDRESS).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(20));
        assert_eq!((refused.limit, refused.whole_in), (3, Duration::from_mins(1)));
        clock.advance(refused.wait);
        assert_eq!(limits.address(HERE, ADDRESS).unwrap().whole_in, Duration::from_mins(1));
        assert!(limits.address(HERE, ADDRESS).is_err());
        clock.advance(Duration::from_mins(1));
        assert_eq!(limits.address(HERE, ADDRESS).unwrap().remaining, 2);
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_through() {
        let (limits, clock) = limits();
        let mut refusals = 0;
        for _ in 0..100 {
            if let Err(Refused { wait, .. }) = limits.key(id(1), 7) {
                refusals += 1;
                clock.advance(wait);
                assert!(limits.key(id(1), 7).is_ok());
            }
        }
        assert_eq!(refusals, 93);
    }

    #[test]
    fn each_has_a_rate_of_their_own_and_takes_nothing_from_others() {
        let (limits, _) = limits();
        while limits.address(HERE, ADDRESS).is_ok() {}
        assert!(limits.address("192.0.2.7".parse().unwrap(), ADDRESS).is_ok());
        while limits.key(id(1), KEY).is_ok() {}
        assert_eq!(limits.key(id(2), KEY).unwrap().remaining, 4);
        assert_eq!(limits.key(id(3), 100).unwrap().remaining, 99);
        let user = UserId::from_uuid(id(1).uuid());
        while limits.launch(user, LAUNCHES).is_ok() {}
        assert_eq!(limits.user(user, USER).unwrap().remaining, 5);
        let project = ProjectId::from_uuid(id(1).uuid());
        assert_eq!(limits.project(project, 10).unwrap().remaining, 9);
        assert_eq!(
            limits.project(project, 10).unwrap().tighter(limits.user(user, USER).unwrap()).remaining,
            4
        );
    }

    #[test]
    fn a_changed_rate_holds_at_once() {
        let (limits, _) = limits();
        while limits.key(id(1), KEY).is_ok() {}
        assert_eq!(limits.key(id(1), 50).unwrap().remaining, 49);
        assert_eq!(limits.key(id(1), 0).unwrap().limit, 1, "a rate of nothing would lock everybody out");
    }

    #[test]
    fn what_is_whole_again_is_forgotten() {
        let (limits, clock) = limits();
        for rate in 1..=20 {
            limits.key(id(1), rate).unwrap();
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
        while limits.address(loud, ADDRESS).is_ok() {}
        for address in 0..150_000_u32 {
            let _ = limits.address(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + address)), ADDRESS);
        }
        assert!(limits.addresses_forgotten() >= 50_000);
        assert!(limits.address(loud, ADDRESS).is_err(), "who has used all is the last to be forgotten");
    }
}
