//! How often, how much and how many at once: the settings that keep one from taking what is everybody's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

/// Whether and how launches are taken (`launches.…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchSettings {
    /// Whether new ones are.
    pub enabled: bool,
    /// Servers that start at one time.
    pub at_once: usize,
    /// Launches that may wait for their turn.
    pub max_waiting: usize,
    /// How long one waits for its turn and for memory.
    pub max_wait: Duration,
    /// Memory of the machine that launches leave free, in bytes.
    pub min_free_memory: u64,
    /// How many one user may begin in a minute.
    pub per_minute_per_user: u32,
}

/// Requests in a minute (`limits.…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSettings {
    /// Of one address without a valid key.
    pub per_address: u32,
    /// Of a key that names no rate of its own.
    pub per_key: u32,
    /// Of one user with all keys.
    pub per_user: u32,
}

/// What one user or one organisation may have (`quotas.…`); an organisation may have numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaSettings {
    /// Live instances of an organisation.
    pub instances_per_organization: u32,
    /// Credentials of a user.
    pub credentials_per_user: u32,
    /// Active keys of a user.
    pub api_keys_per_user: u32,
    /// Memory that the live instances of a user may have in sum.
    pub memory_mb_per_user: u32,
    /// The same of an organisation.
    pub memory_mb_per_organization: u32,
    /// Processor time that the live instances of a user may have in sum, in hundredths of a processor.
    pub cpu_percent_per_user: u32,
    /// The same of an organisation.
    pub cpu_percent_per_organization: u32,
}

const BYTES_PER_MEBIBYTE: u64 = 1024 * 1024;

/// Networks in one list: more of them are a mistake.
const MAX_NETWORKS: usize = 64;

/// A list of networks and addresses, as a setting holds it.
pub(super) fn networks(value: &Value) -> Option<Vec<IpNet>> {
    let words = value.as_array().filter(|words| words.len() <= MAX_NETWORKS)?;
    let network = |word: &Value| {
        let word = word.as_str()?;
        word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from))
    };
    words.iter().map(network).collect()
}

/// Rows by key, with what holds where there is none.
pub(super) struct Rows<'a>(pub(super) &'a BTreeMap<String, Value>);

impl Rows<'_> {
    fn number(&self, key: &str, default: u32) -> u32 {
        let given = self.0.get(key).and_then(Value::as_u64);
        given.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    }

    fn count(&self, key: &str, default: u32) -> usize {
        usize::try_from(self.number(key, default)).unwrap_or(usize::MAX)
    }

    pub(super) fn launches(&self) -> LaunchSettings {
        LaunchSettings {
            enabled: self.0.get("launches.enabled").and_then(Value::as_bool).unwrap_or(true),
            at_once: self.count("launches.at_once", 4).max(1),
            max_waiting: self.count("launches.max_waiting", 200),
            max_wait: Duration::from_secs(self.number("launches.max_wait_s", 60).into()),
            min_free_memory: u64::from(self.number("launches.min_free_memory_mb", 256)) * BYTES_PER_MEBIBYTE,
            per_minute_per_user: self.number("launches.per_minute_per_user", 10),
        }
    }

    /// What cannot be read was never set through us: nobody is trusted for it.
    pub(super) fn trusted_proxies(&self) -> Vec<IpNet> {
        self.0.get("api.trusted_proxies").and_then(networks).unwrap_or_default()
    }

    pub(super) fn rates(&self) -> RateSettings {
        RateSettings {
            per_address: self.number("limits.per_address_per_minute", 100),
            per_key: self.number("limits.per_key_per_minute", 1000),
            per_user: self.number("limits.per_user_per_minute", 3000),
        }
    }

    pub(super) fn quotas(&self) -> QuotaSettings {
        QuotaSettings {
            instances_per_organization: self.number("quotas.instances_per_organization", 100),
            credentials_per_user: self.number("quotas.credentials_per_user", 50),
            api_keys_per_user: self.number("quotas.api_keys_per_user", 20),
            memory_mb_per_user: self.number("quotas.memory_mb_per_user", 8_192),
            memory_mb_per_organization: self.number("quotas.memory_mb_per_organization", 65_536),
            cpu_percent_per_user: self.number("quotas.cpu_percent_per_user", 800),
            cpu_percent_per_organization: self.number("quotas.cpu_percent_per_organization", 6_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_rows_the_documented_limits_hold() {
        let rows = BTreeMap::new();
        let launches = Rows(&rows).launches();
        assert!(launches.enabled);
        assert_eq!((launches.at_once, launches.max_waiting, launches.max_wait.as_secs()), (4, 200, 60));
        assert_eq!(launches.min_free_memory, 256 * BYTES_PER_MEBIBYTE);
        assert_eq!(Rows(&rows).rates(), RateSettings { per_address: 100, per_key: 1000, per_user: 3000 });
        assert_eq!(Rows(&rows).quotas().memory_mb_per_user, 8_192);
    }

    #[test]
    fn proxies_are_networks_or_addresses_and_all_of_them_or_none() {
        let read = |value: Value| networks(&value).map(|found| found.len());
        assert_eq!(read(serde_json::json!(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])), Some(3));
        assert_eq!(read(serde_json::json!(["10.0.0.0/8", "everybody"])), None);
        assert_eq!(read(serde_json::json!("10.0.0.0/8")), None);
    }

    #[test]
    fn rows_say_otherwise_but_one_server_may_always_start() {
        let rows = BTreeMap::from([
            ("launches.enabled".to_owned(), Value::from(false)),
            ("launches.at_once".to_owned(), Value::from(0)),
            ("limits.per_key_per_minute".to_owned(), Value::from(7)),
        ]);
        assert!(!Rows(&rows).launches().enabled);
        assert_eq!(Rows(&rows).launches().at_once, 1);
        assert_eq!(Rows(&rows).rates().per_key, 7);
    }
}
