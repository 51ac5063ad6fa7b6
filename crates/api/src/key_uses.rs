//! What a key is used for: a fact for each request that is known to be of one, whatever came of it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use roadstead_accounts::KeyFact;

use crate::operations;
use crate::presenter::Presenter;
use crate::request_id::REQUEST_ID;
use crate::state::ApiState;

/// Makes the fact of a request when its answer is known.
pub(crate) async fn count(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let presenter = Presenter::of(&mut request);
    let operation = operations::of(&request);
    let request_bytes = length(request.headers());
    let request_id = request.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    let begun = state.clock().now();
    let response = next.run(request).await;
    if let Some(known) = presenter.key() {
        let took = state.clock().now() - begun;
        let answer = axum::body::HttpBody::size_hint(response.body()).exact();
        state.accounts().note_key_use(KeyFact {
            key: known.key,
            at: begun,
            operation,
            status: response.status().as_u16(),
            is_refused: known.is_refused,
            duration_us: u64::try_from(took.whole_microseconds()).unwrap_or(0),
            request_bytes,
            answer_bytes: answer.unwrap_or_else(|| length(response.headers())),
            ip_address: known.ip_address,
            user_agent: known.user_agent.clone(),
            request_id,
        });
    }
    response
}

fn length(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).unwrap_or(0)
}
