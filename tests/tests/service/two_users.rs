//! Two users launch the same public server at the same moment, many times over, each with secrets of their own: every server
//! holds the one that it was launched with and no other, neither in what it is given nor in what it can read of the machine.

use crate::support::ways;

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use nix::unistd::geteuid;
use roadstead_test_support::app::{App, AppOptions};
use roadstead_test_support::raw::{Session, http_client};
use serde_json::{Value, json};

/// Each user's launches of each type.
const LAUNCHES: usize = 3;
/// The variable that the servers are given their secret in.
const VARIABLE: &str = "HARBOUR_TOKEN";
const SLOT: &str = "harbour_token";

/// Somebody with a key, and a credential that is stored.
struct Person {
    name: &'static str,
    key: String,
    stored: String,
    /// What the stored credential holds.
    secret: String,
}

/// A running server and the secret that it was launched with.
struct Held<'a> {
    owner: &'a Person,
    row: Value,
    secret: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_two_users_that_start_at_once_each_see_their_own_secret_alone() {
    let app = service().await;
    let source = "npm:@modelcontextprotocol/server-everything@2026.8.31";
    added(&app, json!({"source": source, "name": "everything", "args": ["stdio"], "secrets": [VARIABLE]}))
        .await;
    let speaks_http = json!({
        "source": source, "name": "everything-http", "args": ["streamableHttp"], "secrets": [VARIABLE],
        "env": {"PORT": "${port}"}, "url": "http://localhost:${port}/mcp", "allow_any_interface": true,
    });
    added(&app, speaks_http).await;
    // As many at one time as processors can start within the time that a server has for it.
    assert_eq!(app.set("launches.at_once", json!(4)).await, 200);
    let types = ["everything", "everything-http"];
    let [alice, bob] = &people(&app, "everything").await;

    // Both users in turn, each type in turn: one with what is stored, the others with a secret of their own.
    let launches = (0..LAUNCHES).flat_map(|number| types.iter().map(move |name| (number, *name)));
    let launches = launches.flat_map(|(number, name)| [alice, bob].map(|owner| (number, name, owner)));
    let all = join_all(launches.map(|(number, name, owner)| held(&app, owner, name, number))).await;
    assert_eq!(all.len(), 4 * LAUNCHES);

    let saw = join_all(all.iter().map(|one| async {
        let text = call(one, "get-env", json!({})).await;
        let environment: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(environment[VARIABLE], one.secret, "{}", one.owner.name);
        text
    }))
    .await;
    for (one, text) in all.iter().zip(&saw) {
        assert_holds_only_its_own(one, &all, text, "what its own tool tells");
        if geteuid().is_root() {
            assert_holds_only_its_own(one, &all, &environ(process(one)), "what the kernel keeps");
        }
    }
    if geteuid().is_root() {
        let users: BTreeSet<u32> = all.iter().map(|one| user_of(process(one))).collect();
        assert_eq!(users.len(), all.len(), "each runs as a user of its own: {users:?}");
    }
    strangers_are_kept_out(&app, &all, [alice, bob]).await;
    let told = app.log();
    assert!(all.iter().all(|one| !told.contains(&one.secret)), "no secret is in the log");
    let (status, _folder) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_reads_all_of_proc_finds_no_environment_of_another_user() {
    let app = service().await;
    let source = "npm:@modelcontextprotocol/server-filesystem@2026.8.31";
    added(&app, json!({"source": source, "name": "files", "args": ["/proc"], "secrets": [VARIABLE]})).await;
    let [alice, bob] = &people(&app, "files").await;
    let (mine, theirs) = tokio::join!(held(&app, alice, "files", 1), held(&app, bob, "files", 1));
    for (one, other) in [(&mine, &theirs), (&theirs, &mine)] {
        let own = call(one, "read_text_file", json!({"path": "/proc/self/environ"})).await;
        assert!(own.contains(&one.secret), "it can read what is its own");
        let listed = call(one, "list_directory", json!({"path": "/proc"})).await;
        let mut pids: BTreeSet<i32> =
            listed.lines().filter_map(|line| line.strip_prefix("[DIR] ")?.parse().ok()).collect();
        assert!(!pids.is_empty(), "it sees processes: {listed}");
        // By the numbers that are seen from outside, too.
        pids.extend([process(other), process(one)]);
        for pid in pids {
            let read = call(one, "read_text_file", json!({"path": format!("/proc/{pid}/environ")})).await;
            assert!(
                !read.contains(&other.secret),
                "{} reads the secret of {}",
                one.owner.name,
                other.owner.name
            );
        }
    }
    let (status, _folder) = app.interrupt().await;
    assert!(status.success(), "{status}");
}

async fn service() -> App {
    App::start_with(AppOptions { environment: ways::of_this_machine(), ..AppOptions::default() }).await
}

async fn added(app: &App, body: Value) {
    let answer = app.ask("POST", "/types/import", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{}", app.log());
}

/// Two ordinary users, each with a stored credential for a type.
async fn people(app: &App, type_name: &str) -> [Person; 2] {
    let scopes = app.ask("GET", "/me", None).await.body["key"]["scopes"].clone();
    let made = ["alice", "bob"].map(async |name| {
        let body = json!({"email": format!("{name}@example.com"), "name": name});
        let user = app.ask("POST", "/users", Some(body)).await;
        assert_eq!(user.status, 201, "{user:?}");
        let body = json!({"name": name, "scopes": scopes, "user_id": user.body["id"]});
        let key = app.ask("POST", "/api-keys", Some(body)).await;
        let key = key.body["key"].as_str().unwrap_or_else(|| panic!("{key:?}")).to_owned();
        let secret = format!("canary-of-{name}-stored-0000");
        let body = json!({"type": type_name, "name": "mine", "values": {SLOT: secret}});
        let stored = app.ask_as(&key, "POST", "/credentials", Some(body)).await;
        let stored = stored.body["id"].as_str().unwrap_or_else(|| panic!("{stored:?}")).to_owned();
        Person { name, key, stored, secret }
    });
    let [alice, bob] = made;
    [alice.await, bob.await]
}

/// Launches a type for somebody: the first time with what is stored where it is for this type, else with a secret of its own.
async fn held<'a>(app: &App, owner: &'a Person, type_name: &str, number: usize) -> Held<'a> {
    let is_stored = number == 0 && type_name == "everything";
    let secret = if is_stored {
        owner.secret.clone()
    } else {
        format!("canary-of-{}-{type_name}-{number}", owner.name)
    };
    let mut body = json!({"type": type_name, "expires_in": "1h"});
    if is_stored {
        body["credential_id"] = json!(owner.stored);
    } else {
        body["credentials"] = json!({SLOT: secret});
    }
    let answer = app.ask_as(&owner.key, "POST", "/instances", Some(body)).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{}", app.log());
    Held { owner, row: answer.body, secret }
}

