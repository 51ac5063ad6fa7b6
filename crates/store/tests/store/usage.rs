//! Usage facts: stored once, under their owners, added up.

use roadstead_model::{InstanceId, SessionEra, UsageMethod, UsageStatus};
use roadstead_store::{NewUsage, Order, StoreError, UsageBy, UsageFilter};
use time::{Duration, OffsetDateTime};

use crate::world::World;

fn fact(instance: InstanceId, at: OffsetDateTime, seq: i64) -> NewUsage {
    NewUsage {
        instance,
        at,
        seq,
        method: UsageMethod::CallTool,
        name: Some("add".to_owned()),
        request_id: Some(seq.to_string()),
        parent_request_id: None,
        era: SessionEra::Legacy,
        status: UsageStatus::Success,
        calls: 1,
        latency_us: 10,
        request_bytes: 100,
        answer_bytes: 1000,
    }
}

#[tokio::test]
async fn a_fact_that_is_told_again_is_stored_once_under_its_owner() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let stranger = InstanceId::new(&world.clock, &mut world.rng);
    let at = |seq: i64| world.now() + Duration::milliseconds(seq);
    let facts: Vec<NewUsage> = (1..=50).map(|seq| fact(id, at(seq), seq)).collect();
    let usage = world.store().usage();
    assert_eq!(usage.append(&facts[..30]).await.unwrap(), 30);
    let (first, second) = tokio::join!(usage.append(&facts), usage.append(&facts));
    assert_eq!(first.unwrap() + second.unwrap(), 20);
    let odd = [facts[0].clone(), facts[0].clone(), fact(stranger, at(1), 1)];
    assert_eq!(usage.append(&odd).await.unwrap(), 0);
    assert_eq!(usage.append(&[]).await.unwrap(), 0);
    let all = world.store().usage().list(&UsageFilter::default(), None, 100, Order::Ascending).await.unwrap();
    assert_eq!(all.items.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    let row = &all.items[0];
    let owner = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!((row.user, row.organization, row.project), (owner.user, owner.organization, owner.project));
    assert_eq!((row.type_name.as_str(), row.instance), (owner.type_name.as_str(), id));
    assert_eq!((row.name.as_deref(), row.request_id.as_deref(), row.calls), (Some("add"), Some("1"), 1));
}

#[tokio::test]
async fn facts_are_filtered_paged_and_added_up() {
    let mut world = World::new().await;
    let one = world.running(3_001).await;
    let two = world.running(3_002).await;
    let now = world.now();
    let minute = |n: i64| now + Duration::minutes(n);
    let sum = NewUsage { name: None, request_id: None, calls: 7, ..fact(one, minute(3), 4) };
    let facts = [
        fact(one, minute(0), 1),
        NewUsage { status: UsageStatus::Error, ..fact(one, minute(1), 2) },
        NewUsage { name: Some("odd\0name".to_owned()), ..fact(one, minute(2), 3) },
        sum,
        NewUsage { method: UsageMethod::GetPrompt, era: SessionEra::Modern, ..fact(two, minute(1), 1) },
    ];
    let usage = world.store().usage();
    assert_eq!(usage.append(&facts).await.unwrap(), 5);
    let count = async |filter: UsageFilter| {
        world.store().usage().list(&filter, None, 100, Order::Descending).await.unwrap().items.len()
    };
    let any = UsageFilter::default;
    assert_eq!(count(UsageFilter { instance: Some(one), ..any() }).await, 4);
    assert_eq!(count(UsageFilter { status: Some(UsageStatus::Error), ..any() }).await, 1);
    assert_eq!(count(UsageFilter { tool: Some("odd\u{fffd}name".to_owned()), ..any() }).await, 1);
    assert_eq!(count(UsageFilter { since: Some(minute(1)), until: Some(minute(3)), ..any() }).await, 3);
    assert_eq!(count(UsageFilter { view: Some(world.view(world.user.id)), ..any() }).await, 5);
    assert_eq!(count(UsageFilter { type_name: Some("no such type".to_owned()), ..any() }).await, 0);

    let page = world.store().usage().list(&any(), None, 3, Order::Descending).await.unwrap();
    let rest = world.store().usage().list(&any(), page.next, 3, Order::Descending).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next), (3, 2, None));
    assert!(page.items.iter().all(|row| !rest.items.contains(row)));

    let by_tool = world.store().usage().sums(&any(), UsageBy::Tool).await.unwrap();
    let tools: Vec<_> =
        by_tool.iter().map(|sum| (sum.method.unwrap().as_str(), sum.name.as_deref(), sum.calls)).collect();
    let several = ("tools/call", None, 7);
    assert_eq!(tools[..2], [several, ("tools/call", Some("add"), 2)]);
    assert_eq!(tools.len(), 4);
    assert_eq!((by_tool[1].success, by_tool[1].error, by_tool[1].latency_us), (1, 1, 20));
    let by_instance = world.store().usage().sums(&any(), UsageBy::Instance).await.unwrap();
    let instances: Vec<_> = by_instance.iter().map(|sum| (sum.instance, sum.calls)).collect();
    assert_eq!(instances, [(Some(one), 10), (Some(two), 1)]);
    let by_day = world
        .store()
        .usage()
        .sums(&UsageFilter { instance: Some(two), ..any() }, UsageBy::Day)
        .await
        .unwrap();
    assert_eq!((by_day.len(), by_day[0].calls, by_day[0].method), (1, 1, None));
    assert_eq!(by_day[0].day, Some(minute(1).date()));
}

#[tokio::test]
async fn facts_need_a_partition_of_their_month_and_outlive_nothing_that_is_wrong() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let far = world.now() + Duration::days(400);
    let usage = world.store().usage();
    let error = usage.append(&[fact(id, far, 1)]).await.unwrap_err();
    assert!(matches!(&error, StoreError::NoPartition { table } if table == "mcp_usage"), "{error:?}");
    assert!(world.store().ensure_partitions(far).await.unwrap() > 0);
    assert_eq!(usage.append(&[fact(id, far, 1)]).await.unwrap(), 1);
    let wrong = [
        NewUsage { calls: 0, ..fact(id, world.now(), 2) },
        NewUsage { calls: 2, ..fact(id, world.now(), 2) },
        NewUsage { name: None, ..fact(id, world.now(), 2) },
        NewUsage { latency_us: -1, ..fact(id, world.now(), 2) },
    ];
    for wrong in wrong {
        let refused = usage.append(std::slice::from_ref(&wrong)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    }
}
