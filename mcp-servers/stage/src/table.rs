//! Tables of cases: every tool has one, and what is true of every tool is looked at for each.

use std::collections::{BTreeMap, BTreeSet};

use rmcp::model::Tool;
use serde_json::{Value, json};

use crate::client::{Outcome, Program};
use crate::service::{Answer, Seen, Service};

/// One tool: how it is called, what it then asks of the service, and what it says.
#[derive(Debug, Clone)]
pub struct Case {
    /// The tool.
    pub tool: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// The request that does the work: its method, path and query as the service sees them, unescaped.
    pub asks: &'static str,
    /// The body of that request, if it has one.
    pub sends: Value,
    /// Places in the answer, and what is there.
    pub says: Vec<(&'static str, Value)>,
    /// Arguments that are refused without asking the service; none, if every argument is right.
    pub wrong: Option<Value>,
}

/// Holds every tool against its case, and every case against its tool: the description of the tool, a success, a
/// thing that is not there, an argument that is not known, an argument that is wrong, and a service that is down.
///
/// # Panics
/// When something is not as it should be; the message says of which tool.
pub async fn hold_all(program: &Program, service: &Service, cases: &[Case]) {
    let tools: BTreeMap<String, Tool> =
        program.tools().await.into_iter().map(|tool| (tool.name.to_string(), tool)).collect();
    let named: BTreeSet<&str> = cases.iter().map(|case| case.tool).collect();
    let without: Vec<&String> = tools.keys().filter(|name| !named.contains(name.as_str())).collect();
    assert!(without.is_empty(), "tools without a case: {without:?}");
    let unknown: Vec<&&str> = named.iter().filter(|name| !tools.contains_key(**name)).collect();
    assert!(unknown.is_empty(), "cases without a tool: {unknown:?}");
    for tool in tools.values() {
        described(tool);
    }
    for case in cases {
        let schema = schema(&tools[case.tool]);
        let works = |outcome: &Outcome| {
            let wrong: Vec<String> =
                schema.iter_errors(&outcome.value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{} against its schema: {wrong:?}\n{}", case.tool, outcome.value);
        };
        happy(program, service, case, &works).await;
        sad(program, service, case, &works).await;
    }
}

/// What a client shows of a tool before it is called.
fn described(tool: &Tool) {
    let name = &tool.name;
    let told = serde_json::to_value(tool).expect("a tool is JSON");
    assert!(told["description"].as_str().is_some_and(|text| text.len() > 20), "{name} has no description");
    assert!(told["title"].as_str().is_some(), "{name} has no title");
    let annotations = &told["annotations"];
    assert!(annotations["title"].is_string(), "{name} has no title for older clients");
    assert!(annotations["openWorldHint"].is_boolean(), "{name} does not say whether it asks others");
    match annotations["readOnlyHint"].as_bool() {
        Some(true) => {}
        Some(false) => {
            assert!(annotations["destructiveHint"].is_boolean(), "{name} does not say whether it destroys");
            assert!(annotations["idempotentHint"].is_boolean(), "{name} does not say whether twice is once");
        }
        None => panic!("{name} does not say whether it changes anything"),
    }
    assert_eq!(told["inputSchema"]["type"], "object", "{name}");
    let properties = told["inputSchema"]["properties"].as_object().cloned().unwrap_or_default();
    if !properties.is_empty() {
        let closed = &told["inputSchema"]["additionalProperties"];
        let is_closed =
            *closed == json!(false) || told["inputSchema"]["unevaluatedProperties"] == json!(false);
        assert!(is_closed, "{name} takes arguments that it does not know");
    }
    for (property, schema) in properties {
        assert!(schema.to_string().contains("\"description\""), "{name}.{property} has no description");
    }
    assert_eq!(told["outputSchema"]["type"], "object", "{name} has no output schema");
}

fn schema(tool: &Tool) -> jsonschema::Validator {
    let schema = serde_json::to_value(&tool.output_schema).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a schema that can be used")
}

/// A request as a case writes it down.
fn line(seen: &Seen) -> String {
    let path = percent_decoded(&seen.path);
    let query: Vec<String> = seen.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{} {path}{mark}{}", seen.method, query.join("&"))
}

fn percent_decoded(path: &str) -> String {
    // A form's decoder does it, if plus signs are kept from it.
    let pair = format!("p={}", path.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

async fn happy(program: &Program, service: &Service, case: &Case, works: &impl Fn(&Outcome)) {
    service.take_seen();
    let outcome = program.call(case.tool, case.arguments.clone()).await;
    assert!(!outcome.is_error, "{}: {}", case.tool, outcome.text);
    works(&outcome);
    let seen = service.take_seen();
    let lines: Vec<String> = seen.iter().map(line).collect();
    let found = seen.iter().find(|seen| line(seen) == case.asks);
    let Some(found) = found else { panic!("{} asked {lines:#?} instead of {}", case.tool, case.asks) };
    if case.sends != Value::Null {
        assert_eq!(found.json(), case.sends, "{}", case.tool);
    }
    for (place, expected) in &case.says {
        let said = outcome.value.pointer(place).cloned().unwrap_or(Value::Null);
        assert_eq!(said, *expected, "{} at {place}: {}", case.tool, outcome.value);
    }
}

async fn sad(program: &Program, service: &Service, case: &Case, works: &impl Fn(&Outcome)) {
    let start = case.asks.split('?').next().unwrap_or(case.asks).to_owned();
    let method = start.split(' ').next().unwrap_or_default().to_owned();
    let gone = json!({ "error": { "code": 404, "message": "Not found" }, "status": 404, "err": "Not found" });
    service.next(&format!("{method} "), Answer::json(404, &gone));
    let outcome = program.call(case.tool, case.arguments.clone()).await;
    works(&outcome);
    assert_eq!(outcome.code(), "not_found", "{}: {}", case.tool, outcome.text);
    assert_eq!(outcome.value["status"], 404, "{}", case.tool);
    assert_eq!(service.forget_next(), 0, "{} did not ask with {method}", case.tool);

    service.take_seen();
    let mut odd = case.arguments.clone();
    odd["no_such_argument"] = json!(1);
    if let Ok(result) = program.try_call(case.tool, odd).await {
        let takes_none = case.arguments.as_object().is_some_and(serde_json::Map::is_empty);
        assert!(result.is_error == Some(true) || takes_none, "{} takes what it does not know", case.tool);
    }
    if let Some(wrong) = &case.wrong {
        service.take_seen();
        let outcome = program.call(case.tool, wrong.clone()).await;
        works(&outcome);
        assert_eq!(outcome.code(), "invalid_input", "{}: {}", case.tool, outcome.text);
        assert_eq!(service.count(), 0, "{} asked the service before it looked", case.tool);
    }
}
