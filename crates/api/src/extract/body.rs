//! A JSON body, read strictly: content type, size, syntax, an object.

use axum::extract::{FromRequest, Request};
use http::header;
use serde_json::Value;

use crate::error::{ApiError, Code};
use crate::extract::fields::Fields;
use crate::state::ApiState;

/// The fields of a body that must be a JSON object, and its bytes for the idempotency check.
pub(crate) struct JsonBody {
    /// The fields, to be taken one by one.
    pub(crate) fields: Fields,
    /// The body as it came.
    pub(crate) bytes: bytes::Bytes,
}

/// A body that may be left out: then it has no fields.
pub(crate) struct OptionalBody(pub(crate) JsonBody);

impl FromRequest<ApiState> for OptionalBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(Self(JsonBody {
                fields: Fields::new(serde_json::Map::new()),
                bytes: bytes::Bytes::new(),
            }));
        }
        JsonBody::from_request(request, state).await.map(Self)
    }
}

impl FromRequest<ApiState> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(ApiError::new(
                Code::WrongContentType,
                "the body must be JSON, with the header `Content-Type: application/json`",
            ));
        }
        let bytes = bytes::Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
                let limit = roadstead_model::limits::MAX_API_BODY_BYTES / (1024 * 1024);
                ApiError::new(Code::TooLarge, format!("the body must be at most {limit} MiB"))
            } else {
                ApiError::new(Code::Malformed, "the body did not arrive whole")
            }
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Self { fields: Fields::new(object), bytes }),
            Ok(_) => Err(ApiError::new(Code::Malformed, "the body must be a JSON object")),
            Err(error) => Err(ApiError::new(
                Code::Malformed,
                format!("the body is not JSON: line {}, column {}", error.line(), error.column()),
            )),
        }
    }
}

fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
