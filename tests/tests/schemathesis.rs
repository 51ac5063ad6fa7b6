//! The served description held against the service: a fuzzer makes requests of it, right ones and wrong ones, and looks
//! for faults of ours, for answers that the description does not know, and for requests taken or refused against it.
//! `just fuzz-api` goes on for longer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_test_support::app::App;
use roadstead_test_support::subjects::install::{Locks, installed};
use serde_json::{Value, json};

/// The fuzzer, at a locked version.
const LOCKS: Locks =
    Locks { package: "", package_lock: "", requirements: include_str!("../clients/fuzz/requirements.txt") };
/// How long it may go on making requests, where nothing else is said.
const BUDGET: Duration = Duration::from_secs(100);
/// What it may take beyond that to end and to tell.
const PATIENCE: Duration = Duration::from_mins(10);
/// Instances of one user at a time: enough to be in every status, too few to fill the machine.
const INSTANCES: u32 = 20;
/// The most of its report that a failure repeats.
const REPORT_CHARS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_service_does_what_its_description_says() {
    let folder = installed(&LOCKS, None).unwrap_or_else(|problem| {
        panic!("the fuzzer could not be installed from PyPI, which needs the network once: {problem}")
    });
    let app = App::start().await;
    let things = furnish(&app).await;
    let me = app.ask("GET", "/me", None).await.body;
    let kept =
        json!([me["key"]["id"], me["user"]["id"], me["user"]["organization_id"], me["user"]["project_id"]]);
    let (passed, report) = fuzz(&app, &folder, &[("THINGS", &things), ("KEPT", &kept)]).await;
    let from = report.char_indices().rev().nth(REPORT_CHARS).map_or(0, |(at, _)| at);
    assert!(passed, "{}\n{}", &report[from..], faults(&app.log()));
    // With a key that opens nothing any more, nothing would have been tried.
    assert_eq!(app.ask("GET", "/me", None).await.status, 200);
    for line in report.lines().skip_while(|line| !line.contains("SUMMARY")) {
        println!("{line}");
    }
    assert!(faults(&app.log()).is_empty(), "{}", faults(&app.log()));
}

/// Makes what the fuzzer can name, and lets it have as much as it likes of it.
async fn furnish(app: &App) -> Value {
    for name in ["fuzzed", "changed"] {
        app.define_echo(name, &[]).await;
    }
    let quota = json!({ "value": INSTANCES });
    let answer = app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(quota)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut instances = Vec::new();
    let mut credentials = Vec::new();
    let mut keys = Vec::new();
    for number in 1..=3 {
        instances.push(app.launch(json!({"type": "fuzzed"})).await["id"].clone());
        let body = json!({"type": "fuzzed", "name": format!("credential {number}"),
                          "values": {"token": format!("secret {number}")}});
        credentials.push(made(app, "/credentials", body).await);
        let body = json!({"name": format!("key {number}"), "scopes": ["instances:read"]});
        keys.push(made(app, "/api-keys", body).await);
    }
    let mut users = Vec::new();
    let mut organizations = Vec::new();
    let mut projects = Vec::new();
    for number in 1..=2 {
        let body = json!({"email": format!("fuzzed{number}@example.com"), "name": "Fuzzed"});
        users.push(made(app, "/users", body).await);
        let organization = made(app, "/organizations", json!({"name": format!("Fuzzed {number}")})).await;
        let body = json!({"name": format!("Fuzzed {number}"), "organization_id": organization});
        projects.push(made(app, "/projects", body).await);
        let invited = json!({"email": format!("fuzzed{number}@example.com")});
        let path = format!("/organizations/{}/members", organization.as_str().expect("an id"));
        let answer = app.ask("POST", &path, Some(invited)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        organizations.push(organization);
    }
    json!({
        "/api/v1/users": users,
        "/api/v1/organizations": organizations,
        "/api/v1/projects": projects,
        "/api/v1/retention/policies": ["mcp_logs", "mcp_instances"],
        "/api/v1/instances": instances,
        "/api/v1/credentials": credentials,
        "/api/v1/api-keys": keys,
        "/api/v1/types": ["changed"],
    })
}

async fn made(app: &App, path: &str, body: Value) -> Value {
    let answer = app.ask("POST", path, Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].clone()
}

/// Runs the fuzzer to its end; answers with whether it found nothing, and with what it said.
#[expect(
    clippy::disallowed_methods,
    reason = "the fuzzer is no part of the product, and its budget is the caller's"
)]
async fn fuzz(app: &App, folder: &Path, given: &[(&str, &Value)]) -> (bool, String) {
    let budget = std::env::var("ROADSTEAD_FUZZ_SECONDS").ok();
    let budget = budget.map_or(BUDGET, |it| Duration::from_secs(it.parse().expect("a number of seconds")));
    let settings = json!({"mcp.default_duration_minutes": 30, "credentials.remind_before_days": 14,
                          "cleanup.retention_days": 60});
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let said = scratch.path().join("report");
    let out = std::fs::File::create(&said).expect("a file of one's own folder");
    let mut child = tokio::process::Command::new(folder.join("venv/bin/python"))
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .arg("--config-file")
        .arg(source().join("schemathesis.toml"))
        // All checks are on as it is; named here, they would be on for the operations too that the settings free of one.
        .args(["run", "--phases", "examples,coverage,fuzzing,stateful"])
        // One worker: Python 3.11 cannot read its own source in two threads at once, and more of them are no faster.
        .args(["--max-examples", "10", "--workers", "1", "--max-time", &budget.as_secs().to_string()])
        .args(["--header", &format!("Authorization: Bearer {}", app.key)])
        .arg(format!("{}/openapi.json", app.url))
        .current_dir(scratch.path())
        .env("PYTHONPATH", source())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(given.iter().map(|(name, value)| (format!("ROADSTEAD_FUZZ_{name}"), value.to_string())))
        .env("ROADSTEAD_FUZZ_SETTINGS", settings.to_string())
        .stdin(std::process::Stdio::null())
        .stdout(out.try_clone().expect("a second descriptor"))
        .stderr(out)
        .kill_on_drop(true)
        .spawn()
        .expect("the fuzzer starts");
    let status = tokio::time::timeout(budget + PATIENCE, child.wait()).await;
    let report = std::fs::read_to_string(&said).unwrap_or_default();
    let status = status.unwrap_or_else(|_| panic!("the fuzzer did not end:\n{report}"));
    (status.expect("a child can be waited for").success(), report)
}

/// The fuzzer's settings and hooks.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/fuzz")
}

/// What the service says of itself when something is wrong with it.
fn faults(log: &str) -> String {
    let is_fault =
        |line: &&str| line.contains("panicked") || line.contains("a request failed for a reason of ours");
    log.lines().filter(is_fault).take(20).collect::<Vec<_>>().join("\n")
}
