//! What each setting may be: a number within bounds, a word of a list, or a list of its own form.

use std::path::{Component, PathBuf};

use roadstead_model::{BridgeLimits, ConfinementLevel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Entries of one list.
const MAX_ENTRIES: usize = 64;
/// Longest path.
const MAX_TEXT: usize = 1024;

/// A folder of people below which a launch may name paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedRoot {
    /// The folder, absolute.
    pub path: PathBuf,
    /// Whether what is below it may be changed.
    #[serde(default)]
    pub access: Access,
}

/// What may be done below a root, or to a granted path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Reading.
    #[default]
    Read,
    /// Reading and writing.
    ReadWrite,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Number(u64, u64),
    Level,
    Ports,
    Roots,
    Flag,
    Networks,
}

/// Each setting that may be changed, but the bridge's, which are in `BridgeLimits::ALL`; the names are the rows' keys.
const KINDS: &[(&str, Kind)] = &[
    ("mcp.default_duration_minutes", Kind::Number(1, 43_200)),
    ("mcp.max_instances_per_user", Kind::Number(0, 100_000)),
    ("port.range_start", Kind::Number(1024, 65_535)),
    ("port.range_end", Kind::Number(1024, 65_535)),
    ("cleanup.retention_days", Kind::Number(1, 3_650)),
    ("process.max_memory_mb", Kind::Number(16, 1_048_576)),
    ("process.max_cpu_percent", Kind::Number(1, 100_000)),
    ("credentials.remind_before_days", Kind::Number(0, 365)),
    ("launches.enabled", Kind::Flag),
    ("launches.per_minute_per_user", Kind::Number(1, 1_000_000)),
    ("launches.at_once", Kind::Number(1, 1_000)),
    ("launches.max_waiting", Kind::Number(0, 100_000)),
    ("launches.max_wait_s", Kind::Number(0, 3_600)),
    ("launches.min_free_memory_mb", Kind::Number(0, 1_048_576)),
    ("limits.per_address_per_minute", Kind::Number(1, 1_000_000)),
    ("limits.per_key_per_minute", Kind::Number(1, 1_000_000)),
    ("limits.per_user_per_minute", Kind::Number(1, 1_000_000)),
    ("quotas.instances_per_organization", Kind::Number(0, 1_000_000)),
    ("quotas.credentials_per_user", Kind::Number(0, 1_000_000)),
    ("quotas.api_keys_per_user", Kind::Number(1, 1_000_000)),
    ("quotas.memory_mb_per_user", Kind::Number(0, 1_000_000_000)),
    ("quotas.memory_mb_per_organization", Kind::Number(0, 1_000_000_000)),
    ("quotas.cpu_percent_per_user", Kind::Number(0, 1_000_000_000)),
    ("quotas.cpu_percent_per_organization", Kind::Number(0, 1_000_000_000)),
    ("api.trusted_proxies", Kind::Networks),
    ("confinement.min", Kind::Level),
    ("confinement.outbound_ports", Kind::Ports),
    ("confinement.allowed_roots", Kind::Roots),
];

/// What a setting may be; nothing when it is none that may be changed.
pub(super) fn kind_of(key: &str) -> Option<Kind> {
    let own = KINDS.iter().map(|(name, kind)| (*name, *kind));
    let bridge = BridgeLimits::ALL.iter().map(|limit| (limit.key, Kind::Number(limit.least, limit.most)));
    own.chain(bridge).find(|(name, _)| *name == key).map(|(_, kind)| kind)
}

impl Kind {
    /// What is wrong with a value.
    pub(super) fn problem_with(self, value: &Value) -> Option<String> {
        match self {
            Self::Number(least, most) => {
                let fits = value.as_u64().is_some_and(|number| (least..=most).contains(&number));
                (!fits).then(|| format!("must be a whole number from {least} to {most}"))
            }
            Self::Level => level(value).is_none().then(|| "must be none, basic, strong or full".to_owned()),
            Self::Flag => (!value.is_boolean()).then(|| "must be true or false".to_owned()),
            Self::Networks => super::limits::networks(value).is_none().then(|| {
                "must be a list of networks and addresses, like [\"10.0.0.0/8\", \"192.0.2.7\"]".to_owned()
            }),
            Self::Ports => ports(value).is_none().then(|| {
                format!("must be a list of at most {MAX_ENTRIES} whole numbers from 1 to 65535")
            }),
            Self::Roots => roots(value).is_none().then(|| {
                format!(
                    "must be a list of at most {MAX_ENTRIES} objects like {{\"path\": \"/srv/files\", \"access\": \
                     \"read\"}}, each path absolute, not the whole machine and without `..`, each access `read` or \
                     `read-write`"
                )
            }),
        }
    }
}

pub(super) fn level(value: &Value) -> Option<ConfinementLevel> {
    value.as_str()?.parse().ok()
}

pub(super) fn ports(value: &Value) -> Option<Vec<u16>> {
    let ports: Vec<u16> = serde_json::from_value(value.clone()).ok()?;
    (ports.len() <= MAX_ENTRIES && !ports.contains(&0)).then_some(ports)
}

pub(super) fn roots(value: &Value) -> Option<Vec<AllowedRoot>> {
    let roots: Vec<AllowedRoot> = serde_json::from_value(value.clone()).ok()?;
    let sound = |root: &AllowedRoot| {
        let mut parts = root.path.components();
        let is_absolute = parts.next() == Some(Component::RootDir);
        let below = parts.collect::<Vec<_>>();
        is_absolute
            && !below.is_empty()
            && below.iter().all(|part| matches!(part, Component::Normal(_)))
            && root.path.as_os_str().len() <= MAX_TEXT
    };
    (roots.len() <= MAX_ENTRIES && roots.iter().all(sound)).then_some(roots)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_of_another_form_is_refused_and_a_sound_one_taken() {
        let cases = [
            ("port.range_end", json!(4000), json!(80)),
            ("bridge.max_sessions", json!(5), json!("5")),
            ("confinement.min", json!("strong"), json!("Strong")),
            ("confinement.outbound_ports", json!([443, 8443]), json!([0])),
            ("confinement.outbound_ports", json!([]), json!([70_000])),
            ("confinement.allowed_roots", json!([{"path": "/srv/files"}]), json!([{"path": "srv"}])),
            (
                "confinement.allowed_roots",
                json!([{"path": "/srv", "access": "read-write"}]),
                json!([{"path": "/srv/../etc"}]),
            ),
            ("confinement.allowed_roots", json!([]), json!([{"path": "/"}])),
        ];
        for (key, sound, wrong) in cases {
            let kind = kind_of(key).unwrap();
            assert_eq!(kind.problem_with(&sound), None, "{key} {sound}");
            assert!(kind.problem_with(&wrong).is_some(), "{key} {wrong}");
        }
        assert!(kind_of("bridge.colour").is_none());
    }
}
