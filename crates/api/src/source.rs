//! Where a request comes from: who connects, or whom a proxy that we trust says it connects for.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};
use roadstead_accounts::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of whoever asks. None where the connection has none.
pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())?;
    Some(behind_proxies(peer, headers, trusted))
}

/// Each trusted proxy appends whom it was asked by: read from the end, the first that is not one of them is the caller.
/// What stands before it was written by the caller, who may write what they like.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let named: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut caller = peer;
    for hop in named.iter().rev().map(|hop| address(hop)) {
        match hop {
            Some(hop) if is_trusted(&caller) => caller = hop,
            _ => break,
        }
    }
    caller
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse::<IpAddr>().ok();
    parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|at| at.ip())).map(|at| at.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn caller(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        behind_proxies(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn who_is_no_proxy_of_ours_is_the_caller_whatever_they_write() {
        assert_eq!(caller("192.0.2.1", &["203.0.113.9"], &[]), "192.0.2.1");
        assert_eq!(caller("192.0.2.1", &["203.0.113.9"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_names_the_caller_and_the_caller_names_nobody() {
        let trusted = ["10.0.0.0/8", "::1/128"];
        assert_eq!(caller("10.0.0.1", &["203.0.113.9"], &trusted), "203.0.113.9");
        assert_eq!(caller("10.0.0.1", &["1.1.1.1, 203.0.113.9"], &trusted), "203.0.113.9");
        assert_eq!(caller("10.0.0.1", &["1.1.1.1, 203.0.113.9", "10.9.9.9"], &trusted), "203.0.113.9");
        assert_eq!(caller("::1", &["[2001:db8::7]:4711"], &trusted), "2001:db8::7");
    }

    #[test]
    fn a_proxy_that_names_nobody_is_the_caller_itself() {
        assert_eq!(caller("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(caller("10.0.0.1", &["unknown"], &["10.0.0.0/8"]), "10.0.0.1");
    }
}
