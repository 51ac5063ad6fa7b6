//! `GET /instances/{id}`.

use axum::Json;
use axum::extract::State;
use http::{HeaderName, header};
use roadstead_model::{InstanceId, InstanceStatus, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathId};
use crate::state::ApiState;
use crate::wire::{Alive, Instance, Queue};

/// Get an instance
#[utoipa::path(get, operation_id = "instances_get", path = "/instances/{id}", tag = "instances",
    params(("id" = String, Path)),
    responses((status = 200, body = Instance), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
) -> Result<([(HeaderName, String); 1], Json<Instance>), ApiError> {
    let permit = caller.instance_permit(Operation::InstancesGet)?;
    let instance = state.orchestrator().get(&permit, id).await?;
    let alive = match instance.status() {
        InstanceStatus::Running => state.orchestrator().why_alive(id).await.map(Alive::new),
        _ => None,
    };
    let queue = state.orchestrator().queued(id).map(Queue::new);
    let tag = super::patch::etag(instance.version);
    let instance = Instance { alive, queue, ..Instance::new(instance, state.view()) };
    Ok(([(header::ETAG, tag)], Json(instance)))
}
