//! How often somebody may ask. Who presents a valid key is held to the rates of the key, its user and its project; who does
//! not, to that of their address, which a flood from behind it therefore never takes from those with a key.
//!
//! ```text
//! no key, or none that is valid ──► address ──────────────────┐
//! valid key ──► key ──► user ──► project ─────────────────────┴─► handler ─► X-RateLimit-… of the tightest
//!                                         429 RATE_LIMITED, Retry-After
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use roadstead_access::Caller;
use roadstead_accounts::AuthenticationError;
use roadstead_limits::{Refused, Standing, Subject, Verdict};
use roadstead_model::UserId;

use crate::error::{ApiError, Code};
use crate::extract::{NotLetIn, authenticate};
use crate::source;
use crate::state::ApiState;

/// Whoever watches the service must hear that it lives while others flood it; these answers cost next to nothing.
const NEVER_COUNTED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// The part of a wait by which it is made longer at most, in hundredths: all who were refused together must not come back
/// together.
const MOST_SPREAD: u32 = 20;

/// What came of the key that a request presents, for the handler that asks who calls.
#[derive(Debug, Clone)]
pub(crate) struct Presented(Arc<Mutex<Option<Result<Caller, ApiError>>>>);

impl Presented {
    fn new(outcome: Result<Caller, ApiError>) -> Self {
        Self(Arc::new(Mutex::new(Some(outcome))))
    }

    /// The outcome, for the first who asks.
    pub(crate) fn take(&self) -> Option<Result<Caller, ApiError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Counts a request, and lets it through or tells when to come again.
pub(crate) async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if NEVER_COUNTED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let (standing, mut response) = match admit(&state, &mut parts).await {
        Ok(standing) => (standing, next.run(Request::from_parts(parts, body)).await),
        Err(refused) => (Some(refused.standing()), too_often(&state, refused).into_response()),
    };
    // A rate further in, which only some requests are counted for, may have refused it.
    let within = response.extensions().get::<Arc<ApiError>>().and_then(|error| error.standing);
    if let Some(standing) = within.or(standing) {
        tell(response.headers_mut(), standing);
    }
    response
}

/// One start of a server by a user, counted apart from requests: a launch, a restore, a renewal or a restart. Asked in the
/// work itself, so that an answer that is given again counts nothing.
pub(crate) fn launch(state: &ApiState, user: UserId) -> Result<(), ApiError> {
    let per_minute = state.orchestrator().settings().launches.per_minute_per_user;
    let verdict = state.limits().launch(user, per_minute);
    verdict.map(drop).map_err(|refused| too_often(state, refused))
}

/// Finds out who asks, and takes one of each rate that they are held to.
async fn admit(state: &ApiState, parts: &mut Parts) -> Result<Option<Standing>, Refused> {
    let settings = state.orchestrator().settings();
    let source = source::of(&parts.extensions, &parts.headers, &settings.trusted_proxies);
    let limits = state.limits();
    let address = || source.map(|source| limits.address(source, settings.rates.per_address)).transpose();
    let caller = match authenticate(parts, state, source).await {
        Ok(caller) => caller,
        Err(NotLetIn::Key(AuthenticationError::Missing)) => return address(),
        Err(NotLetIn::Acting { caller, error }) => {
            let standing = of_caller(state, &caller)?;
            parts.extensions.insert(Presented::new(Err(error)));
            return Ok(Some(standing));
        }
        Err(NotLetIn::Key(error)) => {
            let is_ours = matches!(error, AuthenticationError::Store(_));
            parts.extensions.insert(Presented::new(Err(error.into())));
            return if is_ours { Ok(None) } else { address() };
        }
    };
    let standing = of_caller(state, &caller)?;
    parts.extensions.insert(Presented::new(Ok(caller)));
    Ok(Some(standing))
}

fn of_caller(state: &ApiState, caller: &Caller) -> Verdict {
    let (limits, rates) = (state.limits(), state.orchestrator().settings().rates);
    let key = limits.key(caller.key(), caller.limits.requests_per_minute.unwrap_or(rates.per_key))?;
    let mut tightest = key.tighter(limits.user(caller.user, rates.per_user)?);
    if let Some(per_minute) = caller.limits.project_requests_per_minute {
        tightest = tightest.tighter(limits.project(caller.project, per_minute)?);
    }
    Ok(tightest)
}

fn tell(headers: &mut HeaderMap, standing: Standing) {
    headers.insert(LIMIT, HeaderValue::from(standing.limit));
    headers.insert(REMAINING, HeaderValue::from(standing.remaining));
    headers.insert(RESET, HeaderValue::from(seconds(standing.whole_in)));
}

/// Whole seconds that are enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn too_often(state: &ApiState, refused: Refused) -> ApiError {
    let Refused { subject, limit, wait, .. } = refused;
    let what = match subject {
        Subject::Address => "requests without a valid API key from your address",
        Subject::Key => "requests with this API key",
        Subject::User => "requests of yours",
        Subject::Project => "requests in this project",
        Subject::Launches => "launches of yours",
    };
    let message = format!(
        "too many {what}: {limit} a minute are allowed; go on after the seconds that Retry-After names, and more slowly"
    );
    let mut error = ApiError::new(Code::RateLimited, message);
    error
        .details
        .push(crate::error::Detail { field: "limit".to_owned(), message: subject.as_str().to_owned() });
    error.retry_after = Some(spread(wait, state.random_percent(MOST_SPREAD)));
    error.standing = Some(refused.standing());
    error
}

/// A wait made longer by so many hundredths, in whole seconds.
fn spread(wait: Duration, percent: u32) -> Duration {
    Duration::from_secs(seconds(wait * (100 + percent) / 100).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_shorter_than_it_must_be() {
        assert_eq!(spread(Duration::from_millis(1), 0), Duration::from_secs(1));
        assert_eq!(spread(Duration::from_millis(1001), 0), Duration::from_secs(2));
        assert_eq!(spread(Duration::from_secs(10), 0), Duration::from_secs(10));
        assert_eq!(spread(Duration::from_secs(10), MOST_SPREAD), Duration::from_secs(12));
    }
}
