//! What is decided about types, and what their servers offer.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use roadstead_accounts::types::{Decision, ToolSet};
use roadstead_model::{Operation, RiskLevel, TypeStatus};
use roadstead_orchestrator::{InspectRequest, InspectTypeError};

use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathName, QueryFields, Tagged, if_match, tagged};
use crate::limit_layer;
use crate::state::ApiState;
use crate::wire::{
    DecisionBody, InspectBody, Page, RejectBody, ServerType, ToolBody, ToolOpinion, TypeManifest, TypeReview,
    cursor_field, limit_field,
};

/// The longest reason and the longest note.
pub(crate) const MAX_WORDS: usize = 1_000;
/// The longest name of a tool.
const MAX_TOOL_CHARS: usize = 256;

/// Ask for a type's approval
///
/// Platform admins only. It waits, `pending`, until somebody approves or rejects it, and is not launched meanwhile.
#[utoipa::path(post, operation_id = "types_submit", path = "/types/{id}/submit", tag = "types",
    request_body = DecisionBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn submit(
    State(state): State<ApiState>,
    authenticated: Authenticated,
    name: PathName,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Tagged<ServerType>, ApiError> {
    decide(&state, authenticated, name, &headers, body, (Operation::TypesSubmit, TypeStatus::Pending)).await
}

/// Approve a type
///
/// Platform admins only: it may be launched. The tools that its servers were found to offer are taken for the right ones, so
/// that later differences are told; findings that nobody makes by accident stop it until `accept_findings` is true.
#[utoipa::path(post, operation_id = "types_approve", path = "/types/{id}/approve", tag = "types",
    request_body = DecisionBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "Its tools look suspicious; they are named", body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn approve(
    State(state): State<ApiState>,
    authenticated: Authenticated,
    name: PathName,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Tagged<ServerType>, ApiError> {
    decide(&state, authenticated, name, &headers, body, (Operation::TypesApprove, TypeStatus::Approved)).await
}

/// Reject a type
///
/// Platform admins only, with a reason. One that was approved is disabled instead.
#[utoipa::path(post, operation_id = "types_reject", path = "/types/{id}/reject", tag = "types",
    request_body = RejectBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = ServerType), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn reject(
    State(state): State<ApiState>,
    authenticated: Authenticated,
    name: PathName,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Tagged<ServerType>, ApiError> {
    decide(&state, authenticated, name, &headers, body, (Operation::TypesReject, TypeStatus::Rejected)).await
}

/// Disable a server type
///
/// It is deprecated: it launches no more, and running instances go on. To approve it again brings it back.
#[utoipa::path(post, operation_id = "types_disable", path = "/types/{id}/disable", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = ServerType), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn disable(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesDisable)?;
    let decision =
        Decision { status: TypeStatus::Deprecated, reason: None, expected: None, accept_findings: false };
    let disabled = state.accounts().decide_type(&permit, &named, decision).await?;
    Ok(tagged(disabled.version, ServerType::new(disabled)))
}

async fn decide(
    state: &ApiState,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    headers: &HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
    (operation, status): (Operation, TypeStatus),
) -> Result<Tagged<ServerType>, ApiError> {
    let permit = caller.admin_permit(operation)?;
    let expected = if_match(headers)?;
    let decision = Decision {
        status,
        reason: fields.text("reason", MAX_WORDS),
        expected,
        accept_findings: fields.flag("accept_findings").unwrap_or_default(),
    };
    fields.finish()?;
    let decided = state.accounts().decide_type(&permit, &named, decision).await?;
    Ok(tagged(decided.version, ServerType::new(decided)))
}

/// What was decided about a type
///
/// Who, when, and why, newest first.
#[utoipa::path(get, operation_id = "types_history", path = "/types/{id}/history", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name"),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<TypeReview>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn history(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<TypeReview>>, ApiError> {
    let permit = caller.type_permit(Operation::TypesHistory)?;
    let (after, limit) = (cursor_field(&mut fields), limit_field(&mut fields));
    fields.finish()?;
    let page = state.accounts().type_history(&permit, &named, after, limit).await?;
    Ok(Json(Page::of(page, TypeReview::new)))
}

