//! Instances that are started again, deadlines that move, and those that are told of.

use std::time::Duration;

use roadstead_model::expiry::{Keep, WARNING_LEAD};
use roadstead_model::{
    Actor, EventType, InstanceId, InstanceStatus, InvalidTransition, QuotaReached, Quotas, Verb,
};
use roadstead_store::{
    Ending, InstanceFilter, InstanceState, MovedDeadline, NewInstance, NewLife, ReopenError, Reopening,
    ReserveError, Takes,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{World, port, token};

const HOUR: time::Duration = time::Duration::HOUR;

pub fn reopening(world: &World, id: InstanceId, verb: Verb, number: u16) -> Reopening {
    let life = NewLife { lifetime: Duration::from_hours(2), expires_at: world.now() + HOUR * 2 };
    Reopening {
        id,
        user: world.user.id,
        organization: world.user.default_organization,
        takes: Takes::default(),
        verb,
        life: (verb == Verb::Renew).then_some(life),
        type_version: 3,
        packages: Vec::new(),
        credential: None,
        node: world.node,
        boot: world.boot,
        port: port(number),
        at: world.now(),
        event_type: if verb == Verb::Renew { EventType::Renewed } else { EventType::Restored },
        actor: Actor { user: Some(world.user.id), ..Actor::SYSTEM },
        event_data: json!({"port": number}),
        entry: None,
    }
}

/// Microseconds, as the database keeps them.
fn stored(at: time::OffsetDateTime) -> time::OffsetDateTime {
    at.replace_nanosecond(at.nanosecond() / 1_000 * 1_000).unwrap()
}

#[tokio::test]
async fn a_restored_row_is_pending_and_keeps_what_its_owner_knows_of_it() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let failed = Ending {
        status: InstanceStatus::Error,
        event_type: EventType::Error,
        error_message: Some("it broke".to_owned()),
        ..world.stopped()
    };
    assert!(world.store().instances().finish(id, &failed).await.unwrap());
    let before = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(world.store().ports().former(world.node, id).await.unwrap(), Some(port(3_001)));

    let desired = world
        .store()
        .instances()
        .reopen(&reopening(&world, id, Verb::Restore, 3_002), &Quotas::instances(1))
        .await
        .unwrap();
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(row.state, InstanceState::Pending { port: port(3_002) });
    assert_eq!((row.generation, row.type_version, row.error_message, row.shim), (2, 3, None, None));
    assert_eq!((row.expires_at, row.token_hash), (before.expires_at, before.token_hash));
    assert_eq!((desired.generation, desired.expires_at), (row.generation, row.expires_at));
    assert_eq!(desired.token_hash, row.token_hash);
    assert!(world.store().instances().mark_running(id, &world.started()).await.unwrap().is_some());
    let told =
        [EventType::Created, EventType::Started, EventType::Error, EventType::Restored, EventType::Started];
    assert_eq!(world.events(id).await, told);
    let taken = world.reserve(3_001).await.unwrap();
    assert!(world.store().instances().finish(taken, &world.stopped()).await.unwrap());
    assert_eq!(world.store().ports().former(world.node, id).await.unwrap(), None, "another had it since");
}

#[tokio::test]
async fn a_renewed_row_begins_a_new_life() {
    let mut world = World::new().await;
    let id = world.ended(3_001).await;
    world.clock.advance(Duration::from_hours(3));
    let reopening = reopening(&world, id, Verb::Renew, 3_001);
    world.store().instances().reopen(&reopening, &Quotas::instances(1)).await.unwrap();
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(row.expires_at, stored(world.now() + HOUR * 2));
    assert_eq!((row.began_at, row.lifetime), (stored(world.now()), Duration::from_hours(2)));
}

