//! JSON as editors write it: with comments and trailing commas, edited in place.

use std::collections::HashSet;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue as Json, CstNode, CstObject, CstObjectProp, CstRootNode};
use jsonc_parser::errors::ParseError;
use serde_json::Value;

use super::{MergeError, Taken, place};
use crate::client_config::Entry;

/// What editors read beyond JSON, and nothing more: a client would not read it either.
const EDITORS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a document that may hold comments and trailing commas. A key that is there twice is refused: of two, one would be looked
/// at and the other used.
pub fn read(text: &str) -> Result<Value, MergeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = CstRootNode::parse(text, &EDITORS).map_err(|error| unreadable(&error))?;
    let nothing = || unexpected("the document", "there");
    let value = root.value().ok_or_else(nothing)?;
    each_key_once(&value)?;
    value.to_serde_value().ok_or_else(nothing)
}

fn each_key_once(value: &CstNode) -> Result<(), MergeError> {
    if let Some(object) = value.as_object() {
        let mut known = HashSet::new();
        for property in object.properties() {
            let name = property.decoded_name().unwrap_or_default();
            if !known.insert(name.clone()) {
                return Err(MergeError::Twice { place: format!("the key {name:?}") });
            }
            property.value().map_or(Ok(()), |value| each_key_once(&value))?;
        }
    }
    let elements = value.as_array().map(|array| array.elements()).unwrap_or_default();
    elements.iter().try_for_each(each_key_once)
}

pub(super) fn merged(text: &str, entry: &Entry<'_>, taken: Taken) -> Result<String, MergeError> {
    let root = CstRootNode::parse(text, &EDITORS).map_err(|error| unreadable(&error))?;
    let is_new = root.value().is_none();
    let whole = match root.value() {
        None => root.object_value_or_set(),
        Some(_) => root.object_value().ok_or_else(|| unexpected("the document", "an object in braces"))?,
    };
    let servers = servers(&whole, entry)?;
    lay_in(&servers, entry, taken)?;
    if let Some((id, question)) = entry.input() {
        ask(&inputs(&whole)?, &id, question);
    }
    let mut text = root.to_string();
    if is_new && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn servers(whole: &CstObject, entry: &Entry<'_>) -> Result<CstObject, MergeError> {
    let key = entry.client.servers();
    match only(whole, key, key)? {
        None => Ok(whole.object_value_or_set(key)),
        Some(found) => found.object_value().ok_or_else(|| unexpected(key, "an object in braces")),
    }
}

fn inputs(whole: &CstObject) -> Result<CstArray, MergeError> {
    match only(whole, "inputs", "inputs")? {
        None => Ok(whole.array_value_or_set("inputs")),
        Some(found) => found.array_value().ok_or_else(|| unexpected("inputs", "a list")),
    }
}

fn lay_in(servers: &CstObject, entry: &Entry<'_>, taken: Taken) -> Result<(), MergeError> {
    let place = place(entry.client, entry.name);
    let Some(found) = only(servers, entry.name, &place)? else {
        servers.append(entry.name, Json::Object(entry.fields()));
        return Ok(());
    };
    // Of any instance of the same service: one was launched again under the name.
    let ours = found.object_value().filter(|known| known.to_string().contains(entry.service()));
    match (ours, taken) {
        (Some(known), _) => lay_over(&known, entry.fields()),
        (None, Taken::MakesWay) => found.set_value(Json::Object(entry.fields())),
        (None, Taken::Stays) => return Err(MergeError::Taken { place }),
    }
    Ok(())
}

/// Sets what differs; what else somebody wrote there stays.
fn lay_over(known: &CstObject, fields: Vec<(String, Json)>) {
    for (name, value) in fields {
        let Some(field) = known.get(&name) else {
            known.append(&name, value);
            continue;
        };
        match (field.object_value(), value) {
            (Some(inner), Json::Object(fields)) => lay_over(&inner, fields),
            (_, value) if field.to_serde_value().as_ref() == Some(&plain(&value)) => {}
            (_, value) => field.set_value(value),
        }
    }
}

fn ask(inputs: &CstArray, id: &str, question: Json) {
    let is_asked = inputs.elements().iter().any(|input| {
        let known = input.as_object().and_then(|input| input.to_serde_value());
        known.is_some_and(|known| known["id"] == id)
    });
    if !is_asked {
        inputs.append(question);
    }
}

/// The property of a name, if there is one: with two of them, clients differ in which counts.
fn only(object: &CstObject, name: &str, place: &str) -> Result<Option<CstObjectProp>, MergeError> {
    let named =
        object.properties().into_iter().filter(|property| property.decoded_name().as_deref() == Some(name));
    let mut named = named.collect::<Vec<_>>();
    match named.len() {
        0 | 1 => Ok(named.pop()),
        _ => Err(MergeError::Twice { place: place.to_owned() }),
    }
}

fn plain(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(*is),
        Json::Number(digits) => digits.parse().map_or(Value::Null, Value::Number),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
    }
}

fn unexpected(place: &str, expected: &'static str) -> MergeError {
    MergeError::Unexpected { place: place.to_owned(), expected }
}

fn unreadable(error: &ParseError) -> MergeError {
    MergeError::Unreadable {
        line: error.line_display(),
        column: error.column_display(),
        what: error.kind().to_string().to_lowercase(),
    }
}
