//! The JSON of the API: names, shapes, and how rows become them.

mod audit;
mod bulk;
mod confinement;
mod credential;
mod instance;
mod keys;
mod logs;
mod master_key;
mod organization;
mod packages;
mod people;
mod person;
mod registry;
mod retention;
mod settings;
mod stats;
mod type_reviews;
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

use crate::extract::fields::{Fields, ListMark};

pub use audit::{AuditEntry, Broken, FeedEvent, FeedPage, SystemEvent, Verification};
pub use bulk::{BulkBody, BulkFilterBody, BulkInstance, BulkResult, PatchBody, PatchedInstance};
pub use credential::{
    Credential, CredentialBody, CredentialChangeBody, CredentialEvent, CredentialHolder, CredentialUsage,
    CredentialValidation, FailedRestart, ReplacedCredential, SlotHint,
};
pub(crate) use instance::View;
pub use instance::{
    Alive, Event, ExtendBody, Instance, LaunchBody, Launched, LogLine, Queue, RenewBody, StartBody,
    TypeSummary,
};
pub use keys::{ApiKey, KeyBody, KeyDay, KeyPatchBody, KeyRequest, KeyUsage, NewApiKey, RotateBody};
pub use logs::{ExportBody, ExportLink, FoundLine, FoundLines};
pub use master_key::{MasterKey, Rotation};
pub use organization::{
    AcceptBody, Invitation, InviteBody, Member, MemberBody, Organization, OrganizationBody,
    OrganizationPatchBody, OrganizationQuotas, Project, ProjectBody, ProjectPatchBody,
};
pub use packages::{CleanBody, CleanedPackages, Package, TypeName, TypeVersion};
pub use people::PortEntry;
pub use person::{KeySummary, Me, MePatchBody, Membership, SuspendBody, User, UserBody, UserPatchBody};
pub(crate) use registry::registry_name;
pub use registry::{RegistryList, RegistryServer};
pub use retention::{
    RetentionBody, RetentionMonth, RetentionPolicy, RetentionPreview, RetentionRun, RetentionRunBody,
};
pub use settings::{ChangedSetting, Setting, SettingBody, SettingChange, Settings};
pub(crate) use stats::Stats;
pub use type_reviews::{
    DecisionBody, InspectBody, RejectBody, ToolBody, ToolDifferences, ToolOpinion, TypeManifest, TypeReview,
};
pub use types::{
    ImportBody, ImportedType, ProjectTypeDecision, RemoteTypeBody, ServerType, Slot, TypeBody, UpgradeBody,
};
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

/// What a cursor says beside its place: of which list it is.
const LIST: &str = "list";

impl<T> Page<T> {
    /// A page out of one of rows, whose cursor goes on with this list alone.
    pub(crate) fn marked<R, C: Serialize>(
        page: roadstead_accounts::Page<R, C>,
        list: &ListMark,
        item: impl FnMut(R) -> T,
    ) -> Self {
        Self {
            data: page.items.into_iter().map(item).collect(),
            next_cursor: page.next.map(|next| marked(&next, list)),
        }
    }
}

/// A cursor that goes on with one list alone.
pub(crate) fn marked(cursor: &impl Serialize, list: &ListMark) -> String {
    let mut value = serde_json::to_value(cursor).expect("a cursor serialises");
    if let Some(object) = value.as_object_mut() {
        object.insert(LIST.to_owned(), list.0.clone().into());
    }
    encode(&value)
}

/// The `cursor` of a query for a list: with another sort or other filters, its place means nothing.
pub(crate) fn list_cursor_field<C: DeserializeOwned>(fields: &mut Fields, list: &ListMark) -> Option<C> {
    let text = fields.text("cursor", 500)?;
    let cursor = URL_SAFE_NO_PAD.decode(&text).ok();
    let cursor = cursor.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let Some(cursor) = cursor.filter(serde_json::Value::is_object) else {
        fields.problem("cursor", "must be the next_cursor of the page before");
        return None;
    };
    if cursor[LIST].as_str() != Some(&list.0) {
        fields.problem("cursor", "is of a list with another sort or other filters; begin again without it");
        return None;
    }
    let place = possible(cursor).and_then(|cursor| serde_json::from_value(cursor).ok());
    if place.is_none() {
        fields.problem("cursor", "must be the next_cursor of the page before");
    }
    place
}

/// A cursor as callers see it: opaque.
fn encode(cursor: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).expect("a cursor serialises"))
}

/// A made-up cursor may name a time that the database cannot hold: only times that a row can have are taken.
fn decode<C: DeserializeOwned>(text: &str) -> Option<C> {
    let cursor: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    serde_json::from_value(possible(cursor)?).ok()
}

/// A made-up cursor may hold what the database takes for neither a time nor a text.
fn possible(cursor: serde_json::Value) -> Option<serde_json::Value> {
    let mut fields = cursor.as_object()?.values();
    let is_text = fields.all(|field| field.as_str().is_none_or(|text| !text.contains('\0')));
    let at = &cursor["at"];
    let is_time = at.is_null() || at.as_i64().is_some_and(|at| (0..=LAST_MICROSECOND).contains(&at));
    (is_text && is_time).then_some(cursor)
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
    limit_or(fields, DEFAULT_PAGE)
}

/// The `limit` of a query for a list that is mostly short enough to come whole.
pub(crate) fn long_limit_field(fields: &mut Fields) -> u32 {
    limit_or(fields, MAX_PAGE)
}

fn limit_or(fields: &mut Fields, default: u32) -> u32 {
    let limit = fields.parsed::<u32>("limit", "a whole number from 1 to 100").unwrap_or(default);
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

/// A yes or no of a query.
pub(crate) fn flag_field(fields: &mut Fields, field: &str) -> Option<bool> {
    match fields.text(field, 5)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => {
            fields.problem(field, "must be true or false");
            None
        }
    }
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

pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
