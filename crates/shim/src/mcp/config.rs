//! From what roadstead says to what the bridge is told.

use std::time::Duration;

use roadstead_bridge::BridgeConfig;
use roadstead_control::Specification;
use roadstead_model::{Era, SessionMode};

/// How the bridge of this instance behaves.
pub(super) fn config(plan: &Specification) -> BridgeConfig {
    let limits = &plan.bridge.limits;
    let mut config = BridgeConfig::new(match plan.era {
        Era::Auto => roadstead_bridge::Era::Auto,
        Era::Legacy => roadstead_bridge::Era::Legacy,
        Era::Modern => roadstead_bridge::Era::Modern,
        Era::Dual => roadstead_bridge::Era::Dual,
    });
    config.allowed_origins.clone_from(&plan.allowed_origins);
    config.max_line = count(limits.max_message_bytes);
    config.max_body = count(limits.max_message_bytes);
    config.max_sessions = count(limits.max_sessions);
    config.session_reclaim_after = Duration::from_secs(limits.session_reclaim_after_s);
    config.max_calls = count(limits.max_in_flight);
    config.max_queued_messages = count(limits.max_queued_messages);
    config.max_queued_bytes = count(limits.max_queued_bytes);
    config.keep_alive = Duration::from_millis(limits.keep_alive_ms);
    config.head_hold = Duration::from_millis(limits.head_hold_ms);
    config.call_timeout = Duration::from_secs(limits.call_timeout_s);
    config.call_timeout_max = Duration::from_secs(limits.call_timeout_max_s);
    config.max_streams = count(limits.max_streams);
    config.max_listens = count(limits.max_listens);
    config.event_store_events = count(limits.event_store_events);
    config.event_store_bytes = count(limits.event_store_bytes);
    config.event_store_age = Duration::from_secs(limits.event_store_age_s);
    config.retry = Duration::from_millis(limits.retry_ms);
    // They cost what sessions cost.
    config.max_bridged_servers = count(limits.max_sessions);
    config.era_bridge = plan.bridge.era_bridge;
    config.era_is_remembered = plan.bridge.era_is_remembered;
    config.replay_initialize = plan.bridge.replay_initialize;
    config.tools.clone_from(&plan.bridge.tools);
    config.session_mode = match plan.bridge.session_mode {
        SessionMode::PerSession => roadstead_bridge::SessionMode::PerSession,
        SessionMode::Shared => roadstead_bridge::SessionMode::Shared,
    };
    config
}

/// A limit that is larger than this machine can count is none.
pub(super) fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use roadstead_control::BridgeSettings;
    use roadstead_model::BridgeLimits;

    use super::*;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_bridge() {
        let (ours, theirs) =
            (BridgeSettings::default().limits, BridgeConfig::new(roadstead_bridge::Era::Auto));
        assert_eq!(count(ours.max_message_bytes), theirs.max_line);
        assert_eq!(count(ours.max_message_bytes), theirs.max_body);
        assert_eq!(count(ours.max_sessions), theirs.max_sessions);
        assert_eq!(Duration::from_secs(ours.session_reclaim_after_s), theirs.session_reclaim_after);
        assert_eq!(count(ours.max_in_flight), theirs.max_calls);
        assert_eq!(count(ours.max_queued_messages), theirs.max_queued_messages);
        assert_eq!(count(ours.max_queued_bytes), theirs.max_queued_bytes);
        assert_eq!(Duration::from_millis(ours.keep_alive_ms), theirs.keep_alive);
        assert_eq!(Duration::from_millis(ours.head_hold_ms), theirs.head_hold);
        assert_eq!(Duration::from_secs(ours.call_timeout_s), theirs.call_timeout);
        assert_eq!(Duration::from_secs(ours.call_timeout_max_s), theirs.call_timeout_max);
        assert_eq!(count(ours.max_streams), theirs.max_streams);
        assert_eq!(count(ours.max_listens), theirs.max_listens);
        assert_eq!(count(ours.event_store_events), theirs.event_store_events);
        assert_eq!(count(ours.event_store_bytes), theirs.event_store_bytes);
        assert_eq!(Duration::from_secs(ours.event_store_age_s), theirs.event_store_age);
        assert_eq!(Duration::from_millis(ours.retry_ms), theirs.retry);
        assert_eq!(count(ours.max_sessions), theirs.max_bridged_servers);
        assert_eq!(BridgeLimits::ALL.len(), 16, "a limit that nothing above looks at?");
    }
}
