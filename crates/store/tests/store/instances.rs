//! One instance through its life.

use roadstead_model::{Actor, EventType, InstanceStatus, Quotas};
use roadstead_store::{Ending, InstanceFilter, InstanceState, NewInstance, Order, ProcessMark, SealedSlot};
use serde_json::json;

use crate::world::{World, port, token};

#[tokio::test]
async fn a_row_goes_from_pending_through_running_to_its_end() {
    let mut world = World::new().await;
    let id = world.reserve(3_001).await.unwrap();
    let row = world.store().instances().get(id, Some(world.view(world.user.id))).await.unwrap().unwrap();
    assert_eq!(row.state, InstanceState::Pending { port: port(3_001) });
    assert_eq!((row.type_name.as_str(), row.type_display_name.as_str()), ("echo", "Echo"));

    let started = world.started();
    let told = world.store().instances().mark_running(id, &started).await.unwrap();
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(told.as_ref(), Some(&row), "the row as it is from then on");
    assert_eq!(row.status(), InstanceStatus::Running);
    assert_eq!((row.process(), row.shim), (Some(started.process), Some(started.shim)));

    assert!(world.store().instances().mark_stopping(id, "asked", world.now()).await.unwrap());
    assert!(!world.store().instances().mark_stopping(id, "asked again", world.now()).await.unwrap());
    assert!(world.store().instances().finish(id, &world.stopped()).await.unwrap());
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    let InstanceState::Ended { status, stop_reason, exit, .. } = row.state else { panic!("{row:?}") };
    assert_eq!((status, stop_reason.as_deref()), (InstanceStatus::Stopped, Some("asked")));
    assert_eq!(exit, Some(json!({"code": 0})));
    assert_eq!(world.events(id).await, [EventType::Created, EventType::Started, EventType::Stopped]);
}

#[tokio::test]
async fn a_running_instance_names_the_process_that_took_over() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let next = ProcessMark { pid: 5_151, started: 120 };
    assert!(world.store().instances().change_process(id, next).await.unwrap());
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(row.process(), Some(next));
    assert!(world.store().instances().finish(id, &world.stopped()).await.unwrap());
    assert!(!world.store().instances().change_process(id, next).await.unwrap(), "it has ended");
}

#[tokio::test]
async fn an_end_that_is_noticed_twice_is_written_once() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let expired =
        Ending { status: InstanceStatus::Expired, event_type: EventType::Expired, ..world.stopped() };
    let (first, second) = tokio::join!(
        async { world.store().instances().finish(id, &world.stopped()).await.unwrap() },
        async { world.store().instances().finish(id, &expired).await.unwrap() },
    );
    assert!(first ^ second);
    assert!(!world.store().instances().finish(id, &expired).await.unwrap());
    assert_eq!(world.events(id).await.len(), 3);
    let port = &world.store().ports().map(world.node).await.unwrap()[0];
    assert_eq!(port.instance, None);
    assert_eq!(port.quarantined_until, expired.quarantine_until);
}

#[tokio::test]
async fn an_instance_that_ended_does_not_start() {
    let mut world = World::new().await;
    let id = world.reserve(3_001).await.unwrap();
    assert!(world.store().instances().finish(id, &world.stopped()).await.unwrap());
    assert!(world.store().instances().mark_running(id, &world.started()).await.unwrap().is_none());
    assert_eq!(world.events(id).await, [EventType::Created, EventType::Stopped]);
}

#[tokio::test]
async fn changes_of_a_running_instance_count_generations() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let mut instances = world.store().instances();
    let later = world.now() + time::Duration::DAY;
    let data = json!({"expires_at": "tomorrow"});
    assert_eq!(instances.set_deadline(id, later, &Actor::SYSTEM, &data, world.now()).await.unwrap(), Some(2));
    assert_eq!(
        instances.set_token(id, token(&[9; 32], "wxyz"), &Actor::SYSTEM, world.now()).await.unwrap(),
        Some(3)
    );
    let row = instances.get(id, None).await.unwrap().unwrap();
    assert_eq!((row.generation, row.token_hash, row.token_hint.as_str()), (3, [9; 32], "wxyz"));
    assert_eq!(row.expires_at, later);
    instances.mark_stopping(id, "asked", world.now()).await.unwrap();
    assert_eq!(instances.set_deadline(id, later, &Actor::SYSTEM, &data, world.now()).await.unwrap(), None);
    assert_eq!(
        instances.set_token(id, token(&[8; 32], "none"), &Actor::SYSTEM, world.now()).await.unwrap(),
        None
    );
    let told = [EventType::Created, EventType::Started, EventType::Extended, EventType::TokenRotated];
    assert_eq!(world.events(id).await, told);
}

