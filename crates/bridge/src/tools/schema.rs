//! The annotations in a tool's `inputSchema` (2026-07-28, Tools, `x-mcp-header`).

use std::rc::Rc;

use http::HeaderName;
use serde_json::{Map, Value};

use super::Param;

const ANNOTATION: &str = "x-mcp-header";
const PREFIX: &str = "mcp-param-";

/// An annotation breaks a rule, and with it the whole definition of the tool.
#[derive(Debug, PartialEq, Eq)]
struct Invalid;

/// The annotated parameters of a schema; nothing when there are none, or when an annotation is invalid.
pub(crate) fn params_of(schema: &str) -> Option<Rc<[Param]>> {
    // Most schemas have none; only one with an escape could spell the word in another way.
    if !schema.contains(ANNOTATION) && !schema.contains("\\u") {
        return None;
    }
    let Ok(Value::Object(root)) = serde_json::from_str(schema) else { return None };
    let found = read(&root).ok()?;
    (!found.is_empty()).then(|| found.into())
}

fn read(root: &Map<String, Value>) -> Result<Vec<Param>, Invalid> {
    if root.contains_key(ANNOTATION) {
        // What the root describes is no parameter.
        return Err(Invalid);
    }
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), &mut found)?;
    let mut names: Vec<&str> = found.iter().map(|param| param.header.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() == found.len() { Ok(found) } else { Err(Invalid) }
}

/// Follows `properties`; an annotation reached in any other way is invalid.
fn walk(
    schema: &Map<String, Value>,
    path: &mut Vec<Box<str>>,
    found: &mut Vec<Param>,
) -> Result<(), Invalid> {
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let Value::Object(property) = property else { continue };
                    path.push(name.as_str().into());
                    if let Some(annotation) = property.get(ANNOTATION) {
                        found.push(Param { header: header(annotation, property)?, path: path.clone() });
                    }
                    walk(property, path, found)?;
                    path.pop();
                }
            }
            _ if is_annotated_within(keyword, value) => return Err(Invalid),
            _ => {}
        }
    }
    Ok(())
}

fn header(annotation: &Value, property: &Map<String, Value>) -> Result<HeaderName, Invalid> {
    let name = annotation.as_str().filter(|name| !name.is_empty()).ok_or(Invalid)?;
    if !is_primitive(property.get("type")) {
        return Err(Invalid);
    }
    HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes()).map_err(|_| Invalid)
}

/// Text, integers and truth values; `null` beside them only means that the parameter may be left out.
fn is_primitive(kind: Option<&Value>) -> bool {
    let is_one = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    match kind {
        Some(Value::Array(kinds)) => {
            kinds.iter().any(is_one) && kinds.iter().all(|kind| is_one(kind) || kind == "null")
        }
        Some(kind) => is_one(kind),
        None => false,
    }
}

/// Whether a schema below this keyword has an annotation. Keywords whose value is data are not looked into.
fn is_annotated_within(keyword: &str, value: &Value) -> bool {
    match (keyword, value) {
        ("default" | "const" | "enum" | "examples", _) => false,
        // The keys of these are names, not keywords.
        (
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
            Value::Object(named),
        ) => named.values().any(is_annotated),
        (_, Value::Object(_)) => is_annotated(value),
        (_, Value::Array(items)) => items.iter().any(is_annotated),
        _ => false,
    }
}

fn is_annotated(schema: &Value) -> bool {
    let Value::Object(schema) = schema else { return false };
    schema.contains_key(ANNOTATION)
        || schema.iter().any(|(keyword, value)| is_annotated_within(keyword, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(schema: &Value) -> Option<Vec<String>> {
        let params = params_of(&schema.to_string())?;
        Some(params.iter().map(|param| format!("{}={}", param.header, param.path.join("/"))).collect())
    }

    fn tool(property: &Value) -> Value {
        json!({"type": "object", "properties": {"p": property}})
    }

    #[test]
    fn annotations_are_found_at_any_depth_of_properties() {
        let schema = json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "x-mcp-header": {"type": "string"},
            "where": {"type": "object", "default": {"x-mcp-header": "data"}, "properties": {
                "zone": {"type": ["integer", "null"], "x-mcp-header": "Zone"}}}}});
        let mut found = names(&schema).unwrap();
        found.sort();
        assert_eq!(found, ["mcp-param-region=region", "mcp-param-zone=where/zone"]);
        assert_eq!(names(&tool(&json!({"type": "string"}))), None);
    }

    #[test]
    fn a_schema_with_an_escaped_annotation_is_read_too() {
        let schema = r#"{"properties":{"p":{"type":"boolean","x-mcp-\u0068eader":"P"}}}"#;
        assert_eq!(params_of(schema).unwrap().len(), 1);
    }

    #[test]
    fn an_invalid_annotation_spoils_the_whole_definition() {
        let good = json!({"type": "string", "x-mcp-header": "Good"});
        for bad in [
            json!({"type": "number", "x-mcp-header": "P"}),
            json!({"type": "object", "x-mcp-header": "P"}),
            json!({"x-mcp-header": "P"}),
            json!({"type": "string", "x-mcp-header": ""}),
            json!({"type": "string", "x-mcp-header": "a b"}),
            json!({"type": "string", "x-mcp-header": "a\r\nb"}),
            json!({"type": "string", "x-mcp-header": 5}),
            json!({"type": "string", "x-mcp-header": "gOOD"}),
            json!({"type": "array", "items": good}),
            json!({"anyOf": [good]}),
            json!({"type": "object", "additionalProperties": good}),
            json!({"$defs": {"x": good}}),
            json!({"if": {"properties": {"q": good}}}),
        ] {
            let schema = json!({"properties": {"p": bad, "good": good}});
            assert_eq!(names(&schema), None, "{schema}");
        }
        assert_eq!(names(&json!({"x-mcp-header": "Root", "properties": {"good": good}})), None);
        assert!(names(&json!({"properties": {"good": good}})).is_some());
    }
}
