//! A server that does nothing by itself: its client says when it shall say something, so that a test knows what came first.

use roadstead_test_support::app::{App, programs};
use serde_json::{Value, json};

/// Every step of a call, and every announcement, is asked for by a notification.
const SCRIPT: &str = r#"
$| = 1; my ($call, $n) = (0, 0);
sub say_progress { $n++; print qq({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":$n}}\n); }
while (my $line = <STDIN>) {
  my ($id) = $line =~ /"id":("[^"]*"|[0-9]+)/;
  my ($method) = $line =~ /"method":"([^"]*)"/;
  if ($method eq "initialize") {
    print qq({"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"steps","version":"1"}}}\n);
  } elsif ($method eq "tools/call") { $call = $id; $n = 0; say_progress(); }
  elsif ($method eq "notifications/step") { say_progress(); }
  elsif ($method eq "notifications/finish") { print qq({"jsonrpc":"2.0","id":$call,"result":{"content":[]}}\n); }
  elsif ($method eq "notifications/announce") { print qq({"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n); }
  elsif ($method eq "notifications/leave") { exit 3; }
  elsif (defined $id) { print qq({"jsonrpc":"2.0","id":$id,"result":{}}\n); }
}
"#;

/// Defines the type `steps`; `large`, a server that echoes messages of any size; and `many`, the echo server with room for
/// many sessions.
pub async fn define(app: &App) {
    let limits = json!({ "memory_mb": 16_384, "processes": 4_096, "open_files": 4_096 });
    let script = SCRIPT.replace('\n', " ");
    let steps = json!({ "name": "steps", "display_name": "Steps", "program": "/usr/bin/perl", "args": ["-e", script],
        "era": "legacy", "ready_timeout_s": 20, "resource_limits": limits, "rate_limit_per_minute": 0 });
    let echo = |name: &str, program: &str, era: &str| {
        json!({ "name": name, "display_name": name, "program": programs().join(program), "era": era,
            "ready_timeout_s": 20, "resource_limits": limits, "rate_limit_per_minute": 0 })
    };
    // The official library takes no line over 16 MiB, the smallest server of the benches any.
    for spec in [steps, echo("large", "bench-stdio", "legacy"), echo("many", "roadstead-echo", "dual")] {
        let answer = app.ask("POST", "/types", Some(spec)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

/// Where an instance is reached, and as which processes it runs.
#[derive(Debug)]
pub struct Place {
    pub gateway: String,
    pub port: String,
    pub token: String,
    pub shim: i32,
}

impl Place {
    pub async fn launch(app: &App, kind: &str) -> Self {
        let body = app.launch(json!({ "type": kind, "expires_in": "1h" })).await;
        let text = |name: &str| body[name].as_str().expect("a launch tells it").to_owned();
        let port = body["assigned_port"].as_u64().expect("a port");
        Self {
            gateway: text("access_url"),
            port: format!("http://127.0.0.1:{port}/mcp"),
            token: text("access_token"),
            shim: body["shim_process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid"),
        }
    }
}

/// Gives the service of this test a range of ports of its own.
pub async fn set_ports(app: &App, first: u16, last: u16) {
    for (key, value) in [("port.range_end", last), ("port.range_start", first)] {
        assert!(set(app, key, value.into()).await, "{key}");
    }
}

/// Changes a setting; whether this service has it.
pub async fn set(app: &App, key: &str, value: u64) -> bool {
    let answer =
        app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": Value::from(value) }))).await;
    answer.status == 200
}
