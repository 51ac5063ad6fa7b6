//! Many instances come and go at once, and nothing adds up.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

/// Launches at one time.
const AT_ONCE: usize = 100;
/// Rounds of launches and deletes.
const ROUNDS: usize = 5;
/// The pool: no port is needed twice while it rests.
const PORTS: (u16, u16) = (22_000, 22_599);
/// How long what was ended may take to be gone on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Descriptors that may be more after all rounds than after the first: connections of pools come and go, and one
/// left by each launch would be many more.
const DESCRIPTOR_SLACK: usize = 60;
/// The order of the deletes is any, and the same each time.
const SEED: u64 = 0x726f_6164_7374_6561;

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// Every process below one, however far.
fn descendants(of: i32) -> Vec<(i32, String)> {
    let mut parents = HashMap::new();
    for entry in std::fs::read_dir("/proc").expect("/proc can be read").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((head, rest)) = stat.rsplit_once(") ") else { continue };
        let parent = rest.split_whitespace().nth(1).and_then(|parent| parent.parse::<i32>().ok());
        let name = head.split_once('(').map_or("", |(_, name)| name);
        parents.insert(pid, (parent.unwrap_or(0), name.to_owned()));
    }
    let below = |mut pid: i32| loop {
        match parents.get(&pid) {
            Some((parent, _)) if *parent == of => return true,
            Some((parent, _)) => pid = *parent,
            None => return false,
        }
    };
    let found = parents.iter().filter(|(pid, _)| below(**pid));
    found.map(|(pid, (_, name))| (*pid, name.clone())).collect()
}

/// Shims, inits and servers, zombies among them: a child that nobody waited for is a leak as well.
fn of_instances(service: i32) -> Vec<(i32, String)> {
    let mut all = descendants(service);
    all.retain(|(_, name)| name.starts_with("roadstead"));
    all
}

async fn set(app: &App, key: &str, value: u32) {
    let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Launches many at once; answers with what the API says of each and how long each took.
async fn launch_all(app: &App) -> (Vec<Value>, Vec<Duration>) {
    let launches = (0..AT_ONCE).map(|_| async {
        let begun = Instant::now();
        let body = app.launch(json!({"type": "echo", "expires_in": "1h"})).await;
        (body, begun.elapsed())
    });
    let mut answers: Vec<_> = futures_util::future::join_all(launches).await;
    answers.sort_by_key(|(_, took)| *took);
    answers.into_iter().unzip()
}

async fn delete_all(app: &App, instances: &[Value]) {
    let deletes = instances.iter().map(|instance| async {
        let id = instance["id"].as_str().expect("an id");
        let answer = app.ask("DELETE", &format!("/instances/{id}"), None).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    });
    futures_util::future::join_all(deletes).await;
}

/// Nothing of any instance is left, neither as process nor as row, port or folder.
async fn nothing_is_left(app: &App, instances: &[Value]) {
    wait_for("every shim and server to be gone and waited for", PATIENCE, async || {
        of_instances(app.pid()).is_empty().then_some(())
    })
    .await;
    for instance in instances {
        for field in ["process_id", "shim_process_id"] {
            let pid = instance[field].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id");
            assert!(!is_alive(pid), "{field} {pid} still runs");
        }
    }
    for status in ["pending", "running"] {
        let rows = app.ask("GET", &format!("/instances?status={status}"), None).await;
        assert_eq!(rows.body["data"], json!([]), "{status}");
    }
    let ports = app.ask("GET", "/ports", None).await;
    let ports = ports.body["data"].as_array().expect("a list");
    let held: Vec<_> = ports.iter().filter(|port| port["state"] == "leased").collect();
    assert!(held.is_empty(), "{held:?}");
    let folders =
        std::fs::read_dir(app.data().join("instances")).expect("the folder of the servers' folders");
    assert_eq!(folders.count(), 0, "folders of servers are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_rounds_of_a_hundred_launches_and_deletes_leave_no_process_port_descriptor_or_row() {
    let app = App::start().await;
    set(&app, "mcp.max_instances_per_user", 1_000).await;
    set(&app, "port.range_end", u32::from(PORTS.1)).await;
    set(&app, "port.range_start", u32::from(PORTS.0)).await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut after_first = None;
    for round in 1..=ROUNDS {
        let begun = Instant::now();
        let (mut instances, times) = launch_all(&app).await;
        let (launched, median, slowest) = (begun.elapsed(), times[AT_ONCE / 2], times[AT_ONCE - 1]);
        let mut ports: Vec<_> = instances.iter().map(|each| each["assigned_port"].as_u64()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), AT_ONCE, "two instances share a port");
        assert!(of_instances(app.pid()).len() >= 2 * AT_ONCE, "each has a shim and a server");

        instances.shuffle(&mut random);
        let begun = Instant::now();
        delete_all(&app, &instances).await;
        eprintln!(
            "round {round}: {AT_ONCE} launches in {launched:.0?} (median {median:.0?}, slowest {slowest:.0?}), \
             deletes in {:.0?}, {} descriptors",
            begun.elapsed(),
            descriptors(app.pid()),
        );
        nothing_is_left(&app, &instances).await;
        let limit = *after_first.get_or_insert_with(|| descriptors(app.pid())) + DESCRIPTOR_SLACK;
        wait_for("descriptors to be as few as after the first round", PATIENCE, async || {
            (descriptors(app.pid()) <= limit).then_some(())
        })
        .await;
    }
}
