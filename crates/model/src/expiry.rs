//! Deadlines: when they are, how they move, when somebody is warned. Times are parameters, and no sum overflows.

use std::time::Duration;

use time::OffsetDateTime;

use crate::duration::{DurationError, Lifetime};

/// How long before its deadline an instance is said to expire soon: enough for a person to extend it.
pub const WARNING_LEAD: Duration = Duration::from_mins(5);

/// How a deadline is moved by whoever extends an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// So long from now on: may be sooner than it is.
    FromNow(Duration),
    /// So much later than it is.
    By(Duration),
}

impl Extension {
    /// The field of a request that asks for it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::FromNow(_) => "expires_in",
            Self::By(_) => "by",
        }
    }
}

/// Whether a deadline has passed.
pub fn is_due(expires_at: OffsetDateTime, now: OffsetDateTime) -> bool {
    expires_at <= now
}

/// The time that is left; none once it is due.
pub fn remaining(expires_at: OffsetDateTime, now: OffsetDateTime) -> Duration {
    Duration::try_from(expires_at - now).unwrap_or_default()
}

/// The deadline of an instance that begins now: launched, or renewed. The cap has been held against the lifetime, so it
/// counts from now.
pub fn begun(lifetime: Lifetime, now: OffsetDateTime) -> OffsetDateTime {
    later(now, lifetime.get())
}

/// The deadline of an instance that is extended. The type's cap counts from now, as if it were launched now: an
/// instance that somebody keeps extending may live on.
pub fn extended(
    extension: Extension,
    expires_at: OffsetDateTime,
    cap: Duration,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, DurationError> {
    let asked = match extension {
        Extension::FromNow(from_now) => from_now,
        Extension::By(by) => remaining(expires_at, now).saturating_add(by),
    };
    Ok(begun(Lifetime::within(asked, cap)?, now))
}

/// An instance whose deadline each use moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How long a use keeps it.
    pub lifetime: Duration,
    /// When it was created, or last renewed.
    pub began_at: OffsetDateTime,
    /// How long it may live at most when only uses keep it: the type's cap. Unlike that of `extended` it counts from
    /// the beginning, because a client that merely polls must not keep an instance for ever.
    pub cap: Duration,
}

impl Keep {
    /// The deadline after a use; none if it stays where it is. It never moves back, and what is due stays due.
    pub fn used(self, expires_at: OffsetDateTime, now: OffsetDateTime) -> Option<OffsetDateTime> {
        if is_due(expires_at, now) {
            return None;
        }
        let moved = later(now, self.lifetime).min(later(self.began_at, self.cap));
        (moved > expires_at).then_some(moved)
    }
}

/// What decides about the warning ahead of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// When the deadline was set; the beginning of the life will do where that is not known.
    pub set_at: OffsetDateTime,
    /// The deadline.
    pub expires_at: OffsetDateTime,
    /// The deadline that was warned of last.
    pub warned_of: Option<OffsetDateTime>,
}

impl Warning {
    /// When it is due; none when it was given, or when the whole lifetime is no longer than the warning's lead: whoever
    /// asked for so little knows.
    pub fn at(self) -> Option<OffsetDateTime> {
        let is_long = remaining(self.expires_at, self.set_at) > WARNING_LEAD;
        let is_new = self.warned_of != Some(self.expires_at);
        (is_long && is_new).then(|| self.expires_at.saturating_sub(signed(WARNING_LEAD)))
    }

    /// Whether to warn now. After the deadline there is nothing left to warn of.
    pub fn is_due(self, now: OffsetDateTime) -> bool {
        self.at().is_some_and(|at| is_due(at, now)) && !is_due(self.expires_at, now)
    }
}

fn later(at: OffsetDateTime, by: Duration) -> OffsetDateTime {
    at.saturating_add(signed(by))
}

