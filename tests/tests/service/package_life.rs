//! The life of installed packages under running instances: what is needed stays, whatever is cleaned, and what nobody needs goes
//! when its time is over. With a registry of our own, which knows what it was asked for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roadstead_test_support::app::{App, AppOptions, programs};
use roadstead_test_support::raw::{Session, http_client};
use roadstead_test_support::registry::{Entry, NpmPackage, Registry};
use roadstead_test_support::{Rows, wait_for};
use serde_json::{Value, json};

/// Longer than the week that an unneeded package stays.
const EIGHT_DAYS: Duration = Duration::from_hours(8 * 24);
/// A server that reads one of its files anew at each call, as large ones read what they need when they need it.
const SERVER: &str = r"#!/usr/bin/env node
const fs = require('fs'), path = require('path');
const answers = {
  initialize: m => ({ protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'tool', version: '1' } }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [{ name: 'version', inputSchema: { type: 'object' } }] }),
  'tools/call': () => ({ content: [{ type: 'text', text: fs.readFileSync(path.join(__dirname, 'version.txt'), 'utf8') }] }),
};
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const m = JSON.parse(line);
  if (m.id === undefined) return;
  const answer = answers[m.method];
  const rest = answer ? { result: answer(m) } : { error: { code: -32601, message: 'no such method' } };
  console.log(JSON.stringify({ jsonrpc: '2.0', id: m.id, ...rest }));
});
";

fn published(registry: &Registry, version: &str) {
    registry.npm(&NpmPackage {
        files: vec![Entry::file("run.js", SERVER), Entry::file("version.txt", version)],
        ..NpmPackage::honest("tool", version)
    });
}

fn registry() -> Registry {
    let registry = Registry::start();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        published(&registry, version);
    }
    registry
}

async fn service(registry: &Registry, data: Option<tempfile::TempDir>) -> App {
    let environment = registry.environment().into_iter().collect();
    App::start_with(AppOptions { data, environment, ..AppOptions::default() }).await
}

