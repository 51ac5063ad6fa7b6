//! Users, keys, settings and ports in JSON.

use roadstead_access::Caller;
use roadstead_accounts::{ApiKeyRow, ExposeSecret, PlainToken, UserRow};
use roadstead_orchestrator::PortRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{rfc3339, words};

/// A user.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct User {
    /// Their id.
    pub id: String,
    /// Unique, without regard to case.
    pub email: String,
    /// For people.
    pub name: String,
    /// Whether they may act.
    pub is_active: bool,
    /// Whether they are a platform admin.
    pub is_admin: bool,
    /// Their own organisation.
    pub organization_id: String,
    /// Their own project.
    pub project_id: String,
    /// RFC 3339.
    pub created_at: String,
}

impl User {
    pub(crate) fn new(row: UserRow) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            name: row.name,
            is_active: row.is_active,
            is_admin: row.is_admin,
            organization_id: row.default_organization.to_string(),
            project_id: row.default_project.to_string(),
            created_at: rfc3339(row.created_at),
        }
    }
}

/// A user to be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserBody {
    /// Unique, without regard to case.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// For people.
    #[schema(example = "Ada")]
    pub name: String,
    /// Whether they are a platform admin.
    pub is_admin: Option<bool>,
}

/// The caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Who.
    pub user: User,
    /// Through which key.
    pub key: KeySummary,
}

/// The key of a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeySummary {
    /// Its id.
    pub id: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
}

impl Me {
    pub(crate) fn new(user: UserRow, caller: &Caller) -> Self {
        let scopes = caller.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        Self { user: User::new(user), key: KeySummary { id: caller.key().to_string(), scopes } }
    }
}

/// An API key, without the key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// For people.
    pub name: String,
    /// Its last characters.
    pub hint: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Whether it opens anything.
    pub is_active: bool,
    /// RFC 3339; null if it does not end by itself.
    pub expires_at: Option<String>,
    /// RFC 3339.
    pub revoked_at: Option<String>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// RFC 3339; written down every few seconds.
    pub last_used_at: Option<String>,
    /// From where it was last used.
    pub last_used_ip: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

impl ApiKey {
    pub(crate) fn new(row: ApiKeyRow) -> Self {
        Self {
            id: row.id.to_string(),
            user_id: row.user.to_string(),
            name: row.name,
            hint: row.hint,
            scopes: row.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            is_active: row.is_active,
            expires_at: row.expires_at.map(rfc3339),
            revoked_at: row.revoked_at.map(rfc3339),
            revoke_reason: row.revoke_reason,
            last_used_at: row.last_used_at.map(rfc3339),
            last_used_ip: row.last_used_ip.map(|address| address.to_string()),
            created_at: rfc3339(row.created_at),
        }
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
    /// For another user; platform admins only.
    pub user_id: Option<String>,
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

/// Every setting.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Settings {
    /// Values by key.
    #[schema(example = json!({"mcp.max_instances_per_user": 10}))]
    pub data: Value,
}

/// A setting's new value.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SettingBody {
    /// Of the kind that the setting has.
    pub value: Value,
}

/// A port of the pool.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PortEntry {
    /// The number.
    pub port: u16,
    /// `free`, `leased` or `resting`.
    pub state: &'static str,
    /// The instance that holds it.
    pub instance_id: Option<String>,
    /// Until when it rests, RFC 3339.
    pub resting_until: Option<String>,
    /// When it was last seen answering, RFC 3339.
    pub last_health_check: Option<String>,
}

impl PortEntry {
    pub(crate) fn new((row, now): (PortRow, time::OffsetDateTime)) -> Self {
        let resting_until = row.quarantined_until.filter(|until| *until > now);
        let state = match (row.instance, resting_until) {
            (Some(_), _) => "leased",
            (None, Some(_)) => "resting",
            (None, None) => "free",
        };
        Self {
            port: row.port.get(),
            state,
            instance_id: row.instance.map(|id| id.to_string()),
            resting_until: resting_until.map(rfc3339),
            last_health_check: row.last_health_check.map(rfc3339),
        }
    }
}
