//! Settings: typed, validated, read from their rows; what is not set has its default.

mod change;
mod kinds;
mod limits;

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;
use roadstead_model::limits::{DEFAULT_LIFETIME, MAX_INSTANCES_PER_USER};
use roadstead_model::{BridgeLimits, ConfinementLevel, PortRange};
use serde_json::Value;

pub(crate) use self::change::binding;
pub use self::change::{SettingEntry, SettingSet};
pub use self::kinds::{Access, AllowedRoot};
pub use self::limits::{LaunchSettings, QuotaSettings, RateSettings};
use crate::AccountsError;

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Lifetime when a launch names none (`mcp.default_duration_minutes`).
    pub default_lifetime: Duration,
    /// Live instances of one user (`mcp.max_instances_per_user`).
    pub max_instances_per_user: u32,
    /// The pool (`port.range_start`, `port.range_end`).
    pub ports: PortRange,
    /// Days that logs and ended instances are kept (`cleanup.retention_days`).
    pub retention_days: u32,
    /// Memory of one instance (`process.max_memory_mb`).
    pub max_memory_mb: u32,
    /// Processor of one instance, in hundredths of one (`process.max_cpu_percent`).
    pub max_cpu_percent: u32,
    /// Limits of the bridge of each instance that is launched from now on (`bridge.…`).
    pub bridge: BridgeLimits,
    /// The level below which nothing is launched (`confinement.min`).
    pub min_confinement: ConfinementLevel,
    /// TCP ports that servers may connect to, unless their type says otherwise (`confinement.outbound_ports`).
    pub outbound_ports: Vec<u16>,
    /// Folders of people below which a launch may name paths (`confinement.allowed_roots`).
    pub allowed_roots: Vec<AllowedRoot>,
    /// How long before its end an owner is reminded of a credential (`credentials.remind_before_days`).
    pub remind_before: Duration,
    /// How long the link to an export holds (`exports.link_lifetime_s`).
    pub export_link_lifetime: Duration,
    /// Log lines that one page of a search looks at (`logs.search_lines`).
    pub search_lines: u32,
    /// Whether and how launches are taken (`launches.…`).
    pub launches: LaunchSettings,
    /// How often somebody may ask (`limits.…`).
    pub rates: RateSettings,
    /// Proxies whose word is taken for whom they ask (`api.trusted_proxies`).
    pub trusted_proxies: Vec<IpNet>,
    /// How much somebody may have (`quotas.…`).
    pub quotas: QuotaSettings,
    /// How long after its deletion an account is erased (`accounts.erase_after_days`).
    pub erase_after: Duration,
    /// Whether a type that is made waits for its approval (`catalog.require_approval`).
    pub types_wait: bool,
    /// Whether the registry of types that are for everybody is shown without a key (`catalog.public_registry`).
    pub public_registry: bool,
    /// Whether a type whose tools are others than the approved ones is launched no more (`catalog.changed_tools`).
    pub refuses_changed_tools: bool,
    /// How long an installed package stays that nothing needs any more (`packages.keep_unused_days`).
    pub keep_packages: Duration,
}

/// HTTPS, HTTP and DNS over TCP.
const OUTBOUND_PORTS: [u16; 3] = [443, 80, 53];

