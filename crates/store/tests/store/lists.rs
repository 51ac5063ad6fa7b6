//! Lists by every sort while rows change, and searches that come to an end page by page.

use roadstead_model::{Actor, InstanceId, InstanceStatus, LogLevel, LogSource};
use roadstead_store::instance::SEARCHED_NAMES;
use roadstead_store::{
    InstanceCursor, InstanceFilter, InstanceRow, InstanceSort, LogSearch, NewLog, Order, Page, TimelineCursor,
};
use sqlx::{AssertSqlSafe, Executor};
use time::Duration;

use InstanceStatus::{Expired, Pending, Running, Stopped};

use crate::world::World;

async fn list(world: &World, filter: &InstanceFilter) -> Page<InstanceRow, InstanceCursor> {
    world.store().instances().list(filter).await.unwrap()
}

async fn ids(world: &World, filter: &InstanceFilter) -> Vec<InstanceId> {
    list(world, filter).await.items.iter().map(|row| row.id).collect()
}

fn filter(limit: u32) -> InstanceFilter {
    InstanceFilter { limit, ..InstanceFilter::default() }
}

#[tokio::test]
async fn every_sort_goes_on_where_it_was_while_rows_come_and_go() {
    for sort in [InstanceSort::Created, InstanceSort::Expires, InstanceSort::Status] {
        for order in [Order::Ascending, Order::Descending] {
            let mut world = World::new().await;
            for number in 0..9 {
                if number % 2 == 0 {
                    world.ended(3_001 + number).await;
                } else {
                    world.running(3_001 + number).await;
                }
            }
            let whole = ids(&world, &InstanceFilter { sort, order, ..filter(100) }).await;
            assert_eq!(whole.len(), 9);
            let mut told = Vec::new();
            let mut page = list(&world, &InstanceFilter { sort, order, ..filter(2) }).await;
            let mut round = 0;
            loop {
                told.extend(page.items.iter().map(|row| row.id));
                let Some(after) = page.next else { break };
                // One that was told goes, and another comes.
                let seen = told[told.len() - 1];
                world.store().instances().soft_delete(seen, &Actor::SYSTEM, world.now()).await.unwrap();
                world.ended(3_050 + round).await;
                round += 1;
                page = list(&world, &InstanceFilter { sort, order, after: Some(after), ..filter(2) }).await;
            }
            let kept: Vec<_> = told.iter().filter(|id| whole.contains(id)).copied().collect();
            assert_eq!(kept, whole, "{sort:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn a_list_is_filtered_by_status_name_time_owner_and_project() {
    let mut world = World::new().await;
    let ended = world.ended(3_001).await;
    let begun = world.now();
    let running = world.running(3_002).await;
    let pending = world.reserve(3_003).await.unwrap();
    let stranger = world.another_user("eve@example.org").await;
    let several = |statuses: &[InstanceStatus], world: &World| InstanceFilter {
        statuses: Some((statuses.to_vec(), world.now())),
        order: Order::Ascending,
        ..filter(10)
    };
    assert_eq!(ids(&world, &several(&[Running, Pending], &world)).await, [running, pending]);
    assert_eq!(ids(&world, &several(&[Stopped], &world)).await, [ended]);
    assert!(ids(&world, &several(&[Expired], &world)).await.is_empty());
    assert_eq!(
        ids(&world, &InstanceFilter { name_contains: Some("ECHO-3002".to_owned()), ..filter(10) }).await,
        [running]
    );
    assert_eq!(ids(&world, &InstanceFilter { name_contains: Some("%".to_owned()), ..filter(10) }).await, []);
    let late = begun + Duration::milliseconds(1);
    let since = InstanceFilter { created_since: Some(late), order: Order::Ascending, ..filter(10) };
    assert_eq!(ids(&world, &since).await, [running, pending]);
    assert_eq!(ids(&world, &InstanceFilter { created_until: Some(late), ..filter(10) }).await, [ended]);
    let soon = InstanceFilter { expires_before: Some(late + Duration::HOUR), ..filter(10) };
    assert_eq!(ids(&world, &soon).await, [ended]);
    let owner = InstanceFilter { owner: Some(world.user.id), ..filter(10) };
    assert_eq!(ids(&world, &owner).await.len(), 3);
    assert!(ids(&world, &InstanceFilter { owner: Some(stranger), ..filter(10) }).await.is_empty());
    let of_another =
        InstanceFilter { owner: Some(stranger), view: Some(world.view(world.user.id)), ..filter(10) };
    assert!(ids(&world, &of_another).await.is_empty(), "who sees their own sees no other's");
    let project = InstanceFilter { project: Some(world.user.default_project), ..filter(10) };
    assert_eq!(ids(&world, &project).await.len(), 3);

    // Time passes: what the reaper has not looked at yet has expired all the same.
    world.clock.advance(std::time::Duration::from_hours(2));
    assert_eq!(ids(&world, &several(&[Expired], &world)).await, [ended, running]);
    assert_eq!(ids(&world, &several(&[Running, Stopped], &world)).await, []);
    assert_eq!(ids(&world, &several(&[Running], &world)).await, [], "nor by the index of one status");
}

/// More instances than one page looks at, the oldest of them with a name of its own.
async fn many(world: &mut World) {
    let template = world.ended(3_001).await;
    let fill = format!(
        "insert into mcp_instances
           select (jsonb_populate_record(i, jsonb_build_object('id', uuid_v7(t.at), 'name', t.name, 'created_at', t.at,
                   'access_token_hash', sha256(g::text::bytea)))).*
           from generate_series(1, {all}) g
           cross join lateral (select now() - make_interval(secs => g) as at,
             case g when {all} then 'the oldest' else 'filled ' || g end as name) t
           join mcp_instances i on i.id = '{}'",
        template.uuid(),
        all = SEARCHED_NAMES + 10,
    );
    world.owner().await.execute(AssertSqlSafe(fill)).await.unwrap();
}

#[tokio::test]
async fn a_page_looks_at_so_many_names_and_the_next_goes_on() {
    let mut world = World::new().await;
    many(&mut world).await;
    for order in [Order::Ascending, Order::Descending] {
        let named = |name: &str, limit| InstanceFilter {
            name_contains: Some(name.to_owned()),
            order,
            ..filter(limit)
        };
        let first = list(&world, &named("OLDEST", 10)).await;
        let after = first.next.clone().expect("there is more to look at");
        let second = list(&world, &InstanceFilter { after: Some(after), ..named("OLDEST", 10) }).await;
        assert_eq!(second.next, None, "{order:?}");
        let found = [first.items.len(), second.items.len()];
        assert_eq!(found, if order == Order::Ascending { [1, 0] } else { [0, 1] });
        // Pages of those that many have lose none, and tell none twice.
        let filled = usize::try_from(SEARCHED_NAMES).unwrap() + 9;
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let page = list(&world, &InstanceFilter { after, ..named("filled", 1_500) }).await;
            told.extend(page.items.iter().map(|row| row.name.clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(told.len(), filled, "{order:?}");
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), filled);
    }
    // What is old is found at once where the time is said.
    let row = list(&world, &InstanceFilter { order: Order::Ascending, ..filter(1) }).await.items.remove(0);
    let until = Some(row.created_at + Duration::SECOND);
    let old = InstanceFilter { created_until: until, name_contains: Some("oldest".to_owned()), ..filter(10) };
    assert_eq!(ids(&world, &old).await, [row.id]);
}

fn line(world: &World, instance: InstanceId, number: i64) -> NewLog {
    let level = if number % 10 == 0 { LogLevel::Error } else { LogLevel::Info };
    let message = if number % 7 == 0 { format!("Needle {number}") } else { format!("hay {number}") };
    let at = world.now() + Duration::milliseconds(number);
    NewLog {
        instance,
        at,
        shim_seq: Some(number),
        level,
        source: LogSource::Process,
        message,
        metadata: None,
    }
}

fn search(after: Option<TimelineCursor>, limit: u32) -> LogSearch {
    LogSearch {
        view: None,
        instance: None,
        contains: Some("needle".to_owned()),
        min_level: None,
        source: None,
        since: None,
        until: None,
        after,
        limit,
        window: 20,
    }
}

#[tokio::test]
async fn a_search_looks_at_a_part_says_how_far_it_came_and_finds_everything_in_the_end() {
    let mut world = World::new().await;
    let id = world.running(3_001).await;
    let lines: Vec<NewLog> = (1..=100).map(|number| line(&world, id, number)).collect();
    world.store().logs().append(&lines).await.unwrap();
    for limit in [1, 2, 50] {
        let (mut found, mut after, mut pages, mut came) = (Vec::new(), None, 0, None);
        loop {
            let page = world.store().logs().search(&search(after, limit)).await.unwrap();
            assert!(came.is_none_or(|came| page.searched_to <= came), "it only goes back");
            came = Some(page.searched_to);
            found.extend(page.items.into_iter().map(|row| row.seq));
            (after, pages) = (page.next, pages + 1);
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<i64> = (1..=100).rev().filter(|number| number % 7 == 0).collect();
        assert_eq!(found, expected, "{limit}");
        assert!(pages >= 5, "a page looks at twenty lines at most");
    }
    let errors = LogSearch {
        contains: None,
        min_level: Some(LogLevel::Warn),
        since: Some(world.now() + Duration::milliseconds(50)),
        until: Some(world.now() + Duration::milliseconds(80)),
        window: 100,
        ..search(None, 10)
    };
    let found = world.store().logs().search(&errors).await.unwrap();
    assert_eq!(found.items.iter().map(|row| row.seq).collect::<Vec<_>>(), [70, 60, 50]);
    let nothing = LogSearch { until: Some(world.now()), ..errors };
    assert!(world.store().logs().search(&nothing).await.unwrap().items.is_empty());
}
