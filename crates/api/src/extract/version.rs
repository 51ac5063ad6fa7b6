//! The version that a change expects, of the header `If-Match`, and the one that an answer shows, in `ETag`.

use axum::Json;
use http::{HeaderMap, HeaderName, header};

use crate::error::{ApiError, Code};

/// A body with the version of what it shows.
pub(crate) type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// An answer that says which version it shows.
pub(crate) fn tagged<T>(version: i32, body: T) -> Tagged<T> {
    ([(header::ETAG, format!("\"{version}\""))], Json(body))
}

/// Digits of a version at most.
const MAX_DIGITS: usize = 9;

/// The version of `If-Match`, where the caller names one: `*` is any.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i32>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let version = version.filter(|text| (1..=MAX_DIGITS).contains(&text.len()));
    let version = version.filter(|text| text.bytes().all(|it| it.is_ascii_digit()));
    version.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
        ApiError::new(
            Code::Malformed,
            "If-Match must be the ETag of what is changed, such as \"3\", with its quotes",
        )
    })
}
