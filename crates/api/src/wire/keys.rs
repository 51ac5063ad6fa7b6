//! API keys in JSON.

use roadstead_accounts::{ApiKeyRow, ExposeSecret, KeyTotals, KeyWithTotals, PlainToken};
use serde::{Deserialize, Serialize};

use super::{rfc3339, words};

/// An API key, without the key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// The organisation that is acted in with it.
    pub organization_id: String,
    /// The project that is acted in with it.
    pub project_id: String,
    /// For people.
    pub name: String,
    /// Its last characters.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The networks that it may be used from; anywhere when there are none.
    pub allowed_ips: Vec<String>,
    /// Requests in a minute; null for what the settings say.
    pub requests_per_minute: Option<u32>,
    /// Requests of a day, by UTC; null for as many as there are.
    pub daily_limit: Option<u64>,
    /// Requests of a month, by UTC; null for as many as there are.
    pub monthly_limit: Option<u64>,
    /// False once it is revoked.
    pub is_active: bool,
    /// RFC 3339; null if it does not end by itself.
    pub expires_at: Option<String>,
    /// RFC 3339.
    pub revoked_at: Option<String>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// Who made it.
    pub created_by: Option<String>,
    /// The key whose place it took.
    pub rotated_from: Option<String>,
    /// Until when it works beside the key that took its place, RFC 3339.
    pub grace_until: Option<String>,
    /// How often it was used; written down every two seconds.
    pub usage_count: u64,
    /// RFC 3339; written down every two seconds.
    pub last_used_at: Option<String>,
    /// From where it was last used.
    pub last_used_ip: Option<String>,
    /// By which program it was last used.
    pub last_used_agent: Option<String>,
    /// What it was used altogether, where that was asked for and it was used.
    pub totals: Option<Totals>,
    /// Counts changes; the ETag.
    pub version: i32,
    /// RFC 3339.
    pub created_at: String,
}

/// What a key was used altogether.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Totals {
    /// Requests that were let in.
    pub requests: u64,
    /// Of those, the ones that were answered with an error.
    pub errors: u64,
    /// How long one took in the mean, in milliseconds.
    pub mean_ms: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "times of requests are far below what a float keeps exact")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl From<KeyTotals> for Totals {
    fn from(totals: KeyTotals) -> Self {
        Self { requests: totals.requests, errors: totals.errors, mean_ms: totals.mean_us.map(milliseconds) }
    }
}

impl ApiKey {
    pub(crate) fn new(row: ApiKeyRow) -> Self {
        Self {
            id: row.id.to_string(),
            user_id: row.user.to_string(),
            organization_id: row.organization.to_string(),
            project_id: row.project.to_string(),
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            allowed_ips: row.settings.allowed_ips.iter().map(ToString::to_string).collect(),
            requests_per_minute: row.settings.requests_per_minute,
            daily_limit: row.settings.daily_limit,
            monthly_limit: row.settings.monthly_limit,
            is_active: row.is_active,
            expires_at: row.expires_at.map(rfc3339),
            revoked_at: row.revoked_at.map(rfc3339),
            revoke_reason: row.revoke_reason,
            revoked_by: row.revoked_by.map(|user| user.to_string()),
            created_by: row.created_by.map(|user| user.to_string()),
            rotated_from: row.rotated_from.map(|key| key.to_string()),
            grace_until: row.grace_until.map(rfc3339),
            usage_count: row.usage_count,
            last_used_at: row.last_used_at.map(rfc3339),
            last_used_ip: row.last_used_ip.map(|address| address.to_string()),
            last_used_agent: row.last_used_agent,
            totals: None,
            version: row.version,
            created_at: rfc3339(row.created_at),
        }
    }

    pub(crate) fn with_totals(key: KeyWithTotals) -> Self {
        Self { totals: key.totals.map(Totals::from), ..Self::new(key.row) }
    }
}