fn signed(duration: Duration) -> time::Duration {
    time::Duration::try_from(duration).unwrap_or(time::Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::duration::LONGEST_LIFETIME;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);
    const MOMENT: Duration = Duration::from_nanos(1);

    fn keep() -> Keep {
        Keep { lifetime: 10 * MINUTE, began_at: NOW, cap: HOUR }
    }

    fn warning(lifetime: Duration) -> Warning {
        Warning { set_at: NOW, expires_at: NOW + lifetime, warned_of: None }
    }

    #[test]
    fn a_deadline_is_due_at_its_own_moment() {
        assert!(!is_due(NOW + MOMENT, NOW));
        assert!(is_due(NOW, NOW));
        assert_eq!(remaining(NOW + MINUTE, NOW), MINUTE);
        assert_eq!(remaining(NOW, NOW + MINUTE), Duration::ZERO);
    }

    #[test]
    fn an_extension_counts_from_now_or_from_the_deadline() {
        let expires_at = NOW + 20 * MINUTE;
        let extend = |extension| extended(extension, expires_at, HOUR, NOW);
        assert_eq!(extend(Extension::FromNow(30 * MINUTE)), Ok(NOW + 30 * MINUTE));
        assert_eq!(extend(Extension::FromNow(MINUTE)), Ok(NOW + MINUTE), "sooner than it was");
        assert_eq!(extend(Extension::By(30 * MINUTE)), Ok(NOW + 50 * MINUTE));
        assert_eq!(extend(Extension::By(40 * MINUTE)), Ok(NOW + HOUR));
    }

    #[test]
    fn an_extension_beyond_the_cap_is_refused_with_the_bounds() {
        let expires_at = NOW + 20 * MINUTE;
        for extension in [
            Extension::FromNow(HOUR + MOMENT),
            Extension::By(41 * MINUTE),
            Extension::By(Duration::MAX),
            Extension::FromNow(Duration::ZERO),
        ] {
            let error = extended(extension, expires_at, HOUR, NOW).unwrap_err();
            assert_eq!(error.to_string(), "must be between 1s and 1h", "{extension:?}");
        }
        assert!(extended(Extension::FromNow(2 * LONGEST_LIFETIME), NOW, Duration::MAX, NOW).is_err());
    }

    #[test]
    fn the_cap_of_an_extension_counts_from_now_however_old_the_instance_is() {
        let much_later = NOW + 1000 * HOUR;
        let moved = extended(Extension::FromNow(HOUR), much_later + MINUTE, HOUR, much_later);
        assert_eq!(moved, Ok(much_later + HOUR));
    }

    #[test]
    fn an_extension_names_its_field() {
        assert_eq!(Extension::FromNow(HOUR).field(), "expires_in");
        assert_eq!(Extension::By(HOUR).field(), "by");
    }

    #[test]
    fn a_use_moves_the_deadline_as_far_as_the_cap_from_the_beginning() {
        assert_eq!(keep().used(NOW + MINUTE, NOW), Some(NOW + 10 * MINUTE));
        assert_eq!(keep().used(NOW + 56 * MINUTE, NOW + 55 * MINUTE), Some(NOW + HOUR));
        assert_eq!(keep().used(NOW + HOUR, NOW + 55 * MINUTE), None);
    }

    #[test]
    fn a_use_neither_moves_a_deadline_back_nor_revives_what_is_due() {
        assert_eq!(keep().used(NOW + 30 * MINUTE, NOW), None);
        assert_eq!(keep().used(NOW + 2 * HOUR, NOW + 90 * MINUTE), None, "extended beyond the cap of uses");
        assert_eq!(keep().used(NOW, NOW), None);
    }

    #[test]
    fn a_warning_is_given_once_and_ahead_of_the_deadline() {
        let warning = warning(HOUR);
        let at = NOW + 55 * MINUTE;
        assert_eq!(warning.at(), Some(at));
        assert!(!warning.is_due(at - MOMENT));
        assert!(warning.is_due(at));
        assert!(warning.is_due(NOW + HOUR - MOMENT), "late is better than never");
        assert!(!warning.is_due(NOW + HOUR));
        let warned = Warning { warned_of: Some(warning.expires_at), ..warning };
        assert_eq!(warned.at(), None);
    }

    #[test]
    fn a_deadline_that_was_moved_is_warned_of_again() {
        let moved = Warning { warned_of: Some(NOW + HOUR), expires_at: NOW + 2 * HOUR, set_at: NOW };
        assert_eq!(moved.at(), Some(NOW + 2 * HOUR - WARNING_LEAD));
    }

    #[test]
    fn a_lifetime_no_longer_than_the_lead_has_no_warning() {
        assert_eq!(warning(WARNING_LEAD).at(), None);
        assert_eq!(warning(MINUTE).at(), None);
        assert_eq!(warning(WARNING_LEAD + MOMENT).at(), Some(NOW + MOMENT));
    }

    #[test]
    fn the_ends_of_time_overflow_nothing() {
        let last = time::PrimitiveDateTime::MAX.assume_utc();
        let first = time::PrimitiveDateTime::MIN.assume_utc();
        let lifetime = Lifetime::within(LONGEST_LIFETIME, LONGEST_LIFETIME).unwrap();
        assert_eq!(begun(lifetime, last), last);
        let keep = Keep { lifetime: Duration::MAX, began_at: first, cap: Duration::MAX };
        assert_eq!(keep.used(last - MOMENT, first), Some(last));
        assert_eq!(remaining(first, last), Duration::ZERO);
        assert!(remaining(last, first) > HOUR);
        let warning = Warning { set_at: first, expires_at: first + HOUR, warned_of: None };
        assert!(warning.is_due(first + HOUR - MOMENT));
    }

    fn moment() -> impl Strategy<Value = OffsetDateTime> {
        (-100_000_i64..100_000).prop_map(|seconds| NOW + time::Duration::seconds(seconds))
    }

    fn span() -> impl Strategy<Value = Duration> {
        (0_u64..100_000).prop_map(Duration::from_secs)
    }

    proptest! {
        #[test]
        fn an_extension_ends_between_now_and_the_cap(
            expires_at in moment(), now in moment(), cap in span(), length in span(), from_now in any::<bool>(),
        ) {
            let extension = if from_now { Extension::FromNow(length) } else { Extension::By(length) };
            if let Ok(moved) = extended(extension, expires_at, cap, now) {
                prop_assert!(now < moved && moved <= now + cap);
                prop_assert!(from_now || is_due(expires_at, now) || moved >= expires_at, "`by` never shortens");
            }
        }

        #[test]
        fn uses_only_move_a_deadline_on_and_never_beyond_their_cap(
            began_at in moment(), cap in span(), lifetime in span(),
            expires_at in moment(), uses in prop::collection::vec(moment(), 0..20),
        ) {
            let keep = Keep { lifetime, began_at, cap };
            let mut deadline = expires_at;
            for now in uses {
                let Some(moved) = keep.used(deadline, now) else { continue };
                prop_assert!(now < deadline, "what is due stays due");
                prop_assert!(moved > deadline && moved <= began_at + cap && moved <= now + lifetime);
                prop_assert_eq!(keep.used(moved, now), None, "the same use moves it once");
                deadline = moved;
            }
        }

        #[test]
        fn each_deadline_is_warned_of_at_most_once(set_at in moment(), lifetime in span(), step in 1_u64..400) {
            let mut warning = Warning { set_at, expires_at: set_at + lifetime, warned_of: None };
            let mut warned = 0;
            for tick in 0..(lifetime.as_secs() / step + 2) {
                let now = set_at + Duration::from_secs(tick * step);
                if warning.is_due(now) {
                    warned += 1;
                    prop_assert!(now < warning.expires_at && remaining(warning.expires_at, now) <= WARNING_LEAD);
                    warning.warned_of = Some(warning.expires_at);
                }
            }
            let is_seen = lifetime > WARNING_LEAD && step < WARNING_LEAD.as_secs();
            prop_assert!(warned <= 1 && (warned == 1 || !is_seen));
        }
    }
}
