//! The reaper's lease, and rows that nobody answers for.

use std::time::Duration;

use roadstead_model::{EventType, InstanceId, InstanceStatus, NodeId};
use roadstead_store::{LeaseHolder, Order, Reaping};
use roadstead_test_support::wait_for;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

/// How long a connection may take to roll back on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const LONG: Duration = Duration::from_hours(1);

fn holder(number: u128, kind: &'static str) -> LeaseHolder {
    LeaseHolder { id: Uuid::from_u128(number), kind, pid: 7 }
}

#[tokio::test]
async fn one_holds_the_lease_until_it_is_given_up_or_runs_out() {
    let world = World::new().await;
    let leases = world.store().reaper_leases();
    let (first, second) = (holder(1, "daemon"), holder(2, "daemon"));
    assert!(leases.holder(world.node).await.unwrap().is_none());
    assert!(leases.take(world.node, &first, LONG).await.unwrap());
    assert!(leases.take(world.node, &first, LONG).await.unwrap(), "it may be renewed");
    assert!(!leases.take(world.node, &second, LONG).await.unwrap());
    let held = leases.holder(world.node).await.unwrap().unwrap();
    assert_eq!((held.holder, held.kind.as_str(), held.pid), (first.id, "daemon", 7));
    leases.give_up(world.node, second.id).await.unwrap();
    assert!(!leases.take(world.node, &second, LONG).await.unwrap(), "somebody else's cannot be given up");
    leases.give_up(world.node, first.id).await.unwrap();
    assert!(leases.take(world.node, &second, Duration::ZERO).await.unwrap());
    assert!(leases.holder(world.node).await.unwrap().is_none(), "it has run out");
    assert!(leases.take(world.node, &first, LONG).await.unwrap());
}

#[tokio::test]
async fn a_service_follows_a_service_at_once_and_a_daemon_never() {
    let world = World::new().await;
    let leases = world.store().reaper_leases();
    let (before, after) = (holder(1, "service"), holder(2, "service"));
    assert!(leases.take(world.node, &before, LONG).await.unwrap());
    assert!(!leases.take(world.node, &holder(3, "daemon"), LONG).await.unwrap());
    assert!(leases.take(world.node, &after, LONG).await.unwrap());
    leases.give_up(world.node, after.id).await.unwrap();
    assert!(leases.take(world.node, &holder(3, "daemon"), LONG).await.unwrap());
    assert!(!leases.take(world.node, &after, LONG).await.unwrap());
    let unknown = NodeId::from_uuid(Uuid::from_u128(9));
    assert!(
        !leases.take(unknown, &before, LONG).await.unwrap(),
        "nobody reaps on a machine that is not known"
    );
}

fn reaping(due_by: OffsetDateTime) -> Reaping {
    Reaping {
        status: InstanceStatus::Expired,
        at: due_by,
        due_by,
        error_message: Some("its time was up".to_owned()),
        details: json!({}),
        event_type: EventType::Expired,
        quarantine_until: due_by + LONG,
    }
}

async fn events(world: &World, id: InstanceId) -> Vec<EventType> {
    let page = world.store().events().list(id, None, None, 10, Order::Ascending).await.unwrap();
    page.items.into_iter().map(|event| event.event_type).collect()
}

#[tokio::test]
async fn many_rows_are_reaped_at_once_and_what_is_not_due_is_left_alone() {
    let mut world = World::new().await;
    let due = [world.running(3_001).await, world.running(3_002).await];
    let deadline = world.store().instances().get(due[1], None).await.unwrap().unwrap().expires_at;
    let later = world.running(3_003).await;
    let ended = world.ended(3_004).await;
    let mut instances = world.store().instances();
    let all = [due[0], due[1], later, ended];
    let mut reaped = instances.reap(&all, &reaping(deadline)).await.unwrap();
    reaped.sort_unstable();
    assert_eq!(reaped, due);
    assert!(instances.reap(&all, &reaping(deadline)).await.unwrap().is_empty(), "once");
    for id in due {
        let row = instances.get(id, None).await.unwrap().unwrap();
        assert_eq!((row.status(), row.port()), (InstanceStatus::Expired, None));
        let last_two = events(&world, id).await.split_off(2);
        assert_eq!(last_two, [EventType::Expired, EventType::Reaped]);
    }
    let free = world.store().ports().recently_released(world.node).await.unwrap();
    assert_eq!(free.iter().filter(|port| port.port.get() < 3_003).count(), 2);
    assert!(instances.get(later, None).await.unwrap().unwrap().status().is_live());
}

#[tokio::test]
async fn a_row_that_is_held_is_nobody_elses_and_free_again_when_it_is_let_go() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let mut instances = world.store().instances();
    let deadline = instances.get(id, None).await.unwrap().unwrap().expires_at;
    assert!(instances.hold_due(id, deadline - time::Duration::SECOND).await.unwrap().is_none(), "not due");
    let held = instances.hold_due(id, deadline).await.unwrap().unwrap();
    assert!(instances.hold_due(id, deadline).await.unwrap().is_none(), "another one's turn");
    drop(held);
    // Letting go is a statement, too, which nobody waits for.
    let mut held =
        wait_for("the row to be free", PATIENCE, async || instances.hold_due(id, deadline).await.unwrap())
            .await;
    assert!(held.reap(&reaping(deadline)).await.unwrap());
    assert!(instances.get(id, None).await.unwrap().unwrap().status().is_live(), "not before it is done");
    held.done().await.unwrap();
    assert!(!instances.get(id, None).await.unwrap().unwrap().status().is_live());
}
