//! Schemas and parameters: what follows from a field's name, and that requests are read strictly.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{METHODS, fill, json_schema, words};

/// Bodies that are checked by a schema of their own, and what is in them.
const OWN_RULES: [&str; 2] = ["TypeBody", "Slot"];
/// What makes a string more than just a string.
const PARTICULARS: [&str; 5] = ["format", "pattern", "enum", "const", "minLength"];

/// Completes the named schemas.
pub(super) fn complete(document: &mut Value) {
    let asked = request_bodies(document);
    name_items(document);
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    for (name, schema) in schemas {
        ambiguous(schema);
        for part in parts(schema) {
            formats(part);
            if asked.contains(name) && !OWN_RULES.contains(&name.as_str()) {
                strict(part);
            }
        }
    }
}

/// The names of the schemas of requests; a body that may be left out is no null.
fn request_bodies(document: &mut Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for method in METHODS {
            let Some(body) = item.get_mut(method).and_then(|it| it.get_mut("requestBody")) else { continue };
            if let Some(media) = body["content"].get_mut("application/json") {
                without_null(&mut media["schema"]);
            }
            let name = json_schema(&body["content"]).and_then(|it| it["$ref"].as_str());
            names.extend(name.and_then(|name| name.rsplit('/').next()).map(str::to_owned));
        }
    }
    names
}

/// The items of a list have a schema of their own, `User` of `Page_User`: a client then has one type for each thing.
fn name_items(document: &mut Value) {
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    let mut found = Vec::new();
    for (list, schema) in schemas.iter_mut() {
        let Some((_, name)) = list.split_once('_') else { continue };
        let Some(items) = schema.pointer_mut("/properties/data/items") else { continue };
        if items.get("$ref").is_none() {
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            found.push((name.to_owned(), std::mem::replace(items, reference)));
        }
    }
    for (name, schema) in found {
        schemas.entry(name).or_insert(schema);
    }
}

/// The objects that a schema is made of: itself, or what it adds to another.
fn parts(schema: &mut Value) -> Vec<&mut Map<String, Value>> {
    if schema.get("allOf").is_some() {
        let all = schema["allOf"].as_array_mut().into_iter().flatten();
        return all.filter_map(Value::as_object_mut).collect();
    }
    schema.as_object_mut().into_iter().collect()
}

/// Choices that nothing tells apart: what fits two of them is no mistake.
fn ambiguous(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut().filter(|it| !it.contains_key("discriminator")) else { return };
    let all_named =
        |choices: &Value| choices.as_array().is_some_and(|it| it.iter().all(|it| it.get("$ref").is_some()));
    if let Some(choices) = schema.remove("oneOf") {
        let word = if all_named(&choices) { "anyOf" } else { "oneOf" };
        schema.insert(word.to_owned(), choices);
    }
}

/// Times and ids say so.
fn formats(schema: &mut Map<String, Value>) {
    for (name, field) in properties(schema) {
        let told = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let is_time = words::is_time(name) || told.contains("RFC 3339");
        if !is_string(field) || has_particulars(field) || field.contains_key("example") {
            continue;
        }
        if is_time {
            field.insert("format".to_owned(), json!("date-time"));
        } else if words::is_id(name) {
            field.insert("format".to_owned(), json!("uuid"));
        }
    }
}

/// What a body may not hold is refused, and so the description says.
fn strict(schema: &mut Map<String, Value>) {
    if schema.contains_key("properties") {
        fill(schema, &json!({"additionalProperties": false}));
    }
    for (name, field) in properties(schema) {
        if let Some(duration) = words::duration(name).filter(|_| is_string(field)) {
            replace_type(field, &duration);
        } else if is_string(field) {
            narrow(name, field);
        } else if field.get("type") == Some(&json!("array")) {
            // Nothing to add: what its items are is said at the handler.
        } else if let Some(values) = field.get_mut("additionalProperties").and_then(Value::as_object_mut) {
            fill(values, &json!({"minLength": 1}));
        }
    }
}

fn properties(schema: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Map<String, Value>)> {
    let all = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    all.filter_map(|(name, field)| Some((name, field.as_object_mut()?)))
}

/// Completes the parameters of one operation.
pub(super) fn complete_parameters(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let place = parameter["in"].as_str().unwrap_or_default().to_owned();
        if let (None, Some(meaning)) = (parameter.get("description"), words::meaning(&name, &place)) {
            parameter["description"] = json!(meaning);
        }
        let Some(schema) = parameter.get_mut("schema") else { continue };
        // What is left out of a query is not there; there is no null in one.
        without_null(schema);
        if let Some(schema) = schema.as_object_mut() {
            narrow(&name, schema);
        }
    }
}

/// Adds the rules of a name, and those of any text.
fn narrow(name: &str, schema: &mut Map<String, Value>) {
    let is_plain = is_string(schema) && !has_particulars(schema);
    if !is_plain && !is_number(schema) {
        return;
    }
    let rules = words::rules(name).unwrap_or_default();
    if is_plain {
        fill(schema, &rules);
    } else if let Some(bounds) = rules.as_object().filter(|it| it.contains_key("maximum")) {
        // A number's type has bounds of its own, which are wider.
        schema.extend(bounds.clone());
    }
    if is_plain && !["format", "pattern", "enum"].iter().any(|it| schema.contains_key(*it)) {
        fill(schema, &json!({"minLength": 1, "pattern": words::TEXT}));
    }
    let may_be_null = may_be_null(schema);
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut).filter(|_| may_be_null) {
        words.push(Value::Null);
    }
}

fn without_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array() {
        let mut others = types.iter().filter(|it| **it != "null").cloned();
        if let (Some(only), None) = (others.next(), others.next()) {
            schema["type"] = only;
        }
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let mut others = choices.iter().filter(|it| it["type"] != "null").cloned();
        if let (Some(only), None) = (others.next(), others.next()) {
            *schema = only;
        }
    }
}

fn replace_type(field: &mut Map<String, Value>, schema: &Value) {
    let choices = schema["anyOf"].as_array().cloned().unwrap_or_default();
    let null = may_be_null(field).then(|| json!({"type": "null"}));
    field.remove("type");
    field.insert("anyOf".to_owned(), choices.into_iter().chain(null).collect());
}

fn is_string(schema: &Map<String, Value>) -> bool {
    has_type(schema, "string")
}

fn is_number(schema: &Map<String, Value>) -> bool {
    has_type(schema, "integer")
}

fn may_be_null(schema: &Map<String, Value>) -> bool {
    has_type(schema, "null")
}

fn has_type(schema: &Map<String, Value>, word: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == word,
        Some(Value::Array(several)) => several.iter().any(|it| it == word),
        _ => false,
    }
}

fn has_particulars(schema: &Map<String, Value>) -> bool {
    PARTICULARS.iter().any(|it| schema.contains_key(*it))
}
