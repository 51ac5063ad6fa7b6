//! `Mcp-Param-*` headers: what they say must be what the arguments of the call say (2026-07-28, Streamable HTTP, "Server Behavior
//! for Custom Headers"). Headers that no tool asked for mean nothing to us.

pub(crate) mod number;

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::header::{Said, decoded, said};
use crate::message::{Envelope, Params};
use crate::server::Server;
use crate::tools::{Lookup, Param};

/// Pages of a list the bridge asks for by itself.
const MAX_PAGES: usize = 100;
/// How long all of them may take. A server that starts slowly needs some of it.
const LIST_PATIENCE: Duration = Duration::from_secs(30);
/// Who asks when the client does not say who it is.
const OURSELVES: &str = concat!(r#"{"name":"roadstead","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// Compares the headers of a `tools/call` with its arguments; why the call has to be refused. `asks` says whether the server may
/// be asked for its tools.
pub(crate) async fn check(
    server: &Server,
    asks: bool,
    headers: &HeaderMap,
    name: &str,
    params: &Params<'_>,
) -> Result<(), String> {
    match server.tools.lookup(name) {
        Lookup::Check { params: wanted, fresh } => match compare(headers, &wanted, params.arguments) {
            Err(_) if asks && !fresh => {}
            outcome => return outcome,
        },
        Lookup::Unknown if asks => {}
        Lookup::Unknown | Lookup::Nothing => return Ok(()),
    }
    // Not known, or not known well enough to refuse a call: nobody tells us of a change unless a client subscribes to it.
    let _turn = server.tools.turn().await;
    if matches!(server.tools.lookup(name), Lookup::Unknown | Lookup::Check { fresh: false, .. }) {
        ask(server, params).await;
    }
    match server.tools.lookup(name) {
        Lookup::Check { params: wanted, .. } => compare(headers, &wanted, params.arguments),
        Lookup::Nothing | Lookup::Unknown => Ok(()),
    }
}

/// Asks for the whole list in the name of the client that makes the call: what a server lists may depend on it.
async fn ask(server: &Server, params: &Params<'_>) {
    let Some(meta) = &params.meta else { return };
    let (Some(version), Some(capabilities)) = (meta.protocol_version, meta.client_capabilities) else {
        return;
    };
    let meta = format!(
        "\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":{},\"io.modelcontextprotocol/clientCapabilities\":{},\
         \"io.modelcontextprotocol/clientInfo\":{}}}",
        one_line(version.get()),
        one_line(capabilities.get()),
        one_line(meta.client_info.map_or(OURSELVES, RawValue::get)),
    );
    let (deadline, changes) = (Instant::now() + LIST_PATIENCE, server.tools.changes());
    let all_seen = pages(server, &meta, deadline).await.is_some();
    server.tools.asked(changes, all_seen);
}

async fn pages(server: &Server, meta: &str, deadline: Instant) -> Option<()> {
    let mut params = format!("{{{meta}}}");
    for page in 0..MAX_PAGES {
        let patience = deadline.saturating_duration_since(Instant::now());
        let (line, None) = server.ask("tools/list", &params, patience).await? else { return None };
        let text = std::str::from_utf8(&line).ok()?;
        let result = Envelope::read(text).ok()?.result?;
        let Some(next) = server.tools.learn(result.get(), page == 0).ok()? else { return Some(()) };
        params = format!("{{\"cursor\":{},{meta}}}", one_line(next));
    }
    None
}

/// JSON has line ends only as white space between its parts.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn compare(headers: &HeaderMap, wanted: &[Param], arguments: Option<&RawValue>) -> Result<(), String> {
    for param in wanted {
        let name = &param.header;
        let value = match find(arguments, &param.path) {
            Found::Nothing => None,
            Found::One(value) => Some(value),
            Found::Several => {
                return Err(format!("the argument that {name} repeats is there more than once"));
            }
        };
        match (said(headers, name), value) {
            (Said::Nothing, None) => {}
            (Said::Nothing, Some(_)) => return Err(format!("{name} is missing")),
            (Said::Unclear, _) => {
                return Err(format!("{name} has to be there once, and in printable ASCII"));
            }
            (Said::Once(_), None) => return Err(format!("{name} repeats an argument that is not there")),
            (Said::Once(header), Some(value)) => {
                if !decoded(header).is_some_and(|header| is_same(&header, value)) {
                    return Err(format!("{name} does not agree with the body"));
                }
            }
        }
    }
    Ok(())
}

