//! One kind of those who ask, each at their own rate.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};

use crate::held::Held;

/// What a rate is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Requests of an address without a valid key.
    Address,
    /// Requests with a key.
    Key,
    /// Requests of a user, with all of their keys.
    User,
    /// Requests in a project.
    Project,
    /// Launches of a user.
    Launches,
}

impl Subject {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Key => "key",
            Self::User => "user",
            Self::Project => "project",
            Self::Launches => "launches",
        }
    }
}

/// How it stands with a rate after a request that it let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What the rate counts for.
    pub subject: Subject,
    /// Requests in a minute, and at once.
    pub limit: u32,
    /// How many would be let through at once now.
    pub remaining: u32,
    /// When all of the limit is there again, if nobody asks.
    pub whole_in: Duration,
}

/// A request that came too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What the rate counts for.
    pub subject: Subject,
    /// Requests in a minute, and at once.
    pub limit: u32,
    /// After how long one would be let through.
    pub wait: Duration,
    /// When all of the limit is there again, if nobody asks.
    pub whole_in: Duration,
}

/// What a rate says of one request.
pub type Verdict = Result<Standing, Refused>;

impl Standing {
    /// The one that lets fewer through.
    #[must_use]
    pub const fn tighter(self, other: Self) -> Self {
        if other.remaining < self.remaining { other } else { self }
    }
}

impl Refused {
    /// As it stands with the rate: nothing is left.
    pub const fn standing(&self) -> Standing {
        Standing { subject: self.subject, limit: self.limit, remaining: 0, whole_in: self.whole_in }
    }
}

type Gcra<K, C> = RateLimiter<K, Held<K>, C, StateInformationMiddleware>;

/// One rate, and who has it.
#[derive(Debug)]
struct Rate<K: Eq + Hash + Copy, C: Clock> {
    gcra: Gcra<K, C>,
    held: Held<K>,
}

/// All of one kind, by their rates: there are few that differ. Whose rate changes starts with all of the new one.
#[derive(Debug)]
pub(crate) struct ByRate<K: Eq + Hash + Copy, C: Clock> {
    subject: Subject,
    rates: RwLock<BTreeMap<NonZeroU32, Rate<K, C>>>,
    clock: C,
    most: usize,
    /// Of rates that nobody has any more.
    forgotten: AtomicU64,
}

impl<K: Eq + Hash + Copy, C: Clock + Clone> ByRate<K, C> {
    /// At most `most` are remembered for each rate.
    pub(crate) fn new(subject: Subject, clock: C, most: usize) -> Self {
        Self { subject, rates: RwLock::default(), clock, most, forgotten: AtomicU64::new(0) }
    }

    /// Takes one of the `per_minute` that somebody has.
    pub(crate) fn check(&self, key: K, per_minute: u32) -> Verdict {
        let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        {
            let rates = self.rates.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = rates.get(&rate) {
                return self.verdict(known, key);
            }
        }
        let mut rates = self.rates.write().unwrap_or_else(PoisonError::into_inner);
        let known = rates.entry(rate).or_insert_with(|| {
            let held = Held::new(self.most);
            let gcra = RateLimiter::<K, Held<K>, C, StateInformationMiddleware>::new(
                Quota::per_minute(rate),
                held.clone(),
                self.clock.clone(),
            );
            Rate { gcra, held }
        });
        self.verdict(known, key)
    }

    fn verdict(&self, rate: &Rate<K, C>, key: K) -> Verdict {
        let subject = self.subject;
        match rate.gcra.check_key(&key) {
            Ok(snapshot) => {
                let (quota, remaining) = (snapshot.quota(), snapshot.remaining_burst_capacity());
                let limit = quota.burst_size().get();
                let whole_in = quota.replenish_interval() * limit.saturating_sub(remaining);
                Ok(Standing { subject, limit, remaining, whole_in })
            }
            Err(too_soon) => {
                let quota = too_soon.quota();
                let limit = quota.burst_size().get();
                let wait = too_soon.wait_time_from(self.clock.now());
                let whole_in = wait + quota.replenish_interval() * limit.saturating_sub(1);
                Err(Refused { subject, limit, wait, whole_in })
            }
        }
    }

    /// Forgets those who have all of their rate again, and the rates that nobody has.
    pub(crate) fn tidy(&self) {
        let mut rates = self.rates.write().unwrap_or_else(PoisonError::into_inner);
        rates.retain(|_, rate| {
            rate.gcra.retain_recent();
            let is_used = !rate.gcra.is_empty();
            if !is_used {
                self.forgotten.fetch_add(rate.held.forgotten(), Ordering::Relaxed);
            }
            is_used
        });
    }

    /// How many were forgotten for want of room, ever.
    pub(crate) fn forgotten(&self) -> u64 {
        let rates = self.rates.read().unwrap_or_else(PoisonError::into_inner);
        let now: u64 = rates.values().map(|rate| rate.held.forgotten()).sum();
        now + self.forgotten.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn rates(&self) -> usize {
        self.rates.read().unwrap().len()
    }
}
