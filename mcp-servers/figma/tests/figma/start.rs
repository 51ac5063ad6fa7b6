//! How it starts, and with what it does not.

use roadstead_server_stage::{Answer, Launch, Program, Service};
use serde_json::json;

use crate::figma::{self, TOKEN};

fn with(environment: &[(&str, &str)]) -> Launch {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Launch { environment: pairs.collect(), ..figma::launch("https://api.figma.com", &[]) }
}

#[tokio::test]
async fn what_is_wrong_with_its_configuration_is_said_at_once() {
    for (launch, expected) in [
        (with(&[]), "one of them is needed"),
        (with(&[("FIGMA_TOKEN", TOKEN), ("FIGMA_OAUTH_TOKEN", TOKEN)]), "only one of them"),
        (with(&[("FIGMA_TOKEN", "canary with spaces")]), "characters that no token has"),
        (with(&[("FIGMA_TOKEN_FILE", "/no/such/file")]), "could not read the file"),
        (
            Launch { arguments: vec!["--api-url=http://example.com".to_owned()], ..figma::launch("", &[]) },
            "https://",
        ),
    ] {
        let (code, said) = launch.run().await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(expected) && !said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn an_oauth_token_goes_as_a_bearer_token() {
    let service = Service::start(|seen| {
        let is_bearer =
            seen.headers.get("authorization").map(String::as_str) == Some("Bearer canary-oauth-token-1234");
        let is_alone = !seen.headers.contains_key("x-figma-token");
        let status = if is_bearer && is_alone { 200 } else { 403 };
        Answer::json(status, &json!({ "id": "1", "handle": "Ann" }))
    })
    .await;
    let mut launch = figma::launch(&service.url(""), &[]);
    launch.environment = vec![("FIGMA_OAUTH_TOKEN".to_owned(), "canary-oauth-token-1234".to_owned())];
    let program = Program::start(&launch).await;
    assert_eq!(program.call("get_me", json!({})).await.good()["handle"], "Ann");
    assert!(!program.end().await.contains("canary"));
}

#[tokio::test]
async fn a_switch_may_come_from_the_environment_too() {
    let service = figma::service().await;
    for (value, count) in [("true", 23), ("false", 30)] {
        let mut launch = figma::launch(&service.url(""), &[]);
        launch.environment.push(("FIGMA_READ_ONLY".to_owned(), value.to_owned()));
        let program = Program::start(&launch).await;
        assert_eq!(program.tools().await.len(), count);
        program.end().await;
    }
}

#[tokio::test]
async fn clients_of_both_eras_are_served() {
    let service = figma::service().await;
    let launch = figma::launch(&service.url(""), &[]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let call = json!({ "name": "get_me", "arguments": {}, "_meta": meta });
    let modern = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call });
    let answers = launch.answers(&[modern]).await;
    assert_eq!(answers[0]["result"]["resultType"], "complete", "{answers:?}");
    assert_eq!(answers[0]["result"]["structuredContent"]["handle"], "Ann");
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let legacy = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "initialize", "params": hello }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "get_me", "arguments": {} } }),
    ];
    let answers = launch.answers(&legacy).await;
    assert_eq!(answers[1]["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answers[2]["result"]["structuredContent"]["handle"], "Ann");
}
