//! Examples of bodies, put together from those of their fields.

use serde_json::{Map, Value, json};

use super::{METHODS, resolved};

/// Schemas within schemas are followed so far: none of ours is deeper, and one that holds itself would never end.
const DEEPEST: usize = 20;

/// Which fields an example has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Of a request: what must be there, and what has an example of its own.
    Asked,
    /// Of an answer: everything.
    Answered,
}

/// Adds an example to every JSON body that has none.
pub(super) fn add(document: &mut Value) {
    let whole = document.clone();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for method in METHODS {
            let Some(operation) = item.get_mut(method) else { continue };
            if let Some(body) = operation.get_mut("requestBody") {
                add_one(&whole, body, Style::Asked);
            }
            for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
                add_one(&whole, response, Style::Answered);
            }
        }
    }
    for response in document["components"]["responses"].as_object_mut().into_iter().flat_map(Map::values_mut)
    {
        add_one(&whole, response, Style::Answered);
    }
}

fn add_one(document: &Value, told: &mut Value, style: Style) {
    let code = told["x-error-codes"].get(0).cloned();
    let Some(media) = told.get_mut("content").and_then(|it| it.get_mut("application/json")) else { return };
    if media.get("example").is_some() || media.get("examples").is_some() || media.get("schema").is_none() {
        return;
    }
    let mut example = example(document, &media["schema"], style, 0);
    if let Some(code) = code {
        example["error"]["code"] = code;
    }
    media["example"] = example;
}

fn example(document: &Value, schema: &Value, style: Style, depth: usize) -> Value {
    let own = ["example", "const", "default"].iter().find_map(|it| schema.get(*it));
    if let Some(own) = own.or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0)) {
        return own.clone();
    }
    if depth >= DEEPEST {
        return Value::Null;
    }
    let of = |part: &Value| example(document, part, style, depth + 1);
    if schema.get("$ref").is_some() {
        return of(resolved(document, schema));
    }
    if let Some(all) = schema["allOf"].as_array() {
        let fields = all.iter().map(of).filter_map(|it| it.as_object().cloned());
        return Value::Object(fields.flatten().collect());
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return choices.iter().find(|it| it["type"] != "null").map_or(Value::Null, of);
    }
    let word = match &schema["type"] {
        Value::Array(several) if several.iter().any(|it| it == "null") => "null",
        other => other.as_str().unwrap_or("object"),
    };
    match word {
        "null" => Value::Null,
        "boolean" => json!(false),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "string" => text(schema),
        "array" => json!([of(&schema["items"])]),
        _ => object(document, schema, style, depth),
    }
}

fn text(schema: &Value) -> Value {
    json!(match schema["format"].as_str() {
        Some("uuid") => "0198c0de-0000-7000-8000-000000000000",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("date") => "2026-01-31",
        _ => "…",
    })
}

fn object(document: &Value, schema: &Value, style: Style, depth: usize) -> Value {
    let required =
        |name: &String| schema["required"].as_array().is_some_and(|it| it.iter().any(|it| it == name));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let shown = fields
        .filter(|(name, field)| style == Style::Answered || required(name) || field.get("example").is_some());
    shown.map(|(name, field)| (name.clone(), example(document, field, style, depth + 1))).collect()
}
