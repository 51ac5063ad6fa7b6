//! JSON of strangers: bounded, without keys given twice, and read field by field with a path to each.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::hidden::shown;
use super::{MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_ITEMS, MAX_PROBLEMS};
use crate::problem::Problem;

/// Characters of a name that a message repeats.
pub(super) const MAX_SHOWN_NAME: usize = 60;

/// Reads a document. Lines and columns of what is wrong count from 1.
pub(super) fn parse(text: &str) -> Result<Value, Problem> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(Problem::new("document", format!("is longer than {} KiB", MAX_DOCUMENT_BYTES / 1024)));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Tree { depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = whole.strip_suffix(&place).unwrap_or(&whole);
        Problem::new("document", format!("line {line}, column {column}: {message}"))
    })
}

/// A value that is no deeper than allowed and names no key twice: of two, one would be looked at and the other used.
struct Tree {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Tree {
    fn below<E: Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {} is given twice", quoted(&key))));
            }
            let value = entries.next_value_seed(self.below()?)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A stranger's name as a message may repeat it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", shown(name, MAX_SHOWN_NAME))
}

/// What was found to be wrong, up to a limit.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(super) fn report(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(Problem::new(path, message));
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_list(mut self) -> Vec<Problem> {
        if self.more > 0 {
            self.list.push(Problem::new("document", format!("has {} mistakes more", self.more)));
        }
        self.list
    }
}

/// An object of a document, and where it stands. `null` is as good as nothing.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    pub(super) path: String,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The whole document.
    pub(super) fn root(value: &'a Value) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { path: String::new(), map }),
            _ => Err(Problem::new("document", "must be a JSON object")),
        }
    }

    /// Where a field of it stands.
    pub(super) fn at(&self, key: &str) -> String {
        let key = shown(key, MAX_SHOWN_NAME);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// A field by its name in camel case, or in the snake case of the first documents.
    pub(super) fn find(&self, key: &str, problems: &mut Problems) -> Option<&'a Value> {
        let old = snake_case(key);
        let older = if old == key { None } else { self.map.get(&old) };
        let found = match (self.map.get(key), older) {
            (Some(_), Some(_)) => {
                problems.report(self.at(key), format!("is given twice, as `{old}` too"));
                return None;
            }
            (found, older) => found.or(older),
        };
        found.filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'a str> {
        let found = self.find(key, problems)?;
        if !found.is_string() {
            problems.report(self.at(key), "must be a text");
        }
        found.as_str()
    }

    pub(super) fn required_text(&self, key: &str, problems: &mut Problems) -> Option<&'a str> {
        if self.find(key, &mut Problems::default()).is_none() {
            problems.report(self.at(key), "is required");
        }
        self.text(key, problems)
    }

    pub(super) fn flag(&self, key: &str, problems: &mut Problems) -> bool {
        match self.find(key, problems) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                problems.report(self.at(key), "must be true or false");
                false
            }
        }
    }

    pub(super) fn object(&self, key: &str, problems: &mut Problems) -> Option<Object<'a>> {
        let found = self.find(key, problems)?;
        if !found.is_object() {
            problems.report(self.at(key), "must be an object");
        }
        found.as_object().map(|map| Object { path: self.at(key), map })
    }

    fn list(&self, key: &str, problems: &mut Problems) -> &'a [Value] {
        match self.find(key, problems) {
            None => &[],
            Some(Value::Array(items)) if items.len() <= MAX_ITEMS => items,
            Some(Value::Array(_)) => {
                problems.report(self.at(key), format!("has more than {MAX_ITEMS} entries"));
                &[]
            }
            Some(_) => {
                problems.report(self.at(key), "must be a list");
                &[]
            }
        }
    }

    pub(super) fn objects(&self, key: &str, problems: &mut Problems) -> Vec<Object<'a>> {
        let mut found = Vec::new();
        for (index, item) in self.list(key, problems).iter().enumerate() {
            let path = format!("{}[{index}]", self.at(key));
            match item {
                Value::Object(map) => found.push(Object { path, map }),
                _ => problems.report(path, "must be an object"),
            }
        }
        found
    }

    pub(super) fn texts(&self, key: &str, problems: &mut Problems) -> Vec<&'a str> {
        let mut found = Vec::new();
        for (index, item) in self.list(key, problems).iter().enumerate() {
            match item {
                Value::String(text) => found.push(text.as_str()),
                _ => problems.report(format!("{}[{index}]", self.at(key)), "must be a text"),
            }
        }
        found
    }

    /// The objects of a map, each with its key.
    pub(super) fn entries(&self, problems: &mut Problems) -> Vec<(&'a str, Object<'a>)> {
        if self.map.len() > MAX_ITEMS {
            problems.report(&self.path, format!("has more than {MAX_ITEMS} entries"));
            return Vec::new();
        }
        let mut found = Vec::new();
        for (key, value) in self.map {
            match value {
                Value::Object(map) => found.push((key.as_str(), Object { path: self.at(key), map })),
                _ => problems.report(self.at(key), "must be an object"),
            }
        }
        found
    }

    /// The fields that nothing is known of, as a note.
    pub(super) fn note_unknown(&self, known: &[&str]) -> Option<String> {
        let is_known = |key: &str| known.iter().any(|known| *known == key || snake_case(known) == key);
        let unknown: Vec<String> =
            self.map.keys().filter(|key| !is_known(key)).take(MAX_ITEMS).map(|key| self.at(key)).collect();
        (!unknown.is_empty()).then(|| format!("fields that mean nothing here: {}", unknown.join(", ")))
    }
}

