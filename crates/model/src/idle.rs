//! The idle limit: an instance that nobody asks anything ends before its deadline.
//!
//! Only requests count. An open stream, a ping and our own probes are not told to these rules: a client that was left
//! open over the weekend would keep its instance for ever. Times are durations since any one start, so no change of the
//! system clock makes an instance look idle.

use std::time::Duration;

use crate::duration::spoken;

/// What an instance's requests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// When the instance became ready: one that was never asked anything is idle since then.
    pub ready_at: Duration,
    /// When the last request came.
    pub last_begin: Option<Duration>,
    /// When the last answer went, or the last call was given up.
    pub last_end: Option<Duration>,
    /// Requests without an answer so far.
    pub in_flight: usize,
}

/// What the limit says about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// There is no limit.
    Off,
    /// A request is in flight: the time does not run.
    Busy,
    /// It may go on until this moment if nothing comes.
    Until(Duration),
    /// It was idle for the whole limit.
    Due,
}

impl Activity {
    /// The last moment at which it was of use.
    fn last_use(self) -> Duration {
        // A begin without its end does not happen, unless what counts the requests lost one; then the begin is known.
        let told = [self.last_begin, self.last_end].into_iter().flatten();
        told.fold(self.ready_at, Duration::max)
    }

    /// Holds it against a limit.
    pub fn idle(self, limit: Option<Duration>, now: Duration) -> Idle {
        let Some(limit) = limit else { return Idle::Off };
        if self.in_flight > 0 {
            return Idle::Busy;
        }
        let until = self.last_use().saturating_add(limit);
        if until <= now { Idle::Due } else { Idle::Until(until) }
    }
}

/// Why an instance still lives, for people: what `to_string` says is a clause without a full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyAlive {
    /// Somebody waits for an answer.
    InFlight {
        /// How many requests.
        count: usize,
    },
    /// The idle limit has not been reached.
    Used {
        /// How long ago the last request ended, or came; none if there was none.
        ago: Option<Duration>,
        /// The idle limit.
        limit: Duration,
        /// What is left of it.
        left: Duration,
    },
    /// Its deadline is all that ends it, or comes before the idle limit.
    TimeLeft {
        /// The idle limit that comes later, if there is one.
        limit: Option<Duration>,
        /// The time to the deadline.
        left: Duration,
    },
    /// Nothing keeps it: it is about to end.
    Nothing(Spent),
}

/// What an instance has used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The time to its deadline.
    Time,
    /// Its idle limit.
    IdleLimit(Duration),
}

/// Why an instance still lives. `remaining` is the time to its deadline, which outranks everything else.
pub fn why_alive(
    activity: Activity,
    limit: Option<Duration>,
    remaining: Duration,
    now: Duration,
) -> WhyAlive {
    if remaining.is_zero() {
        return WhyAlive::Nothing(Spent::Time);
    }
    match (activity.idle(limit, now), limit) {
        (Idle::Busy, _) => WhyAlive::InFlight { count: activity.in_flight },
        (Idle::Due, Some(limit)) => WhyAlive::Nothing(Spent::IdleLimit(limit)),
        (Idle::Until(until), Some(limit)) if until.saturating_sub(now) <= remaining => {
            let was_used = activity.last_begin.is_some() || activity.last_end.is_some();
            let ago = was_used.then(|| now.saturating_sub(activity.last_use()));
            WhyAlive::Used { ago, limit, left: until.saturating_sub(now) }
        }
        (Idle::Off | Idle::Due | Idle::Until(_), limit) => WhyAlive::TimeLeft { limit, left: remaining },
    }
}

