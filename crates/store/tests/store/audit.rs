//! The audit log's chains: linked once, by one of many, and broken by whatever is altered.

use std::time::Duration;

use roadstead_model::{Actor, Changes, NewAudit, OrganizationId};
use roadstead_store::{Break, Signer, Store, Verified, Why};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::World;

/// Signs with a number that it knows.
struct Key(u8);

impl Signer for Key {
    fn sign(&self, text: &[u8]) -> (u32, [u8; 32]) {
        let mut signature = [self.0; 32];
        for (index, byte) in text.iter().enumerate() {
            signature[index % 32] ^= byte.rotate_left(u32::try_from(index % 7).unwrap());
        }
        (u32::from(self.0), signature)
    }

    fn is_right(&self, key: u32, text: &[u8], signature: &[u8]) -> Option<bool> {
        (key == u32::from(self.0)).then(|| self.sign(text).1 == *signature)
    }
}

const KEY: Key = Key(7);

fn entry(world: &World, number: i64) -> NewAudit {
    NewAudit {
        organization: Some(world.user.default_organization),
        project: Some(world.user.default_project),
        actor: Actor {
            user: Some(world.user.id),
            ip_address: Some("10.0.0.7".parse().unwrap()),
            user_agent: Some("a tab \t, a \\ and a line\nend".to_owned()),
            request_id: Some(format!("request-{number}")),
            ..Actor::SYSTEM
        },
        resource_id: Some(number.to_string()),
        changes: Changes::default().with("name", Some(&json!("old\n")), &json!("new\\\t")),
        ..NewAudit::by_system("instance.extend", world.now())
    }
}

async fn append(world: &World, numbers: std::ops::Range<i64>) {
    for number in numbers {
        world.store().audit().append(&entry(world, number)).await.unwrap();
    }
}

async fn seal(store: &Store) -> usize {
    let mut sealed = 0;
    while let Some(turn) = store.audit().seal().await.unwrap() {
        sealed += turn.entries;
        if !turn.more {
            break;
        }
    }
    sealed
}

async fn verify(world: &World) -> Verified {
    world.store().audit().verify(None, Some(&KEY)).await.unwrap()
}

fn organization(world: &World) -> Uuid {
    world.user.default_organization.uuid()
}

/// A connection that is held to nothing.
async fn rewriter(world: &World) -> PgConnection {
    let mut owner = world.owner().await;
    owner.execute("set session_replication_role = replica").await.unwrap();
    owner
}

#[tokio::test]
async fn what_was_committed_is_linked_and_found_whole() {
    let world = World::new().await;
    append(&world, 0..25).await;
    let platform = NewAudit::by_system("master_key.rotate", world.now());
    world.store().audit().append(&platform).await.unwrap();
    assert_eq!(verify(&world).await.unsealed, 26);
    assert_eq!(seal(world.store()).await, 26);
    let verified = verify(&world).await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!((verified.entries, verified.unsealed, verified.chains), (26, 0, 2));
    let one = world.store().audit().verify(Some(organization(&world)), None).await.unwrap();
    assert_eq!((one.entries, one.chains, one.is_whole()), (25, 1, true));
    append(&world, 25..30).await;
    assert_eq!(seal(world.store()).await, 5);
    assert!(verify(&world).await.is_whole());
}

#[tokio::test]
async fn many_sealers_and_writers_at_once_link_every_entry_once() {
    const WRITERS: i64 = 4;
    const EACH: i64 = 40;
    let world = World::new().await;
    let writing = futures_util::future::join_all((0..WRITERS).map(|writer| {
        let world = &world;
        async move { append(world, writer * EACH..(writer + 1) * EACH).await }
    }));
    let done = std::sync::atomic::AtomicBool::new(false);
    let sealer = || async {
        let mut sealed = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            sealed += seal(world.store()).await;
            tokio::task::yield_now().await;
        }
        sealed
    };
    let written = async {
        writing.await;
        done.store(true, std::sync::atomic::Ordering::Release);
    };
    let (first, second, ()) = tokio::join!(sealer(), sealer(), written);
    let left = seal(world.store()).await;
    assert_eq!(first + second + left, usize::try_from(WRITERS * EACH).unwrap());
    let verified = verify(&world).await;
    assert!(verified.is_whole(), "{verified:?}");
    let mut owner = world.owner().await;
    let numbers: (i64, i64, i64) =
        sqlx::query_as("select count(*), count(distinct number), max(number) from audit_links")
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert_eq!(numbers, (WRITERS * EACH, WRITERS * EACH, WRITERS * EACH));
}

