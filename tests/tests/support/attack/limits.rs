//! More than its share: what is enforced stops it there, what is sampled ends it, and what is absent is said to be.

use std::collections::BTreeMap;
use std::time::Duration;

use roadstead_test_support::app::is_alive;
use serde_json::{Value, json};

use super::machine::{Machine, Who};
use super::scene::{Scene, resident_kb};

/// The limits of the hostile type, and how far above it an attempt goes.
const PROCESSES: u64 = 40;
const MEMORY_MB: u64 = 128;
const CPU_THOUSANDTHS: u64 = 500;
const OPEN_FILES: u64 = 200;
const FILE_MB: u64 = 16;
const DISK_MB: u64 = 64;
/// What is sampled is found at the second look, ten seconds after the first at the latest.
const SAMPLED_PATIENCE: Duration = Duration::from_mins(1);
/// A share is measured over few periods of the scheduler.
const CPU_SLACK: u64 = 150;
/// What is said without an end, in megabytes.
const FLOOD_MB: u64 = 64;
/// How much the service may grow while somebody floods it.
const SERVICE_SLACK_KB: u64 = 48 * 1024;

/// The limits of which the API tells, by the attempts on them, and what is taken at most.
const KEPT: [(&str, &str, u64); 7] = [
    ("fork-bomb", "processes", 4 * PROCESSES),
    ("memory-balloon", "memory", 2 * MEMORY_MB),
    ("memory-balloon-shared", "memory", 2 * MEMORY_MB),
    ("cpu-burner", "cpu", 0),
    ("descriptor-hoarder", "open_files", 4 * OPEN_FILES),
    ("big-file", "file_size", 4 * FILE_MB),
    ("disk-filler", "disk", 2 * DISK_MB),
];

/// The heading of the machine's column; none for one that shows nothing new.
pub(crate) fn heading(machine: &Machine) -> Option<&'static str> {
    match (machine.who, machine.lacks) {
        (Who::Root, "") => Some("as root"),
        (Who::Root, "cgroups") => Some("as root, without control groups"),
        (Who::User, "") => Some("as an ordinary user"),
        _ => None,
    }
}

/// Has all limits tried; answers with how each is held.
pub(crate) async fn held(scene: &Scene) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for (name, limit, most) in KEPT {
        let mut attacker = scene.attacker("hostile").await;
        let held = attacker.row["confinement"]["limits"][limit].as_str().expect("a word").to_owned();
        let said = attacker.attempt(name, &json!({"most": most})).await;
        println!("  {name}: {held} {said:?}");
        match &*held {
            "enforced" => stopped_in_time(limit, said.as_ref()),
            // What it took it still has: it is found above its limit, and ended.
            "sampled" if limit == "disk" => {
                scene.running.app.wait_status(&attacker.launched.id, "error", SAMPLED_PATIENCE).await;
            }
            _ => {}
        }
        end(scene, &attacker.launched.id).await;
        told.insert(name.to_owned(), held);
    }
    for name in ["log-flood", "output-flood"] {
        flooded(scene, name).await;
        told.insert(name.to_owned(), "enforced".to_owned());
    }
    assert!(scene.harm().is_empty(), "the neighbour has felt it: {:?}", scene.harm());
    scene.neighbour_answers().await;
    told
}

/// What is enforced was not taken; a server that was ended for it took nothing more either.
fn stopped_in_time(limit: &str, said: Option<&Value>) {
    let Some(said) = said else { return };
    let took = said["count"].as_u64().unwrap_or_else(|| panic!("{limit}: {said}"));
    let most = match limit {
        "processes" => PROCESSES,
        "memory" => MEMORY_MB,
        "cpu" => CPU_THOUSANDTHS + CPU_SLACK,
        "open_files" => OPEN_FILES,
        "file_size" => FILE_MB,
        "disk" => DISK_MB,
        _ => unreachable!("every limit has an amount"),
    };
    assert!(took <= most, "{limit}: took {took} of {most}: {said}");
}

/// A server that says more than anybody can hear: the service keeps its size, and the server is heard or ended.
async fn flooded(scene: &Scene, name: &str) {
    let mut attacker = scene.attacker("hostile").await;
    let before = resident_kb(&scene.running.app);
    let said = attacker.attempt(name, &json!({"most": FLOOD_MB})).await;
    let after = resident_kb(&scene.running.app);
    println!("  {name}: {said:?}, the service from {before} to {after} kB");
    assert!(after < before + SERVICE_SLACK_KB, "{name}: the service went from {before} to {after} kB");
    assert!(is_alive(scene.running.app.pid()), "{name}: the service has ended");
    end(scene, &attacker.launched.id).await;
}

async fn end(scene: &Scene, id: &str) {
    // It may have ended itself.
    let _ = scene.running.app.ask("POST", &format!("/instances/{id}/stop"), None).await;
}