/// What a type's servers offer
///
/// Tools, resources and prompts as they were when a platform admin last had a server asked; what looked suspicious; and how
/// the tools differ from those that were approved. Nothing is started for this.
#[utoipa::path(get, operation_id = "types_manifest", path = "/types/{id}/manifest", tag = "types",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = TypeManifest), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn manifest(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
) -> Result<Json<TypeManifest>, ApiError> {
    let permit = caller.type_permit(Operation::TypesManifest)?;
    let (row, manifest) = state.accounts().type_manifest(&permit, &named).await?;
    Ok(Json(TypeManifest::new(&row, manifest)))
}

/// Ask a server of a type what it offers
///
/// Platform admins only. A server is launched for it, approved or not, confined like any, with a credential of the caller
/// where it needs one; it is asked for its tools, resources and prompts, and ended. What an approved type offers the first time
/// is taken for approved; what differs from that later is told, and with the setting `catalog.changed_tools` at `refuse` the
/// type is set aside until it is approved again.
#[utoipa::path(post, operation_id = "types_inspect", path = "/types/{id}/inspect", tag = "types",
    request_body = InspectBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = TypeManifest), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody),
        (status = 502, description = "The server could not be started, or did not say what it offers", body = ErrorBody),
        (status = 503, body = ErrorBody),
        (status = 504, description = "The server did not become ready in time", body = ErrorBody)))]
pub(crate) async fn inspect(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<TypeManifest>, ApiError> {
    let (permit, launch) = caller.may_inspect()?;
    let request = InspectRequest {
        named,
        credential: fields.parsed("credential_id", "a credential's id"),
        secrets: fields.secrets("credentials"),
        config: fields.object("config").unwrap_or_default(),
    };
    if request.credential.is_some() && request.secrets.is_some() {
        fields.problem("credentials", "give either credential_id or credentials, not both");
    }
    fields.finish()?;
    limit_layer::launch(&state, caller.user)?;
    let work = {
        let state = state.clone();
        async move { Ok(state.orchestrator().inspect_type(&permit, launch, request).await?) }
    };
    let found = state.detached(work).await?;
    Ok(Json(TypeManifest::new(&found.row, found.manifest)))
}

/// Say what you think of a tool
///
/// Platform admins only: how much harm it can do, and notes for whoever looks at the type.
#[utoipa::path(patch, operation_id = "types_tool_patch", path = "/types/{id}/tools", tag = "types",
    request_body = ToolBody,
    params(("id" = String, Path, pattern = "^[A-Za-z0-9-]{1,50}$", description = "Its id or its name")),
    responses((status = 200, body = ToolOpinion), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn tool(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(named): PathName,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Json<ToolOpinion>, ApiError> {
    let permit = caller.admin_permit(Operation::TypesToolPatch)?;
    let tool = fields.required_text("tool", MAX_TOOL_CHARS);
    let set = ToolSet {
        risk: fields.parsed::<RiskLevel>("risk_level", "low, medium, high or critical"),
        notes: fields.clearable_text("notes", MAX_WORDS).map(Option::unwrap_or_default),
        enabled: fields.flag("enabled"),
    };
    fields.finish()?;
    let row = state.accounts().set_tool(&permit, &named, &tool, set).await?;
    Ok(Json(ToolOpinion::new(row)))
}

impl From<InspectTypeError> for ApiError {
    fn from(error: InspectTypeError) -> Self {
        match error {
            InspectTypeError::Launch(error) => error.into(),
            InspectTypeError::Accounts(error) => error.into(),
            InspectTypeError::Inspect { .. } => Self::new(Code::NotInspected, error.to_string()),
        }
    }
}
