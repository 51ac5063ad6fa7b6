//! API keys: found by the hash of what the caller shows.

mod change;
mod read;
mod usage;

use std::net::IpAddr;

use ipnet::IpNet;
use roadstead_model::{ApiKeyId, Audited, Care, OrganizationId, ProjectId, Role, Scope, Scopes, UserId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{StoreError, UserRow, convert};

pub use change::{KeyChange, Replacement, Revocation};
pub use read::KeyFilter;
pub use usage::{KeyDay, KeyFact, KeyRequest, KeyTotals};

const TABLE: &str = "api_keys";

/// What may be set of a key, and is kept when another takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySettings {
    /// The networks that it may be used from; anywhere when there are none.
    pub allowed_ips: Vec<IpNet>,
    /// Requests in a minute; none for what the settings say.
    pub requests_per_minute: Option<u32>,
    /// Requests of a day, by UTC.
    pub daily_limit: Option<u64>,
    /// Requests of a month, by UTC.
    pub monthly_limit: Option<u64>,
}

/// Numbers of a key's settings as its columns.
struct LimitColumns {
    networks: Vec<String>,
    per_minute: Option<i32>,
    daily: Option<i64>,
    monthly: Option<i64>,
}

impl From<&KeySettings> for LimitColumns {
    fn from(settings: &KeySettings) -> Self {
        let whole = |limit: u64| i64::try_from(limit).unwrap_or(i64::MAX);
        Self {
            networks: settings.allowed_ips.iter().map(ToString::to_string).collect(),
            per_minute: settings.requests_per_minute.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)),
            daily: settings.daily_limit.map(whole),
            monthly: settings.monthly_limit.map(whole),
        }
    }
}

/// The words of scopes, as their column.
fn scope_words(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

/// A key to create.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user: UserId,
    /// The organisation that is acted in with it.
    pub organization: OrganizationId,
    /// The project that is acted in with it.
    pub project: ProjectId,
    /// Who made it; none when the service did.
    pub created_by: Option<UserId>,
    /// What its owner calls it.
    pub name: String,
    /// The public start of the key.
    pub prefix: String,
    /// The SHA-256 of the key.
    pub hash: [u8; 32],
    /// The end of the key, to recognise it by.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// From where and how often it may be used.
    pub settings: KeySettings,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Now.
    pub at: OffsetDateTime,
}

/// A key, working or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The key's id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub user: UserId,
    /// The organisation that is acted in with it.
    pub organization: OrganizationId,
    /// The project that is acted in with it.
    pub project: ProjectId,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// What its owner calls it.
    pub name: String,
    /// The public start of the key.
    pub prefix: String,
    /// The end of the key, to recognise it by.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// From where and how often it may be used.
    pub settings: KeySettings,
    /// False once it is revoked.
    pub is_active: bool,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// Who revoked it.
    pub revoked_by: Option<UserId>,
    /// The key whose place it took.
    pub rotated_from: Option<ApiKeyId>,
    /// Until when it works beside the key that took its place.
    pub grace_until: Option<OffsetDateTime>,
    /// How often it was used.
    pub usage_count: u64,
    /// When it was used last.
    pub last_used_at: Option<OffsetDateTime>,
    /// From where it was used last.
    pub last_used_ip: Option<IpAddr>,
    /// By which program it was used last.
    pub last_used_agent: Option<String>,
    /// Counts changes.
    pub version: i32,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// A key and whose it is: what one request needs to know who calls.
#[derive(Debug, Clone)]
pub struct KeyWithUser {
    /// The key; it may be revoked or expired.
    pub key: ApiKeyRow,
    /// Its user; not deleted, but perhaps inactive.
    pub user: UserRow,
    /// Where it acts.
    pub place: KeyPlace,
    /// Requests with it in this day and month, as far as they are written down; none where it has no limit.
    pub used: UsedSoFar,
}

/// Requests that a key has made, by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsedSoFar {
    /// In this day.
    pub day: u64,
    /// In this month.
    pub month: u64,
}

