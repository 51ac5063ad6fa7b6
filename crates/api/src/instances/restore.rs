//! `POST /instances/{id}/restore`.

use axum::extract::State;
use http::HeaderMap;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, OptionalBody, PathId};
use crate::idempotency::{Answer, of_instance, once};
use crate::limit_layer;
use crate::state::ApiState;
use crate::wire::{Instance, StartBody, wait_field, wait_status};

/// Restore an instance
///
/// Starts an instance again that was lost, stopped or failed. Id, URL, token and deadline stay; past its deadline it is
/// renewed instead.
#[utoipa::path(post, operation_id = "instances_restore", path = "/instances/{id}/restore", tag = "instances",
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = Option<StartBody>,
    responses(
        (status = 200, description = "Ready", body = Instance),
        (status = 202, description = "Starting (`wait` was `none`)", body = Instance),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "Its status does not permit it, or its type or credential is gone", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, description = "The owner's quota is reached", body = ErrorBody),
        (status = 502, description = "The server could not be started; the instance is `error`", body = ErrorBody),
        (status = 503, description = "No port is free, or the service is stopping", body = ErrorBody),
        (status = 504, description = "The server did not become ready in time", body = ErrorBody)))]
pub(crate) async fn restore(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    headers: HeaderMap,
    OptionalBody(JsonBody { mut fields, bytes }): OptionalBody,
) -> Result<Answer, ApiError> {
    let permit = caller.start_again_permit(Operation::InstancesRestore)?;
    let wait = wait_field(&mut fields);
    fields.finish()?;
    let work = {
        let (state, user) = (state.clone(), caller.user);
        async move {
            limit_layer::launch(&state, user)?;
            let instance = Box::pin(state.orchestrator().restore(permit, id, wait)).await?;
            Ok(Answer::json(wait_status(wait), &Instance::new(instance, state.view())))
        }
    };
    once(&state, &caller, &headers, "POST /instances/{id}/restore", &of_instance(id, &bytes), work).await
}
