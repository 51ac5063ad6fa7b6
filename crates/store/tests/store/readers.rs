//! Readers, who share a few connections and leave nothing open on them.

use std::time::Duration;

use roadstead_model::{Reach, View};
use roadstead_store::{PageRequest, Store};
use roadstead_test_support::wait_for;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(20);
/// So few that one reader at a time is let in.
const CONNECTIONS: u32 = 2;
/// Who waits for a lock.
const WAIT: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and state = 'active'";
/// Transactions of others.
const OPEN: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null";
/// Ends the reader's connection.
const END: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and query like 'commit%'";
/// What was said last on it.
const LEFT: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and query like 'commit%'";

fn view(world: &World) -> View {
    View { user: world.user.id, organization: world.user.default_organization, reach: Reach::Own }
}

async fn read(store: &Store, world: &World) -> Result<usize, roadstead_store::StoreError> {
    let page = PageRequest { after: None, limit: 10 };
    let seen = store.seen_by(view(world)).organizations().list(Some(world.user.id), page).await?;
    Ok(seen.items.len())
}

/// Until a count is this.
async fn some_are(wanted: i64, connection: &mut PgConnection, statement: &'static str) {
    wait_for(statement, PATIENCE, async || (number(connection, statement).await == wanted).then_some(()))
        .await;
}

async fn number(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_reader_who_leaves_early_leaves_nothing_open_and_makes_no_room_before() {
    let world = World::new().await;
    let store = Store::connect(world.database.application.clone(), CONNECTIONS).await.unwrap();
    assert_eq!(read(&store, &world).await.unwrap(), 1);
    let mut owner = world.database.owner.connect().await.unwrap();
    let mut lock = owner.begin().await.unwrap();
    sqlx::query("lock table organizations in access exclusive mode").execute(&mut *lock).await.unwrap();
    tokio::select! {
        _ = read(&store, &world) => panic!("nobody reads a locked table"),
        () = some_are(1, &mut lock, WAIT) => {}
    }
    // The next waits for the turn that the first has left behind.
    let next = read(&store, &world);
    tokio::pin!(next);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut next).await.is_err());
    assert_eq!(number(&mut lock, WAIT).await, 1);
    lock.rollback().await.unwrap();
    assert_eq!(next.await.unwrap(), 1);
    some_are(0, &mut owner, OPEN).await;
}

#[tokio::test]
async fn a_connection_that_was_lost_while_it_rested_is_noticed_before_it_is_used() {
    let world = World::new().await;
    let store = Store::connect(world.database.application.clone(), CONNECTIONS).await.unwrap();
    assert_eq!(read(&store, &world).await.unwrap(), 1);
    let mut owner = world.database.owner.connect().await.unwrap();
    assert_eq!(number(&mut owner, END).await, 1, "the reader's");
    some_are(0, &mut owner, LEFT).await;
    // Longer than a connection is trusted without a word.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(read(&store, &world).await.unwrap(), 1);
}
