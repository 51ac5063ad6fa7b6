//! `/projects/{id}/types`: servers elsewhere that people of an organisation use in a project.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::types::Decision;
use roadstead_model::{Operation, ProjectId, TypeStatus};
use serde_json::Value;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::types::begin;
use crate::types::review::MAX_WORDS;
use crate::wire::{ProjectTypeDecision, RemoteTypeBody, ServerType};

/// The longest name of a type.
const MAX_TYPE_NAME_CHARS: usize = 50;

/// Create a server type of a project
///
/// A server elsewhere that speaks HTTP: its `url`, what its requests carry, its secrets. What runs on this machine is defined by
/// platform admins. Owners, admins and members of the organisation; a member's waits, `pending`, until an owner or admin approves
/// it. Its name is the project's own, and no name of a type that is for everybody.
#[utoipa::path(post, operation_id = "projects_type_create", path = "/projects/{id}/types", tag = "projects",
    request_body = RemoteTypeBody,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ProjectId>,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.may(Operation::ProjectsTypeCreate)?;
    let begin = begin(&mut fields);
    fields.so_far()?;
    let spec = Value::Object(fields.rest());
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_project_type(&permit, id, spec, begin).await?;
            Ok(Answer::json(StatusCode::CREATED, &ServerType::new(created)))
        }
    };
    let request = [id.to_string().as_bytes(), &bytes].concat();
    once(&state, &caller, &headers, "POST /projects/{id}/types", &request, work).await
}

/// Decide about a server type of a project
///
/// Owners and admins of the organisation: `approved` lets it be launched, `rejected` says why not, `deprecated` ends its use, `pending`
/// submits it. What runs goes on. Of a type that runs a program here, platform admins decide.
#[utoipa::path(patch, operation_id = "projects_type_decide", path = "/projects/{id}/types", tag = "projects",
    request_body = ProjectTypeDecision,
    params(("id" = String, Path)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn decide(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ProjectId>,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<ServerType>, ApiError> {
    let permit = caller.may(Operation::ProjectsTypeDecide)?;
    let named = fields.required_text("type", MAX_TYPE_NAME_CHARS);
    let word = fields.required_text("status", MAX_TYPE_NAME_CHARS);
    let status = word.parse::<TypeStatus>().ok();
    if status.is_none() && !word.is_empty() {
        fields.problem("status", "must be pending, approved, rejected or deprecated");
    }
    let decision = Decision {
        status: status.unwrap_or(TypeStatus::Pending),
        reason: fields.text("reason", MAX_WORDS),
        expected: None,
        accept_findings: fields.flag("accept_findings").unwrap_or_default(),
    };
    fields.finish()?;
    let decided = state.accounts().decide_project_type(&permit, id, &named, decision).await?;
    Ok(Json(ServerType::new(decided)))
}
