//! A hostile server beside another user's instance: what it tries, at each level of confinement, as root and as an
//! ordinary user, and what comes of it. What it reports is held against what is seen from outside, and both against
//! the table in `docs/security.md`.

#[path = "support/attack/bystander.rs"]
mod bystander;
#[path = "support/attack/limits.rs"]
mod limits;
#[path = "support/attack/machine.rs"]
mod machine;
#[path = "support/reached.rs"]
mod reached;
#[path = "support/attack/scene.rs"]
mod scene;
#[path = "support/attack/table.rs"]
mod table;

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use roadstead_test_support::app::is_alive;
use roadstead_test_support::wait_for;
use serde_json::Value;

use machine::{MACHINES, Machine};
use scene::{Attacker, Scene, named};
use table::{Column, Table, Verdict};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// The attempts that end with their instance.
const LAST: [&str; 2] = ["outlive", "outlive-killed-shim"];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_server_gets_what_its_level_of_confinement_says_and_no_more() {
    if !geteuid().is_root() {
        println!("skipped: only root can be root and every other user");
        return;
    }
    if let Some(less) = reached::less_than_full() {
        println!("skipped: this machine lacks what the highest level needs: {less}");
        return;
    }
    let mut table = Table::default();
    for machine in &MACHINES {
        println!("{:?}, {}", machine.who, machine.column);
        let mut scene = Scene::set(machine).await;
        if machine.is_best() {
            let column = attacked(&mut scene, machine, "unwalled", "none", &mut table).await;
            table.add(machine.who, "none", column);
        }
        let column = attacked(&mut scene, machine, "hostile", machine.level, &mut table).await;
        table.add(machine.who, machine.column, column);
        if let Some(heading) = limits::heading(machine) {
            table.add_limits(heading, limits::held(&scene).await);
        }
    }
    table.compare_with_page();
}

/// Has everything attempted by a server of this type.
async fn attacked(
    scene: &mut Scene,
    machine: &Machine,
    kind: &str,
    level: &str,
    table: &mut Table,
) -> Column {
    let is_walled = ["strong", "full"].contains(&level);
    let mut attacker = scene.attacker(kind).await;
    assert_eq!(attacker.row["confinement"]["level"], level, "{:?}: {}", machine.who, attacker.row);
    if table.attempts.is_empty() {
        table.attempts = attacker.attempts().await;
    }
    // Where all must be refused, it means it.
    let signal = if is_walled { Signal::SIGKILL } else { Signal::SIGWINCH };
    let mut column = Column::new();
    let mut broken = Vec::new();
    for [name, _, its_kind] in table.attempts.clone() {
        if its_kind == "limit" || LAST.contains(&name.as_str()) {
            continue;
        }
        scene.reset();
        let target = scene.targets(machine, &attacker.launched, signal as i32);
        let _ = scene.bystander.befallen();
        let said = attacker.attempt(&name, &target).await;
        let befallen = scene.bystander.befallen();
        let verdict = judged(scene, &attacker, said.as_ref(), &befallen);
        println!("  {name}: {verdict:?} {} {befallen:?}", said.clone().unwrap_or_default());
        if is_walled && its_kind == "isolation" {
            let harm = scene.harm();
            if verdict == Verdict::Got || !harm.is_empty() {
                broken.push(format!("{name}: {said:?} {harm:?}"));
            }
        }
        column.insert(name, verdict);
        if said.is_none() {
            attacker = scene.attacker(kind).await;
        }
    }
    if is_walled {
        scene.neighbour_answers().await;
    }
    column.insert(LAST[0].to_owned(), outlived(scene, machine, attacker, Stop::Asked).await);
    let attacker = scene.attacker(kind).await;
    column.insert(LAST[1].to_owned(), outlived(scene, machine, attacker, Stop::ShimKilled).await);
    let survivors: Vec<_> = LAST.iter().filter(|name| column[**name] != Verdict::Refused).collect();
    assert!(survivors.is_empty(), "{:?}, {level}: {survivors:?}", machine.who);
    assert!(broken.is_empty(), "{:?}, {level}: not refused:\n{}", machine.who, broken.join("\n"));
    column
}

/// What came of an attempt, by what it said and by what was seen.
fn judged(scene: &Scene, attacker: &Attacker, said: Option<&Value>, befallen: &[String]) -> Verdict {
    let lives = attacker.launched.lives() && scene.neighbour.lives() && is_alive(scene.running.app.pid());
    // A server without an answer has ended itself, or what kept it.
    let Some(said) = said else { return Verdict::Got };
    let is_seen = !befallen.is_empty() || !lives;
    match said["refused"].as_bool() {
        Some(true) => {
            assert!(!is_seen, "it says that it was refused: {said}, {befallen:?}");
            if said["absent"] == true { Verdict::Absent } else { Verdict::Refused }
        }
        Some(false) => Verdict::Got,
        None if is_seen => Verdict::Got,
        None => Verdict::Refused,
    }
}

/// How an instance ends whose server wants to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Asked,
    ShimKilled,
}

async fn outlived(scene: &Scene, machine: &Machine, mut attacker: Attacker, stop: Stop) -> Verdict {
    let target = scene.targets(machine, &attacker.launched, 0);
    let name = target["name"].as_str().expect("a name").to_owned();
    let said = attacker.attempt(LAST[0], &target).await.expect("an answer");
    assert_eq!(said["refused"], Value::Null, "it is left behind: {said}");
    wait_for("what wants to outlive its instance", PATIENCE, async || {
        (!named(&name).is_empty()).then_some(())
    })
    .await;
    match stop {
        Stop::Asked => {
            let path = format!("/instances/{}/stop", attacker.launched.id);
            assert_eq!(scene.running.app.ask("POST", &path, None).await.status, 200);
        }
        Stop::ShimKilled => {
            kill(Pid::from_raw(attacker.launched.shim), Signal::SIGKILL).expect("this process is root's");
        }
    }
    let is_gone = || !is_alive(attacker.launched.server) && named(&name).is_empty();
    let gone = wait_for("all to be gone", 2 * PATIENCE, async || is_gone().then_some(()));
    if tokio::time::timeout(PATIENCE, gone).await.is_ok() {
        return Verdict::Refused;
    }
    for pid in named(&name) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Verdict::Got
}
