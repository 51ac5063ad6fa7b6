//! Refusals in the audit log: a change that was not made, and a look that was not permitted. Whatever was done has written
//! its entry in its own transaction; this writes one where nothing was done. Of many alike in a minute, one is written and
//! the others are counted, or whoever tries keys would fill a disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use roadstead_access::Caller;
use roadstead_model::{Actor, ApiKeyId, AuditOutcome, Changes, NewAudit, Operation};
use time::OffsetDateTime;

use crate::error::ApiError;
use crate::operations;
use crate::presenter::Presenter;
use crate::request_id::REQUEST_ID;
use crate::source;
use crate::state::ApiState;

/// For so long, refusals alike are one row.
const SPAN: time::Duration = time::Duration::minutes(1);
/// How often what was counted is looked through for what has to be written.
const LOOK: Duration = Duration::from_secs(10);
/// Kinds of refusals that are told apart at one time; beyond them, callers are counted together.
const MAX_KINDS: usize = 10_000;
/// What is kept of a caller's `User-Agent`.
const MAX_AGENT_CHARS: usize = 200;
/// Longest id of a thing that is named.
const MAX_RESOURCE_CHARS: usize = 100;

/// What is one row a minute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    key: Option<ApiKeyId>,
    address: Option<IpAddr>,
    action: &'static str,
    code: &'static str,
}

/// Refusals of one kind since the last row.
#[derive(Debug)]
struct Counted {
    until: OffsetDateTime,
    more: i32,
    last: NewAudit,
}

/// Refusals that are only counted yet.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Kind, Counted>>);

impl Refusals {
    /// Counts one; answers for how many a row is to be written now, if one is.
    fn count(&self, mut kind: Kind, entry: &NewAudit) -> Option<i32> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            (kind.key, kind.address) = (None, None);
        }
        let fresh = || Counted { until: entry.at + SPAN, more: 0, last: entry.clone() };
        match kinds.entry(kind) {
            Entry::Vacant(place) => {
                place.insert(fresh());
                Some(1)
            }
            Entry::Occupied(mut place) if place.get().until <= entry.at => {
                let before = place.insert(fresh());
                Some(before.more.saturating_add(1))
            }
            Entry::Occupied(mut place) => {
                let counted = place.get_mut();
                counted.more = counted.more.saturating_add(1);
                counted.last = entry.clone();
                None
            }
        }
    }

    /// Takes out what a row is due for: those whose minute has ended, or all.
    fn due(&self, now: Option<OffsetDateTime>) -> Vec<(NewAudit, i32)> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |counted: &Counted| now.is_none_or(|now| counted.until <= now);
        let due = kinds.extract_if(|_, counted| is_due(counted));
        due.filter(|(_, counted)| counted.more > 0).map(|(_, counted)| (counted.last, counted.more)).collect()
    }
}

/// Writes what was counted when its minute has ended, and all of it when the service stops.
pub async fn write_refusals(state: ApiState) {
    let stopping = state.orchestrator().stopping();
    loop {
        let more = stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await;
        let now = more.map(|()| state.clock().now());
        for (entry, times) in state.kept().refusals.due(now) {
            write(&state, &entry, times).await;
        }
        if more.is_none() {
            return;
        }
    }
}

async fn write(state: &ApiState, entry: &NewAudit, times: i32) {
    if let Err(error) = state.accounts().note_refusal(entry, times).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            action = entry.action,
            "a refusal could not be written into the audit log"
        );
    }
}

/// What is asked for, as far as an entry tells it.
struct Asked {
    operation: Operation,
    is_change: bool,
    resource: Option<String>,
    address: Option<IpAddr>,
    agent: Option<String>,
    request_id: Option<String>,
    began: OffsetDateTime,
}

impl Asked {
    fn of(request: &Request, state: &ApiState) -> Option<Self> {
        let template = request.extensions().get::<MatchedPath>()?.as_str();
        let operation = operations::at(request.method(), template)?;
        let trusted = state.orchestrator().settings();
        let word = |name| text(request.headers(), name);
        Some(Self {
            operation,
            is_change: !request.method().is_safe(),
            resource: resource(template, request.uri().path()),
            address: source::of(request.extensions(), request.headers(), &trusted.trusted_proxies),
            agent: word(header::USER_AGENT).map(|agent| agent.chars().take(MAX_AGENT_CHARS).collect()),
            request_id: word(REQUEST_ID),
            began: state.clock().now(),
        })
    }

