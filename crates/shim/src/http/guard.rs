//! Who may ask: the token's place in a request, and the host names that are ours.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

/// For clients that cannot set `Authorization`.
const TOKEN_HEADER: &str = "x-mcp-access-token";

/// The token that a request carries. Never from the query, which ends up in logs and histories.
/// `Authorization` wins where both are given; given twice, it is nobody's.
pub(super) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return headers.get(TOKEN_HEADER).map(|value| value.as_bytes().trim_ascii());
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    (given.next().is_none() && scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// Whether the request was meant for this machine: a page of another name that resolves to a loopback address
/// (DNS rebinding) is refused whatever it carries.
pub(super) fn is_loopback_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn the_token_is_found_in_both_places_whatever_the_case_of_the_scheme() {
        for scheme in ["Bearer x", "bearer x", "BEARER  x "] {
            assert_eq!(token(&headers(&[("authorization", scheme)])), Some(&b"x"[..]), "{scheme}");
        }
        assert_eq!(token(&headers(&[("x-mcp-access-token", "x")])), Some(&b"x"[..]));
    }

    #[test]
    fn another_scheme_or_two_headers_carry_no_token() {
        assert_eq!(token(&headers(&[("authorization", "Basic x")])), None);
        assert_eq!(token(&headers(&[("authorization", "Bearer")])), None);
        assert_eq!(token(&headers(&[("authorization", "Bearer x"), ("authorization", "Bearer y")])), None);
        assert_eq!(token(&headers(&[])), None);
    }

    #[test]
    fn only_loopback_names_are_hosts_of_ours() {
        for host in ["localhost", "LOCALHOST:3001", "127.0.0.1:3001", "[::1]:3001", "[::1]"] {
            assert!(is_loopback_host(&headers(&[("host", host)])), "{host}");
        }
        for host in
            ["evil.example:3001", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost:x"]
        {
            assert!(!is_loopback_host(&headers(&[("host", host)])), "{host}");
        }
        assert!(!is_loopback_host(&headers(&[])));
    }
}
