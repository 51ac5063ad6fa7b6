//! How PostgreSQL answers the lists that callers ask for: along an index, as far as the page reaches.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::world::World;

/// Tables that grow: no list reads one whole.
const BIG: &[&str] = &["mcp_instances", "mcp_logs", "mcp_events", "mcp_usage", "audit_logs"];

/// As many rows as make a plan worth choosing: of one person most of them.
const FILL: &str = "
insert into mcp_instances
  select (jsonb_populate_record(i, jsonb_build_object('id', uuid_v7(now() - make_interval(secs => g)), 'name', 'filled ' || g,
          'status', 'stopped', 'assigned_port', null, 'access_token_hash', sha256(g::text::bytea), 'ended_at', now(),
          'expires_at', now() + make_interval(secs => g), 'created_at', now() - make_interval(secs => g)))).*
  from generate_series(1, 2000) g, mcp_instances i;
insert into mcp_logs (id, mcp_instance_id, owner_id, organization_id, at, seq, origin, level, source, message)
  select uuid_v7(now()), i.id, i.user_id, i.organization_id, now() - make_interval(secs => g / 100.0), g, 'shim',
         case when g % 50 = 0 then 'error' else 'info' end, 'process', 'line ' || g
  from generate_series(1, 20000) g, (select * from mcp_instances where name like 'echo%' limit 1) i;
insert into mcp_events (id, mcp_instance_id, at, seq, origin, event_type)
  select uuid_v7(now()), i.id, now() - make_interval(secs => g / 100.0), g, 'shim', 'error'
  from generate_series(1, 5000) g, (select * from mcp_instances where name like 'echo%' limit 1) i;
insert into mcp_usage (id, mcp_instance_id, at, seq, user_id, organization_id, project_id, mcp_type_id, method, name, era, status,
    calls, latency_us, request_bytes, answer_bytes)
  select uuid_v7(now()), i.id, now() - make_interval(secs => g / 100.0), g, i.user_id, i.organization_id, i.project_id,
         i.mcp_type_id, 'tools/call', 'add', 'modern', 'success', 1, 1, 1, 1
  from generate_series(1, 5000) g, (select * from mcp_instances where name like 'echo%' limit 1) i;
insert into audit_logs (at, id, organization_id, actor_kind, actor_user_id, on_behalf_of, action, resource_kind, changes, outcome)
  select now() - make_interval(secs => g / 100.0), uuid_v7(now()), case g % 10 when 0 then i.organization_id else gen_random_uuid() end,
         'user', case g % 10 when 0 then i.user_id else gen_random_uuid() end, case g % 100 when 1 then i.user_id end,
         'instance.stop', 'instance', '{}', 'done'
  from generate_series(1, 20000) g, (select * from mcp_instances where name like 'echo%' limit 1) i;
analyze";

/// As a caller's reads begin.
const BEGIN: &str = "begin read only; set local enable_sort = off; set local enable_incremental_sort = off;
  set local enable_bitmapscan = off;
  set local enable_seqscan = off; set local jit = off; set local plan_cache_mode = force_generic_plan;
  set local role roadstead_caller";

/// The lists' statements, as the store was compiled with them, and what they are asked with. A time is this one: with none, no
/// month of a table would be looked at, and nothing of its plan be seen.
fn lists() -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.sqlx");
    let mut lists = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let described: Value = serde_json::from_str(&text).unwrap();
        let query = described["query"].as_str().unwrap().to_owned();
        let is_list = query.contains("order by") && query.contains("limit $");
        let of_caller = query.starts_with("select i.id, i.user_id, i.organization_id")
            && query.contains("strpos(lower(i.name)")
            || query.starts_with("select i.created_at as at, i.id from mcp_instances")
            || query.starts_with("select seq as")
            || query.starts_with("select id, mcp_instance_id, at, seq, origin")
            || query.starts_with("select u.id, u.mcp_instance_id")
            || query.starts_with("with looked as materialized");
        if is_list && of_caller {
            let types = described["describe"]["parameters"]["Left"].as_array().unwrap();
            let values = types.iter().map(|one| if one == "Timestamptz" { "now()" } else { "null" });
            lists.insert(query, values.collect::<Vec<_>>().join(", "));
        }
    }
    lists
}

