//! The gateway's own answers, in the error envelope of the REST API.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use roadstead_metrics::GatewayOutcome;
use roadstead_model::{Clock, InstanceStatus, Randomness, RequestId};
use time::format_description::well_known::Rfc3339;

/// How long a caller should wait before it asks again for an instance that is starting, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";
/// What a 401 asks for (RFC 6750, section 3). There is no authorization server, so none is named; and whether a token came
/// makes no difference, because clients tell from the error alone that another token is needed.
pub(crate) const CHALLENGE: &str = r#"Bearer realm="roadstead", error="invalid_token""#;
/// The header that carries the id of a request, as on the REST API.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a caller may choose.
const MAX_REQUEST_ID: usize = 128;

/// An answer of ours, still without what every request has of its own.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
}

const fn fault(status: StatusCode, code: &'static str, message: &'static str) -> Fault {
    Fault { status, code, message: Cow::Borrowed(message) }
}

/// No such instance, or not with this token: one answer, so that ids cannot be guessed.
pub(crate) const REFUSED: Fault = fault(
    StatusCode::UNAUTHORIZED,
    "UNAUTHORIZED",
    "this access URL needs its instance's access token in `Authorization: Bearer`",
);

/// The right token, too early.
pub(crate) const STARTING: Fault =
    fault(StatusCode::SERVICE_UNAVAILABLE, "INSTANCE_STARTING", "the instance is starting; ask again");

/// The right token, at the last moment.
pub(crate) const ENDING: Fault =
    fault(StatusCode::GONE, "INSTANCE_NOT_RUNNING", "the instance is ending; launch a new one");

/// We could not find out.
pub(crate) const UNKNOWN: Fault = fault(
    StatusCode::SERVICE_UNAVAILABLE,
    "DATABASE_UNAVAILABLE",
    "the instance's status cannot be read now; ask again",
);

/// Nothing but the documented paths exists below an access URL.
pub(crate) const NOT_FOUND: Fault =
    fault(StatusCode::NOT_FOUND, "NOT_FOUND", "an access URL ends in /mcp, /sse, /messages or /status");

/// The right token, too late.
pub(crate) fn gone(status: InstanceStatus) -> Fault {
    let again = if status == InstanceStatus::Expired { "renew" } else { "restore" };
    let message = format!("the instance is {status}; {again} it, or launch a new one");
    Fault { message: Cow::Owned(message), ..ENDING }
}

impl Fault {
    /// How it is counted.
    pub(crate) fn outcome(&self) -> GatewayOutcome {
        match self.status {
            StatusCode::UNAUTHORIZED => GatewayOutcome::Refused,
            StatusCode::GONE => GatewayOutcome::Gone,
            StatusCode::NOT_FOUND => GatewayOutcome::NoSuchPath,
            _ => GatewayOutcome::NotReady,
        }
    }

    /// The answer to one request, under the id that its caller chose or a new one.
    pub(crate) fn answer(
        self,
        request: Option<HeaderValue>,
        clock: &dyn Clock,
        randomness: &Randomness,
    ) -> Response {
        let id = request.unwrap_or_else(|| {
            let id = RequestId::new(clock, &mut *randomness.lock());
            HeaderValue::from_str(&id.to_string()).expect("a UUID is a plain word")
        });
        let body = serde_json::json!({ "error": {
            "code": self.code,
            "message": self.message,
            "details": [],
            "request_id": id.to_str().unwrap_or_default(),
            "timestamp": clock.now().format(&Rfc3339).unwrap_or_default(),
        }});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REQUEST_ID, id);
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if self.code == STARTING.code {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// The id that a caller has chosen for its request, if it is a plain word.
pub(crate) fn chosen_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(&REQUEST_ID)?;
    let text = value.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    (!text.is_empty() && text.len() <= MAX_REQUEST_ID && text.chars().all(plain)).then(|| value.clone())
}
