//! The limits of an instance's bridge: an operator sets them, a shim obeys them.

use serde::{Deserialize, Serialize};

/// Limits of the bridge of each instance, as a launch finds them. A field that is missing has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgeLimits {
    /// Bytes of the longest message, in either direction.
    pub max_message_bytes: u64,
    /// Legacy sessions at one time.
    pub max_sessions: u64,
    /// Seconds after which an idle session may give way to a new one that finds no room.
    pub session_reclaim_after_s: u64,
    /// Event streams and waiting answers at one time.
    pub max_streams: u64,
    /// Calls in flight on one server process.
    pub max_in_flight: u64,
    /// Messages that wait for one stream.
    pub max_queued_messages: u64,
    /// Bytes that wait for one stream.
    pub max_queued_bytes: u64,
    /// Events that one stream keeps for a client that comes back.
    pub event_store_events: u64,
    /// Bytes of kept events of one session.
    pub event_store_bytes: u64,
    /// Seconds for which an event is kept.
    pub event_store_age_s: u64,
    /// Subscriptions of modern clients at one time.
    pub max_listens: u64,
    /// Milliseconds of silence after which a stream carries a comment.
    pub keep_alive_ms: u64,
    /// Milliseconds for which an answer's head is held back, so that a quick answer is plain JSON.
    pub head_hold_ms: u64,
    /// Milliseconds after which a client whose stream broke is told to come back.
    pub retry_ms: u64,
    /// Seconds after which a call without an answer or progress is given up.
    pub call_timeout_s: u64,
    /// Seconds up to which progress extends that.
    pub call_timeout_max_s: u64,
}

/// One of the limits: the setting that it is, its bounds, and where it lies.
#[derive(Debug, Clone, Copy)]
pub struct BridgeLimit {
    /// The setting's key.
    pub key: &'static str,
    /// The smallest value.
    pub least: u64,
    /// The largest value.
    pub most: u64,
    /// The place of the value.
    pub place: fn(&mut BridgeLimits) -> &mut u64,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const DAY_S: u64 = 24 * 60 * 60;

/// A line of the table below.
const fn limit(
    key: &'static str,
    least: u64,
    most: u64,
    place: fn(&mut BridgeLimits) -> &mut u64,
) -> BridgeLimit {
    BridgeLimit { key, least, most, place }
}

impl BridgeLimits {
    /// Every limit that may be set.
    pub const ALL: &'static [BridgeLimit] = &[
        limit("bridge.max_message_bytes", 64 * KIB, GIB, |it| &mut it.max_message_bytes),
        limit("bridge.max_sessions", 1, 10_000, |it| &mut it.max_sessions),
        limit("bridge.session_reclaim_after_s", 1, DAY_S, |it| &mut it.session_reclaim_after_s),
        limit("bridge.max_streams", 1, 100_000, |it| &mut it.max_streams),
        limit("bridge.max_in_flight", 1, 100_000, |it| &mut it.max_in_flight),
        limit("bridge.max_queued_messages", 1, 1_000_000, |it| &mut it.max_queued_messages),
        limit("bridge.max_queued_bytes", 64 * KIB, GIB, |it| &mut it.max_queued_bytes),
        limit("bridge.event_store_events", 0, 1_000_000, |it| &mut it.event_store_events),
        limit("bridge.event_store_bytes", 0, GIB, |it| &mut it.event_store_bytes),
        limit("bridge.event_store_age_s", 1, DAY_S, |it| &mut it.event_store_age_s),
        limit("bridge.max_listens", 1, 100_000, |it| &mut it.max_listens),
        limit("bridge.keep_alive_ms", 50, 5 * 60 * 1000, |it| &mut it.keep_alive_ms),
        limit("bridge.head_hold_ms", 0, 60 * 1000, |it| &mut it.head_hold_ms),
        limit("bridge.retry_ms", 10, 10 * 60 * 1000, |it| &mut it.retry_ms),
        limit("bridge.call_timeout_s", 1, DAY_S, |it| &mut it.call_timeout_s),
        limit("bridge.call_timeout_max_s", 1, 7 * DAY_S, |it| &mut it.call_timeout_max_s),
    ];
}

impl Default for BridgeLimits {
    /// Enough for a handful of people at one instance.
    fn default() -> Self {
        Self {
            // The largest payloads in use are images and documents of some tens of megabytes.
            max_message_bytes: 64 * MIB,
            // Over stdio each is a process.
            max_sessions: 8,
            session_reclaim_after_s: 5,
            max_streams: 256,
            max_in_flight: 1024,
            max_queued_messages: 1024,
            max_queued_bytes: 8 * MIB,
            event_store_events: 1000,
            event_store_bytes: 8 * MIB,
            event_store_age_s: 5 * 60,
            max_listens: 64,
            // Proxies cut streams that are silent for 30 s.
            keep_alive_ms: 15_000,
            head_hold_ms: 1000,
            retry_ms: 1000,
            call_timeout_s: 10 * 60,
            call_timeout_max_s: 60 * 60,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_own_place_and_a_default_within_its_bounds() {
        let mut all = BridgeLimits::default();
        for limit in BridgeLimits::ALL {
            let value = *(limit.place)(&mut all);
            assert!((limit.least..=limit.most).contains(&value), "{}: {value}", limit.key);
        }
        for (index, limit) in BridgeLimits::ALL.iter().enumerate() {
            *(limit.place)(&mut all) = 1_000_000 + u64::try_from(index).unwrap();
        }
        let serde_json::Value::Object(fields) = serde_json::to_value(all).unwrap() else {
            panic!("an object")
        };
        assert_eq!(fields.len(), BridgeLimits::ALL.len(), "a field without a setting");
        for (index, limit) in BridgeLimits::ALL.iter().enumerate() {
            let field = limit.key.strip_prefix("bridge.").unwrap();
            assert_eq!(fields[field], 1_000_000 + index, "{field}");
        }
    }

    #[test]
    fn what_is_missing_has_its_default() {
        let read: BridgeLimits = serde_json::from_str(r#"{"max_sessions": 200}"#).unwrap();
        assert_eq!(read, BridgeLimits { max_sessions: 200, ..BridgeLimits::default() });
    }
}
