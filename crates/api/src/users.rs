//! `/users` and `/me`.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_accounts::{NewUser, PageRequest};

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, JsonBody, QueryFields};
use crate::idempotency::{Answer, once};
use crate::state::ApiState;
use crate::wire::{Me, Page, User, UserBody, cursor_field, limit_field};
use roadstead_model::Operation;

/// Longest e-mail address (RFC 5321).
const MAX_EMAIL_CHARS: usize = 254;

/// List users
///
/// Platform admins only.
#[utoipa::path(get, operation_id = "users_list", path = "/users", tag = "users",
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<User>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<User>>, ApiError> {
    let permit = caller.admin_permit(Operation::UsersList)?;
    let page = PageRequest { after: cursor_field(&mut fields), limit: limit_field(&mut fields) };
    fields.finish()?;
    let users = state.accounts().users(&permit, page).await?;
    Ok(Json(Page::of(users, User::new)))
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
        email: fields.required_text("email", MAX_EMAIL_CHARS),
        name: fields.required_text("name", roadstead_model::limits::MAX_NAME_CHARS),
        is_admin: fields.flag("is_admin").unwrap_or(false),
    };
    if !new.email.is_empty() && !looks_like_email(&new.email) {
        fields.problem("email", "must be an e-mail address such as ada@example.com");
    }
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

fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace)
}

/// Who am I?
#[utoipa::path(get, operation_id = "me_get", path = "/me", tag = "users",
    responses((status = 200, body = Me), (status = 401, body = ErrorBody)))]
pub(crate) async fn me(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<Me>, ApiError> {
    let user = state.accounts().user_of(&caller).await?;
    Ok(Json(Me::new(user, &caller)))
}
