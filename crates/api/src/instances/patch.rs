//! `PATCH /instances/{id}`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, HeaderName, header};
use roadstead_model::{InstanceId, Operation};
use roadstead_orchestrator::InstanceChange;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId, if_match};
use crate::state::ApiState;
use crate::wire::{Instance, PatchBody, PatchedInstance};

/// Change an instance's name or configuration
///
/// The configuration is checked against the type's schema and holds from the next start on: `restart_needed` says whether
/// that is still to come. With `If-Match`, nothing is changed that somebody else has changed since it was read.
#[utoipa::path(patch, operation_id = "instances_patch", path = "/instances/{id}", tag = "instances",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The `ETag` that was read")),
    request_body = PatchBody,
    responses((status = 200, body = PatchedInstance), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 412, description = "It has changed since", body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<([(HeaderName, String); 1], Json<PatchedInstance>), ApiError> {
    let permit = caller.instance_permit(Operation::InstancesPatch)?;
    let expected = if_match(&headers)?;
    let change = InstanceChange { name: fields.name("name"), config: fields.object("config"), expected };
    if change.name.is_none() && change.config.is_none() {
        fields.problem("name", "give name, config or both");
    }
    fields.finish()?;
    let changed = state.orchestrator().patch(&permit, id, change).await?;
    let tag = etag(changed.instance.version);
    let instance = Instance::new(changed.instance, state.view());
    Ok(([(header::ETAG, tag)], Json(PatchedInstance { instance, restart_needed: changed.restart_needed })))
}

pub(super) fn etag(version: i32) -> String {
    format!("\"{version}\"")
}
