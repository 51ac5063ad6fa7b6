//! `/types`: kinds of servers.

pub(crate) mod import;
pub(crate) mod review;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Page, ServerType, TypeBody, list_cursor_field, long_limit_field, words};
use roadstead_accounts::types::Begin;
use roadstead_model::{Operation, TypeId, TypeStatus};

/// List server types
///
/// By name: those that may be launched, those of another status, or all of them with `all=true`.
#[utoipa::path(get, operation_id = "types_list", path = "/types", tag = "types",
    params(("all" = Option<bool>, Query, description = "Of every status, where none is named"),
        ("status" = inline(Option<words::TypeStatus>), Query, description = "Of this one"),
        ("limit" = Option<u32>, Query, description = "How many items one page may hold: 100 unless it says so"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<ServerType>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<ServerType>>, ApiError> {
    let permit = caller.type_permit(Operation::TypesList)?;
    let list = fields.list_mark("types");
    let after = list_cursor_field::<TypePlace>(&mut fields, &list);
    let limit = long_limit_field(&mut fields);
    let all: bool = fields.parsed("all", "true or false").unwrap_or_default();
    let status = fields.parsed::<TypeStatus>("status", "draft, pending, approved, rejected or deprecated");
    fields.finish()?;
    let status = status.or_else(|| (!all).then_some(TypeStatus::Approved));
    let types = state
        .accounts()
        .types(&permit, status, after.map(|place| (place.name, place.id)).as_ref(), limit)
        .await?;
    let next = types.next.map(|(name, id)| TypePlace { name, id });
    let types = roadstead_accounts::Page { items: types.items, next };
    Ok(Json(Page::marked(types, &list, ServerType::new)))
}

/// The place of a type in the list.
#[derive(Serialize, Deserialize)]
struct TypePlace {
    name: String,
    id: TypeId,
}

/// Get a server type
///
/// By id or by name, with its credential slots and configuration schema.
#[utoipa::path(get, operation_id = "types_get", path = "/types/{id}", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = ServerType), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.type_permit(Operation::TypesGet)?;
    let found = state.accounts().type_named(&permit, &named).await?;
    Ok(tagged(found.version, ServerType::new(found)))
}

/// Create a server type
///
/// Platform admins only: a type names a program that will run. Every mistake is named at once. With `project_id`, it is
/// there for that project alone. It may be launched at once, unless `catalog.require_approval` or its organisation's
/// `require_mcp_approval` is on: then it waits, `pending`, until somebody approves it; `approve` is that approval, and `draft`
/// makes one that nobody is asked to look at yet.
#[utoipa::path(post, operation_id = "types_create", path = "/types", tag = "types",
    request_body = TypeBody, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.admin_permit(Operation::TypesCreate)?;
    let project = fields.parsed("project_id", "a project's id");
    let begin = begin(&mut fields);
    fields.so_far()?;
    let spec = Value::Object(fields.rest());
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_type(&permit, spec, project, begin).await?;
            Ok(Answer::json(StatusCode::CREATED, &ServerType::new(created)))
        }
    };
    once(&state, &caller, &headers, "POST /types", &bytes, work).await
}

/// Replace a server type's definition
///
/// With `If-Match` naming the version that was read. Running instances keep what they were launched with. Its project
/// stays unless `project_id` names another; null makes it everybody's.
#[utoipa::path(put, operation_id = "types_update", path = "/types/{id}", tag = "types",
    request_body = TypeBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn update(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesUpdate)?;
    let expected = if_match(&headers)?;
    let for_everybody = fields.is_null("project_id");
    let project = fields.parsed("project_id", "a project's id");
    fields.so_far()?;
    let project = if for_everybody { Some(None) } else { project.map(Some) };
    let spec = Value::Object(fields.rest());
    let updated = state.accounts().update_type(&permit, &named, expected, spec, project).await?;
    Ok(tagged(updated.version, ServerType::new(updated)))
}

/// What the request says of the new type's approval.
pub(crate) fn begin(fields: &mut Fields) -> Begin {
    let (approve, draft) =
        (fields.flag("approve").unwrap_or_default(), fields.flag("draft").unwrap_or_default());
    match (approve, draft) {
        (true, true) => {
            fields.problem("draft", "give either approve or draft, not both");
            Begin::Draft
        }
        (true, false) => Begin::Approved,
        (false, true) => Begin::Draft,
        (false, false) => Begin::AsSet,
    }
}
