//! A backlog of rows that nobody answers for: it is worked off without delaying the deadlines of those that live, or launches.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use roadstead_test_support::app::{App, AppOptions};
use roadstead_test_support::{Rows, wait_for};
use serde_json::json;

use crate::support::instance::{Launched, set_ports};

/// Rows of the backlog.
const BACKLOG: i64 = 10_000;
/// The first of their ports.
const FIRST_PORT: i64 = 40_000;
/// A machine that is busy otherwise may spoil a round; a backlog that delays deadlines spoils each.
const ROUNDS: u32 = 3;
/// What a route and a port may take to be closed after a deadline.
const LATEST: Duration = Duration::from_secs(1);
/// How long a launch beside the backlog may take on a busy machine.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(15);
/// How long the backlog may take on a busy machine.
const BACKLOG_PATIENCE: Duration = Duration::from_mins(2);

/// Makes rows that look like running instances of somebody else, of which nothing is left, after an hour without a reaper.
async fn fall_behind(rows: &mut Rows, like: &str, owner: &str, round: u32) {
    let inserted = format!(
        "with new as (
           insert into mcp_instances (
             id, user_id, organization_id, project_id, mcp_type_id, type_version, node_id, boot_id, name, status,
             access_token_hash, token_hint, assigned_port, process_id, process_started, started_at, expires_at,
             created_at, updated_at, began_at, deadline_set_at, lifetime_s)
           select gen_random_uuid(), '{owner}', organization_id, project_id, mcp_type_id, type_version, node_id, boot_id,
             'backlog-{round}-' || n, 'running', sha256(('backlog {round} ' || n)::bytea), 'abcd', {FIRST_PORT} + n, 2000000000, 1,
             now() - interval '2 hours', now() - interval '1 hour', now() - interval '2 hours', now(),
             now() - interval '2 hours', now() - interval '2 hours', 3600
           from mcp_instances, generate_series(0, {BACKLOG} - 1) as n where id = '{like}'
           returning id, node_id, assigned_port
         )
         insert into port_allocations (node_id, port, mcp_instance_id, allocated_at, is_available)
         select node_id, assigned_port, id, now(), false from new
         on conflict (node_id, port) do update
         set mcp_instance_id = excluded.mcp_instance_id, allocated_at = now(), is_available = false"
    );
    assert_eq!(rows.execute(&inserted).await, BACKLOG.unsigned_abs());
}

async fn left(rows: &mut Rows) -> i64 {
    rows.number(
        "select count(*) from mcp_instances where name like 'backlog-%' and status in ('pending', 'running')",
    )
    .await
}

/// How long after its deadline the access URL refuses an instance's token, and its port a connection.
async fn lateness(app: &App, one: &Launched, deadline: Instant) -> (Duration, Duration) {
    let fresh = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    let url = format!("http://127.0.0.1:{}/status", one.port);
    let route = async {
        wait_for("the route to be closed", LAUNCH_PATIENCE * 4, async || {
            (one.route(app, &one.token).await.0 != 200).then(Instant::now)
        })
        .await
    };
    let port = async {
        wait_for("the port to be closed", LAUNCH_PATIENCE * 4, async || {
            let answer = fresh.get(&url).bearer_auth(&one.token).send().await;
            (!answer.is_ok_and(|answer| answer.status().is_success())).then(Instant::now)
        })
        .await
    };
    let (route, port) = tokio::join!(route, port);
    let early = Duration::from_millis(100);
    assert!(route + early > deadline && port + early > deadline, "it lived until its deadline");
    (route.saturating_duration_since(deadline), port.saturating_duration_since(deadline))
}

async fn launches(app: &App, count: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..count {
        let begun = Instant::now();
        Launched::new(app, json!({"type": "echo", "expires_in": "1h"})).await;
        longest = longest.max(begun.elapsed());
    }
    longest
}

#[tokio::test]
async fn ten_thousand_rows_that_are_due_delay_neither_deadlines_nor_launches() {
    let plain_log = vec![("NO_COLOR".to_owned(), "1".to_owned())];
    let app = App::start_with(AppOptions { environment: plain_log, ..AppOptions::default() }).await;
    set_ports(&app, 22_000, 22_059).await;
    let quota = app.ask("PUT", "/settings/mcp.max_instances_per_user", Some(json!({"value": 50}))).await;
    assert_eq!(quota.status, 200, "{quota:?}");
    let user = app.ask("POST", "/users", Some(json!({"email": "past@example.org", "name": "Past"}))).await;
    let owner = user.body["id"].as_str().expect("an id");
    let mut rows = Rows::of(app.data()).await;
    let template = Launched::new(&app, json!({"type": "echo", "expires_in": "1h"})).await;
    for round in 1.. {
        let late = lateness_beside_a_backlog(&app, &mut rows, (&template.id, owner), round).await;
        if late < LATEST {
            break;
        }
        assert!(round < ROUNDS, "{late:?} after a deadline, in each of {ROUNDS} rounds");
    }
    assert!(template.lives(), "what is not due lives on");
    rows.close().await;
}

/// Lets instances come to their deadlines, and launches others, while a backlog is worked off; answers the latest end.
async fn lateness_beside_a_backlog(
    app: &App,
    rows: &mut Rows,
    (template, owner): (&str, &str),
    round: u32,
) -> Duration {
    let mut live = Vec::new();
    for _ in 0..6 {
        let one = Launched::new(app, json!({"type": "echo", "expires_in": "12s"})).await;
        let deadline = Instant::now() + rows.remaining(&one.id).await;
        live.push((one, deadline));
    }
    let before_first = live[0].1.checked_duration_since(Instant::now()).unwrap_or_default();
    tokio::time::sleep(before_first.saturating_sub(Duration::from_secs(1))).await;

    let ends = join_all(live.iter().map(|(one, deadline)| lateness(app, one, *deadline)));
    let worked_off = async {
        fall_behind(rows, template, owner, round).await;
        let begun = Instant::now();
        wait_for("the backlog to be worked off", BACKLOG_PATIENCE, async || {
            (left(rows).await == 0).then(|| begun.elapsed())
        })
        .await
    };
    let (ends, longest, worked_off) = tokio::join!(ends, launches(app, 6), worked_off);
    eprintln!(
        "backlog worked off in {worked_off:?}, longest launch {longest:?}, route and port closed after {ends:?}"
    );
    for (one, _) in &live {
        one.gone().await;
    }
    assert!(longest < LAUNCH_PATIENCE, "a launch took {longest:?}");
    every_row_says_so(rows, round).await;
    wait_for("the run to be told of", LAUNCH_PATIENCE, async || {
        app.log().contains("reaped=10000").then_some(())
    })
    .await;
    ends.into_iter().map(|(route, port)| route.max(port)).max().unwrap_or_default()
}

async fn every_row_says_so(rows: &mut Rows, round: u32) {
    let of_backlog = format!("from mcp_instances i where name like 'backlog-{round}-%'");
    let well_ended = format!(
        "select count(*) {of_backlog} and status = 'expired' and error_message is not null and ended_at is not null
           and array['expired', 'reaped'] = (select array_agg(event_type order by at, seq) from mcp_events e
                                             where e.mcp_instance_id = i.id)"
    );
    assert_eq!(rows.number(&well_ended).await, BACKLOG);
    let held =
        format!("select count(*) from port_allocations where port >= {FIRST_PORT} and not is_available");
    assert_eq!(rows.number(&held).await, 0, "every port is free again");
}
