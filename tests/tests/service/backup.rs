//! A backup that is taken while clients change things, brought back in another data folder; and everything else that `roadstead
//! db` does with a database in use.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use roadstead_test_support::Rows;
use roadstead_test_support::app::{App, AppOptions, data_folder, programs};
use serde_json::{Value, json};

/// Credentials that are there before.
const KEPT: usize = 5;
/// Clients that change things meanwhile.
const CLIENTS: usize = 3;
/// Changes that must have been made while backups were taken, for the test to say anything.
const ENOUGH: usize = 10;

/// Runs the program beside a data folder's service, or without one.
#[expect(clippy::disallowed_methods, reason = "the one place of this test that starts the program")]
fn roadstead(data: &Path, arguments: &[&str]) -> Output {
    Command::new(programs().join("roadstead"))
        .arg("--data-dir")
        .arg(data)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("the program runs")
}

/// The answer of a command that must succeed.
async fn answer(data: &Path, arguments: &[&str]) -> Value {
    let (data, arguments): (PathBuf, Vec<String>) =
        (data.to_owned(), arguments.iter().map(|word| (*word).to_owned()).collect());
    let done = tokio::task::spawn_blocking(move || {
        let mut words = vec!["--json"];
        words.extend(arguments.iter().map(String::as_str));
        roadstead(&data, &words)
    });
    let output = done.await.expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What a command that must fail says, and its code.
fn refused(data: &Path, arguments: &[&str]) -> (i32, String) {
    let output = roadstead(data, arguments);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

async fn store(app: &App, name: &str) -> String {
    let body = json!({"type": "kept", "name": name, "values": {"token": format!("secret of {name}")}});
    let answer = app.ask("POST", "/credentials", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().expect("an id").to_owned()
}

/// Makes and deletes credentials until told to stop; counts the changes.
async fn change_things(app: &App, client: usize, enough: &AtomicBool, changes: &AtomicUsize) {
    let mut nth = 0;
    while !enough.load(Ordering::Relaxed) {
        let id = store(app, &format!("of client {client}, number {nth}")).await;
        if nth % 2 == 0 {
            let gone = app.ask("DELETE", &format!("/credentials/{id}"), None).await;
            assert!(gone.status < 300, "{gone:?}");
        }
        changes.fetch_add(1, Ordering::Relaxed);
        nth += 1;
    }
}

/// A service with history, and two backups of it that were taken under load: a compressed one, and one with the key.
struct Origin {
    app: App,
    folder: tempfile::TempDir,
    credentials: Vec<String>,
    instance: String,
    plain: Value,
    whole: Value,
}

impl Origin {
    async fn new() -> Self {
        let app = App::start().await;
        app.define_echo("kept", &[]).await;
        let mut credentials = Vec::new();
        for nth in 0..KEPT {
            credentials.push(store(&app, &format!("kept {nth}")).await);
        }
        let launched = app.launch(json!({"type": "kept", "credential_id": credentials[0]})).await;
        let instance = launched["id"].as_str().expect("an id").to_owned();
        let folder = data_folder();
        let (enough, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..CLIENTS).map(|client| change_things(&app, client, &enough, &changes));
        let backups = async {
            let plain = answer(app.data(), &["db", "backup", "--gzip", "--to", text(folder.path())]).await;
            let to = folder.path().join("whole.tar");
            let words = ["db", "backup", "--verify", "--with-keys", "--to", text(&to)];
            let whole = answer(app.data(), &words).await;
            while changes.load(Ordering::Relaxed) < ENOUGH {
                tokio::task::yield_now().await;
            }
            enough.store(true, Ordering::Relaxed);
            (plain, whole)
        };
        let (_, (plain, whole)) = tokio::join!(futures_util::future::join_all(clients), backups);
        Self { app, folder, credentials, instance, plain, whole }
    }

    /// The backup that has the key in it.
    fn whole(&self) -> &str {
        self.whole["file"].as_str().expect("a path")
    }

    /// The same rows in another place: the same keys open the service there.
    async fn elsewhere(&self, data: tempfile::TempDir) -> App {
        std::fs::copy(self.app.data().join("profile.json"), data.path().join("profile.json"))
            .expect("the profile can be copied");
        App::start_with(AppOptions { data: Some(data), ..AppOptions::default() }).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_under_load_lives_on_elsewhere() {
    let origin = Origin::new().await;
    assert_eq!(origin.whole["verified"], true, "{}", origin.whole);
    let manifest = &origin.whole["manifest"];
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &Path::new(origin.whole()).metadata().expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let there = data_folder();
    let restored = answer(there.path(), &["db", "restore", origin.whole()]).await;
    assert_eq!(restored["restored"]["tables"], manifest["tables"]);
    assert_eq!(restored["missing_keys"], json!([]));
    assert_eq!(restored["instances_lost"], 1);
    let findings = answer(there.path(), &["db", "validate"]).await;
    assert_eq!(findings, json!([]));

    let app = origin.elsewhere(there).await;
    let credentials = manifest["tables"]["credentials"].as_i64().expect("a count");
    let mut rows = Rows::of(app.data()).await;
    assert_eq!(rows.number("select count(*) from credentials").await, credentials);
    let open = "select count(*) from pg_proc where proname like '%partitions' and has_function_privilege('public', oid, 'execute')";
    assert_eq!(rows.number(open).await, 0, "whom nobody may call, nobody may call");
    let lost = app.instance(&origin.instance).await;
    assert_eq!(lost["status"], "disconnected", "{lost}");
    let events = app.event_types(&origin.instance).await;
    assert_eq!(events.first().map(String::as_str), Some("created"), "{events:?}");
    assert!(events.contains(&"disconnected".to_owned()), "{events:?}");
    // What is sealed opens: the server is given the value.
    let launched = app.launch(json!({"type": "kept", "credential_id": origin.credentials[3]})).await;
    let environment = std::fs::read(format!("/proc/{}/environ", launched["process_id"])).expect("it runs");
    assert!(String::from_utf8_lossy(&environment).contains("ECHO_TOKEN=secret of kept 3\0"));
    // The first one is untouched by all of it.
    assert_eq!(origin.app.instance(&origin.instance).await["status"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_refused_or_says_what_is_missing_before_anything_is_lost() {
    let origin = Origin::new().await;
    let plain = PathBuf::from(origin.plain["file"].as_str().expect("a path"));
    let there = data_folder();

    // Cut short, it is not even begun.
    let cut = origin.folder.path().join("cut.tar.gz");
    let bytes = std::fs::read(&plain).expect("it is there");
    std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).expect("it can be written");
    let (code, said) = refused(there.path(), &["db", "restore", text(&cut)]);
    assert!(code == 1 && said.contains("is damaged") && said.contains("nothing was changed"), "{said}");
    assert!(!there.path().join("postgres/cluster").exists(), "no cluster was made for it");

    // Without the key, everything is there but what is sealed.
    let key = origin.plain["manifest"]["keys"][0].as_str().expect("something is sealed").to_owned();
    let (code, said) = refused(there.path(), &["db", "restore", text(&plain)]);
    assert!(code == 78 && said.contains(&format!("key {key} is missing")), "{code} {said}");

    // A database with something in it stays as it is, unless that is asked for; then the backup's key comes along.
    let (code, said) = refused(there.path(), &["db", "restore", origin.whole()]);
    assert!(code == 1 && said.contains("--replace"), "{said}");
    let words = ["db", "restore", origin.whole(), "--replace", "--yes"];
    let restored = answer(there.path(), &words).await;
    assert_eq!(restored["missing_keys"], json!([]));

    // Not beside a running service.
    let (code, said) = refused(origin.app.data(), &words);
    assert!(code == 1 && said.contains("the service runs"), "{said}");
    let (code, said) = refused(origin.app.data(), &["db", "rollback", "--yes"]);
    assert!(code == 1 && said.contains("the service runs"), "{said}");
    let kept = origin.app.ask("GET", "/credentials", None).await;
    assert_eq!(kept.status, 200, "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_missing_rows_of_one_table_come_back_while_the_service_runs() {
    let origin = Origin::new().await;
    let data = origin.app.data();
    let mut rows = Rows::of(data).await;
    let before = rows.number("select count(*) from mcp_events").await;
    let gone = rows.execute("delete from mcp_events").await;
    assert!(gone >= 2 && before >= 2, "{gone}");
    let words = ["db", "restore", origin.whole(), "--table", "mcp_events"];
    let looked = answer(data, &words).await;
    let missing = looked["compared"]["missing"].as_i64().expect("a count");
    assert!(missing >= 2 && looked["put_back"] == 0, "{looked}");
    assert_eq!(rows.number("select count(*) from mcp_events").await, 0, "without --yes nothing changes");
    let put = answer(data, &[&words[..], &["--yes"]].concat()).await;
    assert_eq!(put["put_back"], missing);
    assert_eq!(rows.number("select count(*) from mcp_events").await, missing);
    let again = answer(data, &words).await;
    assert_eq!(again["compared"], json!({ "rows": missing, "missing": 0, "different": 0 }));
    let (code, said) = refused(data, &["db", "restore", origin.whole(), "--table", "audit_logs"]);
    assert!(code == 64 && said.contains("only be restored with everything else"), "{said}");
    let (code, _) = refused(data, &["db", "restore", origin.whole(), "--table", "no_such_table"]);
    assert_eq!(code, 66);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_use_is_looked_after_from_outside() {
    let app = App::start().await;
    let data = app.data();
    let list = answer(data, &["db", "list"]).await;
    let list = list.as_array().expect("a list");
    assert!(list.len() >= 24 && list.iter().all(|one| one["checksum_ok"] == true), "{list:?}");
    let size = answer(data, &["db", "size"]).await;
    assert!(size["bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{size}");
    let sizes = answer(data, &["db", "table-sizes"]).await;
    let logs =
        sizes.as_array().expect("a list").iter().find(|one| one["table"] == "mcp_logs").expect("it is there");
    assert!(logs["partitions"].as_u64().is_some_and(|months| months >= 3), "{logs}");
    let stats = answer(data, &["db", "stats"]).await;
    assert!(stats["connections"].as_u64().is_some_and(|open| open >= 2), "{stats}");
    assert_eq!(answer(data, &["db", "locks"]).await, json!([]));
    assert_eq!(answer(data, &["db", "validate"]).await, json!([]));
    for command in ["analyze", "vacuum"] {
        answer(data, &["db", command]).await;
    }
    let cleanup = answer(data, &["db", "cleanup"]).await;
    assert!(cleanup.as_array().expect("a list").iter().all(|run| run["outcome"] == "dry_run"), "{cleanup}");
    let (code, said) = refused(data, &["db", "cleanup", "--table", "mcp_logs", "--days", "1", "--yes"]);
    assert!(code == 64 && said.contains("keeps 30 days"), "{said}");
    let (code, _) = refused(&data.join("nothing"), &["db", "size"]);
    assert_eq!(code, 66);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_backups_are_kept() {
    let app = App::start().await;
    let folder = data_folder();
    std::fs::write(folder.path().join("roadstead-20200101-000000.tar"), "notes of mine").expect("a file");
    let mut last = Value::Null;
    for _ in 0..2 {
        let words = ["db", "backup", "--keep", "1", "--to", text(folder.path())];
        last = answer(app.data(), &words).await;
    }
    let mut left: Vec<_> =
        folder.path().read_dir().expect("a folder").flatten().map(|entry| entry.path()).collect();
    left.sort();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(json!(left[1]), last["file"], "beside what is no backup, the newest alone");
}
