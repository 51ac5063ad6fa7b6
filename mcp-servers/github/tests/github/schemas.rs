//! Results held against the schemas that the tools tell, as clients do; and parts of JSON held against the whole.

use std::collections::BTreeMap;

use rmcp::model::Tool;
use serde_json::Value;

/// The output schemas, by tool.
pub struct Schemas(BTreeMap<String, jsonschema::Validator>);

impl Schemas {
    pub fn of(tools: &[Tool]) -> Self {
        let compiled = tools.iter().map(|tool| {
            let schema =
                tool.output_schema.as_ref().unwrap_or_else(|| panic!("{} has an output schema", tool.name));
            let schema = Value::Object(schema.as_ref().clone());
            assert_eq!(schema["type"], "object", "{}", tool.name);
            (tool.name.to_string(), jsonschema::validator_for(&schema).expect("a schema"))
        });
        Self(compiled.collect())
    }

    #[track_caller]
    pub fn allow(&self, tool: &str, result: &Value) {
        let wrong: Vec<String> = self.0[tool].iter_errors(result).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{tool}: {wrong:?} in {result}");
    }
}

/// Whether everything in a part is in the whole, too. Items of lists are compared in order, and there are as many.
pub fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        _ => whole == part,
    }
}

#[test]
fn a_part_is_held_by_its_whole_alone() {
    use serde_json::json;

    let whole = json!({ "a": [{ "b": 1, "c": 2 }], "d": null });
    assert!(holds(&whole, &json!({ "a": [{ "b": 1 }] })));
    for other in [json!({ "a": [] }), json!({ "a": [{ "b": 2 }] }), json!({ "e": null }), json!([])] {
        assert!(!holds(&whole, &other), "{other}");
    }
}
