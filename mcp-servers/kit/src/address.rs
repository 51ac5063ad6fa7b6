//! The address that a service's requests go to.

use std::net::IpAddr;

use url::{Host, Url};

use crate::start::StartError;

/// Where a service may be spoken to without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// On this machine, where nobody listens in.
    LoopbackOnly,
    /// Anywhere: whoever configures it knows the way there.
    Allowed,
}

/// An address that paths can be added to: https, or what [`Plain`] allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Reads an address. It holds no password, no query and no fragment.
    pub fn parse(text: &str, plain: Plain) -> Result<Self, StartError> {
        let refuse = |problem: &'static str| StartError::Address { problem };
        let url = Url::parse(text.trim()).map_err(|_| refuse("is not a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if plain == Plain::Allowed || is_loopback(&url) => {}
            "http" => return Err(refuse("must begin with https://, unless it is on this machine")),
            _ => return Err(refuse("must begin with https://")),
        }
        if url.host().is_none() {
            return Err(refuse("names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("must not hold a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must have neither ? nor #"));
        }
        Ok(Self(url))
    }

    /// As a URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The address with segments added to its path; `None` when one is empty, `.` or `..`, which would make it another
    /// path than the one meant.
    pub(crate) fn join<I>(&self, segments: I) -> Option<Url>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut url = self.0.clone();
        {
            let mut path = url.path_segments_mut().ok()?;
            path.pop_if_empty();
            for segment in segments {
                let segment = segment.as_ref();
                if segment.is_empty() || segment == "." || segment == ".." {
                    return None;
                }
                path.push(segment);
            }
        }
        Some(url)
    }
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_or_this_machine_is_spoken_to_unless_more_is_allowed() {
        for good in
            ["https://api.example.com", "http://127.0.0.1:8080/api/v3", "http://[::1]:1", "http://localhost"]
        {
            assert!(BaseUrl::parse(good, Plain::LoopbackOnly).is_ok(), "{good}");
        }
        for bad in [
            "http://api.example.com",
            "http://localhost.example.com",
            "ftp://127.0.0.1",
            "https://user:pw@api.example.com",
            "https://api.example.com?a=b",
            "https://api.example.com#a",
            "api.example.com",
            "",
        ] {
            assert!(BaseUrl::parse(bad, Plain::LoopbackOnly).is_err(), "{bad}");
        }
        assert!(BaseUrl::parse("http://github.internal/api/v3", Plain::Allowed).is_ok());
    }

    #[test]
    fn segments_stay_segments() {
        let base = BaseUrl::parse("https://example.com/api/v3/", Plain::LoopbackOnly).unwrap();
        let join = |segments: &[&str]| base.join(segments).map(String::from);
        assert_eq!(join(&["repos", "a b"]).unwrap(), "https://example.com/api/v3/repos/a%20b");
        assert_eq!(join(&["a/../b?c#d%2e"]).unwrap(), "https://example.com/api/v3/a%2F..%2Fb%3Fc%23d%252e");
        for wrong in [["repos", ".."], ["repos", "."], ["repos", ""]] {
            assert_eq!(join(&wrong), None, "{wrong:?}");
        }
    }
}
