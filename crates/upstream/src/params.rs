//! Tool parameters that a server wants as headers, learnt from its list of tools (2026-07-28, Custom Headers from Tool Parameters).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

const MARK: &str = "x-mcp-header";
/// Tools with such parameters that are remembered; a server that invents more is not followed.
const MAX_TOOLS: usize = 4096;
/// Members of a schema that hold no schema.
const NO_SCHEMA: [&str; 5] = ["default", "const", "enum", "examples", "required"];

/// The tools of a server that have such parameters.
#[derive(Default)]
pub(crate) struct Tools(HashMap<String, Vec<Mirror>>);

/// One parameter and its header.
struct Mirror {
    header: HeaderName,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default, borrow)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    name: String,
    #[serde(rename = "inputSchema", default, borrow)]
    schema: Option<&'a RawValue>,
}

impl Tools {
    /// Learns from a result of `tools/list`.
    pub(crate) fn learn(&mut self, result: &RawValue) {
        if !result.get().starts_with('{') {
            return;
        }
        let Ok(list) = serde_json::from_str::<List<'_>>(result.get()) else { return };
        for tool in list.tools {
            if !tool.get().starts_with('{') {
                continue;
            }
            let Ok(tool) = serde_json::from_str::<Tool<'_>>(tool.get()) else { continue };
            let mirrors = tool.schema.and_then(mirrors).unwrap_or_default();
            if mirrors.is_empty() {
                self.0.remove(&tool.name);
            } else if self.0.len() < MAX_TOOLS || self.0.contains_key(&tool.name) {
                self.0.insert(tool.name, mirrors);
            }
        }
    }

    /// The headers of a call with these arguments.
    pub(crate) fn headers(&self, tool: &str, arguments: Option<&RawValue>) -> Vec<(HeaderName, HeaderValue)> {
        let Some(mirrors) = self.0.get(tool) else { return Vec::new() };
        let arguments = arguments.and_then(|arguments| serde_json::from_str::<Value>(arguments.get()).ok());
        let Some(arguments) = arguments else { return Vec::new() };
        let header = |mirror: &Mirror| {
            let value = mirror.path.iter().try_fold(&arguments, |value, key| value.get(key))?;
            Some((mirror.header.clone(), encoded(&plain(value)?)))
        };
        mirrors.iter().filter_map(header).collect()
    }
}

/// A value as a header: as it is when that is safe, else hidden in Base64 (Value Encoding).
pub(crate) fn encoded(text: &str) -> HeaderValue {
    let visible = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let padded = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    let marked = text.starts_with("=?base64?") && text.ends_with("?=");
    if visible
        && !padded
        && !marked
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let hidden = format!("=?base64?{}?=", STANDARD.encode(text));
    HeaderValue::from_str(&hidden).expect("Base64 is visible ASCII")
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => {
            let text = number.to_string();
            // An integer may be written as 42.0.
            Some(text.strip_suffix(".0").map(ToOwned::to_owned).unwrap_or(text))
        }
        _ => None,
    }
}

/// The parameters of a tool that become headers; nothing when its definition breaks a rule, because such a tool does not count.
fn mirrors(schema: &RawValue) -> Option<Vec<Mirror>> {
    if !schema.get().contains(MARK) {
        return None;
    }
    let Ok(Value::Object(schema)) = serde_json::from_str(schema.get()) else { return None };
    let mut found = Vec::new();
    walk(&schema, Some(&[]), &mut found)?;
    Some(found)
}

/// Goes through a schema. Without a path it cannot be reached by names of properties alone, and may hold no mark.
fn walk(schema: &Map<String, Value>, path: Option<&[String]>, found: &mut Vec<Mirror>) -> Option<()> {
    if let Some(mark) = schema.get(MARK) {
        found.push(mirror(schema, mark, path?, found)?);
    }
    for (key, value) in schema {
        match value {
            _ if key == MARK || NO_SCHEMA.contains(&key.as_str()) => {}
            Value::Object(properties) if key == "properties" => {
                for (name, property) in properties {
                    let path = path.map(|path| [path, std::slice::from_ref(name)].concat());
                    if let Value::Object(property) = property {
                        walk(property, path.as_deref(), found)?;
                    }
                }
            }
            Value::Object(inner) => walk(inner, None, found)?,
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    walk(item, None, found)?;
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn mirror(schema: &Map<String, Value>, mark: &Value, path: &[String], found: &[Mirror]) -> Option<Mirror> {
    let primitive = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    let fits = match schema.get("type") {
        // What it is shows in the value.
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| primitive(kind) || kind == "null"),
        Some(kind) => primitive(kind),
    };
    let mark = mark.as_str().filter(|mark| !mark.is_empty() && fits && !path.is_empty())?;
    let header = HeaderName::try_from(format!("mcp-param-{mark}")).ok()?;
    let unique = found.iter().all(|other| other.header != header);
    unique.then(|| Mirror { header, path: path.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn headers(schema: &str, arguments: &str) -> Vec<(String, String)> {
        let mut tools = Tools::default();
        tools.learn(&raw(&format!(r#"{{"tools":[{{"name":"t","inputSchema":{schema}}},5]}}"#)));
        let headers = tools.headers("t", Some(&raw(arguments)));
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn values_are_written_as_the_revision_shows() {
        for (value, wanted) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encoded(value), wanted);
        }
    }

    #[test]
    fn marked_parameters_become_headers_wherever_names_lead_to_them() {
        let schema = r#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "flag":{"type":["boolean","null"],"x-mcp-header":"Flag"},
            "x-mcp-header":{"type":"string"}}}"#;
        let got = headers(schema, r#"{"region":"é","deep":{"n":42.0},"flag":null,"x-mcp-header":"x"}"#);
        let wanted = [("mcp-param-region", "=?base64?w6k=?="), ("mcp-param-n", "42")];
        let mut got: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        got.sort_unstable_by_key(|(name, _)| std::cmp::Reverse(*name));
        assert_eq!(got, wanted);
    }

    #[test]
    fn a_definition_that_breaks_a_rule_gives_no_headers_at_all() {
        for wrong in [
            r#"{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}"#,
            r#"{"a":{"type":"number","x-mcp-header":"A"}}"#,
            r#"{"a":{"type":"string","x-mcp-header":""}}"#,
            r#"{"a":{"type":"string","x-mcp-header":"A B"}}"#,
            r#"{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}"#,
            r#"{"a":{"anyOf":[{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}]},"c":{"type":"string","x-mcp-header":"C"}}"#,
        ] {
            let schema = format!(r#"{{"type":"object","properties":{wrong}}}"#);
            assert!(headers(&schema, r#"{"a":"x","b":"y","c":"z"}"#).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn a_later_list_replaces_what_an_earlier_one_said() {
        let mut tools = Tools::default();
        let list = |mark: &str| {
            raw(&format!(
                r#"{{"tools":[{{"name":"t","inputSchema":{{"properties":{{"a":{{"type":"string"{mark}}}}}}}}}]}}"#
            ))
        };
        tools.learn(&list(r#","x-mcp-header":"A""#));
        assert_eq!(tools.headers("t", Some(&raw(r#"{"a":"x"}"#))).len(), 1);
        tools.learn(&list(""));
        assert!(tools.headers("t", Some(&raw(r#"{"a":"x"}"#))).is_empty());
    }
}
