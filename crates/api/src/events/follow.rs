//! A stream of events: it ends when the service stops, and when its key may not see them any more. Whoever comes again with
//! the last id goes on where it ended.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use http::request::Parts;
use roadstead_access::Permit;
use roadstead_accounts::{FeedFilter, FeedRow};
use roadstead_model::{ApiKeyId, Operation};
use tokio_util::sync::CancellationToken;

use crate::error::{ApiError, Code};
use crate::extract::Authenticated;
use crate::kept::StreamSlot;
use crate::state::ApiState;
use crate::wire::FeedEvent;

/// How often a silent stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a stream looks for what is new.
const LOOK: Duration = Duration::from_millis(500);
/// How often its key is looked at again: a revoked one sees nothing for longer.
const CHECK: Duration = Duration::from_secs(30);
/// The pause before a database that failed is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// Events that are read at once.
const BATCH: u32 = 200;

struct Follower {
    state: ApiState,
    permit: Permit,
    filter: FeedFilter,
    parts: Parts,
    stopping: CancellationToken,
    checked: Instant,
    ready: VecDeque<FeedRow>,
    _slot: StreamSlot,
}

pub(super) fn answer(
    state: ApiState,
    key: ApiKeyId,
    permit: Permit,
    filter: FeedFilter,
    parts: Parts,
) -> Result<Response, ApiError> {
    let slot = state.kept().stream(key).ok_or_else(|| {
        ApiError::new(Code::RateLimited, "this key follows ten streams of events already; end one of them")
    })?;
    let follower = Follower {
        stopping: state.orchestrator().stopping(),
        state,
        permit,
        filter: FeedFilter { limit: BATCH, ..filter },
        parts,
        checked: Instant::now(),
        ready: VecDeque::new(),
        _slot: slot,
    };
    let stream = Sse::new(follower.into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([("x-accel-buffering", "no")], stream).into_response())
}

impl Follower {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let row = follower.next().await?;
            let event = FeedEvent::new(row);
            let told = Event::default().event(event.kind.clone()).id(event.position.to_string());
            Some((Ok(told.json_data(&event).unwrap_or_default()), follower))
        })
    }

    async fn next(&mut self) -> Option<FeedRow> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            if self.stopping.is_cancelled() || !self.may_go_on().await {
                return None;
            }
            let pause = match self.state.accounts().feed(&self.permit, &self.filter).await {
                Ok(rows) if rows.is_empty() => LOOK,
                Ok(rows) => {
                    self.filter.after = rows.last().map_or(self.filter.after, |row| row.position);
                    self.ready = rows.into();
                    continue;
                }
                Err(_) => RETRY,
            };
            self.stopping.run_until_cancelled(tokio::time::sleep(pause)).await?;
        }
    }

    /// Whether the key is still good, and sees what it saw.
    async fn may_go_on(&mut self) -> bool {
        if self.checked.elapsed() < CHECK {
            return true;
        }
        self.checked = Instant::now();
        match Authenticated::from_request_parts(&mut self.parts, &self.state).await {
            Ok(Authenticated(caller)) => {
                caller.may(Operation::EventsList).is_ok_and(|permit| permit.view() == self.permit.view())
            }
            // Nobody can be asked now; nothing can be read either.
            Err(error) => error.code == Code::DatabaseUnavailable,
        }
    }
}