#[tokio::test]
async fn a_writer_that_keeps_its_transaction_open_delays_nobody() {
    let world = World::new().await;
    let mut slow = world.store().system_change().await.unwrap();
    slow.audit().append(&entry(&world, 1)).await.unwrap();
    append(&world, 2..5).await;
    let sealed = tokio::time::timeout(Duration::from_secs(10), seal(world.store())).await;
    assert_eq!(sealed.unwrap(), 3);
    slow.commit(&entry(&world, 5)).await.unwrap();
    assert_eq!(seal(world.store()).await, 2);
    assert!(verify(&world).await.is_whole());
}

#[tokio::test]
async fn a_change_of_any_column_of_any_entry_is_found_and_named() {
    let world = World::new().await;
    append(&world, 0..6).await;
    seal(world.store()).await;
    let other = Uuid::from_u128(5);
    let changes = [
        "at = at + interval '1 microsecond'".to_owned(),
        format!("id = '{other}'"),
        format!("organization_id = '{other}'"),
        format!("project_id = '{other}'"),
        "actor_kind = 'webhook'".to_owned(),
        "actor_user_id = null".to_owned(),
        format!("actor_key_id = '{other}'"),
        format!("on_behalf_of = '{other}'"),
        "ip_address = '10.0.0.8'".to_owned(),
        "user_agent = user_agent || ' '".to_owned(),
        "action = 'instance.extenc'".to_owned(),
        "resource_kind = 'instanc'".to_owned(),
        "resource_id = '4'".to_owned(),
        "changes = jsonb_set(changes, '{name,new}', '\"newer\"')".to_owned(),
        "request_id = 'another'".to_owned(),
        "outcome = 'failed', code = 'X'".to_owned(),
        "code = 'X'".to_owned(),
        "sensitive = true".to_owned(),
        "retention_days = 1".to_owned(),
        "times = 2".to_owned(),
    ];
    let mut owner = rewriter(&world).await;
    let seq: i64 = sqlx::query_scalar("select seq from audit_logs where resource_id = '3'")
        .fetch_one(&mut owner)
        .await
        .unwrap();
    for change in changes {
        let keep = format!("create temporary table kept as select * from audit_logs where seq = {seq}");
        owner.execute(AssertSqlSafe(keep)).await.unwrap();
        let done = format!("update audit_logs set {change} where seq = {seq}");
        assert_eq!(owner.execute(AssertSqlSafe(done)).await.unwrap().rows_affected(), 1, "{change}");
        let verified = verify(&world).await;
        let place =
            Break { organization: organization(&world), number: Some(4), seq: Some(seq), why: Why::Content };
        assert_eq!(verified.broken.places(), [place], "{change}");
        let back = format!(
            "delete from audit_logs where seq = {seq}; insert into audit_logs select * from kept; drop table kept"
        );
        sqlx::raw_sql(AssertSqlSafe(back)).execute(&mut owner).await.unwrap();
        assert!(verify(&world).await.is_whole(), "{change}");
    }
}

#[tokio::test]
async fn what_is_done_to_links_and_what_is_taken_out_is_found_and_named() {
    let world = World::new().await;
    append(&world, 0..6).await;
    seal(world.store()).await;
    let cases = [
        ("update audit_links set content = sha256('x') where number = 3", Some(3), Why::Content),
        ("update audit_links set hash = sha256('x') where number = 3", Some(3), Why::Link),
        ("update audit_links set at = at + interval '1 microsecond' where number = 3", Some(3), Why::Content),
        ("update audit_links set format = 2 where number = 3", Some(3), Why::Content),
        ("update audit_links set number = 7 where number = 3", Some(3), Why::Gap),
        ("delete from audit_logs where resource_id = '2'", Some(3), Why::MissingEntry),
        ("delete from audit_links where number = 3", None, Why::MissingLink),
        (
            "delete from audit_logs where resource_id = '2'; delete from audit_links where number = 3",
            Some(3),
            Why::Gap,
        ),
        ("delete from audit_logs where resource_id = '5'", Some(6), Why::MissingEntry),
        (
            "delete from audit_logs where resource_id = '5'; delete from audit_links where number = 6",
            Some(6),
            Why::Gap,
        ),
        ("update audit_chains set hash = sha256('x')", Some(6), Why::Head),
        ("delete from audit_chains", Some(6), Why::Head),
    ];
    for (done, number, why) in cases {
        let mut owner = rewriter(&world).await;
        let tables = ["audit_logs", "audit_links", "audit_chains"];
        for table in tables {
            let keep = format!("create temporary table kept_{table} as table {table}");
            owner.execute(AssertSqlSafe(keep)).await.unwrap();
        }
        sqlx::raw_sql(done).execute(&mut owner).await.unwrap();
        let verified = verify(&world).await;
        let found = verified.broken.places().iter().any(|place| place.number == number && place.why == why);
        assert!(found, "{done}: {verified:?}");
        for table in tables {
            let back = format!("delete from {table}; insert into {table} table kept_{table}");
            sqlx::raw_sql(AssertSqlSafe(back)).execute(&mut owner).await.unwrap();
        }
        owner.close().await.unwrap();
        assert!(verify(&world).await.is_whole(), "{done}");
    }
}

