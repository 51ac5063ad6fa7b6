//! The description as it is served: valid by a validator written by others, whole, and true of its own examples.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use roadstead_model::Operation;
use roadstead_test_support::app::App;
use roadstead_test_support::subjects::install::{Locks, installed};
use serde_json::{Value, json};

/// The validator comes with the fuzzer's set.
const LOCKS: Locks = Locks {
    package: "",
    package_lock: "",
    requirements: include_str!("../../clients/fuzz/requirements.txt"),
};
/// What may be asked without being in the table of permissions: it is for whoever watches the service, or has a link.
const BESIDE_THE_TABLE: [&str; 4] = ["healthz", "readyz", "metrics", "exports_download"];
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
/// Says what is wrong with the document on standard input, a line each.
const VALIDATE: &str = "import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
for error in OpenAPIV31SpecValidator(json.load(sys.stdin)).iter_errors():
    print('/'.join(map(str, error.absolute_path)), error.message[:300])";

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_valid_whole_and_true_of_its_examples() {
    let folder = installed(&LOCKS, None).unwrap_or_else(|problem| {
        panic!("the validator could not be installed from PyPI, which needs the network once: {problem}")
    });
    let app = App::start().await;
    let text = reqwest::get(format!("{}/openapi.json", app.url)).await.expect("an answer");
    let text = text.text().await.expect("a text");
    let document: Value = serde_json::from_str(&text).expect("the description is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    is_valid(&folder, &text);
    operations_have_names_of_their_own(&document);
    answers_are_told(&document);
    references_lead_somewhere(&document, &document);
    links_lead_somewhere(&document);
    examples_fit(&document);
}

#[expect(clippy::disallowed_methods, reason = "the validator is no part of the product")]
fn is_valid(folder: &Path, text: &str) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("one's own file");
    let output = std::process::Command::new(folder.join("venv/bin/python"))
        .args(["-c", VALIDATE])
        .stdin(Stdio::from(std::fs::File::open(file.path()).expect("one's own file")))
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |it| item.get(*it)).map(move |it| (path.as_str(), it))
    });
    all.collect()
}

fn operations_have_names_of_their_own(document: &Value) {
    let mut seen = BTreeSet::new();
    for (path, operation) in operations(document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{path} has an operation without a name"));
        assert!(seen.insert(id), "{id} twice, at {path} again");
        let is_known = Operation::ALL.iter().any(|it| it.as_str() == id) || BESIDE_THE_TABLE.contains(&id);
        assert!(is_known, "{id} at {path} is no operation of the table of permissions");
        assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{id} has no words");
    }
}

fn answers_are_told(document: &Value) {
    for (path, operation) in operations(document) {
        let id = &operation["operationId"];
        let responses = operation["responses"].as_object().expect("answers");
        for (status, response) in responses {
            let response = resolved(document, response);
            assert!(response["description"].as_str().is_some_and(|it| !it.is_empty()), "{id} {status}");
            assert!(response["headers"].get("X-Request-ID").is_some(), "{id} {status} tells no header");
            let body = &response["content"]["application/json"];
            let is_error = body["schema"]["$ref"] == "#/components/schemas/ErrorBody";
            if is_error {
                let codes = response["x-error-codes"].as_array();
                assert!(codes.is_some_and(|it| !it.is_empty()), "{id} {status} tells no code");
            }
            assert!(body.is_null() || body.get("example").is_some(), "{id} {status} has no example");
        }
        let is_public = operation["security"] == json!([{}]);
        let common: &[&str] = if is_public { &["403", "500"] } else { &["401", "403", "429", "500", "503"] };
        let named = path.contains('{').then_some("404");
        for status in common.iter().copied().chain(named) {
            assert!(responses.contains_key(status), "{id} lacks {status}");
        }
    }
}

fn resolved<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    let Some(reference) = part["$ref"].as_str() else { return part };
    let pointer = reference.strip_prefix('#').expect("only what is in the document is referred to");
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

fn references_lead_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            resolved(document, part);
            fields.values().for_each(|it| references_lead_somewhere(document, it));
        }
        Value::Array(items) => items.iter().for_each(|it| references_lead_somewhere(document, it)),
        _ => {}
    }
}

fn links_lead_somewhere(document: &Value) {
    let all = operations(document);
    let ids: BTreeSet<&str> = all.iter().filter_map(|(_, it)| it["operationId"].as_str()).collect();
    let mut count = 0;
    for (_, operation) in &all {
        for response in operation["responses"].as_object().expect("answers").values() {
            for link in response["links"].as_object().into_iter().flat_map(|it| it.values()) {
                let id = link["operationId"].as_str().expect("a name");
                assert!(ids.contains(id), "{id} is linked to, and does not exist");
                count += 1;
            }
        }
    }
    assert!(count >= 20, "only {count} links");
}

/// Every example is what its schema says, formats included.
fn examples_fit(document: &Value) {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for (_, operation) in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        let responses = operation["responses"].as_object().expect("answers");
        let bodies =
            responses.iter().map(|(status, response)| (status.as_str(), resolved(document, response)));
        let asked = operation.get("requestBody").map(|body| ("request", body));
        for (what, body) in bodies.chain(asked) {
            let media = &body["content"]["application/json"];
            let Some(example) = media.get("example") else { continue };
            // References of the schema are looked up in the schema itself.
            let schema = json!({"components": document["components"], "allOf": [media["schema"]]});
            let validator = jsonschema::options().should_validate_formats(true).build(&schema);
            let validator = validator.unwrap_or_else(|error| panic!("{id} {what}: {error}"));
            wrong.extend(
                validator
                    .iter_errors(example)
                    .map(|error| format!("{id} {what} at {}: {error}", error.instance_path())),
            );
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 200, "only {tried} examples");
}
