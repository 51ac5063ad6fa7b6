//! The guard against other people's pages: a browser on a machine that reaches us sends whatever a page asks it to send,
//! with a name that the page's owner may have pointed at us (DNS rebinding). Who calls without a browser sends none of
//! these headers and is not concerned.
//!
//! ```text
//! Host ──────────── ours? ── Origin ── ours or allowed? ── Sec-Fetch-Site ── not another site's? ── on
//! HOST_NOT_ALLOWED ──┘       ORIGIN_NOT_ALLOWED ┴──────────────────────────┘
//! ```
//! Nothing here permits another page to read an answer: no `Access-Control-*` header is ever sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Uri};
use roadstead_model::host::{address_of, host_of, is_loopback, origin_of};

use crate::error::{ApiError, Code};

const FETCH_SITE: &str = "sec-fetch-site";
const FETCH_MODE: &str = "sec-fetch-mode";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The pages that a link on any other page may lead to.
const PAGES: &str = "/docs";
/// What our pages may do: run and show what we serve, ask us, and nothing else. The page of the API sets styles of single
/// elements and has its pictures inside the stylesheet.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
/// Anything else is no page: should a browser show it as one, it may do nothing.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Where we are, and from which pages we may be asked.
#[derive(Debug, Clone)]
pub struct Browsers(Arc<Known>);

#[derive(Debug)]
struct Known {
    listen: IpAddr,
    hosts: Vec<String>,
    /// Scheme and authority, in small letters.
    origins: Vec<(String, String)>,
}

impl Browsers {
    /// Asked at `listen`, shown as `public_base`, and from the pages of `allowed` origins: `https://app.example.com`.
    pub fn new(listen: SocketAddr, public_base: &str, allowed: &[String]) -> Self {
        let origins: Vec<(String, String)> = std::iter::once(public_base)
            .chain(allowed.iter().map(String::as_str))
            .filter_map(origin_of)
            .map(|(scheme, authority)| (scheme.to_owned(), authority.to_ascii_lowercase()))
            .collect();
        let hosts =
            origins.iter().filter_map(|(_, authority)| host_of(authority).map(ToOwned::to_owned)).collect();
        Self(Arc::new(Known { listen: listen.ip(), hosts, origins }))
    }

    /// Why a request is refused, if it is.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<ApiError> {
        let named = headers.get_all(HOST).iter().map(|value| value.to_str().ok()).collect::<Vec<_>>();
        // HTTP/2 has it in the address of the request.
        let hosts = || named.iter().copied().chain(uri.authority().map(|authority| Some(authority.as_str())));
        if !hosts().all(|host| host.and_then(host_of).is_some_and(|host| self.serves(host))) {
            return Some(ApiError::new(
                Code::HostNotAllowed,
                "this service is not known under the host name of the request; ask it by its address, or tell it its \
                    name with --public-url",
            ));
        }
        let asks_itself = |authority: &str| {
            hosts().flatten().any(|host| without_default_port(host).eq_ignore_ascii_case(authority))
        };
        let mut origins = headers.get_all(ORIGIN).iter().peekable();
        let has_origin = origins.peek().is_some();
        let allowed = origins.all(|origin| {
            let origin = origin.to_str().ok().and_then(origin_of);
            origin.is_some_and(|(scheme, authority)| asks_itself(authority) || self.allows(scheme, authority))
        });
        if !allowed || (!has_origin && is_from_elsewhere(method, uri, headers)) {
            return Some(ApiError::new(
                Code::OriginNotAllowed,
                "a page of another site may not ask this service; an administrator can allow its origin with \
                    --allow-origin",
            ));
        }
        None
    }

    /// Names that no name server can point at us for somebody else, and those we were told.
    fn serves(&self, host: &str) -> bool {
        // Who is asked by an address was not asked by a name; with all addresses of the machine, each of them is ours.
        let is_listened_at = |address: IpAddr| address == self.0.listen || self.0.listen.is_unspecified();
        is_loopback(host)
            || address_of(host).is_some_and(is_listened_at)
            || self.0.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn allows(&self, scheme: &str, authority: &str) -> bool {
        self.0.origins.iter().any(|(known, at)| known == scheme && at.eq_ignore_ascii_case(authority))
    }
}

/// Browsers leave default ports out of `Host` and `Origin` alike; others may not.
fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":80").or_else(|| host.strip_suffix(":443")).unwrap_or(host)
}

