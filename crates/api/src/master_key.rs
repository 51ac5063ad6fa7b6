//! `/master-key`, for platform admins.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, PathName};
use crate::state::ApiState;
use crate::wire::{MasterKey, Rotation};
use roadstead_model::Operation;

/// The master keys
///
/// Their ids, what needs each of them, and how far the rotation is that began last. Never a key.
#[utoipa::path(get, operation_id = "master_key_get", path = "/master-key", tag = "master-key",
    responses((status = 200, body = MasterKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Json<MasterKey>, ApiError> {
    let permit = caller.admin_permit(Operation::MasterKeyGet)?;
    Ok(Json(MasterKey::new(state.accounts().master_keys(&permit).await?)))
}

/// Rotate the master key
///
/// A new key seals from now on, and all that others have sealed is sealed anew, while everything goes on.
#[utoipa::path(post, operation_id = "master_key_rotate", path = "/master-key/rotations", tag = "master-key",
    responses((status = 202, description = "It has begun", body = Rotation), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
        (status = 409, description = "One is under way, or the key comes from the environment", body = ErrorBody)))]
pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<(StatusCode, Json<Rotation>), ApiError> {
    let permit = caller.admin_permit(Operation::MasterKeyRotate)?;
    let work = {
        let state = state.clone();
        async move { Ok(state.accounts().rotate_master_key(&permit).await?) }
    };
    // A key that is half way into its file is no place to stop.
    let begun = state.detached(work).await?;
    Ok((StatusCode::ACCEPTED, Json(Rotation::new(begun))))
}

/// Retire a master key
///
/// Refused while values or live instances need it. What is sealed with it afterwards is refused by the database.
#[utoipa::path(delete, operation_id = "master_key_retire", path = "/master-key/keys/{id}", tag = "master-key",
    params(("id" = String, Path, pattern = "^[0-9a-f]{8}$", description = "Eight hexadecimal digits")),
    responses((status = 204, description = "Retired"), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, description = "Something needs it", body = ErrorBody)))]
pub(crate) async fn retire(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathName(id): PathName,
) -> Result<StatusCode, ApiError> {
    let permit = caller.admin_permit(Operation::MasterKeyRetire)?;
    let key = id.parse().map_err(|_| ApiError::not_found("master key"))?;
    let work = {
        let state = state.clone();
        async move { Ok(state.accounts().retire_master_key(&permit, key).await?) }
    };
    state.detached(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
