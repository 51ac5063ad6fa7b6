//! What is used stays, what is claimed is nobody's to begin with, and what went can come again.

use std::time::{Duration, SystemTime};

use roadstead_packages::Manager;
use roadstead_test_support::registry::{NpmPackage, Registry};
use tokio::task::JoinSet;

use crate::room::{nothing_is_left, room_of, wanted};

fn registry() -> Registry {
    let registry = Registry::start();
    registry.npm(&NpmPackage::honest("tool", "1.0.0"));
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_held_is_not_claimed_and_one_that_is_claimed_is_waited_for() {
    let registry = registry();
    let room = room_of(&registry, |_| {});
    let tool = wanted(Manager::Npm, "tool", Some("1.0.0"));
    let (stored, hold) = room.store.install(&tool, |_| {}).await.unwrap();
    assert_eq!(stored.place.split('/').next(), Some("npm"), "{}", stored.place);
    assert!(room.store.claim(stored.clone()).unwrap().is_none(), "an import uses it");
    drop(hold);
    // Decided about and left: whoever waited has it.
    let claim = room.store.claim(stored.clone()).unwrap().unwrap();
    let mut waiting = JoinSet::new();
    let wait = |waiting: &mut JoinSet<_>| {
        let (store, tool) = (room.store.clone(), tool.clone());
        waiting.spawn(async move { store.install(&tool, |_| {}).await.unwrap() });
    };
    wait(&mut waiting);
    drop(claim);
    let (again, hold) = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(again, stored);
    drop(hold);
    // Decided about and taken away: whoever waited has it installed again.
    let asked = registry.asked().len();
    let claim = room.store.claim(stored.clone()).unwrap().unwrap();
    wait(&mut waiting);
    let outgoing = room.store.take_out(claim).unwrap();
    assert!(room.store.hold(&stored.place).await.is_ok());
    outgoing.remove().unwrap();
    let (again, _hold) = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(again.place, stored.place, "the same files are the same package");
    assert!(registry.asked().len() > asked, "it was fetched again");
    assert!(again.tree.join("node_modules/tool/run.js").is_file());
    nothing_is_left(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_opened_leaves_what_another_installs_and_clears_what_nobody_does() {
    let registry = registry();
    registry.hang("/silent");
    let room = room_of(&registry, |_| {});
    let left = room.root.join(".staging/left/tree");
    std::fs::create_dir_all(&left).unwrap();
    let silent = wanted(Manager::Npm, "silent", Some("1.0.0"));
    let store = room.store.clone();
    let mut installing = JoinSet::new();
    installing.spawn(async move { store.install(&silent, |_| {}).await });
    roadstead_test_support::wait_for("npm to ask", Duration::from_mins(1), async || {
        registry.asked().contains(&"/silent".to_owned()).then_some(())
    })
    .await;
    let second = room.another();
    assert!(!left.exists(), "what nobody installs is cleared");
    assert_eq!(
        std::fs::read_dir(room.root.join(".staging")).unwrap().count(),
        1,
        "what somebody does is not"
    );
    let (stored, _hold) = second.install(&wanted(Manager::Npm, "tool", Some("1.0.0")), |_| {}).await.unwrap();
    assert_eq!(room.store.all(), [stored]);
    installing.shutdown().await;
    nothing_is_left(&room);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_remembers_when_it_was_needed() {
    let registry = registry();
    let room = room_of(&registry, |_| {});
    let (stored, _hold) = room.store.install(&wanted(Manager::Npm, "tool", None), |_| {}).await.unwrap();
    assert_eq!(room.store.used_at(&stored), None);
    assert!(room.store.installed_at(&stored).is_some());
    let then = SystemTime::UNIX_EPOCH + Duration::from_hours(480_000);
    room.store.mark_used(&stored.place, then).unwrap();
    assert_eq!(room.store.used_at(&stored), Some(then));
    assert_eq!(room.store.cleaned_at(), None);
    room.store.mark_cleaned(then).unwrap();
    assert_eq!(room.store.cleaned_at(), Some(then));
    let folder = room.root.to_string_lossy();
    let places =
        room.store.places_in([format!("--module={folder}/{}/tree/x", stored.place).as_str(), "/usr/bin"]);
    assert_eq!(places.into_iter().collect::<Vec<_>>(), [stored.place]);
}
