//! Protocol revisions.

/// The first stateless revision.
pub(crate) const MODERN: &str = "2026-07-28";
/// The only revision in which a client may send several messages in one body.
pub(crate) const BATCHING: &str = "2025-03-26";
/// Revisions with sessions a client may name in a header.
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// Whether clients of this revision with sessions understand an event without data and are told when to come back
/// (2025-11-25, Transports: Sending Messages to the Server). Older ones try to read the empty data as a message.
pub(crate) fn primes(version: &str) -> bool {
    version >= "2025-11-25" && !is_modern(version)
}

pub(crate) fn is_known_legacy(version: &str) -> bool {
    LEGACY.contains(&version)
}

/// Whether a version is a date that is not older than the first stateless revision. Dates in this form sort as text.
pub(crate) fn is_modern(version: &str) -> bool {
    let bytes = version.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && version >= MODERN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_from_the_first_stateless_revision_on_are_modern() {
        assert!(is_modern("2026-07-28") && is_modern("2027-01-01"));
        assert!(!is_modern("2025-11-25") && !is_modern("9999") && !is_modern("zzzz-zz-zz"));
    }

    #[test]
    fn only_the_last_revision_with_sessions_knows_events_without_data() {
        assert!(primes("2025-11-25"));
        assert!(!primes("2025-06-18") && !primes("2024-11-05") && !primes("2026-07-28"));
    }
}
