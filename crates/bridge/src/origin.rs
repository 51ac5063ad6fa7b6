//! Who may call from a browser: the guard against pages that talk to loopback addresses.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use roadstead_model::host::{host_of, is_loopback};

use crate::config::BridgeConfig;

/// Whether the `Origin` header is absent, a loopback origin or a configured one.
pub(crate) fn origin_allowed(config: &BridgeConfig, headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(|value| {
        value.to_str().is_ok_and(|origin| {
            config.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
                || origin
                    .strip_prefix("http://")
                    .or_else(|| origin.strip_prefix("https://"))
                    .is_some_and(|authority| host_of(authority).is_some_and(is_loopback))
        })
    })
}

/// Whether the `Host` header is absent, a loopback name or a configured one.
pub(crate) fn host_allowed(config: &BridgeConfig, headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().all(|value| {
        value.to_str().ok().and_then(host_of).is_some_and(|host| {
            is_loopback(host) || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Era;

    fn passes(origin: &'static str) -> bool {
        let mut config = BridgeConfig::new(Era::Auto);
        config.allowed_origins.push("https://app.example.com".into());
        let headers = HeaderMap::from_iter([(ORIGIN, http::HeaderValue::from_static(origin))]);
        origin_allowed(&config, &headers)
    }

    #[test]
    fn loopback_and_configured_origins_pass() {
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://127.0.0.1:8",
            "http://[::1]:80",
            "https://APP.example.com",
        ] {
            assert!(passes(origin), "{origin}");
        }
    }

    #[test]
    fn look_alikes_do_not_pass() {
        for origin in [
            "null",
            "",
            "http://localhost.evil.example",
            "http://localhost:80@evil.example",
            "http://127.0.0.1.evil.example",
            "http://[::1].evil.example",
            "ftp://localhost",
            "https://app.example.com:444",
        ] {
            assert!(!passes(origin), "{origin}");
        }
    }
}
