//! A whole life of an instance, shown: launched through the REST API, used as any MCP client would, and handed over.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::failure::CliError;
use crate::globals::Target;
use crate::mcp::McpClient;
use crate::profile::Profile;
use crate::rest::Rest;
use crate::steps::StepPrinter;
use crate::wire::{Instance, text};
use crate::words::took;

/// What the quickstart's instance is called.
const NAME: &str = "quickstart";
/// The bundled server that it shows.
const SERVER_TYPE: &str = "echo";
/// How long the instance may live.
const LIFETIME: &str = "1h";
/// Older instances of the name that are looked for.
const MAX_OLDER: usize = 100;
/// How long a service may take to say that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What was launched.
#[derive(Debug)]
pub struct QuickstartOutcome {
    /// The instance.
    pub instance: String,
    /// Its access URL.
    pub access_url: String,
}

/// Launches an instance, calls one of its tools and prints how to go on.
///
/// `program` is how this program was called, for the commands to try next.
pub async fn show(
    profile: &Profile,
    program: &str,
    steps: &mut dyn StepPrinter,
) -> Result<QuickstartOutcome, CliError> {
    let rest = Rest::new(&Target::of(profile)?)?;
    remove_older(&rest).await?;
    let begun = Instant::now();
    steps.begin("Launching the bundled server `echo`");
    let launch = json!({ "type": SERVER_TYPE, "name": NAME, "expires_in": LIFETIME });
    let launched = rest.post("/instances", &launch).await?;
    let token = SecretString::from(text(&launched, "access_token"));
    let instance: Instance =
        serde_json::from_value(launched.clone()).map_err(|source| CliError::BadFile {
            what: "the answer to the launch".to_owned(),
            format: "an instance",
            source: source.into(),
        })?;
    steps.done(&format!(
        "Launched `echo` as process {} on port {} in {}",
        instance.process_id.unwrap_or_default(),
        instance.assigned_port.unwrap_or_default(),
        took(begun.elapsed())
    ));
    call(&instance, &token, steps).await?;
    hand_over(&instance, text(&launched, "access_token"), program, steps);
    Ok(QuickstartOutcome { instance: instance.id, access_url: instance.access_url })
}

/// An instance of an earlier quickstart has a token that nobody knows any more.
async fn remove_older(rest: &Rest) -> Result<(), CliError> {
    for status in ["running", "pending"] {
        let query = [("status", status.to_owned()), ("type", SERVER_TYPE.to_owned())];
        for older in rest.all("/instances", &query, MAX_OLDER).await? {
            if text(&older, "name") == NAME {
                rest.delete(&format!("/instances/{}", text(&older, "id"))).await?;
            }
        }
    }
    Ok(())
}

async fn call(
    instance: &Instance,
    token: &SecretString,
    steps: &mut dyn StepPrinter,
) -> Result<(), CliError> {
    let begun = Instant::now();
    steps.begin("Connecting as an MCP client");
    let client = McpClient::connect(&instance.access_url, token).await?;
    let tools = client.tools().await?;
    let names: Vec<&str> = tools.iter().map(|tool| text(tool, "name")).collect();
    steps.done(&format!(
        "Connected as an MCP client in {}; its tools: {}",
        took(begun.elapsed()),
        names.join(", ")
    ));
    let begun = Instant::now();
    let said = format!("Hello from process {}", instance.process_id.unwrap_or_default());
    let arguments = Map::from_iter([("text".to_owned(), Value::from(said.as_str()))]);
    let answer = client.call("echo", arguments).await?;
    let first = answer.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default();
    if first != said {
        return Err(CliError::Tool { tool: "echo".to_owned() });
    }
    steps.done(&format!("Called its tool `echo` in {}; it answered: {first}", took(begun.elapsed())));
    client.close().await;
    Ok(())
}

fn hand_over(instance: &Instance, token: &str, program: &str, steps: &mut dyn StepPrinter) {
    let configuration = json!({ "mcpServers": { NAME: {
        "type": "http",
        "url": instance.access_url,
        "headers": { "Authorization": format!("Bearer {token}") },
    } } });
    steps.say(&format!("\nURL    {}\nToken  {token}", instance.access_url));
    let pretty = serde_json::to_string_pretty(&configuration).unwrap_or_default();
    steps.say(&format!("\nClient configuration, to paste:\n{pretty}"));
    steps.say(&format!(
        "\nNext, in another terminal:\n  {program} ps\n  {program} logs {NAME} -f\n  {program} client-config {NAME} --client claude-code"
    ));
}

/// Whether the service of a profile takes callers.
pub async fn is_ready(profile: &Profile) -> bool {
    let url = format!("{}/readyz", profile.url.trim_end_matches('/'));
    let Ok(url) = reqwest::Url::parse(&url) else { return false };
    let Ok(client) = crate::http::client(&url) else { return false };
    let answer = client.get(url).timeout(READY_TIMEOUT).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
