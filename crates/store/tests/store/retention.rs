//! What is old goes: whole months, never a line at a time; and only what a policy says.

use roadstead_model::RunId;
use roadstead_store::{Dropped, PageRequest, RunOutcome, RunRow, StoreError};
use sqlx::{AssertSqlSafe, Executor};
use time::{Duration, OffsetDateTime};

use crate::world::World;

/// A month of log lines long ago, with so many lines in it. Its first moment.
async fn old_month(world: &mut World, lines: u32) -> (OffsetDateTime, String) {
    let id = world.ended(3_001).await;
    let then = world.now() - Duration::days(100);
    let mut owner = world.owner().await;
    let statement = format!(
        "select ensure_month_partitions('{then}', 1);
         insert into mcp_logs (id, mcp_instance_id, at, seq, origin, level, source, message, owner_id, organization_id)
         select gen_random_uuid(), i.id, '{then}', n, 'shim', 'info', 'process', 'line', i.user_id, i.organization_id
         from mcp_instances i, generate_series(1, {lines}) n where i.id = '{id}'"
    );
    owner.execute(AssertSqlSafe(statement)).await.unwrap();
    let name = format!("mcp_logs_{}_{:02}", then.year(), u8::from(then.month()));
    (then, name)
}

#[tokio::test]
async fn a_month_is_dropped_as_a_whole_and_not_deleted_line_by_line() {
    let mut world = World::new().await;
    let (_, name) = old_month(&mut world, 100).await;
    let cutoff = world.now() - Duration::days(31);
    let store = world.store().clone();
    let months = store.retention().months("mcp_logs", cutoff).await.unwrap();
    assert_eq!(months.iter().map(|month| month.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
    assert_eq!(store.retention().count_month(&months[0]).await.unwrap(), 100);
    assert!(months[0].bytes > 0 && months[0].end <= cutoff);
    let mut text = Vec::new();
    let mut sink = |piece: &[u8]| {
        text.extend_from_slice(piece);
        Ok(())
    };
    store.retention().write_month(&months[0], &mut sink).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(text).unwrap().lines().count(), 101, "a header and every line");
    let dropped = store.retention().drop_months("mcp_logs", cutoff).await.unwrap();
    assert_eq!(dropped, Dropped::Done(vec![name.clone()]));
    let mut owner = world.owner().await;
    let there: bool = sqlx::query_scalar(AssertSqlSafe(format!("select to_regclass('{name}') is not null")))
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert!(!there);
    assert!(store.retention().months("mcp_logs", cutoff).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_goes_that_a_policy_keeps_or_that_somebody_uses() {
    let mut world = World::new().await;
    let (_, name) = old_month(&mut world, 1).await;
    let store = world.store().clone();
    let young = store.retention().drop_months("mcp_logs", world.now() - Duration::days(3)).await.unwrap_err();
    assert!(matches!(young, StoreError::Database { .. }), "{young:?}");
    let mut owner = world.owner().await;
    owner.execute(AssertSqlSafe(format!("begin; select * from {name} limit 1"))).await.unwrap();
    let cutoff = world.now() - Duration::days(31);
    let busy = store.retention().drop_months("mcp_logs", cutoff).await.unwrap();
    assert!(matches!(busy, Dropped::Not(ref why) if why.contains("in use")), "{busy:?}");
    owner
        .execute("rollback; update retention_policies set is_active = false where table_name = 'mcp_logs'")
        .await
        .unwrap();
    assert!(store.retention().drop_months("mcp_logs", cutoff).await.is_err());
    assert_eq!(store.retention().months("mcp_logs", cutoff).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_instance_goes_after_its_lines_and_no_sooner() {
    let mut world = World::new().await;
    let (_, _) = old_month(&mut world, 1).await;
    let alive = world.running(3_002).await;
    let mut owner = world.owner().await;
    owner
        .execute("update mcp_instances set created_at = now() - interval '90 days', ended_at = now() - interval '80 days',
                    started_at = null, expires_at = now() - interval '80 days' where ended_at is not null")
        .await
        .unwrap();
    let cutoff = world.now() - Duration::days(30);
    let store = world.store().clone();
    assert_eq!(store.retention().count_rows("mcp_instances", cutoff).await.unwrap(), 0);
    store.retention().drop_months("mcp_logs", cutoff - Duration::days(1)).await.unwrap();
    assert_eq!(store.retention().count_rows("mcp_instances", cutoff).await.unwrap(), 1);
    assert_eq!(store.retention().delete_batch("mcp_instances", cutoff, 500).await.unwrap(), 1);
    assert_eq!(store.retention().delete_batch("mcp_instances", cutoff, 500).await.unwrap(), 0);
    assert!(store.instances().get(alive, None).await.unwrap().is_some());
}

#[tokio::test]
async fn runs_are_remembered_and_one_that_was_broken_off_is_told() {
    let mut world = World::new().await;
    let store = world.store().clone();
    let mut make = |minutes: i64| RunRow {
        id: RunId::new(&world.clock, &mut world.rng),
        table: "feed".to_owned(),
        started_at: OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes),
        finished_at: None,
        cutoff: OffsetDateTime::UNIX_EPOCH,
        rows: 0,
        months: Vec::new(),
        archived_to: None,
        outcome: RunOutcome::Running,
        error: None,
        user: None,
    };
    let (first, mut second) = (make(0), make(90));
    store.retention().begin_run(&first, false).await.unwrap();
    store.retention().begin_run(&second, false).await.unwrap();
    second.outcome = RunOutcome::Completed;
    second.rows = 7;
    second.finished_at = Some(second.started_at);
    store.retention().end_run(&second).await.unwrap();
    let page = PageRequest { after: None, limit: 1 };
    let newest = store.retention().runs(Some("feed"), page).await.unwrap();
    assert_eq!(newest.items, [second.clone()]);
    let next = PageRequest { after: newest.next, limit: 1 };
    let older = store.retention().runs(None, next).await.unwrap();
    assert_eq!(older.items[0].outcome, RunOutcome::Error);
    assert_eq!(older.items[0].error.as_deref(), Some("broken off"));
    let policies = store.retention().policies().await.unwrap();
    let feed = policies.iter().find(|policy| policy.table == "feed").unwrap();
    assert_eq!((feed.last_run_at, feed.by_month), (Some(second.started_at), true));
    assert_eq!(
        store.retention().forget_runs(OffsetDateTime::UNIX_EPOCH + Duration::hours(1)).await.unwrap(),
        1
    );
}
