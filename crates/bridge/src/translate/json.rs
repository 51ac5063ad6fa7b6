//! Objects whose members are kept as the text they came in.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of an object in their order.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Nothing when the text is no object.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The members of something that may be absent; nothing else than an object has any.
    pub(super) fn of(raw: Option<&'a RawValue>) -> Self {
        raw.and_then(|raw| Self::read(raw.get())).unwrap_or_default()
    }

    /// A member as JSON. Of several with one name the last counts, as in most readers.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.get() == "true")
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// The members that `keep` wants, unchanged.
    pub(super) fn kept(&self, keep: impl Fn(&str) -> bool) -> Writer {
        // A name and some members of ours are usually all that comes besides the values.
        let values: usize = self.members().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut writer = Writer::with_room(values + 256);
        for (name, value) in self.members().filter(|(name, _)| keep(name)) {
            writer.raw(name, value);
        }
        writer
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Object)
    }
}

/// Puts an object together.
#[derive(Clone)]
pub(super) struct Writer(String);

impl Default for Writer {
    fn default() -> Self {
        Self("{".to_owned())
    }
}

impl Writer {
    /// Adds a member whose value is JSON.
    pub(super) fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        if !self.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(value);
        self
    }

    /// Adds a member whose value is a text.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.raw(name, &quoted(value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Adds the members of another one.
    pub(super) fn members_of(&mut self, other: &Self) -> &mut Self {
        if !self.is_empty() && !other.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0[1..]);
        self
    }

    /// Makes room, so that what is added afterwards does not move what is there.
    pub(super) fn with_room(room: usize) -> Self {
        let mut text = String::with_capacity(room + 1);
        text.push('{');
        Self(text)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn object(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

/// A value in a spelling that is the same for equal values, as far as the order of members goes.
pub(super) fn canonical(raw: Option<&RawValue>) -> String {
    fn sorted(value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(map) => {
                let mut members: Vec<_> = map.into_iter().collect();
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect()
            }
            other => other,
        }
    }
    let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    value.map_or_else(String::new, |value| sorted(value).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_stay_keep_their_spelling_and_order() {
        let object =
            Object::read(r#"{"b":1.0e5,"a\n":{"x" : [1]},"gone":2,"big":12345678901234567890123}"#).unwrap();
        let mut writer = object.kept(|name| name != "gone");
        writer.text("said", "\"");
        assert_eq!(
            writer.object(),
            r#"{"b":1.0e5,"a\n":{"x" : [1]},"big":12345678901234567890123,"said":"\""}"#
        );
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        assert!(Object::read("[1]").is_none() && Object::read("7").is_none());
        assert!(Object::of(None).0.is_empty());
    }

    #[test]
    fn the_order_of_members_does_not_tell_values_apart() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let (one, other) = (raw(r#"{"a":1,"b":{"c":1,"d":2}}"#), raw(r#"{ "b":{"d":2,"c":1}, "a":1 }"#));
        assert_eq!(canonical(Some(&one)), canonical(Some(&other)));
        assert_ne!(canonical(Some(&one)), canonical(None));
    }
}