fn snake_case(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_syntax_error_is_told_with_its_line_and_column() {
        let problem = parse("{\n  \"a\": 1,\n  oops\n}").unwrap_err();
        assert_eq!(problem.field, "document");
        assert!(problem.message.starts_with("line 3, column 3: "), "{problem}");
        assert!(!problem.message.contains(" at line"), "{problem}");
        assert!(parse("{} {}").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        let problem = parse("{\"a\": [{\"command\": \"x\",\n \"command\": \"y\"}]}").unwrap_err();
        assert!(problem.message.contains("`command` is given twice"), "{problem}");
        assert!(problem.message.starts_with("line 2, "), "{problem}");
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        for depth in [MAX_DEPTH + 1, 100, 100_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(parse(&text).is_err(), "{depth}");
        }
        let text = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse(&text).is_ok());
        let long = format!("\"{}\"", "a".repeat(MAX_DOCUMENT_BYTES));
        assert_eq!(parse(&long).unwrap_err().message, "is longer than 256 KiB");
    }

    #[test]
    fn fields_are_found_in_either_case_but_not_in_both() {
        let value =
            json!({"isSecret": true, "value_hint": "a", "runtimeHint": "x", "runtime_hint": "y", "no": null});
        let object = Object::root(&value).unwrap();
        let mut problems = Problems::default();
        assert!(object.flag("isSecret", &mut problems));
        assert_eq!(object.text("valueHint", &mut problems), Some("a"));
        assert_eq!(object.text("no", &mut problems), None);
        assert!(problems.is_empty());
        assert_eq!(object.text("runtimeHint", &mut problems), None);
        assert_eq!(problems.into_list()[0].field, "runtimeHint");
    }

    #[test]
    fn every_wrong_kind_is_reported_by_its_path_up_to_a_limit() {
        let value = json!({"a": {"list": [1, {}, "x"], "text": 1}});
        let object = Object::root(&value).unwrap();
        let mut problems = Problems::default();
        let inner = object.object("a", &mut problems).unwrap();
        assert_eq!(inner.objects("list", &mut problems).len(), 1);
        assert_eq!(inner.text("text", &mut problems), None);
        let fields: Vec<String> = problems.into_list().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["a.list[0]", "a.list[2]", "a.text"]);
        let mut many = Problems::default();
        (0..MAX_PROBLEMS + 7).for_each(|_| many.report("a", "b"));
        let list = many.into_list();
        assert_eq!(list.len(), MAX_PROBLEMS + 1);
        assert_eq!(list[MAX_PROBLEMS].message, "has 7 mistakes more");
    }

    proptest! {
        #[test]
        fn a_document_is_read_as_the_usual_parser_reads_it(text in r#"(\{|\}|\[|\]|,|:|"a"|"b"|1|-2.5|true|null| ){0,24}"#) {
            if let Ok(value) = parse(&text) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