async fn plan(connection: &mut PgConnection, query: &str, values: &str) -> Value {
    connection.execute(AssertSqlSafe(format!("prepare asked as {query}"))).await.unwrap();
    let explain = format!("explain (format json) execute asked ({values})");
    let plan: Value = sqlx::raw_sql(AssertSqlSafe(explain))
        .fetch_one(&mut *connection)
        .await
        .map(|row| sqlx::Row::get::<Value, _>(&row, 0))
        .unwrap();
    connection.execute("deallocate asked").await.unwrap();
    plan[0]["Plan"].clone()
}

/// Every node of a plan.
fn nodes<'a>(plan: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(plan);
    for child in plan["Plans"].as_array().into_iter().flatten() {
        nodes(child, found);
    }
}

fn is_big(node: &Value) -> bool {
    node["Relation Name"].as_str().is_some_and(|name| BIG.iter().any(|big| name.starts_with(big)))
}

/// Whether a statement searches everybody's lines: the index of their times has only the first part of their order.
fn is_of_everybody(query: &str) -> bool {
    query.starts_with("with looked") && query.contains("$1::uuid is null and $2::uuid is null")
}

/// Whether a node sorts what comes straight from a table. What was cut to a page, or to the part that a search looks at, may be
/// sorted: it stands in a plan of its own.
fn sorts_a_table(node: &Value, within_moments: bool) -> bool {
    let sorts = node["Node Type"] == "Sort" || !within_moments && node["Node Type"] == "Incremental Sort";
    sorts && reads_a_table(node)
}

fn reads_a_table(node: &Value) -> bool {
    if node["Node Type"] == "Limit" {
        return false;
    }
    let children = node["Plans"].as_array().into_iter().flatten();
    is_big(node) || children.filter(|child| child["Parent Relationship"] != "InitPlan").any(reads_a_table)
}

#[tokio::test]
async fn every_list_follows_an_index_in_its_order() {
    let mut world = World::new().await;
    world.running(3_001).await;
    world.owner().await.execute(FILL).await.unwrap();
    let view = world.view(world.user.id);
    let mut caller = world.database.application.connect().await.unwrap();
    let said = format!(
        "{BEGIN}; select set_config('roadstead.user', '{}', true), set_config('roadstead.reach', 'own', true),
                         set_config('roadstead.organization', '{}', true)",
        view.user, view.organization
    );
    caller.execute(AssertSqlSafe(said)).await.unwrap();
    let lists = lists();
    assert!(lists.len() >= 30, "{} lists found", lists.len());
    let (mut wrong, mut everybodys) = (Vec::new(), 0);
    for (query, values) in &lists {
        let of_everybody = is_of_everybody(query);
        everybodys += usize::from(of_everybody);
        let switch = if of_everybody { "on" } else { "off" };
        let mode = format!("set local enable_incremental_sort = {switch}");
        caller.execute(AssertSqlSafe(mode)).await.unwrap();
        let plan = plan(&mut caller, query, values).await;
        let mut all = Vec::new();
        nodes(&plan, &mut all);
        let reads_whole = all.iter().any(|node| node["Node Type"] == "Seq Scan" && is_big(node));
        assert!(all.iter().any(|node| is_big(node)), "nothing is read by\n{query}");
        if reads_whole || all.iter().any(|node| sorts_a_table(node, of_everybody)) {
            wrong.push(format!("{query}\n{}", serde_json::to_string_pretty(&plan).unwrap()));
        }
    }
    assert_eq!(everybodys, 1);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), lists.len(), wrong.join("\n\n"));
}
