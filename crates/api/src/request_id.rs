//! Every request has an id: the caller's `X-Request-ID` or a new one; it is in the answer, in the log and in errors.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use time::format_description::well_known::Rfc3339;
use tracing::Instrument;

use crate::error::{ApiError, Code, ERROR_MARK, ErrorBody, ErrorContent};
use crate::state::ApiState;

/// The header that carries the id both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a caller may choose.
const MAX_REQUEST_ID: usize = 128;

/// Gives the request its id, and writes the body of errors.
pub(crate) async fn middleware(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let id = chosen_by_caller(&request).unwrap_or_else(|| state.new_request_id());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let text = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("request", request.id = %text, http.method = %request.method(),
        http.path = %logged_path(request.uri().path()));
    let response = next.run(request).instrument(span).await;
    let mut response = with_error_body(response, &state, text);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The token of a link to an export is part of its path, and opens it: it is in no log.
fn logged_path(path: &str) -> &str {
    const LINKS: &str = "/api/v1/exports/";
    if path.starts_with(LINKS) { LINKS } else { path }
}

/// Writes the body of errors that are ours, and leaves every other answer as it is.
pub(crate) async fn refusals(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let id = chosen_by_caller(&request);
    let response = next.run(request).await;
    if response.extensions().get::<Arc<ApiError>>().is_none() {
        return response;
    }
    let id = id.unwrap_or_else(|| state.new_request_id());
    let text = id.to_str().unwrap_or_default().to_owned();
    let mut response = with_error_body(response, &state, text);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn chosen_by_caller(request: &Request) -> Option<HeaderValue> {
    let value = request.headers().get(&REQUEST_ID)?;
    let text = value.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    (!text.is_empty() && text.len() <= MAX_REQUEST_ID && text.chars().all(plain)).then(|| value.clone())
}

fn with_error_body(mut response: Response, state: &ApiState, request_id: String) -> Response {
    response.headers_mut().remove(ERROR_MARK);
    let error = response.extensions_mut().remove::<Arc<ApiError>>().or_else(|| {
        // Answers that a library made without a body of ours.
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Some(Arc::new(ApiError::new(
                Code::MethodNotAllowed,
                "this path exists, but not with this method; the header Allow lists those it has",
            ))),
            StatusCode::INTERNAL_SERVER_ERROR => Some(Arc::new(ApiError::new(
                Code::Internal,
                "something failed on our side; the log has the details under this request's id",
            ))),
            _ => None,
        }
    });
    let Some(error) = error else { return response };
    let body = ErrorBody {
        error: ErrorContent {
            code: error.code.as_str().to_owned(),
            message: error.message.clone(),
            details: error.details.clone(),
            request_id,
            timestamp: state.clock().now().format(&Rfc3339).unwrap_or_default(),
        },
    };
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(json);
    response
}