impl Settings {
    /// The settings that rows say.
    ///
    /// # Errors
    /// A range that is none, with the fields that make it one.
    pub fn read(rows: &BTreeMap<String, Value>) -> Result<Self, AccountsError> {
        let number = |key: &str, default: u64| rows.get(key).and_then(Value::as_u64).unwrap_or(default);
        let small =
            |key: &str, default: u32| u32::try_from(number(key, u64::from(default))).unwrap_or(default);
        let port =
            |key: &str, default: u16| u16::try_from(number(key, u64::from(default))).unwrap_or(default);
        let ports = PortRange::new(port("port.range_start", 3001), port("port.range_end", 3100)).map_err(
            |error| AccountsError::Invalid(vec![("port.range_start".to_owned(), error.to_string())]),
        )?;
        Ok(Self {
            default_lifetime: Duration::from_secs(
                60 * number("mcp.default_duration_minutes", DEFAULT_LIFETIME.as_secs() / 60),
            ),
            max_instances_per_user: small("mcp.max_instances_per_user", MAX_INSTANCES_PER_USER),
            ports,
            retention_days: small("cleanup.retention_days", 30),
            max_memory_mb: small("process.max_memory_mb", 512),
            max_cpu_percent: small("process.max_cpu_percent", 50),
            bridge: bridge(rows)?,
            min_confinement: rows.get("confinement.min").and_then(kinds::level).unwrap_or_default(),
            outbound_ports: rows
                .get("confinement.outbound_ports")
                .and_then(kinds::ports)
                .unwrap_or_else(|| OUTBOUND_PORTS.to_vec()),
            allowed_roots: rows.get("confinement.allowed_roots").and_then(kinds::roots).unwrap_or_default(),
            remind_before: Duration::from_hours(24 * number("credentials.remind_before_days", 7)),
            export_link_lifetime: Duration::from_secs(number("exports.link_lifetime_s", 3_600)),
            search_lines: small("logs.search_lines", 5_000).clamp(100, 100_000),
            launches: limits::Rows(rows).launches(),
            rates: limits::Rows(rows).rates(),
            trusted_proxies: limits::Rows(rows).trusted_proxies(),
            quotas: limits::Rows(rows).quotas(),
            erase_after: Duration::from_hours(24 * number("accounts.erase_after_days", 30)),
            types_wait: rows.get("catalog.require_approval").and_then(Value::as_bool).unwrap_or_default(),
            public_registry: rows.get("catalog.public_registry").and_then(Value::as_bool).unwrap_or_default(),
            refuses_changed_tools: rows
                .get("catalog.changed_tools")
                .is_some_and(|value| value == kinds::REFUSE),
            keep_packages: Duration::from_hours(24 * number("packages.keep_unused_days", 7)),
        })
    }
}

impl Default for Settings {
    /// What holds where no row says otherwise.
    fn default() -> Self {
        Self::read(&BTreeMap::new()).expect("the defaults fit each other; a test reads them")
    }
}

fn bridge(rows: &BTreeMap<String, Value>) -> Result<BridgeLimits, AccountsError> {
    let mut limits = BridgeLimits::default();
    for limit in BridgeLimits::ALL {
        // What is out of bounds was never set through us: the default holds.
        let given = rows.get(limit.key).and_then(Value::as_u64);
        if let Some(value) = given.filter(|value| (limit.least..=limit.most).contains(value)) {
            *(limit.place)(&mut limits) = value;
        }
    }
    if limits.call_timeout_s > limits.call_timeout_max_s {
        let message = "must not be longer than bridge.call_timeout_max_s, up to which progress extends it";
        return Err(AccountsError::Invalid(vec![("bridge.call_timeout_s".to_owned(), message.to_owned())]));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rows_the_documented_defaults_hold() {
        let settings = Settings::read(&BTreeMap::new()).unwrap();
        assert_eq!(settings.default_lifetime, Duration::from_hours(1));
        assert_eq!(settings.max_instances_per_user, 10);
        assert_eq!((settings.ports.first().get(), settings.ports.last().get()), (3001, 3100));
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_refused() {
        let rows = BTreeMap::from([("port.range_start".to_owned(), Value::from(4000))]);
        assert!(matches!(Settings::read(&rows), Err(AccountsError::Invalid(_))));
    }

    #[test]
    fn limits_of_the_bridge_are_read_and_must_fit_each_other() {
        let rows = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
        };
        let read =
            Settings::read(&rows(&[("bridge.keep_alive_ms", 200), ("bridge.max_sessions", 200)])).unwrap();
        assert_eq!((read.bridge.keep_alive_ms, read.bridge.max_sessions), (200, 200));
        assert_eq!(read.bridge.max_message_bytes, 64 << 20);
        let short = Settings::read(&rows(&[("bridge.call_timeout_max_s", 10)]));
        assert!(matches!(short, Err(AccountsError::Invalid(_))));
        let silly = Settings::read(&rows(&[("bridge.keep_alive_ms", 0)])).unwrap();
        assert_eq!(silly.bridge.keep_alive_ms, 15_000);
    }
}
