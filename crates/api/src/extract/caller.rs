//! Who calls: the key in `Authorization: Bearer`, found valid.

use axum::extract::{ConnectInfo, FromRequestParts};
use http::header;
use http::request::Parts;
use roadstead_access::Caller;

use crate::audit_layer::Known;
use crate::error::ApiError;
use crate::extract::fields::address;
use crate::key_uses::KeyNote;
use crate::request_id::REQUEST_ID;
use crate::state::ApiState;

/// What is kept of a caller's `User-Agent`.
const MAX_USER_AGENT_CHARS: usize = 200;

/// The caller; a request without a valid key never reaches its handler.
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(
            |value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            },
        );
        let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|info| info.0);
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let agent = agent.map(|agent| agent.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
        let note = parts.extensions.get::<KeyNote>().cloned().unwrap_or_default();
        let found = state.accounts().authenticate(token, address(peer), agent).await;
        let mut caller = found.inspect_err(|error| {
            if let Some(key) = error.refused_key() {
                note.turned_away(key, address(peer));
            }
        })?;
        note.let_in(&caller);
        let request_id = parts.headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        caller.request_id = request_id.map(str::to_owned);
        if let Some(known) = parts.extensions.get::<Known>() {
            known.is(&caller);
        }
        Ok(Self(caller))
    }
}
