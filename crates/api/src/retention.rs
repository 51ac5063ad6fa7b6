//! `/retention`, for platform admins: what is kept for how long, and clearing away what is older.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use roadstead_accounts::PolicyChange;
use roadstead_model::Operation;

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields, if_match};
use crate::state::ApiState;
use crate::wire::{
    All, Page, RetentionBody, RetentionPolicy, RetentionPreview, RetentionRun, RetentionRunBody,
    cursor_field, limit_field,
};

/// The longest name of a table.
const MAX_TABLE_CHARS: usize = 63;

/// List retention policies
#[utoipa::path(get, operation_id = "retention_list", path = "/retention/policies", tag = "retention",
    responses((status = 200, description = "Every policy", body = All<RetentionPolicy>),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<All<RetentionPolicy>>, ApiError> {
    let permit = caller.admin_permit(Operation::RetentionList)?;
    let policies = state.accounts().retention_policies(&permit).await?;
    Ok(Json(All { data: policies.into_iter().map(RetentionPolicy::new).collect() }))
}

/// Change a retention policy
///
/// What is not named stays. In force from the next run on: the daily one, or `POST /retention/run`.
#[utoipa::path(put, operation_id = "retention_set", path = "/retention/policies/{table}", tag = "retention",
    params(("table" = String, Path, example = "mcp_logs"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the policy that was read: `\"3\"`")),
    request_body = RetentionBody,
    responses((status = 200, description = "As it is now", body = RetentionPolicy, headers(("ETag" = String))),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 412, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn set(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(table): PathName,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Response, ApiError> {
    let permit = caller.admin_permit(Operation::RetentionSet)?;
    let expected = if_match(&headers)?;
    let change = change(&mut fields);
    fields.finish()?;
    let policy = state.accounts().set_retention(&permit, &table, expected, change).await?;
    let etag = format!("\"{}\"", policy.version);
    Ok(([(header::ETAG, etag)], Json(RetentionPolicy::new(policy))).into_response())
}

fn change(fields: &mut Fields) -> PolicyChange {
    PolicyChange {
        days: fields.number("days"),
        is_active: fields.flag("is_active"),
        archive: fields.flag("archive"),
    }
}

/// See what a retention policy would remove now
#[utoipa::path(get, operation_id = "retention_preview", path = "/retention/policies/{table}/preview", tag = "retention",
    params(("table" = String, Path, example = "mcp_logs")),
    responses((status = 200, description = "What would go", body = RetentionPreview),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn preview(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(table): PathName,
) -> Result<Json<RetentionPreview>, ApiError> {
    let permit = caller.admin_permit(Operation::RetentionPreview)?;
    Ok(Json(RetentionPreview::new(state.accounts().retention_preview(&permit, &table).await?)))
}

/// Remove what is old
///
/// Only looks, and notes what would go, unless `dry_run` is false. Done by itself every day at 02:00 UTC.
#[utoipa::path(post, operation_id = "retention_run", path = "/retention/run", tag = "retention",
    request_body = RetentionRunBody,
    responses((status = 200, description = "What went, or would, table by table", body = All<RetentionRun>),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn run(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<All<RetentionRun>>, ApiError> {
    let permit = caller.admin_permit(Operation::RetentionRun)?;
    let table = fields.text("table", MAX_TABLE_CHARS);
    let dry = fields.flag("dry_run").unwrap_or(true);
    fields.finish()?;
    let runs = Box::pin(state.accounts().run_retention(&permit, table.as_deref(), dry)).await?;
    Ok(Json(All { data: runs.into_iter().map(RetentionRun::new).collect() }))
}

/// List what was removed when
///
/// Newest first.
#[utoipa::path(get, operation_id = "retention_runs", path = "/retention/runs", tag = "retention",
    params(("table" = Option<String>, Query, description = "One table's runs"),
        ("limit" = Option<u32>, Query, description = "1 to 100, default 20"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "Runs", body = Page<RetentionRun>),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn runs(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<RetentionRun>>, ApiError> {
    let permit = caller.admin_permit(Operation::RetentionRuns)?;
    let table = fields.text("table", MAX_TABLE_CHARS);
    let page =
        roadstead_accounts::PageRequest { after: cursor_field(&mut fields), limit: limit_field(&mut fields) };
    fields.finish()?;
    let runs = state.accounts().retention_runs(&permit, table.as_deref(), page).await?;
    Ok(Json(Page::of(runs, RetentionRun::new)))
}
