//! Users in JSON.

use roadstead_access::Caller;
use roadstead_accounts::{MembershipRow, PersonRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// `active`, `suspended` or `invited`.
    pub status: &'static str,
    /// Whether they may act: active, and not deleted.
    pub is_active: bool,
    /// Whether they are a platform admin.
    pub is_admin: bool,
    /// A picture.
    pub avatar_url: Option<String>,
    /// An IANA time zone.
    #[schema(example = "Europe/Berlin")]
    pub timezone: String,
    /// As in BCP 47.
    #[schema(example = "en-US")]
    pub locale: String,
    /// Their own organisation.
    pub organization_id: String,
    /// Their own project.
    pub project_id: String,
    /// Why they were suspended.
    pub suspended_reason: Option<String>,
    /// What they chose.
    pub settings: Value,
    /// What platform admins note of them.
    pub metadata: Value,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// When they signed in last, RFC 3339.
    pub last_login_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// When the account was deleted, RFC 3339.
    pub deleted_at: Option<String>,
    /// When a deleted account is erased, RFC 3339.
    pub erase_after: Option<String>,
}

impl User {
    pub(crate) fn new(row: PersonRow) -> Self {
        Self {
            id: row.id.to_string(),
            status: row.status.as_str(),
            is_active: row.is_active(),
            email: row.email,
            name: row.name,
            is_admin: row.is_admin,
            avatar_url: row.avatar_url,
            timezone: row.timezone,
            locale: row.locale,
            organization_id: row.default_organization.to_string(),
            project_id: row.default_project.to_string(),
            suspended_reason: row.suspended_reason,
            settings: row.settings,
            metadata: row.metadata,
            version: row.version,
            last_login_at: row.last_login_at.map(rfc3339),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            deleted_at: row.deleted_at.map(rfc3339),
            erase_after: row.erase_after.map(rfc3339),
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

/// What is to become different of one's own account. What is absent stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MePatchBody {
    /// For people.
    pub name: Option<String>,
    /// A picture, over http or https; null for none.
    pub avatar_url: Option<String>,
    /// An IANA time zone.
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
    /// As in BCP 47.
    #[schema(example = "de-DE")]
    pub locale: Option<String>,
    /// Whatever one chooses, all of it: at most 16 KiB of JSON.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
}

/// What is to become different of a user. What is absent stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserPatchBody {
    /// For people.
    pub name: Option<String>,
    /// A picture, over http or https; null for none.
    pub avatar_url: Option<String>,
    /// An IANA time zone.
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
    /// As in BCP 47.
    #[schema(example = "de-DE")]
    pub locale: Option<String>,
    /// Whatever they chose, all of it: at most 16 KiB of JSON.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// Unique, without regard to case.
    pub email: Option<String>,
    /// Whether they are a platform admin.
    pub is_admin: Option<bool>,
    /// Whatever platform admins note, all of it: at most 16 KiB of JSON.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Value>,
}

/// Why somebody or something is suspended.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SuspendBody {
    /// For people.
    #[schema(max_length = 500)]
    pub reason: Option<String>,
    /// Whether what runs ends, too.
    pub stop_instances: Option<bool>,
}

/// The caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// Who.
    pub user: User,
    /// Through which key.
    pub key: KeySummary,
    /// The organisation that the key acts in.
    pub organization_id: String,
    /// The project that the key acts in.
    pub project_id: String,
    /// What the caller is to the organisation.
    pub role: &'static str,
    /// Who acts for them, where somebody does.
    pub acted_by: Option<String>,
    /// Where they take part or are invited.
    pub memberships: Vec<Membership>,
}

/// The key of a request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct KeySummary {
    /// Its id.
    pub id: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
}

/// An organisation that somebody takes part in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Membership {
    /// The organisation.
    pub organization_id: String,
    /// Its name.
    pub name: String,
    /// Its short name.
    pub slug: String,
    /// What they are there.
    pub role: &'static str,
    /// `active`, `invited` or `suspended`.
    pub status: &'static str,
    /// RFC 3339.
    pub created_at: String,
}

impl Membership {
    pub(crate) fn new(row: MembershipRow) -> Self {
        Self {
            organization_id: row.organization.to_string(),
            name: row.name,
            slug: row.slug,
            role: row.role.as_str(),
            status: row.status.as_str(),
            created_at: rfc3339(row.created_at),
        }
    }
}

impl Me {
    pub(crate) fn new(user: PersonRow, memberships: Vec<MembershipRow>, caller: &Caller) -> Self {
        let scopes = caller.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
        Self {
            user: User::new(user),
            key: KeySummary { id: caller.key().to_string(), scopes },
            organization_id: caller.organization.to_string(),
            project_id: caller.project.to_string(),
            role: caller.role.as_str(),
            acted_by: caller.acting.map(|user| user.to_string()),
            memberships: memberships.into_iter().map(Membership::new).collect(),
        }
    }
}