impl std::fmt::Display for WhyAlive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::InFlight { count: 1 } => f.write_str("1 request in flight"),
            Self::InFlight { count } => write!(f, "{count} requests in flight"),
            Self::Used { ago: Some(ago), limit, left } => write!(
                f,
                "last request {} ago; idle limit {}, so {} more unless another comes",
                spoken(ago),
                spoken(limit),
                spoken(left)
            ),
            Self::Used { ago: None, limit, left } => write!(
                f,
                "no request yet; idle limit {}, so {} more unless one comes",
                spoken(limit),
                spoken(left)
            ),
            Self::TimeLeft { limit: None, left } => {
                write!(f, "no idle limit; its time is up in {}", spoken(left))
            }
            Self::TimeLeft { limit: Some(limit), left } => {
                write!(f, "idle limit {}, but its time is up in {} already", spoken(limit), spoken(left))
            }
            Self::Nothing(Spent::Time) => f.write_str("its time is up; it is about to end"),
            Self::Nothing(Spent::IdleLimit(limit)) => {
                write!(f, "idle for {}, which is its limit; it is about to end", spoken(limit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(10);
    const MOMENT: Duration = Duration::from_nanos(1);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fresh() -> Activity {
        Activity { ready_at: seconds(100), last_begin: None, last_end: None, in_flight: 0 }
    }

    fn used() -> Activity {
        Activity { last_begin: Some(seconds(150)), last_end: Some(seconds(160)), ..fresh() }
    }

    fn words(activity: Activity, limit: Option<Duration>, remaining: u64, now: u64) -> String {
        why_alive(activity, limit, seconds(remaining), seconds(now)).to_string()
    }

    #[test]
    fn without_a_limit_nothing_is_ever_idle() {
        let busy = Activity { in_flight: 3, ..used() };
        for activity in [fresh(), used(), busy] {
            assert_eq!(activity.idle(None, Duration::MAX), Idle::Off);
        }
    }

    #[test]
    fn a_request_in_flight_stops_the_time_however_long_it_takes() {
        let busy = Activity { in_flight: 1, ..used() };
        assert_eq!(busy.idle(Some(LIMIT), Duration::MAX), Idle::Busy);
        assert_eq!(busy.idle(Some(Duration::ZERO), Duration::ZERO), Idle::Busy);
    }

    #[test]
    fn the_limit_runs_from_the_end_of_the_last_request() {
        let until = seconds(160) + LIMIT;
        assert_eq!(used().idle(Some(LIMIT), seconds(160)), Idle::Until(until));
        assert_eq!(used().idle(Some(LIMIT), seconds(759)), Idle::Until(until));
        assert_eq!(used().idle(Some(LIMIT), until), Idle::Due);
    }

    #[test]
    fn an_instance_that_was_never_asked_is_idle_since_it_was_ready() {
        let until = seconds(100) + LIMIT;
        assert_eq!(fresh().idle(Some(LIMIT), seconds(100)), Idle::Until(until));
        assert_eq!(fresh().idle(Some(LIMIT), until), Idle::Due);
    }

    #[test]
    fn a_begin_whose_end_was_lost_counts() {
        let lost = Activity { last_end: Some(seconds(120)), ..used() };
        assert_eq!(lost.idle(Some(LIMIT), seconds(160)), Idle::Until(seconds(150) + LIMIT));
    }

    #[test]
    fn a_limit_without_an_end_is_never_reached() {
        assert_eq!(used().idle(Some(Duration::MAX), seconds(160)), Idle::Until(Duration::MAX));
    }

    #[test]
    fn people_are_told_what_keeps_an_instance() {
        let busy = |in_flight| Activity { in_flight, ..used() };
        assert_eq!(words(busy(1), Some(LIMIT), 720, 200), "1 request in flight");
        assert_eq!(words(busy(3), Some(LIMIT), 720, 200), "3 requests in flight");
        assert_eq!(
            words(used(), Some(LIMIT), 720, 200),
            "last request 40s ago; idle limit 10m, so 9m 20s more unless another comes"
        );
        assert_eq!(
            words(fresh(), Some(LIMIT), 720, 110),
            "no request yet; idle limit 10m, so 9m 50s more unless one comes"
        );
        assert_eq!(words(used(), None, 720, 200), "no idle limit; its time is up in 12m");
        assert_eq!(words(busy(1), None, 720, 200), "no idle limit; its time is up in 12m");
        assert_eq!(words(used(), Some(LIMIT), 120, 200), "idle limit 10m, but its time is up in 2m already");
        let last = "last request 40s ago; idle limit 10m, so 9m 20s more unless another comes";
        assert_eq!(words(used(), Some(LIMIT), 560, 200), last, "both at one moment");
        assert_eq!(
            words(used(), Some(LIMIT), 720, 800),
            "idle for 10m, which is its limit; it is about to end"
        );
        assert_eq!(words(busy(1), Some(LIMIT), 0, 200), "its time is up; it is about to end");
    }

    fn activity() -> impl Strategy<Value = Activity> {
        let moment = || prop::option::of((0_u64..1000).prop_map(seconds));
        (0_u64..1000, moment(), moment(), 0_usize..3).prop_map(
            |(ready_at, last_begin, last_end, in_flight)| Activity {
                ready_at: seconds(ready_at),
                last_begin,
                last_end,
                in_flight,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_announced_comes_true(activity in activity(), limit in 0_u64..1000, now in 0_u64..3000) {
            let limit = Some(seconds(limit));
            if let Idle::Until(until) = activity.idle(limit, seconds(now)) {
                prop_assert!(until > seconds(now));
                prop_assert_eq!(activity.idle(limit, until.checked_sub(MOMENT).unwrap()), Idle::Until(until));
                prop_assert_eq!(activity.idle(limit, until), Idle::Due);
            }
        }

        #[test]
        fn a_new_request_always_moves_the_end_on(activity in activity(), limit in 1_u64..1000, now in 1000_u64..3000) {
            let asked = Activity { last_begin: Some(seconds(now)), in_flight: 1, ..activity };
            prop_assert_eq!(asked.idle(Some(seconds(limit)), seconds(now)), Idle::Busy);
            let answered = Activity { last_end: Some(seconds(now)), in_flight: 0, ..asked };
            let until = seconds(now + limit);
            prop_assert_eq!(answered.idle(Some(seconds(limit)), seconds(now)), Idle::Until(until));
        }

        #[test]
        fn the_reason_agrees_with_the_limit_and_the_deadline(
            activity in activity(), limit in prop::option::of((0_u64..1000).prop_map(seconds)),
            remaining in (0_u64..1000).prop_map(seconds), now in (0_u64..3000).prop_map(seconds),
        ) {
            let why = why_alive(activity, limit, remaining, now);
            let idle = activity.idle(limit, now);
            let ends = remaining.is_zero() || idle == Idle::Due;
            prop_assert_eq!(matches!(why, WhyAlive::Nothing(_)), ends, "{:?}", why);
            match why {
                WhyAlive::InFlight { count } => prop_assert!(count > 0 && idle == Idle::Busy),
                WhyAlive::Used { left, .. } => {
                    prop_assert_eq!(idle, Idle::Until(now + left));
                    prop_assert!(left <= remaining);
                }
                WhyAlive::TimeLeft { left, .. } => prop_assert_eq!(left, remaining),
                WhyAlive::Nothing(_) => {}
            }
        }
    }
}
