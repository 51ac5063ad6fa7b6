//! Who calls: the key in `Authorization: Bearer`, found valid, or the user whom it acts for.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderValue, header};
use roadstead_access::Caller;
use roadstead_accounts::{AuthenticationError, Purpose};

use crate::error::ApiError;
use crate::limit_layer::Presented;
use crate::presenter::Presenter;
use crate::request_id::REQUEST_ID;
use crate::source;
use crate::state::ApiState;

/// What is kept of a caller's `User-Agent`.
const MAX_USER_AGENT_CHARS: usize = 200;

/// The caller; a request without a valid key never reaches its handler.
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<ApiState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        // Found out already where the request was counted.
        if let Some(outcome) = parts.extensions.get::<Presented>().and_then(Presented::take) {
            return outcome.map(Self);
        }
        let source =
            source::of(&parts.extensions, &parts.headers, &state.orchestrator().settings().trusted_proxies);
        Ok(Self(authenticate(parts, state, source).await?))
    }
}

/// Why somebody does not become a caller.
pub(crate) enum NotLetIn {
    /// Their key opens nothing.
    Key(AuthenticationError),
    /// Their key is a good one, and does not act for whom they name.
    Acting {
        /// Whose key it is: a refusal is counted for them.
        caller: Box<Caller>,
        /// Why not.
        error: ApiError,
    },
}

impl From<NotLetIn> for ApiError {
    fn from(refused: NotLetIn) -> Self {
        match refused {
            NotLetIn::Key(error) => error.into(),
            NotLetIn::Acting { error, .. } => error,
        }
    }
}

/// Who presents a key, if it is a valid one, or the user whom they act for.
pub(crate) async fn authenticate(
    parts: &Parts,
    state: &ApiState,
    source: Option<IpAddr>,
) -> Result<Caller, NotLetIn> {
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let token = header(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let agent = header(header::USER_AGENT);
    let agent = agent.map(|agent| agent.chars().take(MAX_USER_AGENT_CHARS).collect::<String>());
    let presenter = Presenter::in_parts(parts);
    let purpose = if parts.method.is_safe() { Purpose::Look } else { Purpose::Change };
    let found = state.accounts().authenticate(token, purpose, source, agent).await;
    let found = found.inspect_err(|error| {
        if let Some(key) = error.refused_key() {
            presenter.turned_away(key, source);
        }
    });
    let mut caller = found.map_err(NotLetIn::Key)?;
    presenter.let_in(&caller);
    caller.request_id = header(REQUEST_ID).map(str::to_owned);
    let caller = match super::acting::acting(state, &parts.headers, &caller).await {
        Ok(acting) => acting.unwrap_or(caller),
        Err(error) => return Err(NotLetIn::Acting { caller: Box::new(caller), error }),
    };
    presenter.calls(&caller);
    Ok(caller)
}
