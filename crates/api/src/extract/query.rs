//! Query parameters and path ids, read as strictly as bodies.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde_json::{Map, Value};

use crate::error::{ApiError, Code};
use crate::extract::fields::Fields;
use crate::state::ApiState;

/// The query's parameters as fields: unknown ones and all mistakes are one error.
pub(crate) struct QueryFields(pub(crate) Fields);

impl FromRequestParts<ApiState> for QueryFields {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::new(Code::Malformed, "the query cannot be read"))?;
        let object: Map<String, Value> =
            query.0.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Ok(Self(Fields::new(object)))
    }
}

/// An id in the path; what is no id does not exist.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: std::str::FromStr + Send> FromRequestParts<ApiState> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found("resource");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| missing())?;
        text.parse().map(Self).map_err(|_| missing())
    }
}

/// Two ids in the path; what is no id does not exist.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<A, B> FromRequestParts<ApiState> for PathIds<A, B>
where
    A: std::str::FromStr + Send,
    B: std::str::FromStr + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found("resource");
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((first, second)) = texts.map_err(|_| missing())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(missing()),
        }
    }
}

/// A name in the path; what is no text names nothing.
pub(crate) struct PathName(pub(crate) String);

impl FromRequestParts<ApiState> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        // U+0000 is in no name, and says as much to whoever looks it up.
        Ok(Self(text.map_or_else(|_| "\0".to_owned(), |Path(text)| text)))
    }
}
