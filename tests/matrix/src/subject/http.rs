//! Servers that speak HTTP themselves, behind Roadstead as types with a `transport` and a `url`.

use serde_json::json;

use super::stdio::{fastmcp, kubernetes};
use super::{Installed, Shared, Subject, Transport, text};

/// All of them.
pub(super) fn all(installed: &Installed, shared: &Shared) -> Vec<Subject> {
    let mut all = everything(installed);
    all.extend(playwright(installed));
    let port = ["--transport", "http", "--port", "${port}"];
    let mut kubernetes = kubernetes(installed, shared, &["--port", "${port}", "--bind-address", "127.0.0.1"]);
    kubernetes.call = None;
    all.push(speaking(kubernetes, "http://localhost:${port}/mcp"));
    all.push(speaking(fastmcp(installed, shared, &port), "http://127.0.0.1:${port}/mcp"));
    let script = |path: &str| installed.package(path);
    let mut context7 = installed.node(
        "context7",
        "@upstash/context7-mcp",
        script("@upstash/context7-mcp/dist/index.js"),
        &port,
    );
    (context7.alone, context7.any_interface) = (true, true);
    all.push(speaking(context7, "http://localhost:${port}/mcp"));
    let mongodb = installed
        .node("mongodb", "mongodb-mcp-server", script("mongodb-mcp-server/dist/index.js"), &[])
        .env("MDB_MCP_TELEMETRY", "disabled")
        .env("MDB_MCP_TRANSPORT", "http")
        .env("MDB_MCP_HTTP_PORT", "${port}");
    all.push(speaking(mongodb, "http://127.0.0.1:${port}/mcp"));
    let notion = script("@notionhq/notion-mcp-server/bin/cli.mjs");
    let mut notion = installed
        .node("notion", "@notionhq/notion-mcp-server", notion, &port)
        .secret("token", "NOTION_TOKEN", "ntn_opens_nothing")
        .secret("upstream", "AUTH_TOKEN", "a-token-that-the-server-itself-wants");
    notion.bearer = Some("upstream");
    all.push(speaking(notion, "http://localhost:${port}/mcp"));
    all
}

fn everything(installed: &Installed) -> Vec<Subject> {
    let script = text(&installed.common.everything);
    let start = |way: &str| {
        let mut server = installed.node(
            "everything",
            "@modelcontextprotocol/server-everything",
            Ok(script.clone()),
            &[way],
        );
        server.any_interface = true;
        server.env("PORT", "${port}").call("echo", json!({"message": "ahoy"}))
    };
    vec![
        speaking(start("streamableHttp"), "http://localhost:${port}/mcp"),
        speaking_sse(start("sse"), "http://localhost:${port}/sse"),
    ]
}

fn playwright(installed: &Installed) -> Vec<Subject> {
    let start = || {
        let script = installed.package("@playwright/mcp/cli.js");
        installed.node("playwright", "@playwright/mcp", script, &["--headless", "--port", "${port}"])
    };
    // It answers to no other name than this one.
    vec![
        speaking(start(), "http://localhost:${port}/mcp"),
        speaking_sse(start(), "http://localhost:${port}/sse"),
    ]
}

fn speaking(mut subject: Subject, url: &str) -> Subject {
    subject.name.push_str("-http");
    subject.transport = Transport::StreamableHttp;
    url.clone_into(&mut subject.url);
    subject
}

fn speaking_sse(mut subject: Subject, url: &str) -> Subject {
    subject.name.push_str("-sse");
    subject.transport = Transport::Sse;
    url.clone_into(&mut subject.url);
    subject
}