/// Where a key acts, and what its user is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// The organisation.
    pub organization: OrganizationId,
    /// Whether the organisation may act.
    pub organization_is_active: bool,
    /// The project.
    pub project: ProjectId,
    /// The project's status, as a word.
    pub project_status: String,
    /// The user's role; none when they are no active member of the organisation.
    pub role: Option<Role>,
    /// Requests in a minute that the key may make, where it says so.
    pub requests_per_minute: Option<u32>,
    /// Requests in a minute to the project, where its quotas say so.
    pub project_requests_per_minute: Option<u32>,
}

struct Record {
    id: Uuid,
    user_id: Uuid,
    organization_id: Uuid,
    project_id: Uuid,
    created_by: Option<Uuid>,
    name: String,
    prefix: String,
    hint: String,
    scopes: Vec<String>,
    allowed_ips: Vec<String>,
    requests_per_minute: Option<i32>,
    daily_limit: Option<i64>,
    monthly_limit: Option<i64>,
    is_active: bool,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
    revoke_reason: Option<String>,
    revoked_by: Option<Uuid>,
    rotated_from: Option<Uuid>,
    grace_until: Option<OffsetDateTime>,
    usage_count: i64,
    last_used_at: Option<OffsetDateTime>,
    last_used_ip: Option<String>,
    last_used_agent: Option<String>,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Record> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        let scopes = record.scopes.iter().map(|word| word.parse::<Scope>());
        let networks = record.allowed_ips.iter().map(|text| text.parse::<IpNet>());
        Ok(Self {
            id: ApiKeyId::from_uuid(id),
            user: UserId::from_uuid(record.user_id),
            organization: OrganizationId::from_uuid(record.organization_id),
            project: ProjectId::from_uuid(record.project_id),
            created_by: record.created_by.map(UserId::from_uuid),
            name: record.name,
            prefix: record.prefix,
            hint: record.hint,
            scopes: scopes.collect::<Result<Scopes, _>>().map_err(|error| wrong(error.to_string()))?,
            settings: KeySettings {
                allowed_ips: networks.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?,
                requests_per_minute: record.requests_per_minute.map(i32::unsigned_abs),
                daily_limit: record.daily_limit.map(i64::unsigned_abs),
                monthly_limit: record.monthly_limit.map(i64::unsigned_abs),
            },
            is_active: record.is_active,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            revoke_reason: record.revoke_reason,
            revoked_by: record.revoked_by.map(UserId::from_uuid),
            rotated_from: record.rotated_from.map(ApiKeyId::from_uuid),
            grace_until: record.grace_until,
            usage_count: record.usage_count.unsigned_abs(),
            last_used_at: record.last_used_at,
            last_used_ip: convert::address(record.last_used_ip.as_deref()).map_err(wrong)?,
            last_used_agent: record.last_used_agent,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

impl Audited for ApiKeyRow {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        let settings = &self.settings;
        let networks: Vec<String> = settings.allowed_ips.iter().map(ToString::to_string).collect();
        let time = |time: Option<OffsetDateTime>| json!(time.map(OffsetDateTime::unix_timestamp));
        let fields = [
            ("name", json!(self.name)),
            ("user_id", json!(self.user.to_string())),
            ("project_id", json!(self.project.to_string())),
            ("scopes", json!(scope_words(&self.scopes))),
            ("allowed_ips", json!(networks)),
            ("requests_per_minute", json!(settings.requests_per_minute)),
            ("daily_limit", json!(settings.daily_limit)),
            ("monthly_limit", json!(settings.monthly_limit)),
            ("expires_at", time(self.expires_at)),
            ("is_active", json!(self.is_active)),
            ("revoke_reason", json!(self.revoke_reason)),
            ("rotated_from", json!(self.rotated_from.map(|id| id.to_string()))),
            ("grace_until", time(self.grace_until)),
        ];
        fields.into_iter().map(|(name, value)| (name, value, Care::Plain)).collect()
    }
}

impl ApiKeyRow {
    /// Its place in a list.
    pub fn cursor(&self) -> crate::Cursor {
        crate::Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

/// The API keys' rows.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeys<D> {
    pub(crate) db: D,
}
