//! Migrations, roles, partitions and the connection itself.

use roadstead_store::migrate::{self, MigrateError};
use roadstead_store::{APPLICATION_ROLE, Store};
use roadstead_test_support::TestDatabase;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use time::Duration;

use crate::world::World;

#[tokio::test]
async fn going_up_down_and_up_again_leaves_no_difference() {
    let database = TestDatabase::empty().await;
    let empty = database.schema().await;
    let newest = migrate::up(&database.owner, None).await.unwrap();
    let first = database.schema().await;
    assert_ne!(first, empty);
    let undone = migrate::rollback(&database.owner, 0).await.unwrap();
    assert_eq!(undone, newest.iter().rev().copied().collect::<Vec<_>>());
    // What stays is the history of migrations, which is empty.
    let down = database.schema().await;
    assert!(!down.contains("mcp_") && !down.contains("FUNCTION"), "{down}");
    assert_eq!(migrate::up(&database.owner, None).await.unwrap(), newest);
    assert_eq!(database.schema().await, first);
}

#[tokio::test]
async fn each_migration_can_be_undone_alone() {
    let database = TestDatabase::empty().await;
    let versions: Vec<i64> =
        migrate::status(&database.owner).await.unwrap().iter().map(|one| one.version).collect();
    assert!(versions.len() >= 7);
    let mut before = 0;
    for version in versions {
        assert_eq!(migrate::up(&database.owner, Some(version)).await.unwrap(), [version]);
        let schema = database.schema().await;
        assert_eq!(migrate::rollback(&database.owner, before).await.unwrap(), [version]);
        assert_eq!(migrate::up(&database.owner, Some(version)).await.unwrap(), [version]);
        assert_eq!(database.schema().await, schema, "{version}");
        before = version;
    }
}

#[tokio::test]
async fn what_is_pending_is_told_by_both_roles() {
    let database = TestDatabase::empty().await;
    let all = migrate::status(&database.owner).await.unwrap();
    assert!(all.iter().all(|one| one.applied_at.is_none()));
    assert_eq!(database.store.pending_migrations().await.unwrap(), all);
    migrate::up(&database.owner, None).await.unwrap();
    assert!(migrate::status(&database.owner).await.unwrap().iter().all(|one| one.applied_at.is_some()));
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
    let error = migrate::up(&database.owner, Some(9_999)).await.unwrap_err();
    assert!(matches!(error, MigrateError::Unknown(9_999)));
}

#[tokio::test]
async fn two_that_migrate_at_once_do_it_once() {
    let database = TestDatabase::empty().await;
    let (first, second) =
        tokio::join!(migrate::up(&database.owner, None), migrate::up(&database.owner, None));
    assert!(!first.unwrap().is_empty() || !second.unwrap().is_empty());
    assert!(database.store.pending_migrations().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_application_changes_rows_and_nothing_else() {
    let world = World::new().await;
    let mut application = world.database.application.connect().await.unwrap();
    let refused = [
        "create table stray (id integer)",
        "alter table users add column stray integer",
        "drop table mcp_logs",
        "truncate users",
        "create function stray() returns integer language sql as 'select 1'",
        "delete from _sqlx_migrations",
        "select grant_application_role()",
        "create role stray",
        "set role roadstead_owner",
        "create table stray partition of mcp_logs for values from ('2001-01-01') to ('2001-02-01')",
    ];
    for statement in refused {
        let error = application.execute(statement).await.expect_err(statement);
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.to_string()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I', tablename) from pg_tables
         where schemaname = 'public' and tablename !~ '_[0-9]{4}_[0-9]{2}$' and tablename <> '_sqlx_migrations'",
    )
    .fetch_all(&mut application)
    .await
    .unwrap();
    assert!(tables.len() >= 16);
    for table in tables {
        let is_appended_to =
            ["audit_logs", "audit_links", "audit_anchors", "mcp_type_reviews"].contains(&table.as_str());
        for right in ["select", "insert", "update", "delete"] {
            let question = format!("select has_table_privilege('{APPLICATION_ROLE}', '{table}', '{right}')");
            let allowed: bool =
                sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(&mut application).await.unwrap();
            let expected = !is_appended_to || matches!(right, "select" | "insert");
            assert_eq!(allowed, expected, "{right} {table}");
        }
    }
}

#[tokio::test]
async fn partitions_are_there_for_this_month_and_the_next_two() {
    let world = World::new().await;
    let mut owner = world.owner().await;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from generate_series(0, 2) as step, unnest(array['mcp_logs', 'audit_logs', 'feed']) as parent
         where to_regclass(parent || to_char(now() at time zone 'UTC' + make_interval(months => step), '_YYYY_MM'))
               is not null",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert_eq!(count, 9);
}

#[tokio::test]
async fn partitions_that_many_ask_for_at_once_are_made_once() {
    let world = World::new().await;
    let far = world.now() + Duration::days(1_000);
    let calls = (0..8).map(|_| world.store().ensure_partitions(far));
    let made: u32 = futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).sum();
    let tables: i64 = sqlx::query_scalar(
        "select count(*) from pg_class where relkind = 'p' and relnamespace = 'public'::regnamespace",
    )
    .fetch_one(&mut world.owner().await)
    .await
    .unwrap();
    let months = i64::from(made) / tables;
    assert!(
        i64::from(made) % tables == 0 && (3..=4).contains(&months),
        "three months, or four at a month's start: {made}"
    );
}

#[tokio::test]
async fn the_offset_of_the_database_is_measured() {
    let world = World::new().await;
    world.store().ping().await.unwrap();
    let machine = roadstead_model::SystemClock::new();
    let same = world.store().clock_offset(|| machine.machine_now()).await.unwrap();
    assert!(same.abs() < Duration::SECOND, "{same}");
    let ahead = world.store().clock_offset(|| machine.machine_now() - Duration::HOUR).await.unwrap();
    assert!((ahead - Duration::HOUR).abs() < Duration::SECOND, "{ahead}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_and_a_broken_rule_is_not() {
    let world = World::new().await;
    let nowhere = world.database.application.clone().socket("/nonexistent");
    let error = Store::connect(nowhere, 1).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let broken = roadstead_store::TypeChange { max_duration_minutes: 0, ..crate::world::definition() };
    let error = world.store().types().update(world.type_id, None, &broken, None).await.unwrap_err();
    assert!(!error.is_unavailable(), "{error:?}");
    world.store().close().await;
    assert!(world.store().ping().await.unwrap_err().is_unavailable());
}
