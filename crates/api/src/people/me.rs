//! `/me`: one's own account.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use roadstead_access::Permit;
use roadstead_model::{Operation, UserId};
use roadstead_orchestrator::Leaving;

use super::fields::own_account;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, Tagged, if_match, tagged};
use crate::state::ApiState;
use crate::wire::{Me, MePatchBody, User};

/// Who am I?
///
/// The user whom the key belongs to or acts for, what the key permits, and where the user takes part.
#[utoipa::path(get, operation_id = "me_get", path = "/me", tag = "users",
    responses((status = 200, body = Me), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Tagged<Me>, ApiError> {
    let permit = caller.may(Operation::MeGet)?;
    let user = state.accounts().person(&permit, permit.user()).await?;
    let memberships = state.accounts().memberships(&permit).await?;
    Ok(tagged(user.version, Me::new(user, memberships, &caller)))
}

/// Change my account
///
/// With `If-Match` naming the version that was read. What is absent stays.
#[utoipa::path(patch, operation_id = "me_patch", path = "/me", tag = "users",
    request_body = MePatchBody,
    params(("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 412, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn patch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { mut fields, .. }: JsonBody,
) -> Result<Tagged<User>, ApiError> {
    let permit = caller.may(Operation::MePatch)?;
    let expected = if_match(&headers)?;
    let patch = own_account(&mut fields);
    fields.finish()?;
    let user = state.accounts().patch_person(&permit, permit.user(), expected, patch).await?;
    Ok(tagged(user.version, User::new(user)))
}

/// Delete my account
///
/// Keys are revoked and instances ended at once. All of it is erased days later, as `erase_after` says; until then a
/// platform admin can reinstate the account.
#[utoipa::path(delete, operation_id = "me_delete", path = "/me", tag = "users",
    params(("If-Match" = Option<String>, Header)),
    responses((status = 200, body = User), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 409, description = "Others depend on it", body = ErrorBody),
        (status = 412, body = ErrorBody)))]
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
) -> Result<Json<User>, ApiError> {
    let permit = caller.may(Operation::MeDelete)?;
    let expected = if_match(&headers)?;
    let user = permit.user();
    delete_account(&state, permit, user, expected).await
}

/// Ends what runs for an account, then deletes it.
pub(super) async fn delete_account(
    state: &ApiState,
    permit: Permit,
    user: UserId,
    expected: Option<i32>,
) -> Result<Json<User>, ApiError> {
    let work = {
        let state = state.clone();
        async move {
            let leaving = Leaving::User(user, None);
            state.accounts().may_delete_account(&permit, user, expected).await?;
            state.orchestrator().end_all_of(&permit, leaving).await?;
            let deleted = state.accounts().delete_account(&permit, user, expected).await?;
            // What was launched between the two; a deleted user launches nothing.
            state.orchestrator().end_all_of(&permit, leaving).await?;
            Ok(Json(User::new(deleted)))
        }
    };
    state.detached(work).await
}
