//! Logs and events: stored once, listed in order, found again.

use roadstead_model::{Actor, EventType, InstanceId, LogLevel, LogSource};
use roadstead_store::{LogFilter, NewEvent, NewLog, Order, Origin, StoreError};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::world::World;

fn line(instance: InstanceId, at: OffsetDateTime, shim_seq: Option<i64>, message: &str) -> NewLog {
    NewLog {
        instance,
        at,
        shim_seq,
        level: LogLevel::Info,
        source: LogSource::Process,
        message: message.to_owned(),
        metadata: None,
    }
}

fn all(instance: InstanceId) -> LogFilter {
    LogFilter {
        view: None,
        instance,
        since: None,
        until: None,
        min_level: None,
        source: None,
        contains: None,
        after: None,
        limit: 100,
        order: Order::Ascending,
    }
}

async fn messages(world: &World, filter: LogFilter) -> Vec<String> {
    let page = world.store().logs().list(&filter).await.unwrap();
    page.items.into_iter().map(|line| line.message).collect()
}

#[tokio::test]
async fn a_replayed_spool_is_stored_once() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let spool: Vec<NewLog> = (1_i64..=50)
        .map(|seq| line(id, world.now() + Duration::milliseconds(seq), Some(seq), &format!("{seq}")))
        .collect();
    assert_eq!(world.store().logs().append(&spool[..30]).await.unwrap(), 30);
    let (first, second) = tokio::join!(async { world.store().logs().append(&spool).await.unwrap() }, async {
        world.store().logs().append(&spool).await.unwrap()
    },);
    assert_eq!(first + second, 20);
    assert_eq!(messages(&world, all(id)).await, (1..=50).map(|seq| seq.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_batch_may_repeat_itself_and_name_unknown_instances() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let stranger = InstanceId::new(&world.clock, &mut world.rng);
    let batch = [
        line(id, world.now(), Some(1), "once"),
        line(id, world.now(), Some(1), "once"),
        line(stranger, world.now(), Some(1), "nobody's"),
    ];
    assert_eq!(world.store().logs().append(&batch).await.unwrap(), 1);
    assert_eq!(world.store().logs().append(&[]).await.unwrap(), 0);
}

#[tokio::test]
async fn our_own_lines_have_numbers_of_their_own() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let batch = [
        line(id, world.now(), None, "a"),
        line(id, world.now(), None, "b"),
        line(id, world.now(), Some(1), "s"),
    ];
    assert_eq!(world.store().logs().append(&batch).await.unwrap(), 3);
    let page = world.store().logs().list(&all(id)).await.unwrap();
    let ours = page.items.iter().filter(|line| line.origin == Origin::Node);
    assert_eq!(ours.map(|line| line.message.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_line_holds_any_text() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let odd = "'; drop table mcp_logs; -- \0 {} \u{1f6a2} \\x00";
    assert_eq!(world.store().logs().append(&[line(id, world.now(), Some(1), odd)]).await.unwrap(), 1);
    assert_eq!(messages(&world, all(id)).await, [odd.replace('\0', "\u{fffd}")]);
}

#[tokio::test]
async fn lines_are_filtered_and_paged() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let start = world.now();
    let at = |second: i64| start + Duration::seconds(second);
    let bad =
        NewLog { level: LogLevel::Error, source: LogSource::System, ..line(id, at(2), Some(3), "It Broke") };
    let lines = [
        line(id, at(0), Some(1), "one"),
        line(id, at(1), Some(2), "two_%"),
        bad,
        NewLog { level: LogLevel::Warn, ..line(id, at(3), Some(4), "three") },
    ];
    world.store().logs().append(&lines).await.unwrap();
    let filter = || all(id);
    assert_eq!(
        messages(&world, LogFilter { since: Some(at(1)), until: Some(at(3)), ..filter() }).await,
        ["two_%", "It Broke"]
    );
    assert_eq!(
        messages(&world, LogFilter { min_level: Some(LogLevel::Warn), ..filter() }).await,
        ["It Broke", "three"]
    );
    assert_eq!(
        messages(&world, LogFilter { source: Some(LogSource::System), ..filter() }).await,
        ["It Broke"]
    );
    assert_eq!(
        messages(&world, LogFilter { contains: Some("broke".to_owned()), ..filter() }).await,
        ["It Broke"]
    );
    assert_eq!(messages(&world, LogFilter { contains: Some("_%".to_owned()), ..filter() }).await, ["two_%"]);
    let newest = LogFilter { order: Order::Descending, limit: 3, ..filter() };
    let page = world.store().logs().list(&newest).await.unwrap();
    assert_eq!(page.items.len(), 3);
    let rest = LogFilter { after: page.next, ..newest };
    assert_eq!(messages(&world, rest).await, ["one"]);
}

#[tokio::test]
async fn who_follows_also_sees_what_a_shim_tells_late() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let logs = world.store().logs();
    logs.append(&[line(id, world.now(), None, "ours")]).await.unwrap();
    let seen = world.store().logs().follow(id, None, 0, 10).await.unwrap();
    let early = world.now() - Duration::SECOND;
    logs.append(&[line(id, early, Some(1), "told late")]).await.unwrap();
    let new = world.store().logs().follow(id, None, seen.last().unwrap().position, 10).await.unwrap();
    assert_eq!(new.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["told late"]);
}

#[tokio::test]
async fn an_event_of_a_shim_is_stored_once_with_its_actor() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let actor = Actor {
        user: Some(world.user.id),
        api_key: None,
        ip_address: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("curl".to_owned()),
        ..Actor::SYSTEM
    };
    let event = NewEvent {
        instance: id,
        at: world.now() + Duration::SECOND,
        shim_seq: Some(1),
        event_type: EventType::Restarted,
        data: json!({"attempt": 2}),
        actor: actor.clone(),
    };
    assert!(world.store().events().append(&event).await.unwrap());
    assert!(!world.store().events().append(&event).await.unwrap());
    let page = world.store().events().list(id, None, None, 1, Order::Descending).await.unwrap();
    assert_eq!((page.items[0].event_type, &page.items[0].actor), (EventType::Restarted, &actor));
    assert_eq!(page.items[0].id.uuid().get_version_num(), 7);
    let older = world.store().events().list(id, None, page.next, 10, Order::Descending).await.unwrap();
    let kinds: Vec<_> = older.items.iter().map(|event| event.event_type).collect();
    assert_eq!(kinds, [EventType::Started, EventType::Created]);
}

#[tokio::test]
async fn a_line_of_a_month_without_a_partition_is_refused_until_one_is_made() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let far = world.now() + Duration::days(400);
    let lines = [line(id, far, Some(1), "from the future")];
    let error = world.store().logs().append(&lines).await.unwrap_err();
    assert!(matches!(&error, StoreError::NoPartition { table } if table == "mcp_logs"), "{error:?}");
    assert!(world.store().ensure_partitions(far).await.unwrap() > 0);
    assert_eq!(world.store().ensure_partitions(far).await.unwrap(), 0);
    assert_eq!(world.store().logs().append(&lines).await.unwrap(), 1);
}
