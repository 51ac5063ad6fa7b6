use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{METHODS, parameters};
use crate::router::openapi;

fn operations(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |it| item.get(*it)).map(move |it| (path.as_str(), it))
    })
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = openapi();
    let mut seen = BTreeSet::new();
    for (path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(seen.insert(id.to_owned()), "{id} twice, at {path} again");
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{id}");
        let is_noun_and_verb = id.contains('_') || matches!(id, "healthz" | "readyz" | "metrics");
        assert!(is_noun_and_verb, "{id} is to be a noun and a verb");
    }
}

#[test]
fn every_answer_has_words_and_every_operation_its_errors() {
    let document = openapi();
    for (path, operation) in operations(&document) {
        let id = &operation["operationId"];
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            let is_told = response["description"].as_str().is_some_and(|it| !it.is_empty());
            assert!(is_told || response["$ref"].is_string(), "{id} {status}: {response}");
        }
        let is_public = operation["security"] == json!([{}]);
        let common: &[&str] = if is_public { &["403", "500"] } else { &["401", "403", "429", "500", "503"] };
        let read: &[&str] =
            if operation.get("requestBody").is_some() { &["400", "413", "415", "422"] } else { &[] };
        for status in common.iter().chain(read).chain(path.contains('{').then_some(&"404")) {
            assert!(responses.contains_key(*status), "{id} lacks {status}");
        }
        assert!(responses.keys().any(|it| it.starts_with('2')), "{id} never succeeds");
    }
}

#[test]
fn every_parameter_says_what_it_may_be() {
    let document = openapi();
    for (_, operation) in operations(&document) {
        for parameter in parameters(operation) {
            let name = &parameter["name"];
            let schema = &parameter["schema"];
            assert!(
                schema["type"].is_string(),
                "{}: {name} may be anything: {schema}",
                operation["operationId"]
            );
            let is_told = ["format", "pattern", "enum"].iter().any(|it| schema.get(*it).is_some());
            assert!(
                is_told || schema["type"] != "string",
                "{}: {name} may be any text: {schema}",
                operation["operationId"]
            );
        }
    }
}

#[test]
fn an_error_that_only_some_meet_is_told_only_there() {
    let document = openapi();
    let codes = |path: &str, status: &str| {
        let response = &document["paths"][path]["delete"]["responses"][status];
        response["x-error-codes"].as_array().cloned().unwrap_or_default()
    };
    let credential = codes("/api/v1/credentials/{id}", "409");
    assert_eq!(credential.first(), Some(&json!("CREDENTIAL_IN_USE")), "what is its own comes first");
    assert!(!credential.contains(&json!("MASTER_KEY_IN_USE")), "{credential:?}");
}

#[test]
fn what_makes_a_thing_links_to_what_can_be_done_with_it() {
    let document = openapi();
    let links = &document["paths"]["/api/v1/instances"]["post"]["responses"]["201"]["links"];
    assert_eq!(links["instances_delete"]["parameters"]["id"], "$response.body#/id", "{links}");
    let listed = &document["paths"]["/api/v1/instances"]["get"]["responses"]["200"]["links"];
    assert_eq!(listed["instances_get"]["parameters"]["id"], "$response.body#/data/0/id", "{listed}");
    assert!(listed.get("instances_delete").is_none(), "a list is looked through, no more: {listed}");
}

#[test]
fn a_version_is_told_where_one_can_be_sent_back() {
    let document = openapi();
    let path = &document["paths"]["/api/v1/types/{id}"];
    for method in ["get", "put"] {
        assert!(path[method]["responses"]["200"]["headers"].get("ETag").is_some(), "{method}");
    }
}
