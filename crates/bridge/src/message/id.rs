//! Request ids and progress tokens, comparable even when the other side writes them a little differently.

use serde_json::value::RawValue;

/// A number or a text. Text keeps its quotation marks, so `1` and `"1"` never meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Number(i64),
    Other(Box<str>),
}

impl Id {
    /// Nothing when the value is neither a number nor a text.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        match text.as_bytes().first()? {
            b'"' if text.contains('\\') => Some(Self::Other(unescaped(text).unwrap_or_else(|| text.into()))),
            b'"' => Some(Self::Other(text.into())),
            b'-' | b'0'..=b'9' => Some(text.parse().map_or_else(|_| Self::Other(text.into()), Self::Number)),
            _ => None,
        }
    }

    /// Bytes it needs besides its own size.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Other(text) => text.len(),
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Box<str> {
        match self {
            Self::Number(number) => number.to_string().into(),
            Self::Other(text) => text.clone(),
        }
    }
}

fn unescaped(text: &str) -> Option<Box<str>> {
    let value: String = serde_json::from_str(text).ok()?;
    serde_json::to_string(&value).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Option<Id> {
        Id::read(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_number_and_the_same_digits_as_text_differ() {
        assert_ne!(id("1"), id("\"1\""));
    }

    #[test]
    fn the_spelling_of_a_text_does_not_matter() {
        assert_eq!(id(r#""\u0041é""#), id(r#""A\u00e9""#));
    }

    #[test]
    fn huge_numbers_stay_themselves() {
        assert_ne!(id("123456789012345678901234567890"), id("123456789012345678901234567891"));
    }

    #[test]
    fn null_and_objects_are_no_ids() {
        assert!(id("null").is_none() && id("{}").is_none() && id("true").is_none());
    }
}
