//! Times and foreign text as a person reads them.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC to the second, RFC 3339.
pub fn moment(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC).truncate_to_second();
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}

/// A moment as seen from another: `in 59m`, `3h ago`, `now`.
pub fn relative(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (at - now).whole_seconds();
    let length = coarse(seconds.unsigned_abs());
    match seconds {
        0 => "now".to_owned(),
        s if s > 0 => format!("in {length}"),
        _ => format!("{length} ago"),
    }
}

/// A length of time in seconds, as a person reads it.
pub fn length(seconds: u64) -> String {
    coarse(seconds)
}

/// A length of time in its two largest units, the smaller only while it says something.
fn coarse(seconds: u64) -> String {
    let (large, small) = match seconds {
        0..60 => return format!("{seconds}s"),
        60..3_600 => return format!("{}m{:02}s", seconds / 60, seconds % 60).replace("m00s", "m"),
        3_600..86_400 => ((seconds / 3_600, "h"), (seconds % 3_600 / 60, "m")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3_600, "h")),
    };
    match small.0 {
        0 => format!("{}{}", large.0, large.1),
        rest => format!("{}{}{rest}{}", large.0, large.1, small.1),
    }
}

/// How long something took, for a line of progress.
pub(crate) fn took(length: std::time::Duration) -> String {
    match length.as_millis() {
        0 => "under 1 ms".to_owned(),
        ms @ 1..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", length.as_secs_f64()),
    }
}

/// Bytes as a person reads them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes * 10 / 1024, 0);
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Foreign text without what a terminal would obey: control characters are shown, not sent. Tabs and line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            // Bidirectional overrides reorder what a person reads.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seen_from_now() {
        let now = time::macros::datetime!(2026-01-01 12:00 UTC);
        let from_now = |seconds| relative(now + time::Duration::seconds(seconds), now);
        assert_eq!(from_now(0), "now");
        assert_eq!(from_now(59), "in 59s");
        assert_eq!(from_now(61), "in 1m01s");
        assert_eq!(from_now(120), "in 2m");
        assert_eq!(from_now(-5_400), "1h30m ago");
        assert_eq!(from_now(90_000), "in 1d1h");
        assert_eq!(from_now(-172_800), "2d ago");
    }

    #[test]
    fn a_terminal_gets_no_orders_from_a_server() {
        assert_eq!(printable("a\x1b[2Jb\r\x07\u{9b}c\td"), "a\\x1b[2Jb\\x0d\\x07\\x9bc\td");
        assert_eq!(printable("ok\u{202e}ko"), "ok\\u{202e}ko");
        assert_eq!(printable("größe 日本"), "größe 日本");
    }

    #[test]
    fn a_moment_is_utc_to_the_second() {
        let at = time::macros::datetime!(2026-01-01 12:00:01.5 +02:00);
        assert_eq!(moment(at), "2026-01-01T10:00:01Z");
    }
}
