//! When old rows are cleared away.

use time::{Date, Duration, Month, OffsetDateTime, Time};

/// The hour of the day, in UTC, at which it is done: when least else is.
pub const DAILY_AT: Time = match Time::from_hms(2, 0, 0) {
    Ok(time) => time,
    Err(_) => Time::MIDNIGHT,
};

/// The last moment at which it should have been done.
pub fn last_due(now: OffsetDateTime) -> OffsetDateTime {
    let now = now.to_offset(time::UtcOffset::UTC);
    let today = now.replace_time(DAILY_AT);
    if today <= now { today } else { today - Duration::DAY }
}

/// Whether it is to be done now: the last time was before the last moment at which it should have been. A service that did not
/// run at that hour catches up.
pub fn is_due(last: Option<OffsetDateTime>, now: OffsetDateTime) -> bool {
    last.is_none_or(|last| last < last_due(now))
}

/// What was written before this moment is old.
pub fn cutoff(days: u32, now: OffsetDateTime) -> OffsetDateTime {
    now - Duration::days(days.into())
}

/// The first moments of a month and of the one after it.
pub fn month(year: i32, month: Month) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let first = Date::from_calendar_date(year, month, 1).ok()?;
    let next_year = if month == Month::December { year + 1 } else { year };
    let next = Date::from_calendar_date(next_year, month.next(), 1).ok()?;
    let begin = |date: Date| date.with_time(Time::MIDNIGHT).assume_utc();
    Some((begin(first), begin(next)))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn it_is_done_once_a_day_at_two_and_caught_up_with_when_that_was_missed() {
        let last = Some(datetime!(2026-03-01 02:00:05 UTC));
        assert!(is_due(None, datetime!(2026-03-01 00:00 UTC)));
        assert!(!is_due(last, datetime!(2026-03-01 23:59 UTC)));
        assert!(!is_due(last, datetime!(2026-03-02 01:59 UTC)));
        assert!(is_due(last, datetime!(2026-03-02 02:00 UTC)));
        assert!(is_due(last, datetime!(2026-03-05 17:00 UTC)));
    }

    #[test]
    fn the_hour_is_that_of_utc_whatever_the_clock_shows() {
        assert_eq!(last_due(datetime!(2026-03-02 03:30 +02:00)), datetime!(2026-03-01 02:00 UTC));
    }

    #[test]
    fn a_year_has_twelve_months() {
        let december = month(2026, Month::December).unwrap();
        assert_eq!(december, (datetime!(2026-12-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC)));
    }
}
