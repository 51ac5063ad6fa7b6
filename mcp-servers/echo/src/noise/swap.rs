//! Results in the shape of the other era.

use serde_json::{Value, json};

/// What modern results carry and legacy ones do not (2026-07-28, Base: results and Caching).
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// An answer with its result in the other era's shape; `None` for a line that is none.
pub fn era_of(line: &[u8]) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(line).ok()?;
    let result = message.get_mut("result")?.as_object_mut()?;
    if result.contains_key("resultType") {
        for member in MODERN_MEMBERS {
            result.remove(member);
        }
    } else {
        result.insert("resultType".to_owned(), json!("complete"));
    }
    Some(format!("{message}\n").into_bytes())
}

/// Whether a line is an answer, to whatever.
pub fn is_answer(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line)
        .is_ok_and(|message| message.get("result").is_some() || message.get("error").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swapped(message: &Value) -> Option<Value> {
        era_of(message.to_string().as_bytes()).map(|line| serde_json::from_slice(&line).unwrap())
    }

    #[test]
    fn a_result_takes_the_other_shape_and_everything_else_stays() {
        let modern = json!({"id": 1, "result": {"resultType": "complete", "tools": [], "ttlMs": 0}});
        assert_eq!(swapped(&modern), Some(json!({"id": 1, "result": {"tools": []}})));
        let legacy = json!({"id": 1, "result": {"tools": []}});
        assert_eq!(
            swapped(&legacy),
            Some(json!({"id": 1, "result": {"tools": [], "resultType": "complete"}}))
        );
        assert_eq!(swapped(&json!({"id": 1, "error": {}})), None);
        assert_eq!(swapped(&json!({"method": "notifications/message"})), None);
    }
}
