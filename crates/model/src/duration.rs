//! Durations as people write them: `90s`, `15m`, `1h`, `7d`, or a bare number of seconds.

use std::time::Duration;

/// The shortest lifetime of an instance that may be asked for: shorter ones end before a client connects.
pub const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
/// The longest lifetime of an instance: 30 days, after which a forgotten one must have gone.
pub const LONGEST_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Why a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form number and unit.
    #[error("is not a duration; write a whole number and a unit, such as 90s, 15m, 1h or 7d")]
    Malformed,
    /// Too short or too long.
    #[error("must be between {} and {}", short(*.shortest), short(*.longest))]
    OutOfRange {
        /// The least that is allowed.
        shortest: Duration,
        /// The most that is allowed.
        longest: Duration,
    },
}

/// Reads `90s`, `15m`, `1h`, `7d` or a bare number of seconds.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| DurationError::Malformed)?;
    let scale = match unit {
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(DurationError::Malformed),
    };
    let out_of_range = DurationError::OutOfRange { shortest: SHORTEST_LIFETIME, longest: LONGEST_LIFETIME };
    number.checked_mul(scale).map(Duration::from_secs).ok_or(out_of_range)
}

/// The shortest way to write a duration in whole units.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        s if s > 0 && s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s > 0 && s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A duration as people say it: its two largest units, the rest cut off, such as `9m 20s` or `1d 3h`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let Some(first) = parts.iter().position(|(scale, _)| seconds >= *scale) else { return "0s".to_owned() };
    let (scale, unit) = parts[first];
    let large = format!("{}{unit}", seconds / scale);
    match parts.get(first + 1) {
        Some((smaller, unit)) if seconds % scale >= *smaller => {
            format!("{large} {}{unit}", seconds % scale / smaller)
        }
        _ => large,
    }
}

/// How long an instance may live: within the system's bounds and its type's cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(Duration);

impl Lifetime {
    /// Accepts a duration between the shortest lifetime and `cap` (itself at most the longest).
    pub fn within(asked: Duration, cap: Duration) -> Result<Self, DurationError> {
        let longest = cap.min(LONGEST_LIFETIME);
        if asked < SHORTEST_LIFETIME || asked > longest {
            return Err(DurationError::OutOfRange { shortest: SHORTEST_LIFETIME, longest });
        }
        Ok(Self(asked))
    }

    /// The bare duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(parse("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(parse("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(parse("42"), Ok(Duration::from_secs(42)));
    }

    #[test]
    fn nonsense_and_negative_durations_are_refused() {
        for text in ["", "s", "-5m", "1.5h", "5 m", "1w", "١s", "9999999999999999999999s"] {
            assert_eq!(parse(text), Err(DurationError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn an_enormous_duration_is_out_of_range_and_does_not_overflow() {
        assert!(matches!(parse("18446744073709551615d"), Err(DurationError::OutOfRange { .. })));
        let year = Duration::from_hours(365 * 24);
        assert!(matches!(Lifetime::within(year, year), Err(DurationError::OutOfRange { .. })));
    }

    #[test]
    fn people_hear_the_two_largest_units() {
        let said = [
            (0, "0s"),
            (1, "1s"),
            (60, "1m"),
            (560, "9m 20s"),
            (3_600, "1h"),
            (3_659, "1h"),
            (3_660, "1h 1m"),
            (86_399, "23h 59m"),
            (90_061, "1d 1h"),
            (86_460, "1d"),
        ];
        for (seconds, words) in said {
            assert_eq!(spoken(Duration::from_secs(seconds)), words, "{seconds}");
        }
        assert_eq!(spoken(Duration::from_millis(1_999)), "1s");
    }

    #[test]
    fn the_message_names_both_bounds() {
        let error = Lifetime::within(Duration::ZERO, Duration::from_hours(1)).unwrap_err();
        assert_eq!(error.to_string(), "must be between 1s and 1h");
    }
}