fn text<'a>(one: &'a Held<'_>, name: &str) -> &'a str {
    one.row[name].as_str().unwrap_or_else(|| panic!("{name} of an instance"))
}

fn process(one: &Held<'_>) -> i32 {
    one.row["process_id"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("it runs")
}

/// What a tool says, or that it failed.
async fn call(one: &Held<'_>, tool: &str, arguments: Value) -> String {
    let session =
        Session::open(&http_client(false), text(one, "access_url"), text(one, "access_token")).await;
    let answer = session.call(&json!(tool), tool, &arguments).await;
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The environment that a process was started with.
fn environ(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).expect("root reads what it likes");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn user_of(pid: i32) -> u32 {
    let folder = std::fs::metadata(Path::new("/proc").join(pid.to_string())).expect("it runs");
    std::os::unix::fs::MetadataExt::uid(&folder)
}

#[track_caller]
fn assert_holds_only_its_own(one: &Held<'_>, all: &[Held<'_>], text: &str, what: &str) {
    assert!(text.contains(&one.secret), "{what}: the secret of its own launch");
    let strange = all.iter().find(|other| other.secret != one.secret && text.contains(&other.secret));
    assert!(strange.is_none(), "{what}: a secret of {:?}", strange.map(|other| other.owner.name));
}

/// Nobody's token opens another's instance, and nobody's key shows it.
async fn strangers_are_kept_out(app: &App, all: &[Held<'_>], [alice, bob]: [&Person; 2]) {
    let first = |owner: &Person| all.iter().find(|one| one.owner.name == owner.name).expect("they launched");
    for (stranger, one) in [(bob, first(alice)), (alice, first(bob))] {
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let token = text(first(stranger), "access_token");
        let answer = app.mcp(text(one, "access_url"), token, None, ping).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let path = format!("/instances/{}", text(one, "id"));
        assert_eq!(app.ask_as(&stranger.key, "GET", &path, None).await.status, 404);
    }
}
