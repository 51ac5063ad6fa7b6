//! `POST /instances/{id}/restart`.

use axum::extract::State;
use http::HeaderMap;
use roadstead_model::{InstanceId, Operation};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, OptionalBody, PathId};
use crate::idempotency::{Answer, of_instance, once};
use crate::limit_layer;
use crate::state::ApiState;
use crate::wire::{Instance, StartBody, wait_field, wait_status};

/// Restart an instance
///
/// Ends the server's processes, with the grace of a stop for calls in flight, and starts it afresh. Id, URL, token and
/// deadline stay; sessions are gone, and clients initialise again. Meanwhile its URL answers 503.
#[utoipa::path(post, operation_id = "instances_restart", path = "/instances/{id}/restart", tag = "instances",
    params(("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = Option<StartBody>,
    responses(
        (status = 200, description = "Ready", body = Instance),
        (status = 202, description = "Starting (`wait` was `none`)", body = Instance),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "It is not running, or its type or credential is gone", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 502, description = "The server could not be started; the instance is `error`", body = ErrorBody),
        (status = 503, description = "Not acknowledged, or the service is stopping", body = ErrorBody),
        (status = 504, description = "The server did not become ready in time", body = ErrorBody)))]
pub(crate) async fn restart(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<InstanceId>,
    headers: HeaderMap,
    OptionalBody(JsonBody { mut fields, bytes }): OptionalBody,
) -> Result<Answer, ApiError> {
    let permit = caller.instance_permit(Operation::InstancesRestart)?;
    let wait = wait_field(&mut fields);
    fields.finish()?;
    let work = {
        let (state, user) = (state.clone(), caller.user);
        async move {
            limit_layer::launch(&state, user)?;
            let instance = state.orchestrator().restart(permit, id, wait).await?;
            Ok(Answer::json(wait_status(wait), &Instance::new(instance, state.view())))
        }
    };
    let request = of_instance(id, &bytes);
    Box::pin(once(&state, &caller, &headers, "POST /instances/{id}/restart", &request, work)).await
}