    fn is_told(&self, status: StatusCode) -> bool {
        match status {
            StatusCode::FORBIDDEN => true,
            StatusCode::UNAUTHORIZED
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::TOO_MANY_REQUESTS => self.is_change,
            _ => false,
        }
    }

    fn entry(self, caller: Option<&Caller>, code: &'static str, at: OffsetDateTime) -> NewAudit {
        let unknown = Actor {
            ip_address: self.address,
            user_agent: self.agent,
            request_id: self.request_id,
            ..Actor::SYSTEM
        };
        NewAudit {
            organization: caller.map(|caller| caller.organization),
            project: caller.map(|caller| caller.project),
            actor: caller.map_or(unknown, Caller::actor),
            action: self.operation.action(),
            resource_id: self.resource,
            changes: Changes::default(),
            outcome: AuditOutcome::Refused(code),
            sensitive: false,
            retention_days: None,
            at,
        }
    }
}

/// Writes an entry about what was refused.
pub(crate) async fn middleware(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let Some(asked) = Asked::of(&request, &state) else { return next.run(request).await };
    let presenter = Presenter::of(&mut request);
    let response = next.run(request).await;
    let code = response.extensions().get::<Arc<ApiError>>().map(|error| error.code.as_str());
    if let Some(code) = code.filter(|_| asked.is_told(response.status())) {
        note(&state, asked, presenter.caller(), code).await;
    }
    response
}

async fn note(state: &ApiState, asked: Asked, caller: Option<&Caller>, code: &'static str) {
    let (action, began, request_id) = (asked.operation.action(), asked.began, asked.request_id.clone());
    let key = caller.map(Caller::key);
    // Asked for and begun, and refused on the way: it has its entry.
    if let (Some(_), Some(request_id)) = (caller, &request_id) {
        match state.accounts().has_noted(request_id, action, key, began).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    action,
                    "the audit log cannot be read"
                );
                return;
            }
        }
    }
    // A key is one caller wherever it is used; without one, an address is.
    let address = if key.is_none() { asked.address } else { None };
    let entry = asked.entry(caller, code, state.clock().now());
    if let Some(times) = state.kept().refusals.count(Kind { key, address, action, code }, &entry) {
        write(state, &entry, times).await;
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// What stands in the path where the template has its first parameter.
fn resource(template: &str, path: &str) -> Option<String> {
    let mut pairs = template.split('/').zip(path.split('/'));
    let (_, value) = pairs.find(|(part, _)| part.starts_with('{'))?;
    (value.len() <= MAX_RESOURCE_CHARS).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: OffsetDateTime) -> NewAudit {
        NewAudit { outcome: AuditOutcome::Refused("NOT_FOUND"), ..NewAudit::by_system("instance.stop", at) }
    }

    fn kind(address: [u8; 4]) -> Kind {
        Kind { key: None, address: Some(address.into()), action: "instance.stop", code: "NOT_FOUND" }
    }

    #[test]
    fn of_many_alike_in_a_minute_one_is_written_and_the_others_are_counted() {
        let refusals = Refusals::default();
        let start = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(start)), Some(1));
        for second in 1..=9 {
            let at = start + time::Duration::seconds(second);
            assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(at)), None);
        }
        assert_eq!(
            refusals.count(kind([10, 0, 0, 2]), &entry(start)),
            Some(1),
            "another address is another row"
        );
        assert!(refusals.due(Some(start + time::Duration::seconds(59))).is_empty());
        let due = refusals.due(Some(start + SPAN));
        assert_eq!(due.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [9]);
        assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(start + SPAN)), Some(1));
    }

    #[test]
    fn what_was_counted_is_written_with_the_next_row() {
        let refusals = Refusals::default();
        let start = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(start)), Some(1));
        assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(start)), None);
        assert_eq!(refusals.count(kind([10, 0, 0, 1]), &entry(start + SPAN)), Some(2));
        assert!(refusals.due(None).is_empty());
    }

    #[test]
    fn what_a_path_names_is_told() {
        assert_eq!(resource("/a/{id}/stop", "/a/17/stop").as_deref(), Some("17"));
        assert_eq!(resource("/a", "/a"), None);
    }
}
