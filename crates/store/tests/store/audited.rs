//! A change that nobody wrote down is refused when it would begin to hold.

use roadstead_model::{ApiKeyId, NewAudit, Scope};
use roadstead_store::{KeySettings, NewApiKey, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::secrets::credential;
use crate::world::{World, definition};

const ENTRY: &str = "insert into audit_logs (at, id, organization_id, actor_kind, action, resource_kind, outcome)
  values (now(), uuid_v7(now()), '00000000-0000-0000-0000-000000000000', 'system', 'test.change', 'test', 'done')";

/// Changes of every table that is audited: rows that come, rows that say something else, rows that go.
const CHANGES: &[(&str, &str)] = &[
    ("organizations", "update organizations set quotas = '{\"max_instances\": 1}'"),
    (
        "organizations",
        "insert into organizations (id, name, slug, created_at, updated_at)
         values (uuid_v7(now()), 'Engines', 'engines', now(), now())",
    ),
    ("organizations", "delete from organizations where slug = 'engines'"),
    ("org_members", "update org_members set version = version + 1"),
    (
        "projects",
        "insert into projects (id, organization_id, name, slug, created_at, updated_at)
         select uuid_v7(now()), id, 'Another', 'another', now(), now() from organizations",
    ),
    ("projects", "update projects set status = 'paused'"),
    ("projects", "delete from projects where slug = 'another'"),
    ("users", "update users set is_admin = true"),
    ("users", "update users set locale = 'de-DE'"),
    ("api_keys", "update api_keys set scopes = '{instances:write}'"),
    ("api_keys", "update api_keys set grace_until = now()"),
    ("api_keys", "delete from api_keys"),
    ("credentials", "update credentials set is_active = false"),
    ("credentials", "delete from credentials"),
    ("mcp_types", "update mcp_types set program = '/usr/bin/other'"),
    ("mcp_tools", "insert into mcp_tools (type_id, name, updated_at) select id, 'add', now() from mcp_types"),
    ("mcp_tools", "update mcp_tools set risk_level = 'high'"),
    ("mcp_tools", "delete from mcp_tools"),
    ("mcp_types", "delete from mcp_types"),
    ("system_settings", "update system_settings set value = '7' where key = 'logs.search_lines'"),
    ("system_settings", "delete from system_settings where key = 'logs.search_lines'"),
    (
        "system_settings",
        "insert into system_settings (key, value, description) values ('test.new', '1', 'New.')",
    ),
    ("retention_policies", "update retention_policies set days = 9 where table_name = 'feed'"),
    ("retention_policies", "delete from retention_policies where table_name = 'feed'"),
];

/// What is found out on the way, and what changes nothing.
const NO_CHANGES: &[&str] = &[
    "update organizations set name = name",
    "update users set last_login_at = now(), last_login_ip = '192.0.2.1'",
    "update api_keys set last_used_at = now(), last_used_ip = '192.0.2.1', last_used_agent = 'curl', usage_count = 5",
    "update mcp_types set probed_era = 'legacy', probed_at = now()",
    "update credentials set last_used_at = now(), warned_of = now(), validation = 'valid', validated_at = now()",
    "update retention_policies set last_run_at = now()",
];

/// A person with a key and a credential, and a connection of the application.
async fn world() -> (World, PgConnection) {
    let mut world = World::new().await;
    let new = credential(&mut world, "work");
    world.setup().credentials().create(&new).await.unwrap();
    let key = NewApiKey {
        id: ApiKeyId::new(&world.clock, &mut world.rng),
        user: world.user.id,
        organization: world.user.default_organization,
        project: world.user.default_project,
        created_by: Some(world.user.id),
        name: "laptop".to_owned(),
        prefix: "rs_abc".to_owned(),
        hash: [5; 32],
        hint: "wxyz".to_owned(),
        scopes: [Scope::InstancesRead].into_iter().collect(),
        settings: KeySettings::default(),
        expires_at: None,
        at: world.now(),
    };
    let mut change = world.store().system_change().await.unwrap();
    change.api_keys().create(&key).await.unwrap();
    change.commit(&NewAudit::by_system("api_key.create", world.now())).await.unwrap();
    let application = world.database.application.connect().await.unwrap();
    (world, application)
}

async fn rows(connection: &mut PgConnection, table: &str) -> Option<String> {
    let all = format!("select md5(string_agg(t::text, ';' order by t::text)) from {table} t");
    sqlx::query_scalar(AssertSqlSafe(all)).fetch_one(connection).await.unwrap()
}

/// The table that a refusal names.
async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    let error = connection.execute(AssertSqlSafe(statement)).await.expect_err(statement);
    let error = error.into_database_error().unwrap();
    assert_eq!(error.constraint(), Some("change_is_audited"), "{statement}: {error}");
    let named = error.message().strip_prefix("a change of ").and_then(|rest| rest.split_once(' '));
    let (table, rest) = named.unwrap();
    assert_eq!(rest, "without an audit entry");
    table.to_owned()
}

