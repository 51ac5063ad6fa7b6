//! rmcp, in each of the ways that it begins a conversation.

use rmcp::model::{CallToolRequestParams, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::RunningService;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::Value;

use super::{Offers, Report, Target};

const CARGO_LOCK: &str = include_str!("../../../../Cargo.lock");

/// The version that the workspace locks.
pub(super) fn version() -> &'static str {
    let after = CARGO_LOCK.split_once("name = \"rmcp\"\nversion = \"").map(|(_, after)| after);
    after.and_then(|after| after.split('"').next()).unwrap_or("unpinned")
}

/// Connects, lists, calls, and leaves.
pub(super) async fn drive(
    mode: &str,
    target: &Target,
    call: &Value,
    offers: Offers,
) -> Result<Report, String> {
    let client = connect(mode, target).await?;
    let report = look(&client, call, offers).await;
    let left = client.cancel().await;
    let report = report?;
    left.map_err(|error| error.to_string())?;
    Ok(report)
}

async fn connect(mode: &str, target: &Target) -> Result<RunningService<RoleClient, ClientConfig>, String> {
    let mut config = ClientConfig::default();
    config.client_info = Implementation::new("matrix", "1");
    let lifecycle = lifecycle(mode);
    match target {
        Target::Command { command, env } => {
            let server = start(command, env)?;
            config.serve_with_lifecycle(server, lifecycle).await.map_err(|error| error.to_string())
        }
        Target::Url { url, token, .. } => {
            let mut at = StreamableHttpClientTransportConfig::with_uri(url.as_str());
            at.auth_header.clone_from(token);
            let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
            let transport = StreamableHttpClientTransport::with_client(http, at);
            config.serve_with_lifecycle(transport, lifecycle).await.map_err(|error| error.to_string())
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the servers are started directly to compare with")]
fn start(command: &[String], env: &[(String, String)]) -> Result<TokioChildProcess, String> {
    let mut process = tokio::process::Command::new(&command[0]);
    process.args(&command[1..]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    process.envs(env.iter().map(|(name, value)| (name, value)));
    let started = TokioChildProcess::builder(process).stderr(std::process::Stdio::null()).spawn();
    started.map(|(process, _)| process).map_err(|error| error.to_string())
}

fn lifecycle(mode: &str) -> ClientLifecycleMode {
    let modern = vec![ProtocolVersion::V_2026_07_28];
    match mode {
        "initialize" => ClientLifecycleMode::Initialize,
        "discover" => ClientLifecycleMode::Discover { preferred_versions: modern },
        _ => ClientLifecycleMode::Auto { preferred_versions: modern, legacy_version: None },
    }
}

async fn look(
    client: &RunningService<RoleClient, ClientConfig>,
    call: &Value,
    offers: Offers,
) -> Result<Report, String> {
    let told = |error: rmcp::ServiceError| error.to_string();
    let tools = client.list_all_tools().await.map_err(told)?.len();
    let mut report =
        Report { tools, protocol: None, server: None, call: None, resources: None, prompts: None };
    if let Some(info) = client.peer_info() {
        report.protocol = Some(info.protocol_version.to_string());
    }
    if let Some(name) = call["name"].as_str() {
        let mut params = CallToolRequestParams::new(name.to_owned());
        params.arguments = call["arguments"].as_object().cloned();
        let answer = client.call_tool(params).await.map_err(told)?;
        report.call = Some(if answer.is_error == Some(true) { "error" } else { "ok" }.to_owned());
    }
    if offers.resources {
        report.resources = Some(client.list_all_resources().await.map_err(told)?.len());
    }
    if offers.prompts {
        report.prompts = Some(client.list_all_prompts().await.map_err(told)?.len());
    }
    Ok(report)
}
