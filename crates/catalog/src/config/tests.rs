//! Merging, checking, and what a hostile config may try.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[track_caller]
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

#[track_caller]
fn merged(template: Value, given: Value, schema: Option<&Value>) -> Result<Value, Vec<Problem>> {
    merge_config(&object(template), &object(given), schema).map(Value::Object)
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "root": {"type": "string", "pattern": "^/"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "nested": {"type": "object", "properties": {"on": {"type": "boolean"}}}
        },
        "required": ["root"],
        "additionalProperties": false
    })
}

#[test]
fn what_is_given_wins_and_objects_are_merged_key_by_key() {
    let template = json!({"a": 1, "b": {"x": 1, "y": [1, 2]}, "c": "kept"});
    let given = json!({"a": null, "b": {"y": [3], "z": true}, "d": {}});
    let expected = json!({"a": null, "b": {"x": 1, "y": [3], "z": true}, "c": "kept", "d": {}});
    assert_eq!(merged(template, given, None), Ok(expected));
}

#[test]
fn a_config_that_fits_the_schema_passes() {
    let given = json!({"root": "/srv", "nested": {"on": true}});
    let expected = json!({"root": "/srv", "limit": 5, "nested": {"on": true}});
    assert_eq!(merged(json!({"limit": 5}), given, Some(&schema())), Ok(expected));
}

#[test]
fn every_mistake_against_the_schema_is_reported_with_its_place() {
    let given = json!({"limit": 1000, "nested": {"on": "canary"}, "surplus": "canary"});
    let problems = merged(json!({}), given, Some(&schema())).unwrap_err();
    let mut fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["config", "config", "config.limit", "config.nested.on"]);
    let text = format!("{problems:?}");
    assert!(text.contains("required property") && text.contains("surplus"), "{text}");
    assert!(!text.contains("canary"), "values stay out: {text}");
}

#[test]
fn unknown_keys_pass_where_the_schema_does_not_forbid_them() {
    assert!(merged(json!({}), json!({"anything": 1}), None).is_ok());
    assert!(merged(json!({}), json!({"anything": 1}), Some(&json!({"type": "object"}))).is_ok());
}

#[test]
fn a_config_of_too_many_keys_or_bytes_is_refused() {
    let many = |count: usize| Value::Object((0..count).map(|n| (format!("k{n}"), json!(n))).collect());
    assert!(merged(json!({}), many(MAX_KEYS), None).is_ok());
    assert!(merged(json!({}), many(MAX_KEYS + 1), None).is_err());
    assert!(
        merged(json!({}), json!({"list": [many(40), many(40)]}), None).is_err(),
        "counted at every depth"
    );
    assert!(merged(many(MAX_KEYS), json!({"one": "more"}), None).is_err(), "counted after merging");
    assert!(merged(json!({}), json!({"text": "x".repeat(MAX_BYTES - 11)}), None).is_ok());
    assert!(merged(json!({}), json!({"text": "x".repeat(MAX_BYTES - 10)}), None).is_err());
}

#[test]
fn a_nul_character_is_refused_in_keys_and_values_at_any_depth() {
    for given in [json!({"a\0": 1}), json!({"a": "b\0"}), json!({"a": [{"b": ["c\0"]}]})] {
        assert!(merged(json!({}), given, None).is_err());
    }
}

#[test]
fn a_schema_that_is_none_is_refused() {
    for schema in [json!(true), json!([]), json!({"type": 5}), json!({"pattern": "("})] {
        let problem = compile_schema(&schema).unwrap_err();
        assert_eq!(problem.field, "config_schema", "{problem}");
    }
}

#[test]
fn a_schema_that_points_elsewhere_is_refused_and_never_fetched() {
    for reference in
        ["http://127.0.0.1:1/schema.json", "https://example.com/s", "file:///etc/passwd", "other.json"]
    {
        let problem = compile_schema(&json!({"$ref": reference})).unwrap_err();
        assert!(!problem.message.contains("root:"), "{problem}");
    }
}

#[test]
fn a_pattern_that_explodes_ends_in_a_problem() {
    let schema = json!({"properties": {"a": {"pattern": "^(?=(a+)+$)\\1b"}}});
    assert!(merged(json!({}), json!({"a": format!("{}!", "a".repeat(5_000))}), Some(&schema)).is_err());
}

#[test]
fn a_hostile_config_makes_a_short_answer() {
    let items: Vec<Value> = (0..5_000).map(|_| json!("x")).collect();
    let schema = json!({"properties": {"a": {"items": {"type": "integer"}}}});
    let problems = merged(json!({}), json!({"a": items}), Some(&schema)).unwrap_err();
    assert_eq!(problems.len(), MAX_PROBLEMS);
    let key = "k".repeat(10_000);
    let problems =
        merged(json!({}), json!({key: 1}), Some(&json!({"additionalProperties": false}))).unwrap_err();
    assert!(problems[0].message.chars().count() <= MAX_MESSAGE_CHARS + 1);
}

#[test]
fn defaults_may_be_incomplete_but_not_wrong() {
    let validator = compile_schema(&schema()).unwrap();
    assert_eq!(check_template(&object(json!({"limit": 5})), &validator), []);
    let problems = check_template(&object(json!({"limit": "five", "surplus": 1})), &validator);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.field.starts_with("config_template")), "{problems:?}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("[a-c]", any_json(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn merging_the_same_twice_changes_nothing(template in any_object(), given in any_object()) {
        let once = merge_config(&template, &given, None).unwrap();
        prop_assert_eq!(merge_config(&once, &given, None).unwrap(), once);
    }

    #[test]
    fn nothing_given_is_the_template_and_no_template_is_what_is_given(map in any_object()) {
        prop_assert_eq!(&merge_config(&map, &Map::new(), None).unwrap(), &map);
        prop_assert_eq!(&merge_config(&Map::new(), &map, None).unwrap(), &map);
    }
}
