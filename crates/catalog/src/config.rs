//! What a launch gives, merged over a type's defaults and held against its schema.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use crate::problem::{Problem, none_of};

/// Keys of one config, counted at every depth: a form with more is not a form.
pub const MAX_KEYS: usize = 64;
/// Longest config as JSON: it travels in a row and in a specification.
pub const MAX_BYTES: usize = 64 * 1024;

/// Mistakes reported of one config; a hostile one must not make a long answer.
const MAX_PROBLEMS: usize = 20;
/// Longest message of the schema's checker.
const MAX_MESSAGE_CHARS: usize = 300;
/// Steps a pattern of a schema may go back: a config's values are short, so more is an attack.
const BACKTRACK_LIMIT: usize = 50_000;

/// The config of an instance: objects are merged key by key, everything else that is given replaces the default.
pub fn merge_config(
    template: &Map<String, Value>,
    given: &Map<String, Value>,
    schema: Option<&Value>,
) -> Result<Map<String, Value>, Vec<Problem>> {
    check_size(given, "config")?;
    let mut merged = template.clone();
    merge(&mut merged, given);
    check_size(&merged, "config")?;
    let Some(schema) = schema else { return Ok(merged) };
    let validator = compile_schema(schema).map_err(|problem| vec![problem])?;
    let whole = Value::Object(merged);
    let errors = validator.iter_errors(&whole).take(MAX_PROBLEMS);
    none_of(errors.map(|error| as_problem(&error, "config")).collect())?;
    match whole {
        Value::Object(merged) => Ok(merged),
        _ => unreachable!("it was made of a map above"),
    }
}

fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Whether a config is small enough, and free of what neither a row nor a process can hold.
pub(crate) fn check_size(config: &Map<String, Value>, field: &str) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    let (mut keys, mut nul) = (0, false);
    look_through(config, &mut keys, &mut nul);
    if keys > MAX_KEYS {
        problems.push(Problem::new(field, format!("has {keys} keys; at most {MAX_KEYS} are allowed")));
    }
    if json_length(config) > MAX_BYTES {
        problems.push(Problem::new(field, "is longer than 64 KiB"));
    }
    if nul {
        problems.push(Problem::new(field, "must not contain the character U+0000"));
    }
    none_of(problems)
}

fn look_through(config: &Map<String, Value>, keys: &mut usize, nul: &mut bool) {
    *keys += config.len();
    for (key, value) in config {
        *nul |= key.contains('\0');
        look_into(value, keys, nul);
    }
}

fn look_into(value: &Value, keys: &mut usize, nul: &mut bool) {
    match value {
        Value::String(text) => *nul |= text.contains('\0'),
        Value::Array(items) => items.iter().for_each(|item| look_into(item, keys, nul)),
        Value::Object(object) => look_through(object, keys, nul),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

pub(crate) fn json_length(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// A checker for a config's schema; nothing is ever fetched for it.
pub(crate) fn compile_schema(schema: &Value) -> Result<Validator, Problem> {
    let refused = |message: String| Problem::new("config_schema", message);
    if !schema.is_object() {
        return Err(refused("must be a JSON object".to_owned()));
    }
    if json_length(schema) > MAX_BYTES {
        return Err(refused("is longer than 64 KiB".to_owned()));
    }
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
        .build(schema)
        .map_err(|error| refused(format!("is no usable JSON Schema: {}", cut(&error.to_string()))))
}

/// What is wrong with a type's own defaults. They need not be complete: a launch may add what is required.
pub(crate) fn check_template(template: &Map<String, Value>, validator: &Validator) -> Vec<Problem> {
    let whole = Value::Object(template.clone());
    let wrong = |error: &ValidationError<'_>| match error.kind() {
        ValidationErrorKind::Required { .. } => false,
        ValidationErrorKind::AdditionalProperties { .. } => true,
        _ => !error.instance_path().as_str().is_empty(),
    };
    let errors = validator.iter_errors(&whole).filter(wrong).take(MAX_PROBLEMS);
    errors.map(|error| as_problem(&error, "config_template")).collect()
}

/// The value itself is left out of the message: it may be long, or a secret in the wrong place.
fn as_problem(error: &ValidationError<'_>, root: &str) -> Problem {
    let mut field = root.to_owned();
    for segment in error.instance_path().segments() {
        field.push('.');
        field.push_str(&segment.to_string());
    }
    Problem::new(cut(&field), cut(&error.masked_with("the value").to_string()))
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