/// Rewrites the chain from its third entry on as somebody would who knows how it is made.
async fn forge(world: &World) {
    let mut owner = rewriter(world).await;
    let forged = "update audit_logs set action = 'instance.forged' where resource_id = '2';
        delete from audit_links where number >= 3;
        update audit_chains set number = 2, hash = (select hash from audit_links where number = 2);
        insert into audit_unsealed select seq, at, organization_id from audit_logs where seq not in (select seq from audit_links)";
    sqlx::raw_sql(forged).execute(&mut owner).await.unwrap();
    seal(world.store()).await;
}

#[tokio::test]
async fn whoever_rewrites_the_rest_of_a_chain_cannot_get_behind_a_signed_place() {
    let world = World::new().await;
    append(&world, 0..6).await;
    seal(world.store()).await;
    let day = world.now() - time::Duration::HOUR;
    assert_eq!(world.store().audit().anchor_day(day, world.now(), &KEY).await.unwrap(), 1);
    assert_eq!(world.store().audit().anchor_day(day, world.now(), &KEY).await.unwrap(), 0, "once a day");
    let verified = verify(&world).await;
    assert_eq!((verified.is_whole(), verified.anchors, verified.unchecked), (true, 1, 0));
    forge(&world).await;
    let broken = verify(&world).await.broken;
    let place = broken.places()[0];
    assert_eq!((place.number, place.why), (Some(6), Why::Anchor), "{broken:?}");
    // Signed anew with another key, it is told as a place whose signature nobody can look at.
    let mut owner = rewriter(&world).await;
    owner.execute("delete from audit_anchors").await.unwrap();
    owner.execute("update audit_chains set anchored_at = null").await.unwrap();
    world.store().audit().anchor_day(day, world.now(), &Key(9)).await.unwrap();
    assert_eq!(verify(&world).await.unchecked, 1);
    // And with a made-up signature of the right key, as wrong.
    owner.execute("update audit_anchors set key_id = 7").await.unwrap();
    assert_eq!(verify(&world).await.broken.places()[0].why, Why::Signature);
}

#[tokio::test]
async fn a_chain_is_verified_from_behind_a_month_that_was_dropped() {
    let world = World::new().await;
    let before = month_before(world.now());
    world.store().ensure_partitions(before).await.unwrap();
    for number in 0..4 {
        let old = NewAudit { at: before, ..entry(&world, number) };
        world.store().audit().append(&old).await.unwrap();
    }
    append(&world, 4..8).await;
    seal(world.store()).await;
    let cutoff = first_of_month(world.now());
    let mut owner = rewriter(&world).await;
    let policy = "update retention_policies set days = 1 where table_name = 'audit_logs'";
    owner.execute(policy).await.unwrap();
    let drop =
        format!("select drop_month_partitions('audit_logs', least('{cutoff}', now() - interval '1 day'))");
    let refused = owner.execute(AssertSqlSafe(drop.clone())).await;
    let is_early = cutoff > world.now() - time::Duration::DAY;
    assert!(is_early || refused.is_err(), "a month that is not anchored is not dropped");
    assert_eq!(world.store().audit().anchor_before(cutoff, world.now(), &KEY).await.unwrap(), 1);
    assert_eq!(world.store().audit().anchor_before(cutoff, world.now(), &KEY).await.unwrap(), 0);
    assert!(verify(&world).await.is_whole(), "anchored, and not dropped yet");
    if is_early {
        let tables = format!("drop table audit_logs_{0}, audit_links_{0}", name_of_month(before));
        sqlx::raw_sql(AssertSqlSafe(tables)).execute(&mut owner).await.unwrap();
    } else {
        owner.execute(AssertSqlSafe(drop)).await.unwrap();
    }
    let verified = verify(&world).await;
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.entries, 4);
    // What lies behind the signed place cannot be taken for dropped.
    sqlx::raw_sql("delete from audit_logs where resource_id = '4'; delete from audit_links where number = 5")
        .execute(&mut owner)
        .await
        .unwrap();
    let broken = verify(&world).await.broken;
    assert_eq!((broken.places()[0].number, broken.places()[0].why), (Some(5), Why::Gap), "{broken:?}");
}

