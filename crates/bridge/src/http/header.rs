//! The headers in which a modern client repeats parts of its body (2026-07-28, Streamable HTTP, "Request Metadata").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AsHeaderName;

const ENCODED: &str = "=?base64?";
const ENCODED_END: &str = "?=";

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said<'h> {
    Nothing,
    /// Once, in printable ASCII; white space around it does not count.
    Once(&'h str),
    /// More than once, or in characters a header may not hold.
    Unclear,
}

/// Reads a header that may be there once.
pub(crate) fn said(headers: &HeaderMap, name: impl AsHeaderName) -> Said<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Said::Nothing,
        (Some(value), None) => {
            value.to_str().map_or(Said::Unclear, |value| Said::Once(value.trim_matches([' ', '\t'])))
        }
        _ => Said::Unclear,
    }
}

/// Whether the header says just this, in clear.
pub(crate) fn says(headers: &HeaderMap, name: impl AsHeaderName, expected: &str) -> bool {
    said(headers, name) == Said::Once(expected)
}

/// A value in clear, or what `=?base64?…?=` hides ("Value Encoding"); nothing when that is not base64 of UTF-8.
pub(crate) fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix(ENCODED).and_then(|rest| rest.strip_suffix(ENCODED_END)) {
        Some(hidden) => String::from_utf8(STANDARD.decode(hidden).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(values: &[&'static [u8]]) -> HeaderMap {
        let name = HeaderName::from_static("mcp-name");
        let all = values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value).unwrap()));
        let mut headers = HeaderMap::new();
        all.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_header_is_read_once_and_without_the_white_space_around_it() {
        assert_eq!(said(&headers(&[]), "Mcp-Name"), Said::Nothing);
        assert_eq!(said(&headers(&[b" \t a b\t "]), "MCP-NAME"), Said::Once("a b"));
        assert_eq!(said(&headers(&[b""]), "mcp-name"), Said::Once(""));
        assert_eq!(said(&headers(&[b"a", b"a"]), "mcp-name"), Said::Unclear);
        assert_eq!(said(&headers(&[b"\xc3\xa9"]), "mcp-name"), Said::Unclear);
    }

    #[test]
    fn a_hidden_value_is_read_and_anything_like_one_is_literal() {
        for (value, meant) in [
            ("echo", Some("echo")),
            ("=?base64?w6ljaG8=?=", Some("écho")),
            ("=?base64?IHBhZGRlZCA=?=", Some(" padded ")),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", Some("=?base64?literal?=")),
            ("=?base64??=", Some("")),
            ("=?base64?SGVsbG8=", Some("=?base64?SGVsbG8=")),
            ("=?BASE64?SGVsbG8=?=", Some("=?BASE64?SGVsbG8=?=")),
            ("SGVsbG8=?=", Some("SGVsbG8=?=")),
            ("=?base64?=", Some("=?base64?=")),
            ("=?base64?SGVsbG8?=", None),
            ("=?base64?SGVs!!!bG8=?=", None),
            ("=?base64?SGVsbG9=?=", None),
            ("=?base64?/w==?=", None),
        ] {
            assert_eq!(decoded(value).as_deref(), meant, "{value}");
        }
    }
}
