//! A tool's hash: the same for the same tool whatever the order of its keys, another for any other. Whoever approves tools and
//! whoever passes lists of them on compute it alike, although one reads what the official library made of a list and the other
//! the list itself.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Depth of a schema that is hashed; a JSON parser's own limit is not far above.
const MAX_DEPTH: usize = 128;

/// SHA-256 of a tool in canonical JSON (RFC 8785).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToolHash([u8; 32]);

impl ToolHash {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ToolHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

/// Why a tool has no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Nesting without end.
    #[error("a schema is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Numbers that canonical JSON cannot hold.
    #[error("a schema holds what canonical JSON cannot")]
    NotCanonical(#[source] serde_json::Error),
}

/// The hash of what a model is told of a tool. What is absent differs from `null`.
///
/// Whole numbers beyond 2^53 are told apart as well, although canonical JSON would take neighbours for one.
pub fn tool_hash(
    name: &str,
    description: Option<&str>,
    input_schema: Option<&Value>,
    output_schema: Option<&Value>,
    annotations: Option<&Value>,
) -> Result<ToolHash, HashError> {
    // The version of this rule is hashed too, so that another rule never gives the same.
    let mut tool = json!({"rule": 1, "name": name});
    let parts = [
        ("description", description.map(Value::from)),
        ("inputSchema", input_schema.map(exact).transpose()?),
        ("outputSchema", output_schema.map(exact).transpose()?),
        ("annotations", annotations.map(exact).transpose()?),
    ];
    for (key, value) in parts {
        if let Some(value) = value {
            tool[key] = value;
        }
    }
    let canonical = serde_json_canonicalizer::to_vec(&tool).map_err(HashError::NotCanonical)?;
    Ok(ToolHash(Sha256::digest(canonical).into()))
}

/// A tool as it stands in the result of `tools/list` (2025-11-25, Tools, Data Types), as far as models are told of it and it is
/// hashed. What is `null` counts as absent.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedTool<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(default, borrow)]
    description: Option<Cow<'a, str>>,
    #[serde(rename = "inputSchema", default)]
    input_schema: Option<Value>,
    #[serde(rename = "outputSchema", default)]
    output_schema: Option<Value>,
    #[serde(default)]
    annotations: Option<Hints>,
}

impl ListedTool<'_> {
    /// Its hash.
    ///
    /// # Errors
    /// It has none.
    pub fn hash(&self) -> Result<ToolHash, HashError> {
        let annotations = self.annotations.as_ref().map(|hints| json!(hints));
        tool_hash(
            &self.name,
            self.description.as_deref(),
            self.input_schema.as_ref(),
            self.output_schema.as_ref(),
            annotations.as_ref(),
        )
    }
}

/// What the protocol knows of annotations; anything else in them is told to nobody.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hints {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_only_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destructive_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotent_hint: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_world_hint: Option<bool>,
}

/// A copy in which whole numbers that a float cannot hold are objects with their digits.
fn exact(value: &Value) -> Result<Value, HashError> {
    const EXACT: u64 = 1 << 53;
    fn below(value: &Value, depth: usize) -> Result<Value, HashError> {
        if depth > MAX_DEPTH {
            return Err(HashError::TooDeep);
        }
        Ok(match value {
            Value::Number(number) => {
                let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
                if whole.is_some_and(|whole| whole > EXACT) {
                    json!({"whole number": number.to_string()})
                } else {
                    value.clone()
                }
            }
            Value::Array(items) => {
                items.iter().map(|item| below(item, depth + 1)).collect::<Result<_, _>>()?
            }
            Value::Object(map) => {
                Value::Object(
                    map.iter()
                        .map(|(key, item)| Ok((key.clone(), below(item, depth + 1)?)))
                        .collect::<Result<_, HashError>>()?,
                )
            }
            Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
        })
    }
    below(value, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(schema: &str) -> ToolHash {
        let schema: Value = serde_json::from_str(schema).unwrap();
        tool_hash("a", Some("b"), Some(&schema), None, None).unwrap()
    }

    #[test]
    fn the_order_of_keys_and_the_way_numbers_are_written_do_not_matter() {
        assert_eq!(hash(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#), hash(r#"{ "b":{"d":3.0,"c":2},"a":1e0 }"#));
    }

    #[test]
    fn any_difference_gives_another_hash() {
        let schema = json!({"type": "object"});
        let all = [
            tool_hash("a", None, None, None, None),
            tool_hash("b", None, None, None, None),
            tool_hash("a", Some(""), None, None, None),
            tool_hash("a", Some("a"), None, None, None),
            tool_hash("a", None, Some(&schema), None, None),
            tool_hash("a", None, None, Some(&schema), None),
            tool_hash("a", None, None, None, Some(&schema)),
            tool_hash("a", None, None, None, Some(&Value::Null)),
        ];
        let unique: std::collections::BTreeSet<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(unique.len(), 8);
        assert_ne!(hash(r#"{"a": 9007199254740992}"#), hash(r#"{"a": 9007199254740993}"#));
        assert_ne!(hash(r#"{"a": -9007199254740994}"#), hash(r#"{"a": -9007199254740993}"#));
        assert_ne!(hash(r#"{"enum": [1, 2]}"#), hash(r#"{"enum": [2, 1]}"#));
        assert_ne!(hash("{\"a\": \"\u{e9}\"}"), hash("{\"a\": \"e\u{301}\"}"), "composed and decomposed");
    }

    #[test]
    fn a_hash_is_the_one_that_anybody_can_compute() {
        let hash = tool_hash("echo", Some("Says it again"), None, None, None).unwrap();
        let canonical = br#"{"description":"Says it again","name":"echo","rule":1}"#;
        assert_eq!(hash.to_string(), format!("sha256:{}", hex::encode(Sha256::digest(canonical))));
    }

    #[test]
    fn a_listed_tool_is_hashed_by_what_the_protocol_knows_of_it() {
        let of = |text: &str| serde_json::from_str::<ListedTool<'_>>(text).unwrap().hash().unwrap();
        let plain = of(
            r#"{"name":"a","description":"b","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#,
        );
        let schema = json!({"type": "object"});
        let hints = json!({"readOnlyHint": true});
        assert_eq!(plain, tool_hash("a", Some("b"), Some(&schema), None, Some(&hints)).unwrap());
        assert_eq!(
            plain,
            of(
                r#"{"title":"A","annotations":{"x-own":1,"readOnlyHint":true,"title":null},"outputSchema":null,
                "inputSchema":{"type":"object"},"description":"b","name":"\u0061","_meta":{}}"#
            )
        );
        assert_ne!(
            plain,
            of(r#"{"name":"a","description":"b","inputSchema":{"type":"object"},"annotations":{}}"#)
        );
        assert!(
            serde_json::from_str::<ListedTool<'_>>(r#"{"name":"a","annotations":{"readOnlyHint":"yes"}}"#)
                .is_err()
        );
    }

    #[test]
    fn nesting_has_an_end() {
        let mut deep = Value::Null;
        for _ in 0..5000 {
            deep = Value::Array(vec![deep]);
        }
        assert!(matches!(tool_hash("a", None, Some(&deep), None, None), Err(HashError::TooDeep)));
    }
}
