//! Values on the command line that have a form of their own.

use std::str::FromStr;
use std::time::Duration;

use roadstead_model::duration;
use serde_json::{Map, Value};

/// A length of time as people write it, kept as the API takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// The shortest way to write it.
    pub fn text(&self) -> String {
        duration::short(self.0)
    }

    /// The bare duration.
    pub(crate) const fn get(&self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match duration::parse(text) {
            Ok(Duration::ZERO) => Err("must be longer than nothing".to_owned()),
            Ok(length) => Ok(Self(length)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `key=value`; the value is JSON where it reads as JSON, else the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// What was written behind the first `=`.
    pub text: String,
}

impl KeyValue {
    /// The value as JSON where it reads as such, else as text.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.to_owned(), text: value.to_owned() }),
            _ => Err("must be of the form key=value".to_owned()),
        }
    }
}

/// A JSON object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JsonObject(pub(crate) Map<String, Value>);

impl FromStr for JsonObject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(_) => Err("must be a JSON object, such as '{\"root\": \"/srv\"}'".to_owned()),
            Err(error) => Err(format!("is not JSON: {error}")),
        }
    }
}

/// A moment: RFC 3339, or a length of time before now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// This long ago.
    Ago(Span),
    /// At this moment.
    At(time::OffsetDateTime),
}

impl Since {
    /// The moment as the API takes it.
    pub(crate) fn at(&self, now: time::OffsetDateTime) -> time::OffsetDateTime {
        match self {
            Self::Ago(span) => now - span.get(),
            Self::At(moment) => *moment,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::Ago(span));
        }
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
            .map(Self::At)
            .map_err(|_| {
                "must be a length of time such as 10m, or a moment such as 2026-01-31T12:00:00Z".into()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_the_api_takes_it() {
        assert_eq!("90".parse::<Span>().unwrap().text(), "90s");
        assert_eq!("60m".parse::<Span>().unwrap().text(), "1h");
        for text in ["0s", "-5m", "1w", "", "soon", "18446744073709551615d"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_value_is_json_where_it_reads_as_json() {
        let value = |text: &str| text.parse::<KeyValue>().unwrap().json();
        assert_eq!(value("a=1"), 1);
        assert_eq!(value("a=true"), true);
        assert_eq!(value("a=[1,2]"), serde_json::json!([1, 2]));
        assert_eq!(value("a=/srv/files"), "/srv/files");
        assert_eq!(value("a=b=c"), "b=c");
        assert_eq!(value("a="), "");
        assert!("=x".parse::<KeyValue>().is_err());
        assert!("x".parse::<KeyValue>().is_err());
    }

    #[test]
    fn since_is_a_moment_or_a_length_of_time() {
        let now = time::macros::datetime!(2026-01-01 12:00 UTC);
        assert_eq!("10m".parse::<Since>().unwrap().at(now), time::macros::datetime!(2026-01-01 11:50 UTC));
        let noon = "2026-01-01T00:00:00Z".parse::<Since>().unwrap();
        assert_eq!(noon.at(now), time::macros::datetime!(2026-01-01 00:00 UTC));
        assert!("yesterday".parse::<Since>().is_err());
    }
}
