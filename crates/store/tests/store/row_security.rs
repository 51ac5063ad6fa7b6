//! The second lock: what a statement forgets to ask for, the database does not give.

use std::collections::BTreeSet;

use roadstead_model::{
    CredentialId, InstanceId, LogLevel, LogSource, Quotas, Reach, SessionEra, UsageMethod, UsageStatus,
    UserId, View,
};
use roadstead_store::{
    InstanceFilter, InstanceSort, LogFilter, LogSearch, NewLog, NewUsage, Order, Seen, UsageBy, UsageFilter,
};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::secrets::credential;
use crate::world::World;

/// Tables of the platform: the service reads and changes them for whoever may.
const OF_THE_PLATFORM: &[&str] =
    &["retention_policies", "retention_runs", "setting_history", "system_events", "system_settings"];
/// Tables with rows of two people in them.
const WITH_ROWS: &[&str] = &["mcp_instances", "mcp_logs", "mcp_events", "mcp_usage", "credentials"];

/// Two people of two organisations, each with an instance that said and cost something, and a credential.
struct Two {
    world: World,
    mine: InstanceId,
    credential: CredentialId,
    stranger: UserId,
}

impl Two {
    async fn new() -> Self {
        let mut world = World::new().await;
        let new = credential(&mut world, "mine");
        world.setup().credentials().create(&new).await.unwrap();
        let mine = world.running(3001).await;
        let stranger = world.another_user("eve@example.org").await;
        let theirs = {
            let eve = world.store().users().get(stranger).await.unwrap().unwrap();
            let mut new = world.instance_on(3002);
            (new.user, new.organization, new.project) =
                (eve.id, eve.default_organization, eve.default_project);
            world.store().instances().reserve(&new, &Quotas::instances(10)).await.unwrap();
            new.id
        };
        for (seq, instance) in [(1, mine), (2, theirs)] {
            world.store().logs().append(&[line(&world, instance, seq)]).await.unwrap();
            world.store().usage().append(&[fact(&world, instance, seq)]).await.unwrap();
        }
        Self { world, mine, credential: new.id, stranger }
    }

    fn view(&self, reach: Reach) -> View {
        View { reach, ..self.world.view(self.world.user.id) }
    }

    /// Somebody of another organisation, who sees their own rows.
    async fn strangers_view(&self) -> View {
        let eve = self.world.store().users().get(self.stranger).await.unwrap().unwrap();
        View { user: eve.id, organization: eve.default_organization, reach: Reach::Own }
    }
}

fn line(world: &World, instance: InstanceId, seq: i64) -> NewLog {
    NewLog {
        instance,
        at: world.now(),
        shim_seq: Some(seq),
        level: LogLevel::Info,
        source: LogSource::Process,
        message: "said".to_owned(),
        metadata: None,
    }
}

fn fact(world: &World, instance: InstanceId, seq: i64) -> NewUsage {
    NewUsage {
        instance,
        at: world.now(),
        seq,
        method: UsageMethod::CallTool,
        name: Some("add".to_owned()),
        request_id: None,
        parent_request_id: None,
        era: SessionEra::Modern,
        status: UsageStatus::Success,
        calls: 1,
        latency_us: 1,
        request_bytes: 1,
        answer_bytes: 1,
    }
}

/// A transaction of the application that took the callers' role, and says this.
async fn as_caller(world: &World, view: Option<View>) -> PgConnection {
    let mut connection = world.database.application.connect().await.unwrap();
    connection.execute("begin; set local role roadstead_caller").await.unwrap();
    if let Some(View { user, organization, reach }) = view {
        let said = format!(
            "select set_config('roadstead.user', '{user}', true), set_config('roadstead.reach', '{}', true),
                    set_config('roadstead.organization', '{organization}', true)",
            reach.as_str()
        );
        connection.execute(AssertSqlSafe(said)).await.unwrap();
    }
    connection
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}")))
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_table_that_says_whose_its_rows_are_has_a_policy() {
    let world = World::new().await;
    let names = async |text: &'static str| -> BTreeSet<String> {
        let mut owner = world.owner().await;
        sqlx::query_scalar(text).fetch_all(&mut owner).await.unwrap().into_iter().collect()
    };
    // What callers have no right on, they do not see at all.
    let open = names(
        "select distinct c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
           and a.attname in ('user_id', 'owner_id', 'organization_id', 'actor_user_id')
           and has_any_column_privilege('roadstead_caller', c.oid, 'select, update')",
    )
    .await;
    let locked = names(
        "select distinct c.relname::text from pg_policy p join pg_class c on c.oid = p.polrelid
         where p.polname = 'caller' and c.relrowsecurity",
    )
    .await;
    assert!(open.is_superset(&WITH_ROWS.iter().map(|table| (*table).to_owned()).collect()), "{open:?}");
    let bare: Vec<_> = open.difference(&locked).collect();
    assert!(bare.is_empty(), "callers see these without a policy: {bare:?}");
    let unprotected = names(
        "select distinct c.relname::text from pg_class c
         where c.relispartition and has_any_column_privilege('roadstead_caller', c.oid, 'select, insert, update')",
    )
    .await;
    assert!(unprotected.is_empty(), "partitions can be read past their tables' policies: {unprotected:?}");
}

