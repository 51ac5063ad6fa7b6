//! What is done to every tool of a server before it is offered.

use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{JsonObject, Tool};
use serde_json::json;

/// Makes tools ready to be offered: their output schemas allow for a failure, and their titles stand where clients of
/// every age look for them.
///
/// Clients hold structured content against the output schema even when it says that the call failed; a schema of the
/// success alone would make them hide the message that the model needs.
pub fn finish<S: Send + 'static>(router: &mut ToolRouter<S>) {
    for route in router.map.values_mut() {
        finish_tool(&mut route.attr);
    }
}

fn finish_tool(tool: &mut Tool) {
    if let Some(annotations) = &mut tool.annotations
        && annotations.title.is_none()
    {
        annotations.title.clone_from(&tool.title);
    }
    if let Some(schema) = &tool.output_schema {
        tool.output_schema = Some(Arc::new(with_failure(schema)));
    }
}

/// Leaves out the tools that change something, or do not say that they do not.
pub fn keep_read_only<S: Send + 'static>(router: &mut ToolRouter<S>) {
    let is_read_only = |tool: &Tool| {
        tool.annotations.as_ref().is_some_and(|annotations| annotations.read_only_hint == Some(true))
    };
    router.map.retain(|_, route| is_read_only(&route.attr));
}

/// A success, or a failure. Definitions stay at the root, where references look for them.
fn with_failure(success: &JsonObject) -> JsonObject {
    let mut success = success.clone();
    let mut root = JsonObject::new();
    for key in ["$schema", "$defs"] {
        if let Some(value) = success.remove(key) {
            root.insert(key.to_owned(), value);
        }
    }
    // Short, for it goes with every tool into the room that a model has.
    let failure = json!({
        "type": "object",
        "description": "When isError is true.",
        "properties": {
            "code": { "type": "string" },
            "message": { "type": "string" },
            "status": { "type": "integer" },
            "retry_after_s": { "type": "integer" },
        },
        "required": ["code", "message"],
    });
    root.insert("type".to_owned(), json!("object"));
    root.insert("anyOf".to_owned(), json!([success, failure]));
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_with_definitions_allows_for_a_failure() {
        let success = json!({
            "$schema": "s", "type": "object", "properties": { "a": { "$ref": "#/$defs/A" } }, "$defs": { "A": {} },
        });
        let schema = with_failure(success.as_object().unwrap());
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["$defs"], json!({ "A": {} }));
        assert_eq!(
            schema["anyOf"][0],
            json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/A" } } })
        );
        assert_eq!(schema["anyOf"][1]["required"], json!(["code", "message"]));
    }
}
