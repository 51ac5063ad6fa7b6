//! `/users`: everybody, for platform admins.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::{NewUser, PeopleFilter};
use roadstead_model::limits::MAX_NAME_CHARS;
use roadstead_model::{Operation, UserId, UserStatus};
use roadstead_orchestrator::Leaving;

use super::fields::{MAX_REASON_CHARS, any_account, page, required_email};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, OptionalBody, PathId, QueryFields, Tagged, if_match, tagged};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Page, SuspendBody, User, UserBody, UserPatchBody, choice, words};

/// Longest text that is searched for.
const MAX_SEARCH_CHARS: usize = 200;

/// List users
///
/// Platform admins only. `search` finds words of names and addresses by how they begin; `deleted=true` shows those that
/// wait to be erased instead.
#[utoipa::path(get, operation_id = "users_list", path = "/users", tag = "users",
    params(("search" = Option<String>, Query, max_length = 200, description = "Words of names and addresses, by how they begin"),
        ("status" = inline(Option<words::UserStatus>), Query), ("deleted" = Option<bool>, Query),
        ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<User>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<User>>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersList)?;
    let filter = PeopleFilter {
        search: fields.text("search", MAX_SEARCH_CHARS),
        status: fields.parsed::<UserStatus>("status", "active, suspended or invited"),
        deleted: choice(&mut fields, "deleted", ["false", "true"]),
    };
    let page = page(&mut fields);
    fields.finish()?;
    let users = state.accounts().users(&permit, &filter, page).await?;
    Ok(Json(Page::of(users, User::new)))
}

/// Get a user
///
/// Platform admins only.
#[utoipa::path(get, operation_id = "users_get", path = "/users/{id}", tag = "users",
    params(("id" = String, Path)),
    responses((status = 200, body = User), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<UserId>,
) -> Result<Tagged<User>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersGet)?;
    let user = state.accounts().person(&permit, id).await?;
    Ok(tagged(user.version, User::new(user)))
}

/// Create a user
///
/// Platform admins only. A user gets a personal organisation and project.
#[utoipa::path(post, operation_id = "users_create", path = "/users", tag = "users",
    request_body = UserBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.admin_permit(Operation::UsersCreate)?;
    let new = NewUser {
        email: required_email(&mut fields),
        name: fields.required_text("name", MAX_NAME_CHARS),
        is_admin: fields.flag("is_admin").unwrap_or(false),
    };
    fields.finish()?;
    let work = {
        let state = state.clone();
        async move {
            let created = state.accounts().create_user(&permit, new).await?;
            Ok(Answer::json(StatusCode::CREATED, &User::new(created)))
        }
    };
    once(&state, &caller, &headers, "POST /users", &bytes, work).await
}

/// Change a user
///
/// Platform admins only, with `If-Match` naming the version that was read. The last active platform admin stays one.
#[utoipa::path(patch, operation_id = "users_patch", path = "/users/{id}", tag = "users",
    request_body = UserPatchBody,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<UserId>,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<User>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersPatch)?;
    let expected = if_match(&headers)?;
    let patch = any_account(&mut fields);
    fields.finish()?;
    let user = state.accounts().patch_person(&permit, id, expected, patch).await?;
    Ok(tagged(user.version, User::new(user)))
}

/// Suspend a user
///
/// Platform admins only. Their keys open nothing until they are reinstated; `stop_instances` ends what runs, too.
#[utoipa::path(post, operation_id = "users_suspend", path = "/users/{id}/suspend", tag = "users",
    request_body = Option<SuspendBody>,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn suspend(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<UserId>,
    headers: HeaderMap,
    OptionalBody(JsonBody { mut fields, .. }): OptionalBody,
) -> Result<Tagged<User>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersSuspend)?;
    let expected = if_match(&headers)?;
    let reason = fields.text("reason", MAX_REASON_CHARS);
    let stop_instances = fields.flag("stop_instances").unwrap_or(false);
    fields.finish()?;
    let user = state.accounts().suspend_user(&permit, id, expected, reason).await?;
    if stop_instances {
        state.orchestrator().end_all_of(&permit, Leaving::User(id, None)).await?;
    }
    Ok(tagged(user.version, User::new(user)))
}

/// Reinstate a user
///
/// Platform admins only: one who was suspended, is deleted and not yet erased, or was invited. Revoked keys stay so.
#[utoipa::path(post, operation_id = "users_reinstate", path = "/users/{id}/reinstate", tag = "users",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "Somebody else has the address by now", body = ErrorBody),
        (status = 412, body = ErrorBody)))]
pub(crate) async fn reinstate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<UserId>,
    headers: HeaderMap,
) -> Result<Tagged<User>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersReinstate)?;
    let user = state.accounts().reinstate_user(&permit, id, if_match(&headers)?).await?;
    Ok(tagged(user.version, User::new(user)))
}

/// Delete a user
///
/// Platform admins only. Keys are revoked and instances ended at once; all of it is erased days later, as `erase_after`
/// says.
#[utoipa::path(delete, operation_id = "users_delete", path = "/users/{id}", tag = "users",
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, description = "Others depend on the account", body = ErrorBody), (status = 412, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<UserId>,
    headers: HeaderMap,
) -> Result<Json<User>, ApiError> {
    let permit = caller.may(Operation::UsersDelete)?;
    super::me::delete_account(&state, permit, id, if_match(&headers)?).await
}
