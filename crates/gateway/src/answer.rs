//! The gateway's own answers, in the error envelope of the REST API.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use roadstead_model::InstanceStatus;

/// How long a caller should wait before it asks again for an instance that is starting, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

fn envelope(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message, "details": [] } });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// No such instance, or not with this token: one answer, so that ids cannot be guessed.
pub(crate) fn refused() -> Response {
    let mut response = envelope(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "this access URL needs its instance's access token in `Authorization: Bearer`",
    );
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The right token, too early.
pub(crate) fn starting() -> Response {
    let mut response =
        envelope(StatusCode::SERVICE_UNAVAILABLE, "INSTANCE_STARTING", "the instance is starting; ask again");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}

/// The right token, too late.
pub(crate) fn gone(status: InstanceStatus) -> Response {
    let message = format!("the instance is {status}; launch a new one");
    envelope(StatusCode::GONE, "INSTANCE_NOT_RUNNING", &message)
}

/// The right token, at the last moment.
pub(crate) fn ending() -> Response {
    envelope(StatusCode::GONE, "INSTANCE_NOT_RUNNING", "the instance is ending; launch a new one")
}

/// We could not find out.
pub(crate) fn unknown() -> Response {
    envelope(
        StatusCode::SERVICE_UNAVAILABLE,
        "DATABASE_UNAVAILABLE",
        "the instance's status cannot be read now; ask again",
    )
}

/// Nothing but the documented paths exists below an access URL.
pub(crate) fn not_found() -> Response {
    envelope(StatusCode::NOT_FOUND, "NOT_FOUND", "an access URL ends in /mcp or /status")
}
