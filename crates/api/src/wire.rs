//! The JSON of the API: names, shapes, and how rows become them.

mod confinement;
mod credential;
mod instance;
mod master_key;
mod people;
mod retention;
mod stats;
mod types;
mod usage;
pub(crate) mod words;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use roadstead_model::limits::{DEFAULT_PAGE, MAX_PAGE};
use roadstead_orchestrator::Wait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::extract::fields::Fields;

pub use credential::{
    Credential, CredentialBody, CredentialChangeBody, CredentialEvent, CredentialHolder, CredentialUsage,
    CredentialValidation, FailedRestart, ReplacedCredential, SlotHint,
};
pub(crate) use instance::View;
pub use instance::{
    Alive, Event, ExtendBody, Instance, LaunchBody, Launched, LogLine, Queue, RenewBody, StartBody,
    TypeSummary,
};
pub use master_key::{MasterKey, Rotation};
pub use people::{
    ApiKey, KeyBody, KeySummary, Me, NewApiKey, PortEntry, SettingBody, Settings, User, UserBody,
};
pub use retention::{
    RetentionBody, RetentionMonth, RetentionPolicy, RetentionPreview, RetentionRun, RetentionRunBody,
};
pub(crate) use stats::Stats;
pub use types::{ServerType, Slot, TypeBody};
pub use usage::{UsageEntry, UsageTotal};

/// The end of the year 9999, in microseconds since 1970.
const LAST_MICROSECOND: i64 = 253_402_300_799_999_999;

/// A part of a list.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Where the next page starts: pass it as `cursor`; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A whole list.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct All<T> {
    /// The items.
    pub data: Vec<T>,
}

impl<T> Page<T> {
    /// A page out of one of rows.
    pub(crate) fn of<R, C: Serialize>(
        page: roadstead_accounts::Page<R, C>,
        item: impl FnMut(R) -> T,
    ) -> Self {
        Self {
            data: page.items.into_iter().map(item).collect(),
            next_cursor: page.next.map(|next| encode(&next)),
        }
    }
}

/// A cursor as callers see it: opaque.
fn encode(cursor: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).expect("a cursor serialises"))
}

/// A made-up cursor may name a time that the database cannot hold: only times that a row can have are taken.
fn decode<C: DeserializeOwned>(text: &str) -> Option<C> {
    let cursor: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let possible = cursor["at"].as_i64().is_some_and(|at| (0..=LAST_MICROSECOND).contains(&at));
    possible.then(|| serde_json::from_value(cursor).ok())?
}

/// The `cursor` of a query.
pub(crate) fn cursor_field<C: DeserializeOwned>(fields: &mut Fields) -> Option<C> {
    let text = fields.text("cursor", 500)?;
    let cursor = decode(&text);
    if cursor.is_none() {
        fields.problem("cursor", "must be the next_cursor of the page before");
    }
    cursor
}

/// The `limit` of a query.
pub(crate) fn limit_field(fields: &mut Fields) -> u32 {
    let limit = fields.parsed::<u32>("limit", "a whole number from 1 to 100").unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        fields.problem("limit", format!("must be from 1 to {MAX_PAGE}"));
    }
    limit.clamp(1, MAX_PAGE)
}

/// The `wait` of a request that starts a server.
pub(crate) fn wait_field(fields: &mut Fields) -> Wait {
    match fields.text("wait", 10).as_deref() {
        None | Some("ready") => Wait::Ready,
        Some("none") => Wait::None,
        Some(_) => {
            fields.problem("wait", "must be `ready` or `none`");
            Wait::Ready
        }
    }
}

/// The status of the answer to a request that started a server again.
pub(crate) const fn wait_status(wait: Wait) -> StatusCode {
    match wait {
        Wait::Ready => StatusCode::OK,
        Wait::None => StatusCode::ACCEPTED,
    }
}

/// A time of a query.
pub(crate) fn time_field(fields: &mut Fields, field: &str) -> Option<OffsetDateTime> {
    let text = fields.text(field, 40)?;
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok();
    if time.is_none() {
        fields.problem(field, "must be a time such as 2026-01-31T12:00:00Z");
    }
    time
}

/// One of two words that choose the order of a list.
pub(crate) fn choice(fields: &mut Fields, field: &str, words: [&str; 2]) -> bool {
    match fields.text(field, 20) {
        None => false,
        Some(word) if word == words[0] => false,
        Some(word) if word == words[1] => true,
        Some(_) => {
            fields.problem(field, format!("must be {} or {}", words[0], words[1]));
            false
        }
    }
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