#[tokio::test]
async fn no_caller_sees_or_changes_what_is_the_platforms() {
    let two = Two::new().await;
    for table in OF_THE_PLATFORM {
        for statement in [
            format!("select from {table}"),
            format!("insert into {table} default values"),
            format!("delete from {table}"),
        ] {
            let mut caller = as_caller(&two.world, Some(two.view(Reach::All))).await;
            let error = caller.execute(AssertSqlSafe(statement.clone())).await.unwrap_err();
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
        }
    }
}

#[tokio::test]
async fn whoever_says_nothing_sees_nothing() {
    let two = Two::new().await;
    let mut nobody = as_caller(&two.world, None).await;
    for table in
        WITH_ROWS.iter().chain(&["organizations", "org_members", "projects", "users", "api_keys", "exports"])
    {
        assert_eq!(count(&mut nobody, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_statement_without_a_condition_sees_what_the_caller_reaches() {
    let two = Two::new().await;
    for (reach, instances) in [(Reach::Own, 1), (Reach::Organization, 1), (Reach::All, 2)] {
        let mut caller = as_caller(&two.world, Some(two.view(reach))).await;
        for table in ["mcp_instances", "mcp_logs", "mcp_usage"] {
            assert_eq!(count(&mut caller, table).await, instances, "{table} {reach:?}");
        }
        assert_eq!(count(&mut caller, "credentials").await, 1);
    }
    let mut eve = as_caller(&two.world, Some(two.strangers_view().await)).await;
    assert_eq!(count(&mut eve, "mcp_instances").await, 1);
    assert_eq!((count(&mut eve, "credentials").await, count(&mut eve, "credential_events").await), (0, 0));
}

#[tokio::test]
async fn what_is_not_in_view_is_not_changed() {
    let two = Two::new().await;
    let mut eve = as_caller(&two.world, Some(two.strangers_view().await)).await;
    for change in [
        "update mcp_instances set name = 'mine now' where name = 'echo-3001'",
        "update credentials set name = 'mine now'",
        "update users set name = 'Mallory' where name = 'Alice'",
    ] {
        assert_eq!(eve.execute(change).await.unwrap().rows_affected(), 0, "{change}");
    }
    let mut patch = two.world.store().change(two.strangers_view().await).await.unwrap();
    let all = View { reach: Reach::All, ..two.strangers_view().await };
    let wish = roadstead_store::InstancePatch { name: Some("mine now".to_owned()), ..Default::default() };
    let outcome = patch.instances().patch(two.mine, all, &wish).await.unwrap();
    assert_eq!(outcome, roadstead_store::PatchOutcome::Missing);
}

#[tokio::test]
async fn no_caller_reads_a_sealed_value() {
    let two = Two::new().await;
    let refused = async |statement: &'static str| {
        let mut caller = as_caller(&two.world, Some(two.view(Reach::All))).await;
        let error = caller.execute(statement).await.unwrap_err();
        error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned))
    };
    for statement in [
        "select sealed from credential_secrets",
        "select * from credential_secrets",
        "select sealed from instance_secrets",
        "select * from key_ring_check",
    ] {
        let code = refused(statement).await;
        assert!(matches!(code.as_deref(), Some("42501" | "42P01")), "{statement}: {code:?}");
    }
    let mut caller = as_caller(&two.world, Some(two.view(Reach::Own))).await;
    assert!(count(&mut caller, "(select hint from credential_secrets) s").await > 0);
}

/// Each list, asked with a condition that lets everything through, by somebody who reaches nothing of it.
#[tokio::test]
async fn a_forgotten_condition_leaks_nothing() {
    let two = Two::new().await;
    let (store, eve) = (two.world.store(), two.strangers_view().await);
    let everything = Some(two.view(Reach::All));
    let seen = store.seen_by(eve);
    assert!(seen.instances().get(two.mine, everything).await.unwrap().is_none());
    for sort in [InstanceSort::Created, InstanceSort::Expires, InstanceSort::Status] {
        for order in [Order::Ascending, Order::Descending] {
            let filter =
                InstanceFilter { view: everything, sort, order, limit: 10, ..InstanceFilter::default() };
            let found = seen.instances().list(&filter).await.unwrap().items;
            assert_eq!(found.iter().map(|row| row.user).collect::<Vec<_>>(), [two.stranger], "{sort:?}");
        }
    }
    let lines = LogFilter {
        view: everything,
        instance: two.mine,
        since: None,
        until: None,
        min_level: None,
        source: None,
        contains: None,
        after: None,
        limit: 10,
        order: Order::Ascending,
    };
    assert!(seen.logs().list(&lines).await.unwrap().items.is_empty());
    assert!(seen.logs().follow(two.mine, everything, 0, 10).await.unwrap().is_empty());
    for instance in [None, Some(two.mine)] {
        let found = seen.logs().search(&search(everything, instance)).await.unwrap();
        assert!(found.items.iter().all(|row| row.instance != two.mine), "{instance:?}");
    }
    assert!(
        seen.events().list(two.mine, everything, None, 10, Order::Ascending).await.unwrap().items.is_empty()
    );
    let usage = UsageFilter { view: everything, instance: Some(two.mine), ..UsageFilter::default() };
    assert!(seen.usage().list(&usage, None, 10, Order::Ascending).await.unwrap().items.is_empty());
    assert!(seen.usage().sums(&usage, UsageBy::Tool).await.unwrap().is_empty());
    let mut credentials: roadstead_store::Credentials<Seen<'_>> = seen.credentials();
    assert!(credentials.get(two.credential, None).await.unwrap().is_none());
    assert!(credentials.list(two.world.user.id, None).await.unwrap().is_empty());
    assert!(credentials.page(two.view(Reach::All), None, 10).await.unwrap().items.is_empty());
    assert!(credentials.holders(two.credential).await.unwrap().is_empty());
    assert!(credentials.events(two.credential, 10).await.unwrap().is_empty());
}

/// The same statements let everything through that is the caller's: the test above cannot pass by finding nothing at all.
#[tokio::test]
async fn what_is_the_callers_is_found() {
    let two = Two::new().await;
    for reach in [Reach::Own, Reach::Organization, Reach::All] {
        let view = two.view(reach);
        let seen = two.world.store().seen_by(view);
        assert!(seen.instances().get(two.mine, Some(view)).await.unwrap().is_some());
        let expected = if reach == Reach::All { 2 } else { 1 };
        for sort in [InstanceSort::Created, InstanceSort::Expires, InstanceSort::Status] {
            let filter = InstanceFilter { view: Some(view), sort, limit: 10, ..InstanceFilter::default() };
            assert_eq!(
                seen.instances().list(&filter).await.unwrap().items.len(),
                expected,
                "{sort:?} {reach:?}"
            );
        }
        let found = seen.logs().search(&search(Some(view), None)).await.unwrap();
        assert_eq!((found.items.len(), found.next), (expected, None), "{reach:?}");
        let of_one = seen.logs().search(&search(Some(view), Some(two.mine))).await.unwrap();
        assert_eq!(of_one.items.len(), 1);
        assert_eq!(seen.logs().follow(two.mine, Some(view), 0, 10).await.unwrap().len(), 1);
        let events = seen.events().list(two.mine, Some(view), None, 10, Order::Descending).await.unwrap();
        assert_eq!(events.items.len(), 2);
        let usage = UsageFilter { view: Some(view), ..UsageFilter::default() };
        assert_eq!(
            seen.usage().list(&usage, None, 10, Order::Descending).await.unwrap().items.len(),
            expected
        );
        assert!(seen.credentials().get(two.credential, view.owner()).await.unwrap().is_some());
        assert_eq!(seen.credentials().page(view, None, 10).await.unwrap().items.len(), 1);
        assert_eq!(seen.credentials().events(two.credential, 10).await.unwrap().len(), 1);
        assert_eq!(seen.types().by_name("echo", None).await.unwrap().len(), 1);
        assert_eq!(
            seen.types()
                .list(Some(roadstead_model::TypeStatus::Approved), None, None, 10)
                .await
                .unwrap()
                .items
                .len(),
            1
        );
    }
}

fn search(view: Option<View>, instance: Option<InstanceId>) -> LogSearch {
    LogSearch {
        view,
        instance,
        contains: Some("SAID".to_owned()),
        min_level: None,
        source: None,
        since: None,
        until: None,
        after: None,
        limit: 10,
        window: 100,
    }
}
