//! What the server offers: tools, resources and a prompt.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorData, Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ProgressNotificationParam, PromptMessage, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ResourceTemplate, Role,
    ServerCapabilities, ServerConfig,
};
use rmcp::schemars::{self, JsonSchema};
use rmcp::service::RequestContext;
use rmcp::{
    Json, RoleServer, ServerHandler, prompt, prompt_handler, prompt_router, tool, tool_handler, tool_router,
};
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use crate::era::Era;

const README_URI: &str = "echo://readme";
const TEXT_URI: &str = "echo://text/";
const TEXT_URI_TEMPLATE: &str = "echo://text/{text}";
const README: &str = "\
# echo

Tools: `echo` answers the text it is given, `add` adds two numbers, `sleep` waits and tells how far it is,
`env_names` lists the names of the environment, `whoami` says as whom the server runs.
Resources: this page, and `echo://text/{text}`. Prompt: `greet`.
";

/// The longest that one call of `sleep` may take.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// How often a `sleep` tells how far it is: ten times, but neither in a stream nor at long last.
const PROGRESS_STEPS: u32 = 10;
const SHORTEST_PROGRESS: Duration = Duration::from_millis(10);
const LONGEST_PROGRESS: Duration = Duration::from_secs(1);

/// From this length on, the last four characters of a token say which one it is, and not what it is.
const HINTED_TOKEN_LENGTH: usize = 16;
const HINT_LENGTH: usize = 4;

