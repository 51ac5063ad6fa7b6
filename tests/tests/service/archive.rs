//! Going back to a moment: what was there then is there again, with what is sealed and the audit log; and whatever is missing or
//! damaged is found before anything is changed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use roadstead_test_support::Rows;
use roadstead_test_support::app::{App, AppOptions, data_folder, programs};
use roadstead_test_support::poll::wait_for;
use serde_json::{Value, json};

/// How long a file of the log may take to be archived on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// The database's own time, as a moment on the command line.
const NOW: &str = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// Runs the program beside a data folder's service, or without one.
#[expect(clippy::disallowed_methods, reason = "the one place of this test that starts the program")]
fn roadstead(data: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(programs().join("roadstead"))
        .arg("--data-dir")
        .arg(data)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.iter().copied())
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
        roadstead(&data, &[], &words)
    });
    let output = done.await.expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What a command that must fail says, and its code.
fn refused(data: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let output = roadstead(data, environment, arguments);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn mode(path: &Path) -> u32 {
    let about = path.metadata().expect("it is there");
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777
}

async fn now(data: &Path) -> String {
    let mut rows = Rows::of(data).await;
    let now = rows.texts(NOW).await.remove(0);
    rows.close().await;
    now
}

/// The words that go back to a moment.
fn restore(at: &str) -> Vec<&str> {
    vec!["db", "restore", "--at", at, "--yes"]
}

async fn store(app: &App, name: &str) -> String {
    let body = json!({"type": "kept", "name": name, "values": {"token": format!("secret of {name}")}});
    let answer = app.ask("POST", "/credentials", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().expect("an id").to_owned()
}

/// What a launched server was given as its token.
fn token_of(launched: &Value) -> String {
    let environment = std::fs::read(format!("/proc/{}/environ", launched["process_id"])).expect("it runs");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let found = environment.split('\0').find_map(|pair| pair.strip_prefix("ECHO_TOKEN="));
    found.expect("it has a token").to_owned()
}

/// A folder to archive to, and the services that do.
struct Place {
    archive: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { archive: data_folder() }
    }

    async fn start(&self, data: Option<tempfile::TempDir>) -> App {
        let environment = vec![
            ("ROADSTEAD_ARCHIVE".to_owned(), text(self.archive.path()).to_owned()),
            ("ROADSTEAD_ARCHIVE_TIMEOUT".to_owned(), "3600".to_owned()),
        ];
        App::start_with(AppOptions { data, environment, ..AppOptions::default() }).await
    }

    /// The installation's own folder in it.
    fn own(&self, data: &Path) -> PathBuf {
        let id = std::fs::read_to_string(data.join("installation")).expect("it is known");
        self.archive.path().join(id.trim())
    }
}

/// Three moments in the life of a service, whose log is all archived.
struct Story {
    place: Place,
    data: tempfile::TempDir,
    /// Before the base backup.
    first: String,
    /// After it, and after changes.
    second: String,
    /// After what one would like undone.
    third: String,
    kept: String,
    replaced: String,
    instance: String,
    base: Value,
}

impl Story {
    async fn new() -> Self {
        let place = Place::new();
        let app = place.start(None).await;
        app.define_echo("kept", &[]).await;
        let kept = store(&app, "kept").await;
        let first = now(app.data()).await;
        let base = answer(app.data(), &["db", "backup", "--base"]).await;
        let replaced = store(&app, "replaced").await;
        let launched = app.launch(json!({"type": "kept", "credential_id": kept})).await;
        let instance = launched["id"].as_str().expect("an id").to_owned();
        let second = now(app.data()).await;
        // What one would like undone.
        let gone = app.ask("DELETE", &format!("/instances/{instance}"), None).await;
        assert!(gone.status < 300, "{gone:?}");
        let body = json!({"values": {"token": "another"}});
        let other = app.ask("PUT", &format!("/credentials/{replaced}"), Some(body)).await;
        assert!(other.status < 300, "{other:?}");
        let gone = app.ask("DELETE", &format!("/credentials/{kept}"), None).await;
        assert!(gone.status < 300, "{gone:?}");
        store(&app, "of afterwards").await;
        let third = now(app.data()).await;
        let (status, data) = app.interrupt().await;
        assert!(status.success(), "{status}");
        Self { place, data, first, second, third, kept, replaced, instance, base }
    }

    /// What the story is about, as a service of a data folder tells it.
    async fn is_as_then(&self, app: &App) {
        let names = app.ask("GET", "/credentials", None).await.body["data"].clone();
        let names: Vec<&str> =
            names.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
        assert!(names.contains(&"kept") && names.contains(&"replaced"), "{names:?}");
        assert!(!names.contains(&"of afterwards"), "{names:?}");
        // It lived then, and its process has ended since.
        app.wait_status(&self.instance, "disconnected", PATIENCE).await;
        for (credential, name) in [(&self.kept, "kept"), (&self.replaced, "replaced")] {
            let launched = app.launch(json!({"type": "kept", "credential_id": credential})).await;
            assert_eq!(token_of(&launched), format!("secret of {name}"));
        }
        let verified = app.ask("GET", "/audit/verify", None).await;
        assert_eq!(verified.status, 200, "{verified:?}");
        assert_eq!(verified.body["whole"], true, "{verified:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_a_moment_comes_back_and_goes_on_from_there() {
    let mut story = Story::new().await;
    let (data, own) = (story.data.path(), story.place.own(story.data.path()));
    let base = PathBuf::from(story.base["folder"].as_str().expect("a folder"));
    for folder in [own.join("wal"), own.join("bases"), base.clone()] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for file in own.join("wal").read_dir().expect("a folder").flatten() {
        assert_eq!(mode(&file.path()), 0o600, "{file:?}");
    }
    let restored = answer(data, &[&restore(&story.second)[..], &["--keep-old"]].concat()).await;
    assert_eq!(restored["audit"]["whole"], true, "{restored}");
    assert_eq!(restored["missing_keys"], json!([]));
    assert!(Path::new(restored["set_aside"].as_str().expect("a path")).is_dir(), "{restored}");
    assert!(!data.join("postgres/restoring").exists() && !data.join("postgres/cluster.set-aside").exists());
    assert_eq!(answer(data, &["db", "validate"]).await, json!([]));

    let Story { place, data, .. } = &mut story;
    let app = place.start(Some(std::mem::replace(data, data_folder()))).await;
    story.is_as_then(&app).await;
    // It goes on archiving, in a history of its own, and one can go back on that one as well.
    store(&app, "of the other history").await;
    answer(app.data(), &["db", "backup", "--base"]).await;
    let third = now(app.data()).await;
    store(&app, "too late").await;
    let (_, data) = app.interrupt().await;
    let again = answer(data.path(), &restore(&third)).await;
    assert_eq!((&again["set_aside"], &again["restored"]["timeline"]), (&Value::Null, &json!(3)), "{again}");
    let app = story.place.start(Some(data)).await;
    let names = app.ask("GET", "/credentials", None).await.body.to_string();
    assert!(names.contains("of the other history") && !names.contains("too late"), "{names}");
    // What was undone is not gone: at that moment, the first history was the true one.
    let (_, data) = app.interrupt().await;
    let undone = answer(data.path(), &restore(&story.third)).await;
    assert_eq!(undone["restored"]["timeline"], json!(4), "{undone}");
    let app = story.place.start(Some(data)).await;
    let names = app.ask("GET", "/credentials", None).await.body.to_string();
    assert!(names.contains("of afterwards") && !names.contains("of the other history"), "{names}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_alone_is_enough_on_another_machine() {
    let story = Story::new().await;
    let there = data_folder();
    let from = story.place.own(story.data.path());
    let words = [&restore(&story.second)[..], &["--from", text(story.place.archive.path())]].concat();
    // Without the key, everything is there but what is sealed.
    let (code, said) = refused(there.path(), &[], &words);
    assert!(code == 78 && said.contains("is missing"), "{code} {said}");
    for file in ["profile.json", "master.key"] {
        std::fs::copy(story.data.path().join(file), there.path().join(file)).expect("it can be copied");
    }
    let again = [&restore(&story.second)[..], &["--from", text(&from)]].concat();
    let restored = answer(there.path(), &again).await;
    assert_eq!(restored["missing_keys"], json!([]), "{restored}");
    let app = App::start_with(AppOptions { data: Some(there), ..AppOptions::default() }).await;
    story.is_as_then(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_damaged_is_found_before_anything_is_changed() {
    let story = Story::new().await;
    let (data, own) = (story.data.path(), story.place.own(story.data.path()));
    let words = restore(&story.second);
    let cluster =
        std::os::unix::fs::MetadataExt::ino(&data.join("postgres/cluster").metadata().expect("a cluster"));

    let (code, said) = refused(data, &[], &restore(&story.first));
    assert!(code == 66 && said.contains("no moment before it"), "{code} {said}");
    let (code, said) = refused(data, &[], &restore("2999-01-01T00:00:00Z"));
    assert!(code == 64 && said.contains("still to come"), "{code} {said}");
    let (code, said) = refused(data, &[], &restore("yesterday"));
    assert!(code == 64 && said.contains("2026-11-21T12:00:00Z"), "{code} {said}");
    let (code, said) = refused(data, &[("DATABASE_URL", "postgres://localhost:1/x")], &words);
    assert!(code == 64 && said.contains("DATABASE_URL"), "{code} {said}");
    let (code, said) = refused(data_folder().path(), &[], &words);
    assert!(code == 66 && said.contains("--from"), "{code} {said}");

    // A file of the log: the one that the base ends in, which none can do without.
    let until = story.base["base"]["until"].as_str().expect("a place");
    let (upper, lower) = until.split_once('/').expect("two parts");
    let number = |digits| u32::from_str_radix(digits, 16).expect("a number");
    let name = format!("{:08X}{:08X}{:08X}.gz", 1, number(upper), number(lower) >> 24);
    let (file, away) = (own.join("wal").join(&name), own.join("away"));
    std::fs::rename(&file, &away).expect("it is there");
    let (code, said) = refused(data, &[], &words);
    assert!(code == 1 && said.contains(&name) && said.contains("is missing"), "{code} {said}");
    let bytes = std::fs::read(&away).expect("it is there");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("it can be written");
    let (code, said) = refused(data, &[], &words);
    assert!(code == 1 && said.contains(&name) && said.contains("is damaged"), "{code} {said}");
    std::fs::rename(&away, &file).expect("it goes back");

    // A byte of the base.
    let base = PathBuf::from(story.base["folder"].as_str().expect("a folder"));
    let control = base.join("global/pg_control");
    let mut bytes = std::fs::read(&control).expect("it is there");
    bytes[100] ^= 1;
    std::fs::write(&control, &bytes).expect("it can be written");
    let (code, said) = refused(data, &[], &words);
    assert!(code == 1 && said.contains("is damaged") && said.contains("pg_control"), "{code} {said}");

    let after =
        std::os::unix::fs::MetadataExt::ino(&data.join("postgres/cluster").metadata().expect("a cluster"));
    assert_eq!(cluster, after, "the same cluster is in its place");
    assert!(!data.join("postgres/restoring").exists());
    let Story { place, data, second, .. } = story;
    let app = place.start(Some(data)).await;
    let (code, said) = refused(app.data(), &[], &["db", "restore", "--at", &second, "--yes"]);
    assert!(code == 1 && said.contains("the service runs"), "{code} {said}");
    let names = app.ask("GET", "/credentials", None).await.body.to_string();
    assert!(names.contains("of afterwards") && !names.contains("\"name\":\"kept\""), "{names}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_away_is_told_and_loses_nothing() {
    let place = Place::new();
    let app = place.start(None).await;
    let wal = place.own(app.data()).join("wal");
    let away = place.archive.path().join("away");
    std::fs::rename(&wal, &away).expect("it can be moved");
    let mut owner = Rows::of_admin(app.data()).await;
    let switch = "select pg_walfile_name(pg_switch_wal())";
    let name = owner.texts(switch).await.remove(0);
    wait_for("the server to notice", PATIENCE, async || {
        (owner.number("select failed_count from pg_stat_archiver").await > 0).then_some(())
    })
    .await;
    let doctor = roadstead(app.data(), &[], &["doctor", "--json"]);
    let checks: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let check =
        checks.as_array().expect("a list").iter().find(|one| one["id"] == "archive").expect("it is there");
    assert_eq!(check["verdict"], "broken", "{check}");
    assert!(check["found"].as_str().is_some_and(|found| found.contains("is not there")), "{check}");
    let (code, said) = refused(app.data(), &[], &["db", "backup", "--base"]);
    assert!(code == 1 && said.contains("is not there"), "{code} {said}");

    // A service that starts meanwhile says so, and starts.
    drop(owner);
    let (_, data) = app.interrupt().await;
    let app = place.start(Some(data)).await;
    wait_for("the service to say so", PATIENCE, async || {
        app.log().contains("nothing is archived").then_some(())
    })
    .await;
    std::fs::rename(&away, &wal).expect("it goes back");
    wait_for("what waited to be archived", PATIENCE * 2, async || {
        wal.join(format!("{name}.gz")).exists().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_bases_are_kept_with_the_log_that_they_need() {
    let place = Place::new();
    let app = place.start(None).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(answer(app.data(), &["db", "backup", "--base"]).await);
    }
    let own = place.own(app.data());
    let files = || own.join("wal").read_dir().expect("a folder").count();
    let before = files();
    let last = answer(app.data(), &["db", "backup", "--base", "--keep", "2"]).await;
    assert_eq!(last["removed"].as_array().map(Vec::len), Some(2), "{last}");
    assert!(last["removed_log_files"].as_u64().is_some_and(|gone| gone >= 2), "{last}");
    assert!(files() <= before, "{before}");
    for (nth, base) in all.iter().enumerate() {
        let folder = base["folder"].as_str().expect("a path");
        assert_eq!(Path::new(folder).is_dir(), nth == 2, "{folder}");
    }
    // Turned off, the next start has no archive.
    let (_, data) = app.interrupt().await;
    let environment = vec![("ROADSTEAD_ARCHIVE".to_owned(), "off".to_owned())];
    let app = App::start_with(AppOptions { data: Some(data), environment, ..AppOptions::default() }).await;
    let (code, said) = refused(app.data(), &[], &["db", "backup", "--base"]);
    assert!(code == 78 && said.contains("archiving is off"), "{code} {said}");
}
