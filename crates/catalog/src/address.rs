//! Addresses of servers that speak HTTP, and names of the headers that a type may give to every request.

use http::{HeaderName, Uri};

use crate::spec::Kind;
use crate::template::{Part, Placeholder, Template};

/// How the address of a server on this machine begins: the port is chosen at launch.
const LOCAL_STARTS: [&str; 3] =
    ["http://localhost:${port}", "http://127.0.0.1:${port}", "http://[::1]:${port}"];
/// Headers that the transport itself writes, in lower case.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// How the names of more such headers begin.
const OWN_PREFIXES: &[&str] = &["mcp-", "proxy-"];

/// Why a template cannot be the address of a server of this kind.
pub(crate) fn check_template(
    kind: Kind,
    text: &str,
    template: &Template,
    allow_private: bool,
) -> Result<(), &'static str> {
    match kind {
        Kind::Stdio => return Err("belongs to servers that speak HTTP: set `transport`, or leave it out"),
        Kind::LocalHttp => {
            let rest = LOCAL_STARTS.iter().find_map(|start| text.strip_prefix(start));
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                return Err(
                    "of a server that `program` starts must begin with `http://localhost:${port}` or \
                     `http://127.0.0.1:${port}`, then a path",
                );
            }
        }
        Kind::Remote => remote(text, template, allow_private)?,
    }
    // Placeholders lie in the path, where any text does for a look.
    let sample: String = template.parts.iter().map(sample).collect();
    check(&sample)
}

fn remote(text: &str, template: &Template, allow_private: bool) -> Result<(), &'static str> {
    let secure = text.strip_prefix("https://");
    let Some(rest) = secure.or_else(|| text.strip_prefix("http://")) else {
        return Err("must be a whole address, such as `https://mcp.example.com/mcp`");
    };
    if secure.is_none() && !allow_private {
        return Err("must begin with `https://`; an administrator may allow less with `allow_private`");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains("${") || (authority == rest && text.contains("${")) {
        return Err("must name its host without placeholders: they belong after the first `/`");
    }
    if template.placeholders().any(|placeholder| *placeholder == Placeholder::Port) {
        return Err("holds `${port}`, which only a server that `program` starts has");
    }
    Ok(())
}

/// Why a text, filled in, is no address of a server.
pub(crate) fn check(address: &str) -> Result<(), &'static str> {
    if address.contains('#') {
        return Err("must have no fragment (`#`)");
    }
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII: percent-encode the rest");
    }
    let uri: Uri = address.parse().map_err(|_| "is no address")?;
    let authority = uri.authority().ok_or("must be a whole address with a host")?;
    if authority.as_str().contains('@') {
        return Err("must hold no user or password: send them in `headers`");
    }
    if authority.host().is_empty() {
        return Err("must be a whole address with a host");
    }
    Ok(())
}

/// The port of an address that was checked, the usual one if it names none.
pub(crate) fn port(address: &str) -> Option<u16> {
    let uri: Uri = address.parse().ok()?;
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    Some(uri.port_u16().unwrap_or(usual))
}

/// Why a type may not give this header.
pub(crate) fn check_header_name(name: &str) -> Result<(), &'static str> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err("is no name of a header");
    };
    let name = parsed.as_str();
    if OWN_HEADERS.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err("is written by the bridge itself and cannot be given");
    }
    Ok(())
}

fn sample(part: &Part) -> &str {
    match part {
        Part::Text(text) => text,
        Part::Placeholder(_) => "1",
    }
}