/// Whether a header, already decoded, says what an argument says.
fn is_same(header: &str, value: &RawValue) -> bool {
    let value = value.get();
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(value).is_ok_and(|text| text == header),
        Some(b't' | b'f') => value == header,
        Some(b'-' | b'0'..=b'9') => number::is_same(header, value),
        // A list or an object cannot stand in a header.
        _ => false,
    }
}

/// What stands at a place in the arguments; `null` is nothing.
#[derive(Debug)]
enum Found<'a> {
    Nothing,
    One(&'a RawValue),
    /// Which of them the server would take is anybody's guess.
    Several,
}

fn find<'a>(arguments: Option<&'a RawValue>, path: &[Box<str>]) -> Found<'a> {
    let Some(mut here) = arguments else { return Found::Nothing };
    for name in path {
        match member(here, name) {
            Found::One(value) => here = value,
            other => return other,
        }
    }
    if here.get() == "null" { Found::Nothing } else { Found::One(here) }
}

fn member<'a>(object: &'a RawValue, name: &str) -> Found<'a> {
    struct Named<'n>(&'n str);
    impl<'de> Visitor<'de> for Named<'_> {
        type Value = Found<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Found::Nothing;
            while let Some(key) = map.next_key::<Key>()? {
                if key.0 != self.0 {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                let value = map.next_value::<&RawValue>()?;
                found = match found {
                    Found::Nothing => Found::One(value),
                    _ => Found::Several,
                };
            }
            Ok(found)
        }
    }
    let mut json = serde_json::Deserializer::from_str(object.get());
    // What is no object has no members.
    json.deserialize_map(Named(name)).unwrap_or(Found::Nothing)
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Key(String);

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn outcome(path: &[&str], arguments: &str, header: Option<&'static str>) -> Result<(), String> {
        let name = HeaderName::from_static("mcp-param-p");
        let path = path.iter().map(|part| (*part).into()).collect();
        let wanted = [Param { header: name.clone(), path }];
        let values = header.map(|value| (name, HeaderValue::from_static(value)));
        let headers = HeaderMap::from_iter(values);
        compare(&headers, &wanted, Some(serde_json::from_str(arguments).unwrap()))
    }

    fn passes(arguments: &str, header: Option<&'static str>) -> bool {
        outcome(&["p"], arguments, header).is_ok()
    }

    #[test]
    fn a_header_says_what_the_argument_says() {
        assert!(passes(r#"{"p":"us-west1"}"#, Some("us-west1")));
        assert!(passes(r#"{"p":"Hello, \u4e16界"}"#, Some("=?base64?SGVsbG8sIOS4lueVjA==?=")));
        assert!(passes(r#"{"\u0070":"a"}"#, Some("a")));
        assert!(!passes(r#"{"p":"us-west1"}"#, Some("US-WEST1")));
        assert!(!passes(r#"{"p":"us-west1"}"#, None));
        assert!(passes(r#"{"p":true}"#, Some("true")) && !passes(r#"{"p":true}"#, Some("True")));
        assert!(passes(r#"{"p":42}"#, Some("42.0")) && !passes(r#"{"p":42}"#, Some("43")));
        assert!(!passes(r#"{"p":"42"}"#, Some("42.0")), "text is not compared as a number");
        assert!(passes(r#"{"p":""}"#, Some("")));
    }

    #[test]
    fn what_is_not_there_has_no_header() {
        for nothing in [r#"{"p":null}"#, r#"{"q":1}"#, "{}", "[]", "null", "5"] {
            assert!(passes(nothing, None), "{nothing}");
            assert!(!passes(nothing, Some("x")), "{nothing}");
            assert!(!passes(nothing, Some("null")), "{nothing}");
        }
        assert!(compare(&HeaderMap::new(), &[], None).is_ok());
    }

    #[test]
    fn nothing_slips_through_beside_a_header() {
        for sly in [r#"{"p":"a","p":"b"}"#, r#"{"p":["a"]}"#, r#"{"p":{"a":"a"}}"#] {
            assert!(!passes(sly, Some("a")), "{sly}");
            assert!(!passes(sly, None), "{sly}");
        }
    }

    #[test]
    fn nested_arguments_are_found() {
        let nested = r#"{"a":{"b":{"p":7}},"p":8}"#;
        assert!(outcome(&["a", "b", "p"], nested, Some("7")).is_ok());
        assert!(outcome(&["a", "b", "p"], nested, Some("8")).is_err());
        assert!(outcome(&["a", "c", "p"], nested, None).is_ok());
    }

    #[test]
    fn deep_arguments_beside_it_do_no_harm() {
        let deep = format!(r#"{{"x":{}{},"p":1}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(passes(&deep, Some("1")));
    }
}
