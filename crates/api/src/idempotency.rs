//! `Idempotency-Key`: the same key within 24 h returns the first answer; it is kept sealed, for it may hold a token.
//! A request that failed is not remembered: the same key may try again.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use roadstead_access::Caller;
use roadstead_accounts::idempotency::{Attempt, Begun};
use roadstead_model::{ApiKeyId, CredentialId, InstanceId};

use crate::error::{ApiError, Code};
use crate::state::ApiState;

/// The header.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key that is accepted.
const MAX_KEY_BYTES: usize = 200;

/// A JSON answer that can be kept and given again.
pub(crate) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// An answer with a body.
    pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        Self { status, body: serde_json::to_vec(body).expect("our own types serialise") }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // An answer may hold a token: no cache may keep it.
        (self.status, [kind, (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], self.body)
            .into_response()
    }
}

fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}

/// A request about one instance: the same body for another is another request.
pub(crate) fn of_instance(id: InstanceId, body: &[u8]) -> Vec<u8> {
    [id.to_string().as_bytes(), b"\n", body].concat()
}

/// A request about one credential, likewise.
pub(crate) fn of_credential(id: CredentialId, body: &[u8]) -> Vec<u8> {
    [id.to_string().as_bytes(), b"\n", body].concat()
}

/// A request about one API key, likewise.
pub(crate) fn of_key(id: ApiKeyId, body: &[u8]) -> Vec<u8> {
    [id.to_string().as_bytes(), b"\n", body].concat()
}

/// Does the work once per key, detached from the caller's connection.
pub(crate) async fn once(
    state: &ApiState,
    caller: &Caller,
    headers: &HeaderMap,
    route: &'static str,
    request: &[u8],
    work: impl Future<Output = Result<Answer, ApiError>> + Send + 'static,
) -> Result<Answer, ApiError> {
    // What a change awaits is large, and would be held here once for each way it can go.
    let work = Box::pin(work);
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return state.detached(work).await };
    let key = key.to_str().ok().filter(|key| is_key(key)).ok_or_else(|| {
        ApiError::new(
            Code::Malformed,
            format!("Idempotency-Key must be 1 to {MAX_KEY_BYTES} visible characters"),
        )
    })?;
    let attempt = Attempt { user: caller.user, route, key, request };
    match state.accounts().idempotency().begin(&attempt).await? {
        Begun::Before { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            Ok(Answer { status, body })
        }
        Begun::First(ticket) => {
            let accounts = state.accounts().clone();
            let finish = async move {
                let outcome = work.await;
                match &outcome {
                    Ok(answer) => {
                        accounts.idempotency().keep(ticket, answer.status.as_u16(), &answer.body).await?;
                    }
                    Err(_) => accounts.idempotency().forget(ticket).await?,
                }
                outcome
            };
            state.detached(finish).await
        }
    }
}