/// An API key to be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyBody {
    /// For people.
    #[schema(example = "ci")]
    pub name: String,
    /// At most those of the key that makes it.
    #[schema(value_type = Vec<words::Scope>, min_items = 1, example = json!(["instances:launch", "instances:read"]))]
    pub scopes: Vec<String>,
    /// When it ends by itself.
    #[schema(example = "30d")]
    pub expires_in: Option<String>,
    /// Where it acts: a project of an organisation that its user is a member of. Without it, where the caller acts.
    pub project_id: Option<String>,
    /// The networks and addresses that it may be used from; anywhere without it.
    #[schema(example = json!(["192.0.2.0/24", "2001:db8::7"]), max_items = 100)]
    pub allowed_ips: Option<Vec<String>>,
    /// Requests in a minute; without it, what the settings say.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub requests_per_minute: Option<u32>,
    /// Requests of a day, by UTC.
    #[schema(minimum = 1, maximum = 1_000_000_000_000u64)]
    pub daily_limit: Option<u64>,
    /// Requests of a month, by UTC.
    #[schema(minimum = 1, maximum = 1_000_000_000_000u64)]
    pub monthly_limit: Option<u64>,
    /// For another user; platform admins only.
    pub user_id: Option<String>,
}

/// What is changed of an API key: what is absent stays, null takes a limit or the end away.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyPatchBody {
    /// For people.
    pub name: Option<String>,
    /// The networks and addresses that it may be used from; null or an empty list for anywhere.
    #[schema(max_items = 100)]
    pub allowed_ips: Option<Vec<String>>,
    /// Requests in a minute.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub requests_per_minute: Option<u32>,
    /// Requests of a day, by UTC.
    #[schema(minimum = 1, maximum = 1_000_000_000_000u64)]
    pub daily_limit: Option<u64>,
    /// Requests of a month, by UTC.
    #[schema(minimum = 1, maximum = 1_000_000_000_000u64)]
    pub monthly_limit: Option<u64>,
    /// When it ends by itself, from now.
    #[schema(example = "30d")]
    pub expires_in: Option<String>,
}

/// How a key is replaced.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RotateBody {
    /// How long the old key works as well, at most 7d; without it, the old one ends at once.
    #[schema(example = "24h")]
    pub grace: Option<String>,
}

/// An API key that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NewApiKey {
    /// What can be seen of it later.
    #[serde(flatten)]
    pub summary: ApiKey,
    /// The key, shown only here.
    #[schema(example = "rs_…")]
    pub key: String,
}

impl NewApiKey {
    pub(crate) fn new(row: ApiKeyRow, key: &PlainToken) -> Self {
        Self { summary: ApiKey::new(row), key: key.expose_secret().to_owned() }
    }
}

/// What a key was used for: its days, or with `detail=true` its requests.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub struct KeyUsage {
    /// Days with a request, newest first.
    pub days: Vec<KeyDay>,
    /// Requests, newest first; with `detail=true`.
    pub requests: Vec<KeyRequest>,
    /// Where the next page of requests starts: pass it as `cursor`; null on the last page.
    pub next_cursor: Option<String>,
}

/// A day of a key, by UTC.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeyDay {
    /// The day.
    #[schema(example = "2026-01-31")]
    pub day: String,
    /// Requests that were let in.
    pub requests: u64,
    /// Of those, the ones that were answered with an error.
    pub errors: u64,
    /// Requests that were turned away by the key's address list or its limits.
    pub refused: u64,
    /// How long one took in the mean, in milliseconds.
    pub mean_ms: Option<f64>,
    /// What was asked, each once.
    pub operations: Vec<String>,
}

impl KeyDay {
    pub(crate) fn new(day: &roadstead_accounts::KeyDay) -> Self {
        Self {
            day: day.day.to_string(),
            requests: day.requests,
            errors: day.errors,
            refused: day.refused,
            mean_ms: day.duration_us.checked_div(day.requests).map(milliseconds),
            operations: day.operations.iter().map(|one| one.as_str().to_owned()).collect(),
        }
    }
}

/// One request with a key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeyRequest {
    /// When it came, RFC 3339.
    pub at: String,
    /// What was asked: an `operationId` of this description, or `none` where nothing answers.
    pub operation: String,
    /// The status of the answer.
    pub status: i32,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The bytes of its body.
    pub request_bytes: u64,
    /// The bytes of the answer; 0 where they are not known before it is sent.
    pub answer_bytes: u64,
    /// From where.
    pub ip_address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

impl KeyRequest {
    pub(crate) fn new(request: roadstead_accounts::KeyRequest) -> Self {
        Self {
            at: rfc3339(request.at),
            operation: request.operation,
            status: request.status,
            duration_ms: milliseconds(request.duration_us),
            request_bytes: request.request_bytes,
            answer_bytes: request.answer_bytes,
            ip_address: request.ip_address.map(|address| address.to_string()),
            request_id: request.request_id,
        }
    }
}
