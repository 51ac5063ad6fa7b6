//! What is shown of an answer: single values, each a short line.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::talk::Answer;

/// The longest value, in characters; the rest is cut off.
const MAX_CHARACTERS: usize = 200;

/// Where a value is found.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    Body(String),
    Header(String),
    Token(String),
}

/// The values that are there. Whoever answers says them: nothing that a screen would obey is left in them.
pub(super) fn shown(
    wanted: &BTreeMap<String, Place>,
    answer: &Answer,
    grant: Option<&Value>,
) -> BTreeMap<String, String> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let find = |place: &Place| match place {
        Place::Header(name) => answer.headers.get(name)?.to_str().ok().and_then(line),
        Place::Body(pointer) => body.as_ref()?.pointer(pointer).and_then(single),
        Place::Token(pointer) => grant?.pointer(pointer).and_then(single),
    };
    wanted.iter().filter_map(|(name, place)| Some((name.clone(), find(place)?))).collect()
}

fn single(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => line(text),
        Value::Number(number) => line(&number.to_string()),
        Value::Bool(is) => line(&is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn line(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_CHARACTERS).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;
    use zeroize::Zeroizing;

    use super::*;

    fn told(body: &str, wanted: &Value, grant: Option<&Value>) -> BTreeMap<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert("x-oauth-scopes", "repo, workflow".parse().unwrap());
        let answer = Answer { status: 200, headers, body: Zeroizing::new(body.as_bytes().to_vec()) };
        shown(&serde_json::from_value(wanted.clone()).unwrap(), &answer, grant)
    }

    #[test]
    fn single_values_are_shown_and_nothing_else() {
        let wanted = json!({
            "account": {"body": "/user/login"}, "left": {"body": "/left"}, "list": {"body": "/list"},
            "none": {"body": "/none"}, "scopes": {"header": "X-OAuth-Scopes"}, "granted": {"token": "/scope"},
        });
        let body = r#"{"user": {"login": "ada\u001b[2J"}, "left": 42, "list": ["x"]}"#;
        let shown = told(body, &wanted, Some(&json!({"scope": "a b"})));
        let expected =
            [("account", "ada[2J"), ("granted", "a b"), ("left", "42"), ("scopes", "repo, workflow")];
        assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(told("no JSON", &wanted, None).len(), 1);
    }

    #[test]
    fn a_value_is_one_short_line() {
        let long = json!({"a": format!("x\n{}", "y".repeat(1000))}).to_string();
        let shown = told(&long, &json!({"a": {"body": "/a"}}), None);
        assert_eq!(shown["a"].chars().count(), MAX_CHARACTERS);
        assert!(shown["a"].starts_with("xyy"));
    }
}
