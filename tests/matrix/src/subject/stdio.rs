//! Servers on their standard input and output.

use serde_json::json;

use super::{Installed, RUST_SERVER, Shared, Subject, text};

const FASTMCP: &str = "from fastmcp.cli import app; app()";

/// All of them.
pub(super) fn all(installed: &Installed, shared: &Shared) -> Vec<Subject> {
    let mut all = reference(installed);
    all.extend(others(installed, shared));
    all.extend(wheels(installed, shared));
    let (name, version) = RUST_SERVER;
    let rust = Subject::new(name, format!("cargo {name} {version}"), installed.rust.clone(), &["${dir}"]);
    all.push(rust.call("list_allowed_directories", json!({})));
    all
}

fn reference(installed: &Installed) -> Vec<Subject> {
    let (everything, filesystem) = (&installed.common.everything, &installed.common.filesystem);
    let package = |name: &str| format!("@modelcontextprotocol/server-{name}");
    let script = |name: &str| installed.package(&format!("{}/dist/index.js", package(name)));
    let thought = json!({"thought": "Moor first.", "nextThoughtNeeded": false,
                         "thoughtNumber": 1, "totalThoughts": 1});
    let node = |name: &str, script, args: &[&str]| installed.node(name, &package(name), script, args);
    vec![
        node("everything", Ok(text(everything)), &["stdio"]).call("echo", json!({"message": "ahoy"})),
        node("filesystem", Ok(text(filesystem)), &["${dir}"]).call("list_allowed_directories", json!({})),
        node("memory", script("memory"), &[])
            .env("MEMORY_FILE_PATH", "${dir}/memory.jsonl")
            .call("read_graph", json!({})),
        node("sequential-thinking", script("sequential-thinking"), &[]).call("sequentialthinking", thought),
    ]
}

fn others(installed: &Installed, shared: &Shared) -> Vec<Subject> {
    let script = |path: &str| installed.package(path);
    let mut context7 = installed.node(
        "context7",
        "@upstash/context7-mcp",
        script("@upstash/context7-mcp/dist/index.js"),
        &[],
    );
    context7.alone = true;
    vec![
        installed.node("playwright", "@playwright/mcp", script("@playwright/mcp/cli.js"), &["--headless"]),
        kubernetes(installed, shared, &[]),
        context7.secret("key", "CONTEXT7_API_KEY", "ctx7sk-opens-nothing"),
        installed
            .node("mongodb", "mongodb-mcp-server", script("mongodb-mcp-server/dist/index.js"), &[])
            .env("MDB_MCP_TELEMETRY", "disabled")
            .secret("connection", "MDB_MCP_CONNECTION_STRING", "mongodb://pilot:nothing@127.0.0.1:9/harbour"),
        installed
            .node(
                "notion",
                "@notionhq/notion-mcp-server",
                script("@notionhq/notion-mcp-server/bin/cli.mjs"),
                &[],
            )
            .secret("token", "NOTION_TOKEN", "ntn_opens_nothing"),
    ]
}

/// The Go program inside the package, which its script would start.
pub(super) fn kubernetes(installed: &Installed, shared: &Shared, args: &[&str]) -> Subject {
    let kubeconfig = shared.path("kubeconfig.yaml");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let name = format!("kubernetes-mcp-server-linux-{architecture}");
    let program = installed.package(&format!("{name}/bin/{name}")).map(Into::into);
    // The package of that name has only a script that starts this one.
    let source = format!("npm {name} {}", super::version(&name));
    let all: Vec<&str> = ["--kubeconfig", &kubeconfig].into_iter().chain(args.iter().copied()).collect();
    Subject::new("kubernetes", source, program, &all).call("configuration_view", json!({}))
}

fn wheels(installed: &Installed, shared: &Shared) -> Vec<Subject> {
    let tokyo = json!({"source_timezone": "Asia/Tokyo", "time": "16:30", "target_timezone": "Asia/Kolkata"});
    let mut time = installed.wheel(
        "time",
        "mcp-server-time",
        &["-m", "mcp_server_time", "--local-timezone", "Europe/Lisbon"],
    );
    time.program = Ok(installed.common.python.clone());
    let repository = json!({"repo_path": shared.path("repository")});
    let page = json!({"url": "${service}/healthz", "raw": true});
    vec![
        time.call("convert_time", tokyo),
        installed
            .wheel("git", "mcp-server-git", &["-m", "mcp_server_git"])
            // The repository is another user's than the instance's.
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .call("git_status", repository),
        installed
            .wheel("fetch", "mcp-server-fetch", &["-m", "mcp_server_fetch", "--ignore-robots-txt"])
            .call("fetch", page),
        fastmcp(installed, shared, &[]),
    ]
}

/// Our server of three lines, run by the command line of fastmcp.
pub(super) fn fastmcp(installed: &Installed, shared: &Shared, args: &[&str]) -> Subject {
    let server = format!("{}:mcp", shared.path("harbour.py"));
    let start = ["-c", FASTMCP, "run", &server, "--no-banner"];
    let all: Vec<&str> = start.into_iter().chain(args.iter().copied()).collect();
    installed
        .wheel("fastmcp", "fastmcp", &all)
        .env("FASTMCP_CHECK_FOR_UPDATES", "off")
        .call("berth", json!({"number": 7}))
}