#[tokio::test]
async fn what_does_not_permit_it_is_refused_and_stays_as_it_was() {
    let mut world = World::new().await;
    let (pending, running) = (world.reserve(3_001).await.unwrap(), world.running(3_002).await);
    let ended = world.ended(3_003).await;
    let refused = async |id, verb, now_on: u16| {
        let error = world
            .store()
            .instances()
            .reopen(&reopening(&world, id, verb, now_on), &Quotas::instances(100))
            .await;
        match error {
            Err(ReopenError::Refused(InvalidTransition { status, .. })) => status,
            other => panic!("{other:?}"),
        }
    };
    for verb in [Verb::Restore, Verb::Renew] {
        assert_eq!(refused(pending, verb, 3_010).await, InstanceStatus::Pending);
        assert_eq!(refused(running, verb, 3_010).await, InstanceStatus::Running);
    }
    assert_eq!(refused(ended, Verb::Renew, 3_010).await, InstanceStatus::Stopped);
    world.clock.advance(Duration::from_hours(2));
    let late = async |id, verb| {
        world
            .store()
            .instances()
            .reopen(&reopening(&world, id, verb, 3_010), &Quotas::instances(100))
            .await
            .unwrap_err()
    };
    assert!(matches!(
        late(ended, Verb::Restore).await,
        ReopenError::Refused(InvalidTransition { status: InstanceStatus::Expired, .. })
    ));
    // Its time is up, but its processes may still be ending.
    assert!(matches!(late(running, Verb::Renew).await, ReopenError::Refused(_)));
    let held = world
        .store()
        .instances()
        .reopen(&reopening(&world, ended, Verb::Renew, 3_002), &Quotas::instances(100))
        .await;
    assert!(matches!(held, Err(ReopenError::Reserve(ReserveError::PortHeld(_)))), "{held:?}");
    let full = world
        .store()
        .instances()
        .reopen(&reopening(&world, ended, Verb::Renew, 3_010), &Quotas::instances(2))
        .await;
    assert!(
        matches!(full, Err(ReopenError::Reserve(ReserveError::QuotaReached(QuotaReached { limit: 2, .. })))),
        "{full:?}"
    );
    let of_another = world.another_user("bob@example.org").await;
    let theirs = Reopening { user: of_another, ..reopening(&world, ended, Verb::Renew, 3_010) };
    assert!(matches!(
        world.store().instances().reopen(&theirs, &Quotas::instances(100)).await,
        Err(ReopenError::Missing)
    ));
    let row = world.store().instances().get(ended, None).await.unwrap().unwrap();
    assert_eq!((row.status(), row.generation), (InstanceStatus::Stopped, 1));
    assert_eq!(world.events(ended).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_that_restore_one_instance_one_does() {
    let mut world = World::new().await;
    let id = world.ended(3_001).await;
    let mut crowd = JoinSet::new();
    for number in 0..50 {
        let (store, asked) = (world.store().clone(), reopening(&world, id, Verb::Restore, 3_010 + number));
        crowd.spawn(async move { store.instances().reopen(&asked, &Quotas::instances(100)).await.is_ok() });
    }
    assert_eq!(crowd.join_all().await.into_iter().filter(|won| *won).count(), 1);
    let held = world.store().ports().map(world.node).await.unwrap();
    assert_eq!(held.iter().filter(|row| row.instance == Some(id)).count(), 1);
}

#[tokio::test]
async fn a_restarted_row_names_its_new_processes_and_what_changed_meanwhile() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let mut instances = world.store().instances();
    instances.set_token(id, token(&[9; 32], "wxyz"), &Actor::SYSTEM, world.now()).await.unwrap();
    let desired = instances.mark_restarted(id, 2, None, &[], &world.started()).await.unwrap().unwrap();
    assert_eq!((desired.generation, desired.token_hash), (2, [9; 32]));
    instances.finish(id, &world.stopped()).await.unwrap();
    assert_eq!(instances.mark_restarted(id, 2, None, &[], &world.started()).await.unwrap(), None);
    let told = [
        EventType::Created,
        EventType::Started,
        EventType::TokenRotated,
        EventType::Restarted,
        EventType::Stopped,
    ];
    assert_eq!(world.events(id).await, told);
}

#[tokio::test]
async fn only_what_is_kept_by_uses_is_moved_and_only_from_where_it_was() {
    let mut world = World::new().await;
    let plain = world.running(3_001).await;
    let new = NewInstance { keep: true, lifetime: Duration::from_mins(10), ..world.instance_on(3_002) };
    world.store().instances().reserve(&new, &Quotas::instances(100)).await.unwrap();
    assert!(world.store().instances().kept(&[plain, new.id]).await.unwrap().is_empty(), "it is pending");
    world.store().instances().mark_running(new.id, &world.started()).await.unwrap();
    let kept = world.store().instances().kept(&[plain, new.id]).await.unwrap();
    let began_at = stored(new.at);
    let keep = Keep { lifetime: Duration::from_mins(10), began_at, cap: Duration::from_hours(1) };
    assert_eq!(kept.iter().map(|one| (one.id, one.keep)).collect::<Vec<_>>(), [(new.id, keep)]);
    let moved = MovedDeadline { id: new.id, from: kept[0].expires_at, to: kept[0].expires_at + HOUR };
    let mut instances = world.store().instances();
    assert_eq!(instances.move_deadlines(&[moved], world.now()).await.unwrap(), [(new.id, 2)]);
    assert!(
        instances.move_deadlines(&[moved], world.now()).await.unwrap().is_empty(),
        "somebody else moved it"
    );
    let row = instances.get(new.id, None).await.unwrap().unwrap();
    assert!(row.keep && row.expires_at == moved.to);
    assert_eq!(world.events(new.id).await.len(), 2, "a use is no event");
}

#[tokio::test]
async fn a_near_deadline_is_told_of_once_and_a_moved_one_again() {
    let mut world = World::new().await;
    let (running, _pending) = (world.running(3_001).await, world.reserve(3_002).await.unwrap());
    let lead = time::Duration::try_from(WARNING_LEAD).unwrap();
    let mut instances = world.store().instances();
    assert!(instances.near(world.node, world.now() + lead, 10).await.unwrap().is_empty());
    let near = instances.near(world.node, world.now() + HOUR, 10).await.unwrap();
    assert_eq!(near.iter().map(|one| one.id).collect::<Vec<_>>(), [running]);
    assert_eq!(instances.settle_warnings(&[(near[0], true)], world.now()).await.unwrap(), 1);
    assert_eq!(instances.settle_warnings(&[(near[0], true)], world.now()).await.unwrap(), 0);
    assert!(instances.near(world.node, world.now() + HOUR, 10).await.unwrap().is_empty());
    let later = world.now() + HOUR;
    instances.set_deadline(running, later, &Actor::SYSTEM, &json!({}), world.now()).await.unwrap();
    let again = instances.near(world.node, later, 10).await.unwrap();
    assert_eq!(again[0].warning.set_at, stored(world.now()));
    assert_eq!(instances.settle_warnings(&[(near[0], true)], world.now()).await.unwrap(), 0, "it has moved");
    assert_eq!(instances.settle_warnings(&[(again[0], false)], world.now()).await.unwrap(), 0);
    assert!(instances.near(world.node, later, 10).await.unwrap().is_empty(), "looked at, and not told of");
    let told = [EventType::Created, EventType::Started, EventType::Expiring, EventType::Extended];
    assert_eq!(world.events(running).await, told);
}

#[tokio::test]
async fn what_has_ended_is_expired_once_its_deadline_has_passed() {
    let mut world = World::new().await;
    let (first, second) = (world.ended(3_001).await, world.ended(3_002).await);
    let deleted = world.ended(3_003).await;
    let running = world.running(3_004).await;
    let mut instances = world.store().instances();
    instances.soft_delete(deleted, &Actor::SYSTEM, world.now()).await.unwrap();
    assert_eq!(instances.expire_ended(world.node, world.now(), None, 10).await.unwrap(), 0);
    let later = world.now() + HOUR;
    assert_eq!(instances.expire_ended(world.node, later, None, 1).await.unwrap(), 1, "in batches");
    assert_eq!(instances.expire_ended(world.node, later, None, 10).await.unwrap(), 1);
    assert_eq!(instances.expire_ended(world.node, later, None, 10).await.unwrap(), 0);
    for id in [first, second] {
        assert_eq!(instances.get(id, None).await.unwrap().unwrap().status(), InstanceStatus::Expired);
        assert_eq!(world.events(id).await.last(), Some(&EventType::Expired));
    }
    assert_eq!(world.events(running).await.len(), 2, "its owner ends it");
}

#[tokio::test]
async fn a_list_is_filtered_by_what_its_instances_are_at_the_moment() {
    let mut world = World::new().await;
    world.reserve(3_001).await.unwrap();
    world.running(3_002).await;
    world.ended(3_003).await;
    for now in [world.now(), world.now() + HOUR] {
        let all = InstanceFilter { limit: 10, ..InstanceFilter::default() };
        let rows = world.store().instances().list(&all).await.unwrap().items;
        for status in InstanceStatus::ALL {
            let filter = InstanceFilter { statuses: Some((vec![status], now)), ..all.clone() };
            let found = world.store().instances().list(&filter).await.unwrap().items;
            let expected: Vec<_> =
                rows.iter().filter(|row| row.standing(now).status() == status).map(|row| row.id).collect();
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{status}");
        }
    }
}
