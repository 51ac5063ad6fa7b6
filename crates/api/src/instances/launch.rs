//! `POST /instances`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use roadstead_orchestrator::{LaunchRequest, Wait};

use crate::error::{ApiError, ErrorBody};
use crate::extract::fields::Fields;
use crate::extract::{Authenticated, JsonBody};
use crate::idempotency::{Answer, once};
use crate::limit_layer;
use crate::state::ApiState;
use crate::wire::{LaunchBody, Launched, wait_field};

/// Launch an instance
///
/// Starts a server of the given type as a confined process of its own and answers with its access URL and
/// token. The token is shown only here. The launch goes on if the caller hangs up.
#[utoipa::path(post, operation_id = "instances_launch", path = "/instances", tag = "instances",
    request_body = LaunchBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "Ready", body = Launched),
        (status = 202, description = "Written; the server is starting (`wait` was `none`)", body = Launched),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, description = "No such type or credential", body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody),
        (status = 422, description = "Every wrong field is named", body = ErrorBody),
        (status = 429, description = "A quota is reached, launches come too often, or too many wait", body = ErrorBody),
        (status = 502, description = "The server could not be started; its last lines are in the details", body = ErrorBody),
        (status = 503, description = "No port or too little memory is free, launches are switched off, or the service is stopping", body = ErrorBody),
        (status = 504, description = "The server did not become ready in time", body = ErrorBody)))]
pub(crate) async fn launch(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    JsonBody { fields, bytes }: JsonBody,
) -> Result<Answer, ApiError> {
    let permit = caller.may_launch()?;
    let request = read(fields)?;
    let status = match request.wait {
        Wait::Ready => StatusCode::CREATED,
        Wait::None => StatusCode::ACCEPTED,
    };
    let work = {
        let (state, user) = (state.clone(), caller.user);
        async move {
            limit_layer::launch(&state, user)?;
            let launched = state.orchestrator().launch(permit, request).await?;
            Ok(Answer::json(status, &Launched::new(launched, state.view())))
        }
    };
    once(&state, &caller, &headers, "POST /instances", &bytes, work).await
}

fn read(mut fields: Fields) -> Result<LaunchRequest, ApiError> {
    let request = LaunchRequest {
        type_name: fields.required_text("type", 50),
        name: fields.name("name"),
        credential: fields.parsed("credential_id", "a credential's id"),
        secrets: fields.secrets("credentials"),
        config: fields.object("config").unwrap_or_default(),
        expires_in: fields.duration("expires_in"),
        idle_limit: fields.duration("idle_limit"),
        keep: fields.flag("keep").unwrap_or_default(),
        autostart: fields.flag("autostart").unwrap_or_default(),
        wait: wait_field(&mut fields),
        inspects: false,
    };
    if request.credential.is_some() && request.secrets.is_some() {
        fields.problem("credentials", "give either credential_id or credentials, not both");
    }
    fields.finish()?;
    Ok(request)
}
