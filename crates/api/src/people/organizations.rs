//! `/organizations`: what people share.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_access::Permit;
use roadstead_accounts::OrganizationPatch;
use roadstead_model::limits::MAX_NAME_CHARS;
use roadstead_model::{Operation, OrganizationId, OrganizationStatus};
use roadstead_orchestrator::Leaving;

use super::fields::{MAX_OBJECT_BYTES, clearable_email, domains, page, slug};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Organization, OrganizationBody, OrganizationPatchBody, OrganizationQuotas, Page};

/// List organisations
///
/// Those that the caller takes part in; all of them for platform admins.
#[utoipa::path(get, operation_id = "organizations_list", path = "/organizations", tag = "organizations",
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Organization>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Organization>>, ApiError> {
    let permit = caller.may(Operation::OrganizationsList)?;
    let page = page(&mut fields);
    fields.finish()?;
    let found = state.accounts().organizations(&permit, page).await?;
    Ok(Json(Page::of(found, Organization::new)))
}

/// Get an organisation
#[utoipa::path(get, operation_id = "organizations_get", path = "/organizations/{id}", tag = "organizations",
    params(("id" = String, Path)),
    responses((status = 200, body = Organization), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
) -> Result<Tagged<Organization>, ApiError> {
    let permit = caller.may(Operation::OrganizationsGet)?;
    Ok(answer(state.accounts().organization(&permit, id).await?))
}

/// Create an organisation
///
/// Whoever makes it owns it. It begins with one project.
#[utoipa::path(post, operation_id = "organizations_create", path = "/organizations", tag = "organizations",
    request_body = OrganizationBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Organization), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.may(Operation::OrganizationsCreate)?;
    let (name, slug) = (fields.required_text("name", MAX_NAME_CHARS), slug(&mut fields));
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let made = state.accounts().create_organization(&permit, name, slug).await?;
            Ok(Answer::json(StatusCode::CREATED, &Organization::new(made)))
        }
    };
    once(&state, &caller, &headers, "POST /organizations", &bytes, work).await
}

/// Change an organisation
///
/// Its owners and admins, with `If-Match` naming the version that was read. What is absent stays.
#[utoipa::path(patch, operation_id = "organizations_patch", path = "/organizations/{id}", tag = "organizations",
    request_body = OrganizationPatchBody,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Organization), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<Organization>, ApiError> {
    let permit = caller.may(Operation::OrganizationsPatch)?;
    let expected = if_match(&headers)?;
    let patch = OrganizationPatch {
        name: fields.text("name", MAX_NAME_CHARS),
        slug: slug(&mut fields),
        billing_email: clearable_email(&mut fields, "billing_email"),
        support_email: clearable_email(&mut fields, "support_email"),
        allowed_email_domains: domains(&mut fields),
        settings: fields.small_object("settings", MAX_OBJECT_BYTES),
    };
    fields.finish()?;
    Ok(answer(state.accounts().patch_organization(&permit, id, expected, patch).await?))
}

/// Delete an organisation
///
/// Its owners. What runs in it ends, and the keys that act in it are revoked. A personal one goes with its account.
#[utoipa::path(delete, operation_id = "organizations_delete", path = "/organizations/{id}", tag = "organizations",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204, description = "Deleted"), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let permit = caller.may(Operation::OrganizationsDelete)?;
    let expected = if_match(&headers)?;
    let work = {
        let state = state.clone();
        async move {
            let leaving = Leaving::Organization(id);
            state.accounts().may_delete_organization(&permit, id, expected).await?;
            state.orchestrator().end_all_of(&permit, leaving).await?;
            state.accounts().delete_organization(&permit, id, expected).await?;
            // What was launched between the two; no key acts in it any more.
            state.orchestrator().end_all_of(&permit, leaving).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    };
    state.detached(work).await
}

/// Suspend an organisation
///
/// Platform admins only. No key that acts in it opens anything until it is reinstated; what runs goes on.
#[utoipa::path(post, operation_id = "organizations_suspend", path = "/organizations/{id}/suspend", tag = "organizations",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Organization), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody)))]
pub(crate) async fn suspend(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
    headers: HeaderMap,
) -> Result<Tagged<Organization>, ApiError> {
    let permit = caller.may(Operation::OrganizationsSuspend)?;
    set_status(&state, &permit, id, &headers, OrganizationStatus::Suspended).await
}

/// Reinstate an organisation
///
/// Platform admins only.
#[utoipa::path(post, operation_id = "organizations_reinstate", path = "/organizations/{id}/reinstate", tag = "organizations",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Organization), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody)))]
pub(crate) async fn reinstate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
    headers: HeaderMap,
) -> Result<Tagged<Organization>, ApiError> {
    let permit = caller.may(Operation::OrganizationsReinstate)?;
    set_status(&state, &permit, id, &headers, OrganizationStatus::Active).await
}

/// Set an organisation's quotas
///
/// Platform admins only: `max_instances`, `max_memory_mb` and `max_cpu_percent`, all of them. What is absent is the
/// platform's.
#[utoipa::path(put, operation_id = "organizations_quotas", path = "/organizations/{id}/quotas", tag = "organizations",
    request_body = OrganizationQuotas,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Organization), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn quotas(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<OrganizationId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<Organization>, ApiError> {
    let permit = caller.may(Operation::OrganizationsQuotas)?;
    let expected = if_match(&headers)?;
    Ok(answer(state.accounts().set_organization_quotas(&permit, id, expected, fields.rest()).await?))
}

async fn set_status(
    state: &ApiState,
    permit: &Permit,
    id: OrganizationId,
    headers: &HeaderMap,
    status: OrganizationStatus,
) -> Result<Tagged<Organization>, ApiError> {
    let expected = if_match(headers)?;
    Ok(answer(state.accounts().set_organization_status(permit, id, expected, status).await?))
}

fn answer(row: roadstead_accounts::OrganizationRow) -> Tagged<Organization> {
    tagged(row.version, Organization::new(row))
}