/// Without an origin a browser still says that another site asks; a link to one of our pages is all right.
fn is_from_elsewhere(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let is = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    let is_link = *method == Method::GET && is(FETCH_MODE, "navigate") && uri.path().starts_with(PAGES);
    is(FETCH_SITE, "cross-site") && !is_link
}

/// Refuses what another page asks, before anything looks at it.
pub(crate) async fn guard(State(browsers): State<Browsers>, request: Request, next: Next) -> Response {
    let refusal = browsers.refusal(request.method(), request.uri(), request.headers());
    let mut response = match refusal {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    };
    protect(response.headers_mut());
    response
}

/// The same before the access URLs. What lies behind them need not judge again: it does not know our names.
pub(crate) async fn guard_access(
    State(browsers): State<Browsers>,
    mut request: Request,
    next: Next,
) -> Response {
    let refusal = browsers.refusal(request.method(), request.uri(), request.headers());
    let mut response = if let Some(error) = refusal {
        error.into_response()
    } else {
        request.headers_mut().remove(ORIGIN);
        next.run(request).await
    };
    protect(response.headers_mut());
    response
}

/// What a browser is told of every answer: not to guess what it is, not to tell where it was, not to show it elsewhere.
fn protect(headers: &mut HeaderMap) {
    let is_page = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/html"));
    let policy = if is_page { PAGE_POLICY } else { NO_PAGE_POLICY };
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (RESOURCE_POLICY, "same-origin"),
        (CONTENT_SECURITY_POLICY, policy),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(listen: &str, pairs: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let allowed = ["https://App.example.com".to_owned()];
        let browsers = Browsers::new(listen.parse().unwrap(), "https://mcp.example.com/base", &allowed);
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let uri = Uri::from_static("/docs/");
        browsers.refusal(&Method::GET, &uri, &headers).map(|error| error.code.as_str())
    }

    #[test]
    fn only_our_own_names_are_served() {
        for host in [
            "localhost",
            "LOCALHOST:8700",
            "127.0.0.1:1",
            "[::1]:8700",
            "10.1.2.3:8700",
            "mcp.example.com",
            "MCP.example.com:443",
            "app.example.com",
        ] {
            assert_eq!(refused("10.1.2.3:8700", &[("host", host)]), None, "{host}");
        }
        assert_eq!(refused("10.1.2.3:8700", &[]), None, "a browser always sends one");
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.9.9.9",
            "",
            "localhost:80@evil.example",
            "mcp.example.com.evil.example",
        ] {
            assert_eq!(refused("10.1.2.3:8700", &[("host", host)]), Some("HOST_NOT_ALLOWED"), "{host}");
        }
        assert_eq!(
            refused("10.1.2.3:8700", &[("host", "localhost"), ("host", "evil.example")]),
            Some("HOST_NOT_ALLOWED")
        );
        assert_eq!(refused("0.0.0.0:8700", &[("host", "10.9.9.9:8700")]), None, "an address of the machine");
        assert_eq!(refused("0.0.0.0:8700", &[("host", "evil.example")]), Some("HOST_NOT_ALLOWED"));
    }

    #[test]
    fn only_our_own_pages_and_allowed_ones_may_ask() {
        let ask = |origin| refused("127.0.0.1:8700", &[("host", "localhost:8700"), ("origin", origin)]);
        for origin in [
            "http://localhost:8700",
            "https://mcp.example.com",
            "https://mcp.example.com:443",
            "https://app.EXAMPLE.com",
        ] {
            assert_eq!(ask(origin), None, "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost:3000",
            "http://localhost",
            "http://app.example.com",
            "https://app.example.com:444",
            "https://evil.example",
            "https://app.example.com.evil.example",
            "http://localhost:8700@evil.example",
            "file://",
        ] {
            assert_eq!(ask(origin), Some("ORIGIN_NOT_ALLOWED"), "{origin}");
        }
    }

    #[test]
    fn a_browser_that_asks_for_another_site_is_refused_unless_it_follows_a_link() {
        let host = ("host", "localhost:8700");
        let site = ("sec-fetch-site", "cross-site");
        assert_eq!(refused("127.0.0.1:8700", &[host, site]), Some("ORIGIN_NOT_ALLOWED"));
        assert_eq!(refused("127.0.0.1:8700", &[host, site, ("sec-fetch-mode", "navigate")]), None);
        assert_eq!(refused("127.0.0.1:8700", &[host, site, ("origin", "https://app.example.com")]), None);
        for ours in ["same-origin", "none"] {
            assert_eq!(refused("127.0.0.1:8700", &[host, ("sec-fetch-site", ours)]), None, "{ours}");
        }
    }
}
