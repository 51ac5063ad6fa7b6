//! The description of the API, completed in one place: what every operation has in common is said here once, and what is
//! particular to one stands at its handler.
//!
//! A new operation names itself, its parameters, its bodies and the answers that are its own. From that follow: the words
//! of each status, the errors that any such request can meet with their codes, headers, the rules that parameters and
//! fields of conventional names share, examples, and links from what makes a thing to what can be done with it.

mod examples;
mod links;
mod responses;
mod schemas;
mod words;

use roadstead_access::MATRIX;
use serde_json::{Map, Value, json};

use crate::error::Code;

/// The methods that an item of a path can have.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Completes what was collected from the handlers; the answer is valid OpenAPI 3.1.
pub(crate) fn completed(collected: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).expect("a description serialises");
    document["components"]["securitySchemes"] = security_schemes();
    document["x-error-codes"] =
        Code::ALL.iter().map(|code| (code.as_str().to_owned(), json!(code.status().as_u16()))).collect();
    schemas::complete(&mut document);
    responses::add_shared(&mut document);
    for_each_operation(&mut document, |facts, operation| {
        schemas::complete_parameters(operation);
        if let Some(scope) = scope(&facts.id) {
            operation["x-required-scope"] = json!(scope);
        }
        responses::complete(facts, operation);
    });
    links::add(&mut document);
    examples::add(&mut document);
    document
}

/// The scope that a key must carry for an operation, by the table of permissions.
fn scope(operation: &str) -> Option<&'static str> {
    let line = MATRIX.iter().find(|line| line.operation.as_str() == operation)?;
    line.scope.map(roadstead_model::Scope::as_str)
}

fn security_schemes() -> Value {
    json!({
        "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "rs_…",
            "description": "An API key. It carries scopes; what a scope opens is further limited by its owner's role."},
        "access_token": {"type": "http", "scheme": "bearer", "bearerFormat": "rsi_…",
            "description": "An instance's access token: opens that instance's access URL, `/i/{id}/mcp`, and nothing of this \
                API. Clients of the Model Context Protocol send it."},
    })
}

/// What is to be known of an operation for its common answers.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each holds or not, whatever the others do")]
struct Facts {
    id: String,
    /// The path has a part that names something.
    names_something: bool,
    /// Anybody may ask.
    is_public: bool,
    has_body: bool,
    has_query: bool,
    /// It takes an `Idempotency-Key`.
    is_repeatable: bool,
    /// It takes an `If-Match`.
    is_conditional: bool,
    /// What it is about has versions: something on its path takes an `If-Match`.
    has_versions: bool,
}

impl Facts {
    fn of(path: &str, item: &Value, operation: &Value) -> Self {
        let parameters = parameters(operation);
        Self {
            id: operation["operationId"].as_str().unwrap_or_default().to_owned(),
            names_something: path.contains('{'),
            is_public: operation["security"] == json!([{}]),
            has_body: operation.get("requestBody").is_some(),
            has_query: parameters.iter().any(|it| it["in"] == "query"),
            is_repeatable: takes(operation, "Idempotency-Key"),
            is_conditional: takes(operation, "If-Match"),
            has_versions: METHODS.iter().filter_map(|it| item.get(*it)).any(|it| takes(it, "If-Match")),
        }
    }
}

fn parameters(operation: &Value) -> &[Value] {
    operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn takes(operation: &Value, header: &str) -> bool {
    parameters(operation).iter().any(|it| it["in"] == "header" && it["name"] == header)
}

/// Visits every operation.
fn for_each_operation(document: &mut Value, mut visit: impl FnMut(&Facts, &mut Value)) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let facts = Facts::of(path, item, operation);
            visit(&facts, &mut item[method]);
        }
    }
}

/// The schema that a reference names, or the schema itself.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

/// The schema of a JSON body's content.
fn json_schema(content: &Value) -> Option<&Value> {
    content.get("application/json")?.get("schema")
}

/// Puts in what is not there yet.
fn fill(target: &mut Map<String, Value>, additions: &Value) {
    for (name, value) in additions.as_object().into_iter().flatten() {
        target.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests;
