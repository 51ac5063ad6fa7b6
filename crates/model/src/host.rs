//! Host names in requests: which machine a caller meant, and from which page it asks. Pure text; no name is looked up.

use std::net::IpAddr;

/// The host part of `host`, `host:port` or `[v6]:port`; nothing when what follows the host is not a port.
pub fn host_of(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let port = rest.strip_prefix(':').map_or(rest.is_empty(), |port| port.parse::<u16>().is_ok());
    (port && !host.is_empty()).then_some(host)
}

/// Whether a host is this machine whatever any name server says.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

/// The address, if a host is one and not a name.
pub fn address_of(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Scheme and authority of an http or https URL: what a browser sends as `Origin`. Default ports are left out.
pub fn origin_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    host_of(authority).filter(|host| !host.contains('@'))?;
    Some((scheme, authority.strip_suffix(default).unwrap_or(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_beside_its_port_only() {
        for (authority, host) in [
            ("localhost", Some("localhost")),
            ("localhost:80", Some("localhost")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("localhost:80@evil.example", None),
            ("[::1].evil.example", None),
            ("", None),
            (":80", None),
            ("a:b", None),
        ] {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        assert!(address_of("10.0.0.1").is_some());
        assert!(address_of("[fe80::1]").is_some());
        assert!(address_of("10.0.0.1.evil.example").is_none());
        assert!(address_of("localhost").is_none());
    }

    #[test]
    fn an_origin_is_scheme_and_authority() {
        assert_eq!(origin_of("https://a.example/x?y"), Some(("https", "a.example")));
        assert_eq!(origin_of("https://a.example:443"), Some(("https", "a.example")));
        assert_eq!(origin_of("http://a.example:443"), Some(("http", "a.example:443")));
        for wrong in ["null", "", "a.example", "ftp://a.example", "http://", "http://a@b", "http://a:b@c"] {
            assert_eq!(origin_of(wrong), None, "{wrong}");
        }
    }
}
