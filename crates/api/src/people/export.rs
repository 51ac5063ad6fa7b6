//! `/me/export`: everything that is kept of the caller, as it is read.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use roadstead_access::Permit;
use roadstead_accounts::Exported;
use roadstead_model::Operation;
use roadstead_orchestrator::{ChangeError, InstanceRow};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::{ApiError, ErrorBody};
use crate::extract::Authenticated;
use crate::state::ApiState;
use crate::wire::{ApiKey, Credential, Event, Instance, LogLine, Membership, User};

/// Lines that wait for a slow reader; what reads the rows waits then, too.
const LINES_AHEAD: usize = 256;

/// Export my account
///
/// JSON lines, each an object with its `kind` and its `data`: account, memberships, keys, credentials, instances, and
/// their events and log lines. No secret is in it, for nobody can read those back. The last line is of the kind `end`;
/// without it, the export was cut off.
#[utoipa::path(get, operation_id = "me_export", path = "/me/export", tag = "users",
    responses((status = 200, description = "JSON lines", content_type = "application/x-ndjson", body = String),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(crate) async fn export(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<Response, ApiError> {
    let permit = caller.may(Operation::MeExport)?;
    let account = state.accounts().export(&permit).await?;
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    let work = {
        let state = state.clone();
        async move {
            if let Err(error) = write(&state, &permit, account, &Lines(sender)).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "an export was cut off");
            }
        }
    };
    state.begin(work);
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(line), lines))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"roadstead-account.jsonl\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(lines)).into_response())
}

#[derive(Serialize)]
struct Line<T> {
    kind: &'static str,
    data: T,
}

/// Where lines go.
struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// False when nobody reads any more.
    async fn put(&self, kind: &'static str, data: impl Serialize) -> bool {
        let mut line = serde_json::to_vec(&Line { kind, data }).expect("our own types serialise");
        line.push(b'\n');
        self.0.send(Bytes::from(line)).await.is_ok()
    }
}

async fn write(
    state: &ApiState,
    permit: &Permit,
    account: Exported,
    lines: &Lines,
) -> Result<(), ChangeError> {
    let Exported { person, memberships, keys, credentials } = account;
    lines.put("account", User::new(person)).await;
    for membership in memberships {
        lines.put("membership", Membership::new(membership)).await;
    }
    for key in keys {
        lines.put("api_key", ApiKey::new(key)).await;
    }
    for credential in credentials {
        lines.put("credential", Credential::new(credential)).await;
    }
    let mut after = None;
    loop {
        let instances = state.orchestrator().exported_instances(permit, after).await?;
        let Some(last) = instances.last().map(|row| row.id) else { break };
        for instance in instances {
            if !instance_lines(state, permit, instance, lines).await? {
                return Ok(());
            }
        }
        after = Some(last);
    }
    lines.put("end", serde_json::json!({})).await;
    Ok(())
}

/// An instance and what happened to it. False when nobody reads any more.
async fn instance_lines(
    state: &ApiState,
    permit: &Permit,
    row: InstanceRow,
    lines: &Lines,
) -> Result<bool, ChangeError> {
    let orchestrator = state.orchestrator();
    let mut after = None;
    loop {
        let page = orchestrator.exported_events(permit, &row, after).await?;
        for event in page.items {
            lines.put("event", Event::new(event)).await;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = orchestrator.exported_lines(permit, &row, after).await?;
        for line in page.items {
            lines.put("log", LogLine::new(line)).await;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(lines.put("instance", Instance::new(row, state.view())).await)
}
