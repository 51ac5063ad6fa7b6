//! Organisations, members and projects in JSON.

use roadstead_accounts::{ExposeSecret, MemberRow, OrganizationRow, PlainToken, ProjectRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{rfc3339, words};

/// An organisation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Unique: for programs.
    pub slug: String,
    /// Where bills go.
    pub billing_email: Option<String>,
    /// Whom its members ask.
    pub support_email: Option<String>,
    /// The domains of the addresses that members may have; empty for any.
    pub allowed_email_domains: Vec<String>,
    /// Its own settings.
    pub settings: Value,
    /// Its own quotas; what they do not name is the platform's.
    #[schema(example = json!({"max_instances": 50}))]
    pub quotas: Value,
    /// `active`, `suspended` or `pending`.
    pub status: &'static str,
    /// The one user whose own it is; null for one with members.
    pub personal_of: Option<String>,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Organization {
    pub(crate) fn new(row: OrganizationRow) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            slug: row.slug,
            billing_email: row.billing_email,
            support_email: row.support_email,
            allowed_email_domains: row.allowed_email_domains,
            settings: row.settings,
            quotas: row.quotas,
            status: row.status.as_str(),
            personal_of: row.personal_of.map(|user| user.to_string()),
            version: row.version,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// An organisation to be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrganizationBody {
    /// For people.
    #[schema(example = "Analytical Engines")]
    pub name: String,
    /// Lower-case letters, digits and hyphens; made of the name without.
    #[schema(example = "analytical-engines")]
    pub slug: Option<String>,
}

/// What is to become different of an organisation. What is absent stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrganizationPatchBody {
    /// For people.
    pub name: Option<String>,
    /// Lower-case letters, digits and hyphens.
    pub slug: Option<String>,
    /// Where bills go; null for nowhere.
    pub billing_email: Option<String>,
    /// Whom its members ask; null for nobody.
    pub support_email: Option<String>,
    /// The domains of the addresses that members may have; empty for any.
    #[schema(example = json!(["example.com"]), value_type = Option<Vec<words::Domain>>, max_items = 50)]
    pub allowed_email_domains: Option<Vec<String>>,
    /// Its own settings, all of them: at most 16 KiB of JSON.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
}

/// A member of an organisation, or who is invited.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Member {
    /// The organisation.
    pub organization_id: String,
    /// Who.
    pub user_id: String,
    /// Their address.
    pub email: String,
    /// For people.
    pub name: String,
    /// `owner`, `admin`, `member` or `viewer`.
    pub role: &'static str,
    /// `active`, `invited` or `suspended`.
    pub status: &'static str,
    /// Who invited them.
    pub invited_by: Option<String>,
    /// RFC 3339.
    pub invited_at: Option<String>,
    /// RFC 3339.
    pub accepted_at: Option<String>,
    /// Until when an invitation can be answered, RFC 3339.
    pub invitation_expires_at: Option<String>,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// RFC 3339.
    pub created_at: String,
}

impl Member {
    pub(crate) fn new(row: MemberRow) -> Self {
        Self {
            organization_id: row.organization.to_string(),
            user_id: row.user.to_string(),
            email: row.email,
            name: row.name,
            role: row.role.as_str(),
            status: row.status.as_str(),
            invited_by: row.invited_by.map(|user| user.to_string()),
            invited_at: row.invited_at.map(rfc3339),
            accepted_at: row.accepted_at.map(rfc3339),
            invitation_expires_at: row.invite_expires_at.map(rfc3339),
            version: row.version,
            created_at: rfc3339(row.created_at),
        }
    }
}

/// Somebody to be invited.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InviteBody {
    /// Their address.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// `member` without.
    #[schema(value_type = Option<words::Role>)]
    pub role: Option<String>,
}

/// An invitation that was just made.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Invitation {
    /// Who is invited.
    #[serde(flatten)]
    pub member: Member,
    /// What they accept it with, shown only here.
    #[schema(example = "ri_…")]
    pub token: String,
}

impl Invitation {
    pub(crate) fn new(row: MemberRow, token: &PlainToken) -> Self {
        Self { member: Member::new(row), token: token.expose_secret().to_owned() }
    }
}

/// An invitation to be accepted.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AcceptBody {
    /// The token of the invitation.
    #[schema(example = "ri_…", max_length = 200)]
    pub token: String,
}

/// What is to become different of a member. What is absent stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MemberBody {
    /// What they are to the organisation.
    #[schema(value_type = Option<words::Role>)]
    pub role: Option<String>,
    /// Whether they take part.
    #[schema(value_type = Option<words::MemberStatus>)]
    pub status: Option<String>,
}

/// A project.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// The organisation that it belongs to.
    pub organization_id: String,
    /// For people.
    pub name: String,
    /// Unique within the organisation.
    pub slug: String,
    /// What it is for.
    pub description: String,
    /// Its own settings.
    pub settings: Value,
    /// Its own quotas.
    #[schema(example = json!({"max_requests_per_minute": 100}))]
    pub quotas: Value,
    /// `active`, `paused` (nothing new is started) or `archived` (it is only looked at).
    pub status: &'static str,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Project {
    pub(crate) fn new(row: ProjectRow) -> Self {
        Self {
            id: row.id.to_string(),
            organization_id: row.organization.to_string(),
            name: row.name,
            slug: row.slug,
            description: row.description,
            settings: row.settings,
            quotas: row.quotas,
            status: row.status.as_str(),
            version: row.version,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// An organisation's own quotas. What is absent is the platform's.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_instances": 50}))]
pub struct OrganizationQuotas {
    /// Live instances.
    #[schema(minimum = 1, maximum = 1_000_000_000, nullable = false)]
    pub max_instances: Option<u32>,
    /// The memory of its live instances, in sum.
    #[schema(minimum = 1, maximum = 1_000_000_000, nullable = false)]
    pub max_memory_mb: Option<u32>,
    /// The processor time of its live instances in sum, in hundredths of a processor.
    #[schema(minimum = 1, maximum = 1_000_000_000, nullable = false)]
    pub max_cpu_percent: Option<u32>,
}

/// A project's own quotas. What is absent has no limit.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"max_requests_per_minute": 100}))]
pub struct ProjectQuotas {
    /// Requests of all its keys in a minute.
    #[schema(minimum = 1, maximum = 1_000_000_000, nullable = false)]
    pub max_requests_per_minute: Option<u32>,
}

/// A project to be.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectBody {
    /// For people.
    #[schema(example = "Weather")]
    pub name: String,
    /// Lower-case letters, digits and hyphens; made of the name without.
    #[schema(example = "weather")]
    pub slug: Option<String>,
    /// What it is for.
    #[schema(max_length = 2_000)]
    pub description: Option<String>,
    /// Its own settings: at most 16 KiB of JSON.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// Its own quotas; 100 requests a minute without.
    #[schema(value_type = Option<ProjectQuotas>)]
    pub quotas: Option<Value>,
    /// Another organisation than the key's; platform admins only.
    pub organization_id: Option<String>,
}

/// What is to become different of a project. What is absent stays.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProjectPatchBody {
    /// For people.
    pub name: Option<String>,
    /// Lower-case letters, digits and hyphens.
    pub slug: Option<String>,
    /// What it is for; null for nothing in particular.
    #[schema(max_length = 2_000)]
    pub description: Option<String>,
    /// Its own settings, all of them.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// Its own quotas, all of them.
    #[schema(value_type = Option<ProjectQuotas>)]
    pub quotas: Option<Value>,
    /// Whether it is worked in.
    #[schema(value_type = Option<words::ProjectStatus>)]
    pub status: Option<String>,
}
