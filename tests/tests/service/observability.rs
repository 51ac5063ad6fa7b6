//! What an operator can see: the metrics, what instances take, and the doctor.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_test_support::app::{App, AppOptions, data_folder, programs};
use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};

use crate::support::apart;

/// An ordinary user that every system has.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(30);

/// What a scrape said: each metric with its kind, and each line's value by what stands before it.
struct Scrape {
    kinds: BTreeMap<String, String>,
    values: BTreeMap<String, f64>,
    text: String,
}

/// Reads OpenMetrics text, strictly: a line that belongs to no metric before it is a mistake.
fn parse(text: &str) -> Scrape {
    let (mut kinds, mut values, mut current) = (BTreeMap::new(), BTreeMap::new(), String::new());
    let body = text.strip_suffix("# EOF\n").expect("the text says that it is whole");
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, word) = (words.next(), words.next().expect("a name"), words.next());
            match what {
                Some("HELP") => {
                    assert!(name.starts_with("roadstead_"), "{line}");
                    assert!(word.is_some_and(|help| help.ends_with('.')), "{line}");
                    assert!(!kinds.contains_key(name), "{name} is told twice");
                    name.clone_into(&mut current);
                }
                Some("TYPE") => {
                    assert_eq!(name, current);
                    kinds.insert(name.to_owned(), word.expect("a kind").to_owned());
                }
                Some("UNIT") => {
                    assert!(name == current && current.ends_with(word.expect("a unit")), "{line}");
                }
                _ => panic!("{line}"),
            }
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let suffix = name.strip_prefix(current.as_str()).expect("it belongs to the metric above");
            let fits = match kinds[&current].as_str() {
                "counter" => suffix == "_total",
                "gauge" => suffix.is_empty(),
                "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
                "info" => suffix == "_info",
                other => panic!("{other}"),
            };
            assert!(fits, "{line}");
            assert!(values.insert(series.to_owned(), value.parse().expect("a number")).is_none(), "{line}");
        }
    }
    Scrape { kinds, values, text: text.to_owned() }
}

impl Scrape {
    fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("{series} is not in\n{}", self.text))
    }

    fn is(&self, series: &str, wanted: f64) -> bool {
        (self.value(series) - wanted).abs() < f64::EPSILON
    }

    /// Names as they are asked for: with the suffix that every line of a counter or an info has.
    fn names(&self) -> BTreeMap<String, String> {
        let named = |(name, kind): (&String, &String)| match kind.as_str() {
            "counter" => (format!("{name}_total"), kind.clone()),
            "info" => (format!("{name}_info"), kind.clone()),
            _ => (name.clone(), kind.clone()),
        };
        self.kinds.iter().map(named).collect()
    }
}

async fn scrape(app: &App) -> Scrape {
    let answer = app.request("GET", "/metrics").send().await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 200);
    let kind = answer.headers()["content-type"].to_str().expect("plain").to_owned();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    parse(&answer.text().await.expect("text"))
}

