//! The database refuses rows that lie about their status, whoever writes them.

use roadstead_model::{EventType, InstanceStatus, Quotas};
use roadstead_store::{Ending, NewInstance, ReserveError, StoreError};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::world::World;

#[tokio::test]
async fn no_row_can_lie_about_its_status() {
    let mut world = World::new().await;
    let pending = world.reserve(3_001).await.unwrap();
    let running = world.running(3_002).await;
    let ended = world.ended(3_003).await;
    let lies = [
        (ended, "status = 'sleeping'", "status_known"),
        (pending, "status = 'running'", "running_has_process"),
        (pending, "started_at = now()", "pending_has_not_started"),
        (pending, "stopping_at = now(), stop_reason = 'x'", "stopping_is_running"),
        (pending, "assigned_port = null", "live_has_port"),
        (pending, "assigned_port = 80", "port_fits"),
        (running, "ended_at = now()", "ended_has_time"),
        (running, "process_id = null, process_started = null", "running_has_process"),
        (running, "process_started = null", "process_with_start"),
        (running, "shim_pid = null", "shim_with_start"),
        (running, "stopping_at = now()", "stopping_has_reason"),
        (running, "deleted_at = now()", "deleted_has_ended"),
        (running, "exit = '{}'", "exit_after_end"),
        (running, "expires_at = created_at", "expires_after_creation"),
        (running, "generation = 0", "counts"),
        (running, "status = 'expired', assigned_port = null", "ended_has_time"),
        (ended, "assigned_port = 3003", "live_has_port"),
        (ended, "status = 'error'", "error_has_message"),
        (ended, "stopping_at = now(), stop_reason = 'x'", "stopping_is_running"),
        (ended, "access_token_hash = '\\x00'", "hash_is_sha256"),
        (ended, "config = '[]'", "config_is_object"),
    ];
    let mut owner = world.owner().await;
    for (id, lie, rule) in lies {
        let statement = format!("update mcp_instances set {lie} where id = '{id}'");
        let error = owner.execute(AssertSqlSafe(statement)).await.expect_err(lie);
        let constraint = error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default();
        assert_eq!(constraint, format!("mcp_instances_{rule}"), "{lie}: {error}");
    }
}

#[tokio::test]
async fn an_error_without_a_message_is_refused_by_its_name() {
    let mut world = World::new().await;
    let id = world.reserve(3_001).await.unwrap();
    let ending = Ending {
        status: InstanceStatus::Error,
        event_type: EventType::Error,
        error_message: None,
        ..world.stopped()
    };
    let error = world.store().instances().finish(id, &ending).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { constraint } if constraint == "mcp_instances_error_has_message"),
        "{error:?}"
    );
    let row = world.store().instances().get(id, None).await.unwrap().unwrap();
    assert_eq!(row.status(), InstanceStatus::Pending, "nothing of it was done");
    assert_eq!(world.events(id).await, [EventType::Created]);
}

#[tokio::test]
async fn a_token_opens_one_instance_only() {
    let mut world = World::new().await;
    let first = world.instance_on(3_001);
    world.store().instances().reserve(&first, &Quotas::instances(10)).await.unwrap();
    let second = NewInstance { token_hash: first.token_hash, ..world.instance_on(3_002) };
    let error = world.store().instances().reserve(&second, &Quotas::instances(10)).await.unwrap_err();
    let duplicate = StoreError::Duplicate { noun: "instance", field: "access token" };
    assert_eq!(error.to_string(), duplicate.to_string());
}

#[tokio::test]
async fn what_a_launch_names_must_exist() {
    let mut world = World::new().await;
    let type_id = roadstead_model::TypeId::new(&world.clock, &mut world.rng);
    let new = NewInstance { type_id, ..world.instance_on(3_001) };
    let error = world.store().instances().reserve(&new, &Quotas::instances(10)).await.unwrap_err();
    assert!(matches!(error, ReserveError::Store(StoreError::Missing { noun: "server type" })), "{error:?}");
    let project = roadstead_model::ProjectId::new(&world.clock, &mut world.rng);
    let new = NewInstance { project, ..world.instance_on(3_001) };
    let error = world.store().instances().reserve(&new, &Quotas::instances(10)).await.unwrap_err();
    assert!(matches!(error, ReserveError::Store(StoreError::Missing { noun: "project" })), "{error:?}");
}

#[tokio::test]
async fn a_held_port_has_an_instance_and_a_free_one_has_none() {
    let mut world = World::new().await;
    let id = world.reserve(3_001).await.unwrap();
    let mut owner = world.owner().await;
    for lie in ["is_available = true", "mcp_instance_id = null", "allocated_at = null"] {
        let statement = format!("update port_allocations set {lie} where mcp_instance_id = '{id}'");
        let error = owner.execute(AssertSqlSafe(statement)).await.expect_err(lie);
        let constraint = error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default();
        assert!(constraint.starts_with("port_allocations_held"), "{lie}: {error}");
    }
}

#[tokio::test]
async fn a_definition_that_is_no_object_is_refused() {
    let world = World::new().await;
    let change = roadstead_store::TypeChange { spec: json!([]), ..crate::world::definition() };
    let error = world.store().types().update(world.type_id, None, &change, None).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused { constraint } if constraint == "mcp_types_spec_is_object"));
}
