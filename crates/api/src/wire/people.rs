//! Users and ports in JSON.

use roadstead_access::Caller;
use roadstead_accounts::UserRow;
use roadstead_orchestrator::PortRow;
use serde::{Deserialize, Serialize};

use super::rfc3339;

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
