//! `If-Match` and `ETag`: a change names the version that was read, and is refused where that is no more.

use axum::Json;
use http::{HeaderMap, HeaderName, header};

use crate::error::{ApiError, Code};

/// A body with the version of what it shows.
pub(crate) type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// An answer that says which version it shows.
pub(crate) fn tagged<T>(version: i32, body: T) -> Tagged<T> {
    ([(header::ETAG, format!("\"{version}\""))], Json(body))
}

/// The version that `If-Match` names; none where there is no such header.
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<i32>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    let malformed = || ApiError::new(Code::Malformed, "If-Match must be the ETag of what was read: \"3\"");
    version.map(Some).ok_or_else(malformed)
}