#[tokio::test]
async fn a_change_without_an_entry_is_refused_at_its_end_and_with_one_it_is_done() {
    let (_world, mut application) = world().await;
    for (table, change) in CHANGES {
        let before = rows(&mut application, table).await;
        assert_eq!(refused(&mut application, change).await, *table);
        // Until the transaction ends nobody minds: the entry may come last.
        application.execute(AssertSqlSafe(format!("begin; {change}"))).await.unwrap();
        assert_eq!(refused(&mut application, "commit").await, *table);
        assert_eq!(rows(&mut application, table).await, before, "{change}");
        application.execute(AssertSqlSafe(format!("begin; {change}; {ENTRY}; commit"))).await.unwrap();
        assert_ne!(rows(&mut application, table).await, before, "{change}");
    }
}

#[tokio::test]
async fn every_table_of_changes_is_audited() {
    let (world, _) = world().await;
    let guarded: Vec<String> = sqlx::query_scalar(
        "select distinct tgrelid::regclass::text from pg_trigger
         where tgfoid = 'change_is_audited'::regproc and tgenabled = 'O' and tgdeferrable and tginitdeferred order by 1",
    )
    .fetch_all(&mut world.owner().await)
    .await
    .unwrap();
    let mut changed: Vec<&str> = CHANGES.iter().map(|(table, _)| *table).collect();
    changed.sort_unstable();
    changed.dedup();
    assert_eq!(guarded, changed);
    assert_eq!(guarded.len(), 10);
}

#[tokio::test]
async fn being_used_or_found_out_is_no_change() {
    let (_world, mut application) = world().await;
    for statement in NO_CHANGES {
        let done = application.execute(*statement).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
    }
}

#[tokio::test]
async fn an_entry_counts_for_its_own_transaction_alone_and_only_if_it_stays() {
    let (world, mut application) = world().await;
    let change = "update users set name = 'Mallory'";
    application.execute(ENTRY).await.unwrap();
    assert_eq!(refused(&mut application, change).await, "users");
    let undone = format!("begin; savepoint s; {ENTRY}; rollback to s; {change}; commit");
    assert_eq!(refused(&mut application, &undone).await, "users");
    application.execute("rollback").await.unwrap();
    // Whoever acts for a caller is the application as well.
    let view = format!(
        "begin; set local role roadstead_caller; select set_config('roadstead.user', '{}', true),
         set_config('roadstead.reach', 'own', true), set_config('roadstead.organization', '{}', true)",
        world.user.id, world.user.default_organization
    );
    application.execute(AssertSqlSafe(view.clone())).await.unwrap();
    assert_eq!(application.execute(change).await.unwrap().rows_affected(), 1);
    assert_eq!(refused(&mut application, "commit").await, "users");
    application.execute(AssertSqlSafe(format!("{view}; {change}; {ENTRY}; commit"))).await.unwrap();
    assert_eq!(world.store().users().get(world.user.id).await.unwrap().unwrap().name, "Mallory");
}

#[tokio::test]
async fn the_store_says_which_rule_a_change_breaks_and_the_owner_of_the_tables_is_free() {
    let (world, _) = world().await;
    let error = world.store().types().update(world.type_id, None, &definition(), None).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { constraint } if constraint == "change_is_audited"),
        "{error:?}"
    );
    world.setup().types().update(world.type_id, None, &definition(), None).await.unwrap();
}
