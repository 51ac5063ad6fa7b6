//! What each setting may be: a number within bounds, a word of a list, or a list of its own form.

use std::path::{Component, PathBuf};

use roadstead_model::{BridgeLimits, ConfinementLevel, duration};
use roadstead_store::SettingRow;
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
    Text(u64),
    Word(&'static [&'static str]),
    Span(u64, u64),
    Json,
}

/// What `catalog.changed_tools` says where types are set aside.
pub(super) const REFUSE: &str = "refuse";

/// Settings that say what is, and cannot be changed.
const FIXED: [&str; 1] = ["encryption.algorithm"];
/// The largest number that every reader of JSON keeps exact.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// Ten years, in seconds.
const MAX_SPAN: u64 = 3_650 * 86_400;

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
    ("logs.search_lines", Kind::Number(100, 100_000)),
    ("exports.link_lifetime_s", Kind::Number(1, 86_400)),
    ("accounts.erase_after_days", Kind::Number(0, 3_650)),
    ("catalog.public_registry", Kind::Flag),
    ("catalog.require_approval", Kind::Flag),
    ("catalog.changed_tools", Kind::Word(&["warn", REFUSE])),
    ("packages.keep_unused_days", Kind::Number(0, 3_650)),
    ("confinement.min", Kind::Level),
    ("confinement.outbound_ports", Kind::Ports),
    ("confinement.allowed_roots", Kind::Roots),
];

/// Longest text of a setting that only its row describes.
const LONGEST_TEXT: u64 = 4096;
/// Longest JSON of one.
const LONGEST_JSON: usize = 16 * 1024;

/// What a setting of this name may be; nothing when the product knows none.
pub(super) fn kind_of(key: &str) -> Option<Kind> {
    let own = KINDS.iter().map(|(name, kind)| (*name, *kind));
    let bridge = BridgeLimits::ALL.iter().map(|limit| (limit.key, Kind::Number(limit.least, limit.most)));
    own.chain(bridge).find(|(name, _)| *name == key).map(|(_, kind)| kind)
}

/// What a row's setting may be: as the product says, or as the row says of itself. Nothing when it cannot be changed.
pub(super) fn kind_of_row(row: &SettingRow) -> Option<Kind> {
    if FIXED.contains(&row.key.as_str()) {
        return None;
    }
    kind_of(&row.key).or_else(|| {
        let rule = |name: &str| row.rules.get(name).and_then(Value::as_u64);
        match row.kind.as_str() {
            "integer" => Some(Kind::Number(rule("least").unwrap_or(0), rule("most").unwrap_or(MAX_NUMBER))),
            "boolean" => Some(Kind::Flag),
            "string" => Some(Kind::Text(rule("longest").unwrap_or(LONGEST_TEXT))),
            "duration" => Some(Kind::Span(rule("least").unwrap_or(0), rule("most").unwrap_or(MAX_SPAN))),
            "json" => Some(Kind::Json),
            _ => None,
        }
    })
}

impl Kind {
    /// The word of a row for values of this kind.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Number(..) => "integer",
            Self::Flag => "boolean",
            Self::Level | Self::Text(_) | Self::Word(_) => "string",
            Self::Span(..) => "duration",
            Self::Ports | Self::Roots | Self::Networks | Self::Json => "json",
        }
    }

    /// What is wrong with a value. The value is never repeated: it may be somebody's secret.
    pub(super) fn problem_with(self, value: &Value) -> Option<String> {
        if self.takes(value) { None } else { Some(format!("must be {}", self.rule())) }
    }

    fn takes(self, value: &Value) -> bool {
        let within = |least: u64, most: u64, number: u64| (least..=most).contains(&number);
        match self {
            Self::Number(least, most) => value.as_u64().is_some_and(|number| within(least, most, number)),
            Self::Level => level(value).is_some(),
            Self::Flag => value.is_boolean(),
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Networks => super::limits::networks(value).is_some(),
            Self::Ports => ports(value).is_some(),
            Self::Roots => roots(value).is_some(),
            Self::Text(longest) => value.as_str().is_some_and(|text| {
                let fits = u64::try_from(text.chars().count()).is_ok_and(|length| length <= longest);
                fits && !text.contains(char::is_control)
            }),
            Self::Span(least, most) => {
                let span = value.as_str().and_then(|text| duration::parse(text).ok());
                span.is_some_and(|span| within(least, most, span.as_secs()))
            }
            Self::Json => value.to_string().len() <= LONGEST_JSON,
        }
    }

    /// What a value must be, in words.
    pub(super) fn rule(self) -> String {
        match self {
            Self::Number(least, most) => format!("a whole number from {least} to {most}"),
            Self::Level => "none, basic, strong or full".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Networks => {
                "a list of networks and addresses, like [\"10.0.0.0/8\", \"192.0.2.7\"]".to_owned()
            }
            Self::Ports => format!("a list of at most {MAX_ENTRIES} whole numbers from 1 to 65535"),
            Self::Roots => format!(
                "a list of at most {MAX_ENTRIES} objects like {{\"path\": \"/srv/files\", \"access\": \"read\"}}, each path \
                 absolute, not the whole machine and without `..`, each access `read` or `read-write`"
            ),
            Self::Text(longest) => {
                format!("a text of at most {longest} characters, without control characters")
            }
            Self::Span(least, most) => format!("a duration such as 15m, from {least}s to {most}s"),
            Self::Json => format!("JSON of at most {LONGEST_JSON} bytes"),
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
