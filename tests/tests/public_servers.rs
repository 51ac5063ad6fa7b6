//! Servers that anybody can fetch from a public registry: each becomes a type by one command, and is driven by an official
//! client, the Python SDK, through the access URL of an instance. Three at every run; all ten, and a table of them in
//! `docs/packages.md`, by `just public-servers`.

#[path = "support/drive.rs"]
mod drive;
#[path = "support/public/page.rs"]
mod page;
#[path = "support/public/servers.rs"]
mod servers;
#[path = "support/ways.rs"]
mod ways;

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roadstead_test_support::Subjects;
use roadstead_test_support::app::{App, AppOptions, processes_of, programs};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use drive::drive;
use page::Row;
use servers::{ALL, CALCULATOR, EVERYTHING, MEMORY, Public};

/// How long what was ended may take to be gone.
const END_PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn public_servers_are_added_by_one_command_and_answer_an_official_client() {
    let subjects = Subjects::ready();
    let app = service().await;
    let rows = join_all([EVERYTHING, MEMORY, CALCULATOR].iter().map(|public| tried(&app, &subjects, public)));
    for row in rows.await {
        println!("{row:?}");
    }
    end(app).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches a few hundred megabytes; `just public-servers` runs it"]
async fn ten_public_servers_are_added_by_one_command_each() {
    let subjects = Subjects::ready();
    let app = service().await;
    let mut rows = Vec::with_capacity(ALL.len());
    // One after the other: the table tells times.
    for public in &ALL {
        rows.push(tried(&app, &subjects, public).await);
    }
    end(app).await;
    page::told(&rows);
}

async fn service() -> App {
    App::start_with(AppOptions { environment: ways::of_this_machine(), ..AppOptions::default() }).await
}

async fn end(app: App) {
    let data = app.data().to_owned();
    let (status, _folder) = app.interrupt().await;
    assert!(status.success(), "{status}");
    wait_for("every process of the service to be gone", END_PATIENCE, async || {
        processes_of(&data).is_empty().then_some(())
    })
    .await;
}

/// Adds a server, launches it, and has the client ask what is known.
async fn tried(app: &App, subjects: &Subjects, public: &Public) -> Row {
    let began = Instant::now();
    let made = added(app, public).await;
    let import = began.elapsed();
    let package = &made["type"]["package"];
    let version = package["version"].as_str().expect("it is installed").to_owned();
    assert!(public.source.ends_with(&format!("@{version}")), "{made}");
    let hash = package["integrity"].as_str().expect("it has a hash");
    assert!(hash.starts_with("sha512-") || hash.starts_with("sha256:"), "{hash}");

    let mut body = json!({"type": public.name});
    if let Some((slot, value)) = public.secret {
        body["credentials"] = json!({slot: value});
    }
    let began = Instant::now();
    let instance = app.launch(body).await;
    let launch = began.elapsed();
    let text = |name: &str| instance[name].as_str().unwrap_or_else(|| panic!("{name} of {instance}"));
    let folder = app.data().join("instances").join(text("id"));
    let mut steps = vec![json!({"do": "list_tools"})];
    steps.extend(public.calls.iter().map(|call| {
        let arguments = call.arguments.replace("{dir}", folder.to_str().expect("a readable path"));
        let arguments: Value = serde_json::from_str(&arguments).expect("JSON");
        json!({"do": "call_tool", "name": call.tool, "arguments": arguments})
    }));
    let (url, token) = (text("access_url"), text("access_token"));
    let session = drive(subjects, url, token, "auto", json!(steps)).await;
    let answers = session["answers"].as_array().expect("a list");
    let tools = answers[0]["tools"].as_array().expect("a list");
    for (call, answer) in public.calls.iter().zip(&answers[1..]) {
        let said: Vec<_> =
            answer["content"].as_array().into_iter().flatten().filter_map(|it| it["text"].as_str()).collect();
        let is_right = answer["isError"] != true && said.concat().contains(call.says);
        assert!(is_right, "{}: {} answered {answer}", public.name, call.tool);
        assert!(
            tools.iter().any(|tool| tool["name"] == call.tool),
            "{}: {} is listed",
            public.name,
            call.tool
        );
    }
    let deleted = app.ask("DELETE", &format!("/instances/{}", text("id")), None).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    Row {
        package: public.source.rsplit_once('@').expect("it names a version").0.replacen(':', " ", 1),
        version,
        transport: public.transport,
        import,
        launch,
        protocol: session["protocol"].as_str().unwrap_or("?").to_owned(),
        tools: tools.len(),
        calls: public.calls.iter().map(|call| call.tool).collect(),
    }
}

/// Makes a type of a server, as an administrator does.
#[expect(clippy::disallowed_methods, reason = "the command is what is tested")]
async fn added(app: &App, public: &Public) -> Value {
    let profile: &Path = &app.data().join("profile.json");
    let output = tokio::process::Command::new(programs().join("roadstead"))
        .arg("--profile")
        .arg(profile)
        .args(["--json", "types", "add", public.source, "--name", public.name])
        .args(public.options)
        .env_clear()
        .env("HOME", app.data())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the command starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{said}\n{}", public.source, output.status, app.log());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}