/// The server: it keeps no state of its clients, so one serves any number of them.
#[derive(Debug)]
pub struct Echo {
    era: Era,
    tools: ToolRouter<Self>,
    prompts: PromptRouter<Self>,
    greeting: String,
    credential: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct EchoParams {
    /// The text to answer.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct AddParams {
    /// The first number.
    a: Number,
    /// The second number.
    b: Number,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Sum {
    /// Both numbers together: whole if both are.
    sum: Number,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct SleepParams {
    /// How many milliseconds to wait.
    ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct EnvNames {
    /// The names, sorted; never a value.
    names: BTreeSet<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Identity {
    uid: u32,
    gid: u32,
    pid: u32,
    parent_pid: u32,
    /// The working folder.
    cwd: String,
    /// A hint at the token that was handed over, if there is one; never the token.
    credential: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct GreetParams {
    /// Whom to greet.
    name: String,
}

#[tool_router]
impl Echo {
    /// A server with what its environment configures: `ECHO_GREETING`, `ECHO_TOKEN`.
    pub fn new(era: Era) -> Self {
        Self {
            era,
            tools: Self::tool_router(),
            prompts: Self::prompt_router(),
            greeting: environment("ECHO_GREETING").unwrap_or_else(|| "hello".to_owned()),
            credential: environment("ECHO_TOKEN").map(|token| hint(&token)),
        }
    }

    /// Answers the text it is given.
    #[tool(annotations(title = "Echo", read_only_hint = true, open_world_hint = false))]
    fn echo(Parameters(EchoParams { text }): Parameters<EchoParams>) -> String {
        text
    }

    /// Adds two numbers.
    #[tool(annotations(title = "Add", read_only_hint = true, open_world_hint = false))]
    fn add(Parameters(AddParams { a, b }): Parameters<AddParams>) -> Result<Json<Sum>, String> {
        add(&a, &b)
            .map(|sum| Json(Sum { sum }))
            .ok_or_else(|| format!("{a} + {b} is more than a number holds"))
    }

    /// Waits for some milliseconds and tells how far it is.
    #[tool(annotations(title = "Sleep", read_only_hint = true, open_world_hint = false))]
    async fn sleep(
        Parameters(SleepParams { ms }): Parameters<SleepParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        let whole = Duration::from_millis(ms);
        if whole > LONGEST_SLEEP {
            return Err(format!("{ms} ms is longer than {} ms", LONGEST_SLEEP.as_millis()));
        }
        tokio::select! {
            () = context.ct.cancelled() => Err("cancelled".to_owned()),
            () = sleep(whole, &context) => Ok(format!("slept {ms} ms")),
        }
    }

    /// Lists the names of the environment variables that the server was given; never a value.
    #[tool(annotations(title = "Environment names", read_only_hint = true, open_world_hint = false))]
    fn env_names() -> Json<EnvNames> {
        Json(EnvNames { names: std::env::vars_os().map(|(name, _)| name.to_string_lossy().into()).collect() })
    }

    /// Says as whom and where the server runs, and whether a credential arrived.
    #[tool(annotations(title = "Who am I", read_only_hint = true, open_world_hint = false))]
    fn whoami(&self) -> Json<Identity> {
        Json(Identity {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            pid: std::process::id(),
            parent_pid: std::os::unix::process::parent_id(),
            cwd: std::env::current_dir()
                .map_or_else(|error| error.to_string(), |folder| folder.display().to_string()),
            credential: self.credential.clone(),
        })
    }
}

#[prompt_router]
impl Echo {
    /// Greets somebody, with the word that the configuration gives.
    #[prompt(name = "greet")]
    fn greet(&self, Parameters(GreetParams { name }): Parameters<GreetParams>) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("{}, {name}", self.greeting))]
    }
}

#[tool_handler(router = self.tools)]
#[prompt_handler(router = self.prompts)]
impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("roadstead-echo", env!("CARGO_PKG_VERSION")))
            .with_instructions("Answers what it is sent; for trying things out.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.era.versions()
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new(README_URI, "readme")
                .with_title("Read me")
                .with_description("What this server offers")
                .with_mime_type("text/markdown")
                .with_size(README.len() as u64),
        ]))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![
            ResourceTemplate::new(TEXT_URI_TEMPLATE, "text")
                .with_description("The text of the URI itself, as it stands there")
                .with_mime_type("text/plain"),
        ]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let contents = if uri == README_URI {
            ResourceContents::text(README, uri).with_mime_type("text/markdown")
        } else if let Some(text) = uri.strip_prefix(TEXT_URI) {
            ResourceContents::text(text, uri)
        } else {
            return Err(ErrorData::resource_not_found(
                "there is no such resource",
                Some(json!({ "uri": uri })),
            ));
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

/// Waits, and tells a client that gave a progress token how far it is.
async fn sleep(whole: Duration, context: &RequestContext<RoleServer>) {
    let began = tokio::time::Instant::now();
    let Some(token) = context.meta.get_progress_token() else {
        return tokio::time::sleep(whole).await;
    };
    let step = (whole / PROGRESS_STEPS).clamp(SHORTEST_PROGRESS, LONGEST_PROGRESS);
    let mut slept = step;
    while slept <= whole {
        tokio::time::sleep_until(began + slept).await;
        let progress = ProgressNotificationParam::new(token.clone(), slept.as_secs_f64() * 1000.0)
            .with_total(whole.as_secs_f64() * 1000.0);
        // A client that no longer listens does not shorten the sleep.
        let _ = context.peer.notify_progress(progress).await;
        slept += step;
    }
    tokio::time::sleep_until(began + whole).await;
}

/// Whole numbers stay whole as long as they fit; `None` when the sum is no finite number.
fn add(a: &Number, b: &Number) -> Option<Number> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) if a.checked_add(b).is_some() => a.checked_add(b).map(Number::from),
        _ => Number::from_f64(a.as_f64()? + b.as_f64()?),
    }
}

/// The end of a token that is long enough to stay secret without it.
fn hint(token: &str) -> String {
    let length = token.chars().count();
    if length < HINTED_TOKEN_LENGTH {
        return "…".to_owned();
    }
    let end: String = token.chars().skip(length - HINT_LENGTH).collect();
    format!("…{end}")
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_shows_the_end_of_a_long_token_and_nothing_of_a_short_one() {
        assert_eq!(hint("0123456789abcdef"), "…cdef");
        assert_eq!(hint("0123456789abcde"), "…");
        assert_eq!(hint(""), "…");
    }

    #[test]
    fn whole_numbers_stay_whole_while_they_fit() {
        let sum = |a: serde_json::Value, b: serde_json::Value| match (a, b) {
            (serde_json::Value::Number(a), serde_json::Value::Number(b)) => add(&a, &b),
            _ => panic!("not numbers"),
        };
        assert_eq!(sum(json!(2), json!(3)), Some(Number::from(5)));
        assert_eq!(sum(json!(2), json!(0.5)), Number::from_f64(2.5));
        assert_eq!(sum(json!(i64::MAX), json!(1)), Number::from_f64(9_223_372_036_854_775_808.0));
        assert_eq!(sum(json!(f64::MAX), json!(f64::MAX)), None);
    }
}