fn first_of_month(at: OffsetDateTime) -> OffsetDateTime {
    at.to_offset(time::UtcOffset::UTC).replace_day(1).unwrap().replace_time(time::Time::MIDNIGHT)
}

fn month_before(at: OffsetDateTime) -> OffsetDateTime {
    first_of_month(at) - time::Duration::days(2)
}

fn name_of_month(at: OffsetDateTime) -> String {
    format!("{:04}_{:02}", at.year(), u8::from(at.month()))
}

#[tokio::test]
async fn the_feed_is_numbered_in_the_order_of_the_commits_and_shows_nobody_what_is_not_theirs() {
    let mut world = World::new().await;
    let first = world.reserve(3_001).await.unwrap();
    world.clock.advance(Duration::from_millis(1));
    assert!(world.store().instances().mark_running(first, &world.started()).await.unwrap().is_some());
    seal(world.store()).await;
    let mine = world.view(world.user.id);
    let all = roadstead_store::FeedFilter { after: 0, limit: 100, ..Default::default() };
    let read = world.store().seen_by(mine).feed().after(&all).await.unwrap();
    assert_eq!(read.iter().map(|row| row.event_type.as_str()).collect::<Vec<_>>(), ["created", "started"]);
    assert!(read.iter().all(|row| row.subject == Some(first.uuid())));
    let last = read.last().unwrap().position;
    let second = world.running(3_002).await;
    let after = roadstead_store::FeedFilter { after: last, ..all.clone() };
    assert_eq!(world.store().seen_by(mine).feed().after(&after).await.unwrap(), [], "not numbered yet");
    seal(world.store()).await;
    let rest = world.store().seen_by(mine).feed().after(&after).await.unwrap();
    assert_eq!(rest.len(), 2);
    assert!(rest.iter().all(|row| row.subject == Some(second.uuid()) && row.position > last));
    let stranger = world.another_user("bob@example.org").await;
    let theirs = roadstead_model::View {
        user: stranger,
        organization: OrganizationId::from_uuid(Uuid::from_u128(1)),
        reach: roadstead_model::Reach::Organization,
    };
    assert_eq!(world.store().seen_by(theirs).feed().after(&all).await.unwrap(), []);
}

#[tokio::test]
async fn what_happens_to_a_credential_is_in_its_owners_feed() {
    let mut world = World::new().await;
    let stranger = world.another_user("bob@example.org").await;
    let new = crate::secrets::credential(&mut world, "work");
    let mut change = world.store().system_change().await.unwrap();
    change.credentials().create(&new).await.unwrap();
    change.commit(&entry(&world, 1)).await.unwrap();
    // Said by a transaction for its owner, who may not read the feed's waiting room.
    let view = world.view(world.user.id);
    let mut change = world.store().change(view).await.unwrap();
    let at = world.now() + time::Duration::MILLISECOND;
    let actor = Actor { user: Some(world.user.id), ..Actor::SYSTEM };
    let valid = roadstead_model::Validity::Valid;
    assert!(change.credentials().validated(new.id, 1, valid, &actor, at).await.unwrap());
    change.commit(&entry(&world, 2)).await.unwrap();
    seal(world.store()).await;
    let all = roadstead_store::FeedFilter {
        kind: Some("credential".to_owned()),
        subject: Some(new.id.uuid()),
        limit: 100,
        ..Default::default()
    };
    let read = world.store().seen_by(view).feed().after(&all).await.unwrap();
    assert_eq!(read.iter().map(|row| row.event_type.as_str()).collect::<Vec<_>>(), ["created", "validated"]);
    assert!(read.iter().all(|row| row.owner_id == Some(world.user.id.uuid())
        && row.organization_id == Some(world.user.default_organization.uuid())));
    assert_eq!(world.store().seen_by(world.view(stranger)).feed().after(&all).await.unwrap(), []);
}
