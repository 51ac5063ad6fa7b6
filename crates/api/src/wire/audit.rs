//! Entries of the audit log, the feed and what happened to the service.

use roadstead_accounts::{AuditRow, Break, FeedRow, SystemEventRow, Verified};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rfc3339;

/// An entry of the audit log.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Its number in the whole log.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// When, RFC 3339.
    pub at: String,
    /// The organisation whose chain it is in; all zeros for the platform's.
    pub organization_id: String,
    /// The project.
    pub project_id: Option<String>,
    /// `key`, `user`, `system` or `webhook`.
    pub actor_kind: String,
    /// Who acted.
    pub actor_user_id: Option<String>,
    /// With which key.
    pub actor_key_id: Option<String>,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// From where.
    pub ip_address: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// What, `resource.verb`.
    #[schema(example = "instance.stop")]
    pub action: String,
    /// To what kind of thing.
    pub resource_kind: String,
    /// To which.
    pub resource_id: Option<String>,
    /// What changed; of secrets and of what says who a person is, only that it did.
    #[schema(value_type = Object)]
    pub changes: Value,
    /// The request's id.
    pub request_id: Option<String>,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
    /// The code of a refusal or failure.
    pub code: Option<String>,
    /// Whether it concerns secrets or rights.
    pub sensitive: bool,
    /// For how many of its kind it stands: refusals alike within a minute are one entry.
    pub times: i32,
}

impl AuditEntry {
    pub(crate) fn new(row: AuditRow) -> Self {
        let text = |id: uuid::Uuid| id.to_string();
        Self {
            seq: row.seq,
            id: text(row.id),
            at: rfc3339(row.at),
            organization_id: text(row.organization_id),
            project_id: row.project_id.map(text),
            actor_kind: row.actor_kind,
            actor_user_id: row.actor_user_id.map(text),
            actor_key_id: row.actor_key_id.map(text),
            on_behalf_of: row.on_behalf_of.map(text),
            ip_address: row.ip_address,
            user_agent: row.user_agent,
            action: row.action,
            resource_kind: row.resource_kind,
            resource_id: row.resource_id,
            changes: row.changes,
            request_id: row.request_id,
            outcome: row.outcome,
            code: row.code,
            sensitive: row.sensitive,
            times: row.times,
        }
    }
}

/// What verifying the audit log came to.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verification {
    /// Whether nothing is broken.
    pub whole: bool,
    /// Entries that were read.
    pub entries: u64,
    /// Entries that wait for their link.
    pub unsealed: u64,
    /// Chains: one an organisation, and the platform's.
    pub chains: u64,
    /// Signed places that were compared.
    pub anchors: u64,
    /// Those whose key is in the ring no more, so that the signature could not be looked at.
    pub unchecked_anchors: u64,
    /// How many places are broken.
    pub broken: u64,
    /// The first of them.
    pub first: Vec<Broken>,
    /// How long it took.
    pub duration_ms: u64,
}

/// A broken place of a chain.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Broken {
    /// Whose chain; all zeros for the platform's.
    pub organization_id: String,
    /// The place in the chain; null for an entry without a link.
    pub number: Option<i64>,
    /// The entry's number in the whole log; null where it is gone.
    pub seq: Option<i64>,
    /// `content`, `link`, `missing_entry`, `missing_link`, `gap`, `head`, `anchor` or `signature`.
    pub why: String,
    /// The same for people.
    pub message: String,
}

impl Verification {
    pub(crate) fn new(verified: &Verified, took: std::time::Duration) -> Self {
        Self {
            whole: verified.is_whole(),
            entries: verified.entries,
            unsealed: verified.unsealed,
            chains: verified.chains,
            anchors: verified.anchors,
            unchecked_anchors: verified.unchecked,
            broken: verified.broken.count(),
            first: verified.broken.places().iter().map(Broken::new).collect(),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Broken {
    fn new(place: &Break) -> Self {
        Self {
            organization_id: place.organization.to_string(),
            number: place.number,
            seq: place.seq,
            why: place.why.as_str().to_owned(),
            message: place.why.spoken().to_owned(),
        }
    }
}

/// An event of the feed.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedEvent {
    /// Its number, higher than that of everything that was in the feed before.
    pub position: i64,
    /// Its id.
    pub id: String,
    /// When it happened, RFC 3339.
    pub at: String,
    /// What it is about: `instance`, `credential` or `system`.
    pub kind: String,
    /// What happened.
    #[schema(example = "started")]
    pub event_type: String,
    /// Whose it is.
    pub owner_id: Option<String>,
    /// Of which organisation.
    pub organization_id: Option<String>,
    /// To which it happened.
    pub subject_id: Option<String>,
    /// The particulars.
    #[schema(value_type = Object)]
    pub data: Value,
}

impl FeedEvent {
    pub(crate) fn new(row: FeedRow) -> Self {
        Self {
            position: row.position,
            id: row.id.to_string(),
            at: rfc3339(row.at),
            kind: row.kind,
            event_type: row.event_type,
            owner_id: row.owner_id.map(|id| id.to_string()),
            organization_id: row.organization_id.map(|id| id.to_string()),
            subject_id: row.subject.map(|id| id.to_string()),
            data: row.data,
        }
    }
}

/// A part of the feed.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FeedPage {
    /// The events, oldest first.
    pub data: Vec<FeedEvent>,
    /// Pass it as `after` for what comes next.
    pub position: i64,
}

/// What happened to the service.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SystemEvent {
    /// Its id.
    pub id: String,
    /// When, RFC 3339.
    pub at: String,
    /// What happened.
    #[schema(example = "service.started")]
    pub event_type: String,
    /// The same for people.
    pub name: String,
    /// `info`, `warning`, `error` or `critical`.
    pub severity: String,
    /// Which part says so.
    pub source: String,
    /// The particulars.
    #[schema(value_type = Object)]
    pub context: Value,
}

impl SystemEvent {
    pub(crate) fn new(row: SystemEventRow) -> Self {
        Self {
            id: row.id.to_string(),
            at: rfc3339(row.at),
            event_type: row.event_type,
            name: row.name,
            severity: row.severity,
            source: row.source,
            context: row.context,
        }
    }
}