async fn imported(app: &App) {
    let body = json!({ "source": "npm:tool@1.0.0", "name": "tool" });
    let answer = app.ask("POST", "/types/import", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{}", app.log());
}

async fn moved(app: &App, version: &str) {
    let answer = app.ask("POST", "/types/tool/upgrade", Some(json!({ "version": version }))).await;
    assert_eq!(
        (answer.status, answer.body["package"]["version"].as_str()),
        (200, Some(version)),
        "{answer:?}"
    );
}

async fn cleaned(app: &App, body: Value) -> Value {
    let answer = app.ask("POST", "/packages/clean", Some(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn versions(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("{list}"));
    let mut versions: Vec<_> =
        items.iter().map(|one| one["version"].as_str().unwrap_or_default().to_owned()).collect();
    versions.sort();
    versions
}

/// What the list says of a version, none when it is not installed.
async fn package(app: &App, version: &str) -> Option<Value> {
    let answer = app.ask("GET", "/packages", None).await;
    let items = answer.body["data"].as_array().cloned().unwrap_or_else(|| panic!("{answer:?}"));
    items.into_iter().find(|one| one["version"] == version)
}

async fn kept_because(app: &App, version: &str) -> Value {
    package(app, version).await.unwrap_or_else(|| panic!("{version} is not installed"))["kept_because"].take()
}

/// The folders of a version of the package.
fn folders(data: &Path, version: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(data.join("packages/npm/tool")).into_iter().flatten().flatten();
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(version));
    all.map(|entry| entry.path()).filter(named).collect()
}

/// Lets time pass over a package, as far as the store knows of it.
fn age(data: &Path, version: &str) {
    let [folder] = &folders(data, version)[..] else { panic!("{version} is there once") };
    age_file(&folder.join("used"));
    age_file(&folder.join("record.json"));
}

fn age_file(path: &Path) {
    let file = std::fs::File::options().append(true).open(path).expect("it is there");
    let written = file.metadata().and_then(|meta| meta.modified()).expect("it has a time");
    file.set_modified(written - EIGHT_DAYS).expect("it is ours");
}

struct Client(Session, Value);

impl Client {
    async fn new(app: &App) -> Self {
        let row = app.launch(json!({ "type": "tool" })).await;
        Self::of(row.clone(), &row).await
    }

    /// A session with an instance; its token was told at its launch alone.
    async fn of(row: Value, launched: &Value) -> Self {
        let text = |of: &Value, name: &str| of[name].as_str().expect("a text").to_owned();
        let (url, token) = (text(&row, "access_url"), text(launched, "access_token"));
        Self(Session::open(&http_client(false), &url, &token).await, row)
    }

    fn id(&self) -> &str {
        self.1["id"].as_str().expect("an id")
    }

    async fn version(&self) -> String {
        let answer = self.0.call(&json!(1), "version", &json!({})).await;
        answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_keeps_its_package_until_it_has_ended_and_a_week_has_passed() {
    let registry = registry();
    let app = service(&registry, None).await;
    imported(&app).await;
    let old = Client::new(&app).await;
    moved(&app, "2.0.0").await;
    let new = Client::new(&app).await;
    assert_eq!((old.version().await.as_str(), new.version().await.as_str()), ("1.0.0", "2.0.0"));
    assert_eq!(kept_because(&app, "1.0.0").await, "instances");
    assert_eq!(kept_because(&app, "2.0.0").await, "type");

    // Neither a week nor a hurry takes away what runs.
    age(app.data(), "1.0.0");
    let done = cleaned(&app, json!({ "dry_run": false, "all_unused": true })).await;
    assert_eq!((&done["removed"], &done["left"]), (&json!([]), &json!(2)), "{done}");
    assert_eq!(old.version().await, "1.0.0");
    // Also after its server was started again, and for another session.
    let again = Client::of(old.1.clone(), &old.1).await;
    assert_eq!(again.version().await, "1.0.0");

    // The way back takes no registry.
    let asked = registry.asked().len();
    let listed = app.ask("GET", "/types/tool/versions", None).await.body["data"].take();
    assert_eq!(versions(&listed), ["1.0.0", "2.0.0"]);
    let current = listed.as_array().expect("a list").iter().filter(|one| one["is_current"] == true);
    assert_eq!(current.map(|one| one["version"].clone()).collect::<Vec<_>>(), ["2.0.0"]);
    moved(&app, "1.0.0").await;
    moved(&app, "2.0.0").await;
    assert_eq!(registry.asked().len(), asked);

    // Started again, an instance is of the version that its type has.
    let restarted = app.ask("POST", &format!("/instances/{}/restart", old.id()), None).await;
    assert_eq!(restarted.status, 200, "{restarted:?}");
    assert_eq!(Client::of(restarted.body, &old.1).await.version().await, "2.0.0");
    assert_eq!(kept_because(&app, "1.0.0").await, "recent");
    let done = cleaned(&app, json!({ "dry_run": false })).await;
    assert_eq!(
        (&done["removed"], done["dry_run"].as_bool()),
        (&json!([]), Some(false)),
        "it was needed just now"
    );
    age(app.data(), "1.0.0");
    let looked = cleaned(&app, json!({})).await;
    assert_eq!(
        (versions(&looked["removed"]), folders(app.data(), "1.0.0").len()),
        (vec!["1.0.0".to_owned()], 1)
    );
    let done = cleaned(&app, json!({ "dry_run": false })).await;
    assert_eq!(
        (versions(&done["removed"]), done["left"].as_u64()),
        (vec!["1.0.0".to_owned()], Some(1)),
        "{done}"
    );
    assert!(folders(app.data(), "1.0.0").is_empty());
    assert_eq!(new.version().await, "2.0.0");
    let entries = app.ask("GET", "/audit?action=package.clean", None).await.body["data"].take();
    assert!(entries.to_string().contains("npm:tool@1.0.0"), "{entries}");
    let events = app.ask("GET", "/system-events?type=packages.cleaned", None).await;
    assert!(events.body.to_string().contains("npm:tool@1.0.0"), "{events:?}");

    // What went comes again.
    moved(&app, "1.0.0").await;
    assert_eq!(Client::new(&app).await.version().await, "1.0.0");
    let left = std::fs::read_dir(app.data().join("packages/.staging")).expect("a folder").count();
    assert_eq!(left, 0);
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_goes_by_itself_after_a_week() {
    let registry = registry();
    let app = service(&registry, None).await;
    imported(&app).await;
    moved(&app, "2.0.0").await;
    moved(&app, "3.0.0").await;
    let (status, data) = app.interrupt().await;
    assert!(status.success(), "{status}");
    age(data.path(), "1.0.0");
    // The store was cleaned yesterday, too.
    age_file(&data.path().join("packages/.cleaned"));
    let app = service(&registry, Some(data)).await;
    wait_for("what nobody needs to go", Duration::from_secs(30), async || {
        folders(app.data(), "1.0.0").is_empty().then_some(())
    })
    .await;
    assert_eq!(kept_because(&app, "2.0.0").await, "recent");
    assert_eq!(kept_because(&app, "3.0.0").await, "type");
    // A database that was set back names what is not there: the same version, asked for again, is put there again.
    let place = folders(app.data(), "3.0.0").remove(0);
    std::fs::rename(&place, app.data().join("gone")).expect("the store is ours");
    let failed = app.ask("POST", "/instances", Some(json!({ "type": "tool" }))).await;
    assert_eq!(failed.status, 502, "{failed:?}");
    moved(&app, "3.0.0").await;
    assert_eq!(folders(app.data(), "3.0.0"), [place]);
    assert_eq!(Client::new(&app).await.version().await, "3.0.0");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_an_instance_lives_of_which_nobody_knows_what_of() {
    let registry = registry();
    let app = service(&registry, None).await;
    imported(&app).await;
    let old = Client::new(&app).await;
    moved(&app, "2.0.0").await;
    // As a service before wrote its row.
    let mut rows = Rows::of_owner(app.data()).await;
    assert_eq!(rows.execute("update mcp_instances set packages = null").await, 1);
    assert_eq!(kept_because(&app, "1.0.0").await, "unknown_instances");
    let done = cleaned(&app, json!({ "dry_run": false, "all_unused": true })).await;
    assert_eq!(done["removed"], json!([]), "{done}");
    assert_eq!(old.version().await, "1.0.0");
    let stopped = app.ask("POST", &format!("/instances/{}/stop", old.id()), None).await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let done = cleaned(&app, json!({ "dry_run": false, "all_unused": true })).await;
    assert_eq!(versions(&done["removed"]), ["1.0.0"], "{done}");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn launches_and_upgrades_go_on_while_everything_unused_is_cleaned_away_all_the_time() {
    let registry = registry();
    let app = service(&registry, None).await;
    imported(&app).await;
    let is_over = AtomicBool::new(false);
    let cleaning = async {
        let (mut rounds, mut removed) = (0_u32, 0);
        while !is_over.load(Ordering::Relaxed) {
            let done = cleaned(&app, json!({ "dry_run": false, "all_unused": true })).await;
            removed += done["removed"].as_array().map_or(0, Vec::len);
            rounds += 1;
        }
        (rounds, removed)
    };
    let moving = async {
        let mut moves = 0_u32;
        while !is_over.load(Ordering::Relaxed) {
            moved(&app, "2.0.0").await;
            moved(&app, "1.0.0").await;
            moves += 2;
        }
        moves
    };
    let launching = async {
        for _ in 0..12 {
            let client = Client::new(&app).await;
            let version = client.version().await;
            assert!(["1.0.0", "2.0.0"].contains(&version.as_str()), "{version}");
            let ended = app.ask("DELETE", &format!("/instances/{}", client.id()), None).await;
            assert!([200, 204].contains(&ended.status), "{ended:?}");
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let ((), moves, (rounds, removed)) = tokio::join!(launching, moving, cleaning);
    assert!(moves > 1 && rounds > 10 && removed > 0, "{removed} removed in {rounds} rounds, {moves} moves");
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[expect(clippy::disallowed_methods, reason = "the program, as a person starts it")]
fn roadstead(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(programs().join("roadstead"));
    command.args(arguments).env_clear().env("HOME", data).env("ROADSTEAD_DATA_DIR", data);
    command.output().expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_and_cleans() {
    let registry = registry();
    let app = service(&registry, None).await;
    imported(&app).await;
    moved(&app, "2.0.0").await;
    let said = |arguments: &[&str]| {
        let output = roadstead(app.data(), arguments);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        (out, err)
    };
    let (list, _) = said(&["packages"]);
    assert!(
        list.contains("npm:tool") && list.contains("a type names it") && list.contains("until "),
        "{list}"
    );
    let (listed, _) = said(&["packages", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(versions(&listed), ["1.0.0", "2.0.0"]);
    let (table, _) = said(&["types", "versions", "tool"]);
    assert!(table.contains("2.0.0") && table.contains("current") && table.contains("1.0.0"), "{table}");
    let (_, note) = said(&["types", "versions", "echo"]);
    assert!(note.contains("not installed from a package"), "{note}");
    let (_, note) = said(&["packages", "clean"]);
    assert!(note.contains("nothing to remove"), "{note}");
    let (_, note) = said(&["packages", "clean", "--all-unused"]);
    assert!(note.contains("Nothing was removed") && note.contains("--yes"), "{note}");
    assert_eq!(folders(app.data(), "1.0.0").len(), 1);
    let (_, note) = said(&["packages", "clean", "--all-unused", "--yes"]);
    assert!(note.contains("1 removed"), "{note}");
    assert!(folders(app.data(), "1.0.0").is_empty());
    let (status, _) = app.interrupt().await;
    assert!(status.success(), "{status}");
}
