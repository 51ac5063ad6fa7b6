//! Query parameters and path ids, read as strictly as bodies.

use std::collections::BTreeSet;

use axum::extract::{FromRequestParts, Path};
use http::Uri;
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
        read(&parts.uri).map(Self)
    }
}

/// A parameter that is given twice has no value that both sides would agree on.
fn read(uri: &Uri) -> Result<Fields, ApiError> {
    let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| ApiError::new(Code::Malformed, "the query cannot be read"))?;
    let mut object = Map::new();
    let mut repeated = BTreeSet::new();
    for (name, value) in query.0 {
        if object.insert(name.clone(), Value::String(value)).is_some() {
            repeated.insert(name);
        }
    }
    let mut fields = Fields::new(object);
    for name in repeated {
        fields.problem(&name, "is given more than once");
    }
    Ok(fields)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(query: &str) -> Fields {
        read(&format!("/types?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn a_parameter_that_is_given_twice_is_a_mistake_told_once() {
        let mut fields = fields("all=true&all=null&all=false");
        fields.text("all", 5);
        let error = fields.finish().unwrap_err();
        let named: Vec<&str> = error.details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(named, ["all"]);
    }

    #[test]
    fn parameters_are_read_by_their_names() {
        let mut fields = fields("q=a%20b&limit=5");
        assert_eq!(fields.text("q", 10).as_deref(), Some("a b"));
        assert_eq!(fields.parsed::<u32>("limit", "a number"), Some(5));
        assert!(fields.finish().is_ok());
    }
}
