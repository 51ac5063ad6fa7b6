//! `/projects`: what instances, credentials and keys belong to.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::{NewProject, ProjectPatch};
use roadstead_model::limits::MAX_NAME_CHARS;
use roadstead_model::{Operation, OrganizationId, ProjectId, ProjectStatus};

use super::fields::{MAX_DESCRIPTION_CHARS, MAX_OBJECT_BYTES, page, slug};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, PathId, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Page, Project, ProjectBody, ProjectPatchBody};

/// List projects
///
/// Of the organisation that the key acts in; of all, or of `organization_id`, for platform admins.
#[utoipa::path(get, operation_id = "projects_list", path = "/projects", tag = "projects",
    params(("organization_id" = Option<String>, Query), ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Project>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Project>>, ApiError> {
    let permit = caller.may(Operation::ProjectsList)?;
    let organization = fields.parsed::<OrganizationId>("organization_id", "an organisation's id");
    let page = page(&mut fields);
    fields.finish()?;
    let projects = state.accounts().projects(&permit, organization, page).await?;
    Ok(Json(Page::of(projects, Project::new)))
}

/// Get a project
#[utoipa::path(get, operation_id = "projects_get", path = "/projects/{id}", tag = "projects",
    params(("id" = String, Path)),
    responses((status = 200, body = Project), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ProjectId>,
) -> Result<Tagged<Project>, ApiError> {
    let permit = caller.may(Operation::ProjectsGet)?;
    let project = state.accounts().project(&permit, id).await?;
    Ok(tagged(project.version, Project::new(project)))
}

/// Create a project
///
/// Owners and admins of the organisation.
#[utoipa::path(post, operation_id = "projects_create", path = "/projects", tag = "projects",
    request_body = ProjectBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Project), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.may(Operation::ProjectsCreate)?;
    let new = NewProject {
        organization: fields.parsed::<OrganizationId>("organization_id", "an organisation's id"),
        name: fields.required_text("name", MAX_NAME_CHARS),
        slug: slug(&mut fields),
        description: fields.text("description", MAX_DESCRIPTION_CHARS).unwrap_or_default(),
        settings: fields.small_object("settings", MAX_OBJECT_BYTES).unwrap_or_default(),
        quotas: fields.object("quotas"),
    };
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let made = state.accounts().create_project(&permit, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &Project::new(made)))
        }
    };
    once(&state, &caller, &headers, "POST /projects", &bytes, work).await
}

/// Change a project
///
/// Owners and admins of the organisation, with `If-Match` naming the version that was read. `status` pauses it (nothing
/// new is started), archives it (it is only looked at, and what runs can be ended) or makes it active again.
#[utoipa::path(patch, operation_id = "projects_patch", path = "/projects/{id}", tag = "projects",
    request_body = ProjectPatchBody,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Project), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ProjectId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<Project>, ApiError> {
    let permit = caller.may(Operation::ProjectsPatch)?;
    let expected = if_match(&headers)?;
    let patch = ProjectPatch {
        name: fields.text("name", MAX_NAME_CHARS),
        slug: slug(&mut fields),
        description: fields
            .clearable_text("description", MAX_DESCRIPTION_CHARS)
            .map(Option::unwrap_or_default),
        settings: fields.small_object("settings", MAX_OBJECT_BYTES),
        quotas: fields.object("quotas"),
        status: fields.parsed::<ProjectStatus>("status", "active, paused or archived"),
    };
    fields.finish()?;
    let project = state.accounts().patch_project(&permit, id, expected, patch).await?;
    Ok(tagged(project.version, Project::new(project)))
}
