//! Links: what makes or lists things names the operations on one of them.

use serde_json::{Map, Value, json};

use super::{METHODS, json_schema, resolved};

/// An operation on one thing.
struct OnOne {
    collection: String,
    id: String,
    only_reads: bool,
}

/// Adds the links of every collection.
pub(super) fn add(document: &mut Value) {
    let on_one = on_one(document);
    let whole = document.clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        let here: Vec<&OnOne> = on_one.iter().filter(|it| it.collection == *path).collect();
        for (method, statuses) in [("post", ["201", "202"].as_slice()), ("get", &["200"])] {
            for status in statuses {
                let Some(response) = item.get_mut(method).and_then(|it| it["responses"].get_mut(*status))
                else {
                    continue;
                };
                let Some(id) = id_within(&whole, response) else { continue };
                let links: Map<String, Value> = here
                    .iter()
                    // A list is looked through; what is changed was made for that.
                    .filter(|it| method == "post" || it.only_reads)
                    .map(|it| (it.id.clone(), json!({"operationId": it.id, "parameters": {"id": id}})))
                    .collect();
                if !links.is_empty() {
                    response["links"] = Value::Object(links);
                }
            }
        }
    }
}

/// The operations whose path is a collection's with `{id}` behind it, and names nothing else.
fn on_one(document: &Value) -> Vec<OnOne> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let Some((collection, rest)) = path.split_once("/{id}") else { continue };
        if rest.contains('{') {
            continue;
        }
        for method in METHODS {
            if let Some(id) = item.get(method).and_then(|it| it["operationId"].as_str()) {
                let (collection, id) = (collection.to_owned(), id.to_owned());
                found.push(OnOne { collection, id, only_reads: method == "get" });
            }
        }
    }
    found
}

/// Where an answer's body has the id: of what was made, or of the first of a list.
fn id_within(document: &Value, response: &Value) -> Option<&'static str> {
    let body = json_schema(&response["content"])?;
    if has(document, body, "id") {
        return Some("$response.body#/id");
    }
    let data = field(document, body, "data")?;
    has(document, &data["items"], "id").then_some("$response.body#/data/0/id")
}

fn has(document: &Value, schema: &Value, name: &str) -> bool {
    field(document, schema, name).is_some()
}

fn field<'a>(document: &'a Value, schema: &'a Value, name: &str) -> Option<&'a Value> {
    let schema = resolved(document, schema);
    let own = schema["properties"].get(name);
    own.or_else(|| schema["allOf"].as_array()?.iter().find_map(|part| field(document, part, name)))
}