fn documented() -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `roadstead_"));
    rows.map(|row| {
        let (name, rest) = row.split_once('`').expect("a name");
        let kind = rest.trim_start_matches([' ', '|']).split(' ').next().expect("a kind");
        (format!("roadstead_{name}"), kind.to_owned())
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_the_life_of_an_instance_and_the_page_lists_them_all() {
    let app = apart::started().await;
    let before = scrape(&app).await;
    assert_eq!(before.names(), documented());
    assert!(before.is("roadstead_database_up", 1.0));
    assert!(before.is(r#"roadstead_ends_total{status="stopped"}"#, 0.0));

    let launched = app.launch(json!({"type": "echo"})).await;
    let (id, url) =
        (launched["id"].as_str().expect("an id"), launched["access_url"].as_str().expect("a URL"));
    let token = launched["access_token"].as_str().expect("a token");
    app.mcp(url, token, None, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    app.mcp(url, "wrong", None, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).await;
    let living = scrape(&app).await;
    assert!(living.is(r#"roadstead_instances{phase="running"}"#, 1.0));
    assert!(living.is(r#"roadstead_ports{state="leased"}"#, 1.0));
    assert!(living.is(r#"roadstead_launch_seconds_count{outcome="ok"}"#, 1.0));
    for stage in ["row_reserved", "secrets_handed", "port_bound", "server_ready", "published"] {
        let series = format!(r#"roadstead_launch_stage_seconds_count{{stage="{stage}",outcome="ok"}}"#);
        assert!(living.is(&series, 1.0), "{series}");
    }
    assert!(living.is(r#"roadstead_gateway_request_seconds_count{outcome="forwarded"}"#, 1.0));
    assert!(living.is(r#"roadstead_gateway_request_seconds_count{outcome="refused"}"#, 1.0));
    assert!(!living.text.contains(id) && !living.text.contains(token));

    assert_eq!(app.ask("POST", &format!("/instances/{id}/stop"), None).await.status, 200);
    let ended = wait_for("the end to be counted", PATIENCE, async || {
        let ended = scrape(&app).await;
        ended.is(r#"roadstead_end_stage_seconds_count{stage="folders_removed"}"#, 1.0).then_some(ended)
    })
    .await;
    assert!(ended.is(r#"roadstead_ends_total{status="stopped"}"#, 1.0));
    assert!(ended.is(r#"roadstead_instances{phase="running"}"#, 0.0));
    assert!(ended.is(r#"roadstead_instances{phase="ending"}"#, 0.0));
    assert!(ended.value(r#"roadstead_records_written_total{kind="log_lines"}"#) > 0.0);
    for kind in ["shim", "process"] {
        assert!(ended.is(&format!(r#"roadstead_orphans_total{{kind="{kind}"}}"#), 0.0), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_fails_is_counted_at_its_stage() {
    let app = App::start().await;
    app.define_echo("mute", &["--exit-at-start", "3"]).await;
    let answer = app.ask("POST", "/instances", Some(json!({"type": "mute"}))).await;
    assert!(answer.status >= 400, "{answer:?}");
    let failed = scrape(&app).await;
    assert!(
        failed.is(r#"roadstead_launch_seconds_count{outcome="failed"}"#, 1.0),
        "{answer:?}\n{}",
        failed.text
    );
    let stage = r#"roadstead_launch_stage_seconds_count{stage="server_ready",outcome="failed"}"#;
    assert!(failed.is(stage, 1.0));
    assert!(failed.is(r#"roadstead_instances{phase="starting"}"#, 0.0));
}

/// The process that started another.
fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("it has one");
    parent.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_nobody_looks_after_is_found_ended_and_counted() {
    let app = App::start().await;
    let launched = app.launch(json!({"type": "echo"})).await;
    let id = launched["id"].as_str().expect("an id").to_owned();
    let server = i32::try_from(launched["process_id"].as_i64().expect("a process")).expect("it fits");
    let shim = parent_of(parent_of(server));
    #[expect(clippy::disallowed_methods, reason = "the process that stands for one that escaped")]
    let mut escaped =
        Command::new("sleep").arg("3600").env("ROADSTEAD_INSTANCE", &id).spawn().expect("it starts");

    app.signal(Signal::SIGKILL);
    let (_, data) = app.ended().await;
    kill(Pid::from_raw(shim), Signal::SIGKILL).expect("it lives");
    let (code, verdicts, text) = doctor(data.path(), None);
    assert_eq!((code, verdicts["leftovers"].as_str()), (Some(1), "broken"), "{text}");
    assert!(text.contains(&escaped.id().to_string()), "{text}");

    let app = App::start_with(AppOptions { data: Some(data), ..AppOptions::default() }).await;
    let found = wait_for("the orphan to be counted", PATIENCE, async || {
        let found = scrape(&app).await;
        (found.value(r#"roadstead_adoption_seconds_count{outcome="ended"}"#) > 0.0).then_some(found)
    })
    .await;
    assert!(found.is(r#"roadstead_orphans_total{kind="process"}"#, 1.0), "{}", found.text);
    assert!(found.is(r#"roadstead_orphans_total{kind="shim"}"#, 0.0));
    assert_eq!(escaped.wait().expect("our child").signal(), Some(9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_the_metrics_want_an_admins_key() {
    let listen =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound");
    let environment = vec![("ROADSTEAD_PUBLIC_URL".to_owned(), format!("http://{listen}"))];
    let app =
        App::start_with(AppOptions { listen: listen.to_string(), environment, ..AppOptions::default() })
            .await;
    let without = app.request("GET", "/metrics").send().await.expect("an answer");
    assert_eq!(without.status().as_u16(), 401);
    let weak =
        app.ask("POST", "/api-keys", Some(json!({"name": "weak", "scopes": ["instances:read"]}))).await;
    let weak = weak.body["key"].as_str().unwrap_or_else(|| panic!("{weak:?}")).to_owned();
    for (key, wanted) in [(weak.as_str(), 403), (app.key.as_str(), 200)] {
        let answer = app.request("GET", "/metrics").bearer_auth(key).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stats_tell_what_an_instance_takes_while_it_lives() {
    let app = App::start().await;
    let launched = app.launch(json!({"type": "echo", "name": "watched"})).await;
    let id = launched["id"].as_str().expect("an id");
    let path = format!("/instances/{id}/stats");
    let stats = app.ask("GET", &path, None).await.body;
    assert_eq!(stats["status"], "running");
    let number = |field: &str| stats[field].as_u64().unwrap_or_else(|| panic!("{field} in {stats}"));
    assert!(number("processes") >= 2 && number("threads") >= number("processes"), "{stats}");
    assert!(number("rss_bytes") > 500_000, "{stats}");
    assert_eq!(number("restarts"), 0);
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(stats["note"].is_null(), number("unreadable_processes") == 0, "{stats}");
    if is_root {
        assert!(number("unreadable_processes") == 0 && number("pss_bytes") > 100_000, "{stats}");
        assert!(number("pss_bytes") <= number("rss_bytes") && number("open_files") > 3, "{stats}");
    }
    wait_for("a second look", PATIENCE, async || {
        app.ask("GET", &path, None).await.body["cpu_percent"].as_f64()
    })
    .await;

    let shown = roadstead(app.data(), &["stats", "--json"], None);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&shown[0]["name"], &shown[0]["instance_id"]), (&json!("watched"), &json!(id)));
    let table = roadstead(app.data(), &["stats", "watched"], None);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.lines().count() == 2 && table.contains("CPU %") && table.contains(id), "{table}");

    app.ask("POST", &format!("/instances/{id}/stop"), None).await;
    let after = app.ask("GET", &path, None).await.body;
    assert!(after["processes"].is_null() && after["note"] == "it does not live", "{after}");
    assert_eq!(
        app.ask("GET", "/instances/01980000-0000-7000-8000-000000000001/stats", None).await.status,
        404
    );
}

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn roadstead(data: &Path, arguments: &[&str], user: Option<u32>) -> Output {
    let program = programs().join("roadstead");
    let mut command = match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            let ids = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
            command.args(ids).arg("--").arg(program);
            command
        }
    };
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data)
        .env("ROADSTEAD_DATA_DIR", data)
        .current_dir("/")
        .output()
        .expect("it runs")
}

/// What each check came to, by its id.
fn doctor(data: &Path, user: Option<u32>) -> (Option<i32>, BTreeMap<String, String>, String) {
    let output = roadstead(data, &["doctor", "--json"], user);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let checks: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    for check in &checks {
        let has_advice = check["lost"].is_string() && check["next"].is_string();
        assert_eq!(check["verdict"] == "ok", !has_advice, "{check}");
    }
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let verdicts = checks.iter().map(|check| (word(&check["id"]), word(&check["verdict"]))).collect();
    (output.status.code(), verdicts, text)
}

/// The names that scripts rely on.
const IDS: &[&str] = &[
    "confinement",
    "control-groups",
    "core-dumps",
    "data-folder",
    "database",
    "disk-inodes",
    "disk-space",
    "landlock",
    "leftovers",
    "master-key",
    "mounts",
    "open-files",
    "parent-death-signal",
    "pid-namespace",
    "ports",
    "proc-access",
    "processes",
    "run-folder",
    "runtime-node",
    "runtime-npx",
    "runtime-python",
    "runtime-uv",
    "runtime-uvx",
    "seccomp",
    "service",
    "shim",
    "subreaper",
    "user-switch",
];

#[test]
fn the_doctor_needs_no_service_and_leaves_nothing_behind() {
    for user in [None, Some(NOBODY)] {
        let home = data_folder();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).expect("our own");
        let data = home.path().join("data");
        let (code, verdicts, text) = doctor(&data, user);
        assert_eq!(verdicts.keys().map(String::as_str).collect::<Vec<_>>(), IDS);
        let broken: Vec<_> = verdicts.iter().filter(|(_, verdict)| *verdict == "broken").collect();
        // Other tests of this machine may be ending servers at this moment.
        let is_fine = broken.iter().all(|(id, _)| *id == "leftovers");
        assert!(is_fine && (code == Some(0)) == broken.is_empty(), "{user:?}: {text}");
        assert!(!data.exists(), "it was made by looking");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_what_is_broken_beside_a_service_that_runs() {
    let app = App::start().await;
    app.launch(json!({"type": "echo"})).await;
    let (_, verdicts, text) = doctor(app.data(), None);
    for id in ["service", "database", "clock", "master-key", "run-folder", "data-folder", "shim"] {
        assert_eq!(verdicts.get(id).map(String::as_str), Some("ok"), "{id}: {text}");
    }
    assert!(text.contains("1 with instances"), "{text}");

    let key = app.data().join("master.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("our own");
    let (code, verdicts, text) = doctor(app.data(), None);
    assert_eq!((code, verdicts["master-key"].as_str()), (Some(1), "broken"), "{text}");
    let shown = roadstead(app.data(), &["doctor"], None);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("master-key: ") && shown.contains("  Next: "), "{shown}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("our own");

    if nix::unistd::geteuid().is_root() {
        let (code, verdicts, text) = doctor(app.data(), Some(NOBODY));
        assert_eq!((code, verdicts["data-folder"].as_str()), (Some(1), "broken"), "{text}");
    }
}
