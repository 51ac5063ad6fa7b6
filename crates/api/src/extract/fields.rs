//! A JSON object's fields, taken one by one, with every mistake kept: one answer names them all.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_model::json::whole;
use roadstead_model::{duration, limits};
use serde_json::{Map, Value};

use crate::error::{ApiError, Detail};

/// Longest name of a credential slot that a message repeats.
const MAX_SLOT_BYTES: usize = 32;

/// What is left of a body to read, and what was wrong with what was read.
#[derive(Debug)]
pub(crate) struct Fields {
    left: Map<String, Value>,
    problems: Vec<Detail>,
}

/// The mark of a list with its sort and its filters; a cursor carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListMark(pub(crate) String);

impl Fields {
    /// Starts on a body's object.
    pub(crate) const fn new(object: Map<String, Value>) -> Self {
        Self { left: object, problems: Vec::new() }
    }

    /// What tells one list from another, of the fields before any is taken: whatever chooses its items and their order.
    pub(crate) fn list_mark(&self, list: &str) -> ListMark {
        let choosing = self.left.iter().filter(|(name, _)| !["cursor", "limit"].contains(&name.as_str()));
        let text = choosing.fold(list.to_owned(), |text, (name, value)| format!("{text}\n{name}={value}"));
        // FNV-1a: the same on every machine and in every version, and nobody is kept out by it.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        ListMark(format!("{hash:016x}"))
    }

    /// Notes a mistake of the caller's own finding.
    pub(crate) fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Detail { field: field.to_owned(), message: message.into() });
    }

    /// Ends the reading: unknown fields and all mistakes are one error.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for field in std::mem::take(&mut self.left).keys() {
            self.problem(field, "is not a field of this request");
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::validation(self.problems)) }
    }

    /// Whether all was well so far, for a body whose rest has a schema of its own.
    pub(crate) fn so_far(&mut self) -> Result<(), ApiError> {
        let problems = std::mem::take(&mut self.problems);
        if problems.is_empty() { Ok(()) } else { Err(ApiError::validation(problems)) }
    }

    /// A string that may be absent, or null: that empties it.
    #[expect(clippy::option_option, reason = "absent, taken away and given are three")]
    pub(crate) fn clearable_text(&mut self, field: &str, max_chars: usize) -> Option<Option<String>> {
        let is_null = self.is_null(field);
        let text = self.text(field, max_chars);
        if is_null { Some(None) } else { text.map(Some) }
    }

    /// An object of at most so many bytes.
    pub(crate) fn small_object(&mut self, field: &str, max_bytes: usize) -> Option<Map<String, Value>> {
        let object = self.object(field)?;
        if object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)) {
            self.problem(field, "must not contain the character U+0000");
            return None;
        }
        if serde_json::to_vec(&object).is_ok_and(|bytes| bytes.len() <= max_bytes) {
            return Some(object);
        }
        self.problem(field, format!("must be at most {max_bytes} bytes of JSON"));
        None
    }

    /// Takes a field; null is the same as absent.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// Whether a field is there and null, where that is not the same as absent.
    pub(crate) fn is_null(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(Value::is_null)
    }

    /// A string that may be absent.
    pub(crate) fn text(&mut self, field: &str, max_chars: usize) -> Option<String> {
        if let Value::String(text) = self.take(field)? {
            self.checked_text(field, text, max_chars)
        } else {
            self.problem(field, "must be a string");
            None
        }
    }

    fn checked_text(&mut self, field: &str, text: String, max_chars: usize) -> Option<String> {
        let complaint = if text.trim().is_empty() {
            "must not be empty".to_owned()
        } else if text.chars().count() > max_chars {
            format!("must be at most {max_chars} characters long")
        } else if text.chars().any(char::is_control) {
            "must not contain control characters".to_owned()
        } else {
            return Some(text);
        };
        self.problem(field, complaint);
        None
    }

    /// A string that must be there.
    pub(crate) fn required_text(&mut self, field: &str, max_chars: usize) -> String {
        if self.left.get(field).is_none_or(Value::is_null) {
            self.left.remove(field);
            self.problem(field, "is required");
            return String::new();
        }
        self.text(field, max_chars).unwrap_or_default()
    }

    /// A name of an instance, a credential or a key.
    pub(crate) fn name(&mut self, field: &str) -> Option<String> {
        self.text(field, limits::MAX_NAME_CHARS)
    }

    /// Several words, each of which parses: `running,pending`, or a list of them in a body.
    pub(crate) fn several<T: std::str::FromStr>(&mut self, field: &str, noun: &str) -> Vec<T> {
        if let Some(Value::String(text)) = self.left.get(field) {
            let words = text.split(',').map(|word| Value::String(word.trim().to_owned())).collect();
            self.left.insert(field.to_owned(), Value::Array(words));
        }
        self.words(field, noun).unwrap_or_default()
    }

    /// A value that parses from a string, such as an id.
    pub(crate) fn parsed<T: std::str::FromStr>(&mut self, field: &str, what: &str) -> Option<T> {
        let text = self.text(field, 200)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(field, format!("must be {what}"));
        }
        parsed
    }

    /// A whole number.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, field: &str) -> Option<T> {
        let number = whole(&self.take(field)?).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            self.problem(field, "must be a whole number, and not a larger one than there can be");
        }
        number
    }

    /// What may be taken away: null is that, absent is as before.
    #[expect(clippy::option_option, reason = "absent, taken away and given are three")]
    pub(crate) fn unless_null<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        let is_null = self.is_null(field);
        let given = read(self);
        if is_null { Some(None) } else { given.map(Some) }
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self, field: &str) -> Option<bool> {
        if let Value::Bool(flag) = self.take(field)? {
            Some(flag)
        } else {
            self.problem(field, "must be true or false");
            None
        }
    }

    /// A duration: a string such as `15m`, or a whole number of seconds.
    pub(crate) fn duration(&mut self, field: &str) -> Option<Duration> {
        let text = match self.take(field)? {
            Value::String(text) => text,
            value @ Value::Number(_) => whole(&value).map(|seconds| seconds.to_string()).unwrap_or_default(),
            _ => {
                self.problem(field, duration::DurationError::Malformed.to_string());
                return None;
            }
        };
        match duration::parse(&text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.problem(field, error.to_string());
                None
            }
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, field: &str) -> Option<Map<String, Value>> {
        if let Value::Object(object) = self.take(field)? {
            Some(object)
        } else {
            self.problem(field, "must be an object");
            None
        }
    }

    /// Secret values by slot. A value is never repeated in a message.
    pub(crate) fn secrets(&mut self, field: &str) -> Option<BTreeMap<String, String>> {
        let mut secrets = BTreeMap::new();
        for (slot, value) in self.object(field)? {
            match value {
                Value::String(secret) if !secret.is_empty() => {
                    secrets.insert(slot, secret);
                }
                _ => {
                    // What is no slot's name may be a secret in the wrong place: it is not repeated.
                    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                    let named = slot.len() <= MAX_SLOT_BYTES && slot.chars().all(plain);
                    let path = if named { format!("{field}.{slot}") } else { field.to_owned() };
                    self.problem(&path, "must hold strings that are not empty, by slot");
                }
            }
        }
        Some(secrets)
    }

    /// A list of words, each of which parses.
    pub(crate) fn words<T: std::str::FromStr>(&mut self, field: &str, noun: &str) -> Option<Vec<T>> {
        let Value::Array(words) = self.take(field)? else {
            self.problem(field, "must be a list of strings");
            return None;
        };
        let mut parsed = Vec::with_capacity(words.len());
        for (index, word) in words.into_iter().enumerate() {
            match word.as_str().and_then(|word| word.parse().ok()) {
                Some(value) => parsed.push(value),
                None => self.problem(&format!("{field}[{index}]"), format!("is not a known {noun}")),
            }
        }
        Some(parsed)
    }

    /// Everything that has not been read, for a body with a schema of its own.
    pub(crate) fn rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.left)
    }
}

