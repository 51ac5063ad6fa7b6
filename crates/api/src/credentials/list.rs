//! `GET /credentials`.

use axum::Json;
use axum::extract::State;

use crate::error::{ApiError, ErrorBody};
use crate::extract::{Authenticated, QueryFields};
use crate::state::ApiState;
use crate::wire::{Credential, Page, list_cursor_field, long_limit_field};
use roadstead_model::Operation;

/// List one's credentials
///
/// Names, hints and ends only, oldest first. One whose end is near has the status `expiring`.
#[utoipa::path(get, operation_id = "credentials_list", path = "/credentials", tag = "credentials",
    params(("limit" = Option<u32>, Query, description = "How many items one page may hold: 100 unless it says so"), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Credential>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    QueryFields(mut fields): QueryFields,
) -> Result<Json<Page<Credential>>, ApiError> {
    let permit = caller.credential_permit(Operation::CredentialsList)?;
    let list = fields.list_mark("credentials");
    let after = list_cursor_field(&mut fields, &list);
    let limit = long_limit_field(&mut fields);
    fields.finish()?;
    let credentials = state.accounts().credentials(&permit, after, limit).await?;
    Ok(Json(Page::marked(credentials, &list, Credential::new)))
}
