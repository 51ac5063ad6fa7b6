//! The suite's tools: the list, and those that ask nothing of the client.

use std::time::Duration;

use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, ErrorData,
    JsonObject, LoggingLevel, ProgressNotificationParam, Tool,
};
use serde_json::{Value, json};

use super::ask::{self, Outcome};
use super::changes::List;
use super::{Asked, Conformance, content, is_modern, schemas, tasks, turns};
use crate::http::Cut;

/// Between two messages of a tool that sends several.
const STEP: Duration = Duration::from_millis(50);
/// How long the answer waits after its stream was cut.
const AFTER_CUT: Duration = Duration::from_millis(500);

/// Tools without parameters.
const PLAIN: [(&str, &str); 15] = [
    ("test_simple_text", "Answers a text"),
    ("test_image_content", "Answers an image"),
    ("test_audio_content", "Answers a sound"),
    ("test_embedded_resource", "Answers an embedded resource"),
    ("test_multiple_content_types", "Answers a text, an image and a resource"),
    ("test_tool_with_logging", "Sends log messages while it runs"),
    ("test_tool_with_progress", "Tells how far it is"),
    ("test_error_handling", "Fails"),
    ("test_reconnection", "Cuts its stream, where that can be resumed, and answers later"),
    ("test_missing_capability", "Needs a client that offers sampling"),
    ("test_logging_tool", "Sends a log message to those who want one"),
    ("test_trigger_tool_change", "Says that the list of tools has changed"),
    ("test_trigger_prompt_change", "Says that the list of prompts has changed"),
    ("test_trigger_resource_list_change", "Says that the list of resources has changed"),
    ("test_trigger_resource_change", "Says that the watched resource has changed"),
];

/// Everything that `tools/list` has.
pub fn all() -> Vec<Tool> {
    let plain = PLAIN.iter().map(|(name, what)| tool(name, what, json!({"type": "object"})));
    let schema = tool(
        "json_schema_2020_12_tool",
        "Has keywords of JSON Schema 2020-12",
        schemas::json_schema_2020_12(),
    );
    let header = tool("test_custom_header", "Has parameters that headers repeat", schemas::custom_headers());
    plain.chain([schema, header]).chain(turns::tools()).chain(tasks::tools()).collect()
}

/// A tool with an input schema, which must be an object.
pub fn tool(name: &'static str, what: &'static str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else { panic!("the schema of {name} is no object") };
    Tool::new(name, what, schema)
}

/// A result with a text.
pub fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

impl Conformance {
    /// `tools/call`
    pub(super) async fn call(
        &self,
        mut request: CallToolRequestParams,
        asked: &Asked,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.take().unwrap_or_default();
        let name: &str = &request.name;
        if let Some(turn) = turns::of(name, &arguments, &self.shared.seal) {
            let outcome = ask::through(asked, request.input_responses, request.request_state, turn);
            return Ok(match outcome.await? {
                Outcome::Done(result) => result.into(),
                Outcome::Ask(required) => required.into(),
                Outcome::Refused(reason) => CallToolResult::error(vec![ContentBlock::text(reason)]).into(),
            });
        }
        if tasks::has(name) {
            return self.call_task_tool(request, &arguments, asked).await;
        }
        match contents(name) {
            Some(contents) => Ok(CallToolResult::success(contents).into()),
            None => self.call_plain(name, &arguments, asked).await.map(Into::into),
        }
    }

    async fn call_plain(
        &self,
        name: &str,
        arguments: &JsonObject,
        asked: &Asked,
    ) -> Result<CallToolResult, ErrorData> {
        let changes = &self.shared.changes;
        match name {
            "test_tool_with_logging" => self.log_steps(asked).await,
            "test_tool_with_progress" => progress(asked).await,
            "test_logging_tool" => self.log(asked, LoggingLevel::Info, "A log message was wanted").await,
            "test_reconnection" => reconnect(asked).await,
            "test_trigger_tool_change" => changes.list_changed(List::Tools).await,
            "test_trigger_prompt_change" => changes.list_changed(List::Prompts).await,
            "test_trigger_resource_list_change" => changes.list_changed(List::Resources).await,
            "test_trigger_resource_change" => changes.resource_changed("test://watched-resource").await,
            "test_missing_capability" => needs_sampling(asked)?,
            "test_custom_header" => return Ok(text(json!(arguments).to_string())),
            "test_error_handling" => {
                let reason = "This tool intentionally returns an error for testing";
                return Ok(CallToolResult::error(vec![ContentBlock::text(reason)]));
            }
            "json_schema_2020_12_tool" => return Ok(text(format!("Called with {}", json!(arguments)))),
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        }
        Ok(text(format!("{name} has done its work")))
    }

    async fn log_steps(&self, asked: &Asked) {
        for step in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            self.log(asked, LoggingLevel::Info, step).await;
            tokio::time::sleep(STEP).await;
        }
    }
}

/// What the tools answer that only show contents.
fn contents(name: &str) -> Option<Vec<ContentBlock>> {
    Some(match name {
        "test_simple_text" => vec![ContentBlock::text("This is a simple text response for testing.")],
        "test_image_content" => vec![content::image()],
        "test_audio_content" => vec![content::audio()],
        "test_embedded_resource" => vec![content::resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )],
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            content::image(),
            content::resource(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ],
        _ => return None,
    })
}

async fn progress(asked: &Asked) {
    let token = asked.meta.get_progress_token();
    for (progress, step) in [(0.0, "begun"), (50.0, "half way"), (100.0, "done")] {
        if let Some(token) = token.clone() {
            let told = ProgressNotificationParam::new(token, progress).with_total(100.0).with_message(step);
            // Whoever no longer listens does not stop the work.
            let _ = asked.peer.notify_progress(told).await;
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Streams of the stateless revision cannot be resumed, and pipes have no streams.
async fn reconnect(asked: &Asked) {
    let cut = asked.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Cut>());
    if let Some(cut) = cut
        && !is_modern(asked)
    {
        cut.now();
    }
    tokio::time::sleep(AFTER_CUT).await;
}

fn needs_sampling(asked: &Asked) -> Result<(), ErrorData> {
    if asked.client_capabilities().is_some_and(|capabilities| capabilities.sampling.is_some()) {
        return Ok(());
    }
    let needed = ClientCapabilities::builder().enable_sampling().build();
    Err(ErrorData::missing_required_client_capability(needed))
}