/// Whether there is a character in it that PostgreSQL keeps in no text.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        let Value::Object(object) = serde_json::from_str(json).unwrap() else { panic!("an object") };
        Fields::new(object)
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let mut fields = fields(r#"{"name": 7, "expires_in": "-5m", "wait": "", "colour": "red"}"#);
        fields.required_text("type", 50);
        fields.name("name");
        fields.duration("expires_in");
        fields.text("wait", 10);
        let error = fields.finish().unwrap_err();
        let named: Vec<&str> = error.details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(named, ["type", "name", "expires_in", "wait", "colour"]);
    }

    #[test]
    fn a_secret_that_is_refused_is_not_repeated() {
        let mut fields = fields(r#"{"credentials": {"token": 1234567}}"#);
        fields.secrets("credentials");
        let error = fields.finish().unwrap_err();
        assert!(!format!("{error:?}").contains("1234567"));
    }

    #[test]
    fn an_object_is_kept_or_named_as_wrong() {
        for (body, is_kept) in [
            (r#"{"settings": {"a": ["b\\u0000"]}}"#, true),
            (r#"{"settings": {"a": [{"b": "\u0000"}]}}"#, false),
            (r#"{"settings": {"a\u0000": 1}}"#, false),
            (r#"{"settings": {"a": "longer than twenty"}}"#, false),
        ] {
            let mut fields = fields(body);
            assert_eq!(fields.small_object("settings", 20).is_some(), is_kept, "{body}");
            assert_eq!(fields.finish().is_ok(), is_kept, "{body}");
        }
    }

    #[test]
    fn null_is_absent() {
        let mut fields = fields(r#"{"name": null}"#);
        assert_eq!(fields.name("name"), None);
        assert!(fields.finish().is_ok());
    }
}