#[tokio::test]
async fn deletion_hides_the_row_and_wipes_its_secrets() {
    let mut world = World::new().await;
    let secret = SealedSlot { slot: "token".to_owned(), sealed: vec![1, 2, 3] };
    let new = NewInstance { secrets: vec![secret.clone()], ..world.instance_on(3_001) };
    let mut instances = world.store().instances();
    instances.reserve(&new, &Quotas::instances(10)).await.unwrap();
    assert_eq!(instances.sealed_slots(new.id).await.unwrap(), [secret]);
    assert!(!instances.soft_delete(new.id, &Actor::SYSTEM, world.now()).await.unwrap(), "it is live");
    instances.finish(new.id, &world.stopped()).await.unwrap();
    assert!(instances.soft_delete(new.id, &Actor::SYSTEM, world.now()).await.unwrap());
    assert!(!instances.soft_delete(new.id, &Actor::SYSTEM, world.now()).await.unwrap());
    assert!(instances.get(new.id, None).await.unwrap().is_none());
    assert!(instances.list(&filter(10)).await.unwrap().items.is_empty());
    assert!(instances.sealed_slots(new.id).await.unwrap().is_empty());
    assert_eq!(world.events(new.id).await, [EventType::Created, EventType::Stopped, EventType::Deleted]);
}

#[tokio::test]
async fn nobody_sees_an_instance_of_somebody_else() {
    let mut world = World::new().await;
    let id = world.reserve(3_001).await.unwrap();
    let other = world.another_user("bob@example.org").await;
    assert!(world.store().instances().get(id, Some(world.view(other))).await.unwrap().is_none());
    let theirs = InstanceFilter { view: Some(world.view(other)), ..filter(10) };
    assert!(world.store().instances().list(&theirs).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_when_rows_come_and_go() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(world.ended(3_001 + number).await);
    }
    let first = world.store().instances().list(&filter(3)).await.unwrap();
    let newest: Vec<_> = ids.iter().rev().copied().collect();
    assert_eq!(first.items.iter().map(|row| row.id).collect::<Vec<_>>(), newest[..3]);
    // One that was seen goes, and a newer one comes.
    world.store().instances().soft_delete(newest[2], &Actor::SYSTEM, world.now()).await.unwrap();
    world.reserve(3_050).await.unwrap();
    let second =
        world.store().instances().list(&InstanceFilter { after: first.next, ..filter(3) }).await.unwrap();
    assert_eq!(second.items.iter().map(|row| row.id).collect::<Vec<_>>(), newest[3..6]);
    let third =
        world.store().instances().list(&InstanceFilter { after: second.next, ..filter(3) }).await.unwrap();
    assert_eq!(third.items.iter().map(|row| row.id).collect::<Vec<_>>(), newest[6..]);
    assert!(third.next.is_none());
}

#[tokio::test]
async fn a_list_is_filtered_and_sorted_as_asked() {
    let mut world = World::new().await;
    let ended = world.ended(3_001).await;
    let running = world.running(3_002).await;
    let mut instances = world.store().instances();
    let oldest_first = InstanceFilter { order: Order::Ascending, ..filter(10) };
    let ids: Vec<_> = instances.list(&oldest_first).await.unwrap().items.iter().map(|row| row.id).collect();
    assert_eq!(ids, [ended, running]);
    let only_running =
        InstanceFilter { statuses: Some((vec![InstanceStatus::Running], world.now())), ..filter(10) };
    let ids: Vec<_> = instances.list(&only_running).await.unwrap().items.iter().map(|row| row.id).collect();
    assert_eq!(ids, [running]);
    let of_another_type = InstanceFilter { type_name: Some("github".to_owned()), ..filter(10) };
    assert!(instances.list(&of_another_type).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn only_live_instances_past_their_deadline_are_due() {
    let mut world = World::new().await;
    let _ended = world.ended(3_001).await;
    let running = world.running(3_002).await;
    let deadline = world.store().instances().get(running, None).await.unwrap().unwrap().expires_at;
    let instances = world.store().instances();
    let before = deadline - time::Duration::SECOND;
    assert!(instances.due(world.node, before, &[], 10).await.unwrap().is_empty());
    assert_eq!(instances.due(world.node, deadline, &[], 10).await.unwrap(), [running]);
    assert!(instances.due(world.node, deadline, &[running], 10).await.unwrap().is_empty());
    assert_eq!(instances.due_among(&[running], deadline).await.unwrap(), [running]);
    assert!(instances.due_among(&[running], before).await.unwrap().is_empty());
}

#[tokio::test]
async fn use_and_figures_are_recorded_without_changing_the_instance() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let mut instances = world.store().instances();
    let before = instances.get(id, None).await.unwrap().unwrap();
    let (early, late) = (world.now(), world.now() + time::Duration::SECOND);
    instances.touch_many(&[(id, late), (id, early)]).await.unwrap();
    instances.touch_many(&[(id, early)]).await.unwrap();
    instances.record_stats(&[(id, json!({"cpu": 1})), (id, json!({"cpu": 2}))]).await.unwrap();
    instances.set_spool_seq(id, 9).await.unwrap();
    instances.set_spool_seq(id, 4).await.unwrap();
    let after = instances.get(id, None).await.unwrap().unwrap();
    assert_eq!((after.last_accessed, after.spool_seq), (Some(late), 9));
    assert_eq!(after.stats, Some(json!({"cpu": 2})));
    assert_eq!(after.updated_at, before.updated_at);
    assert!(instances.set_live_error(id, Some("its disk is full")).await.unwrap());
    let after = instances.get(id, None).await.unwrap().unwrap();
    assert_eq!(after.error_message.as_deref(), Some("its disk is full"));
    assert!(after.updated_at > before.updated_at);
}

fn filter(limit: u32) -> InstanceFilter {
    InstanceFilter { limit, ..InstanceFilter::default() }
}
