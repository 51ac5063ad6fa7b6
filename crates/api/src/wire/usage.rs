//! Usage facts in JSON.

use roadstead_orchestrator::{UsageRow, UsageSum};
use serde::Serialize;

use super::{rfc3339, words};

/// One call, or several alike that were added up before they could be stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UsageEntry {
    /// Its id.
    pub id: String,
    /// When the call ended, RFC 3339; of several, the beginning of their minute or day.
    pub at: String,
    /// Through which instance.
    pub instance_id: String,
    /// Its server type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Whose instance it is.
    pub user_id: String,
    /// In which organisation.
    pub organization_id: String,
    /// In which project.
    pub project_id: String,
    /// `tools/call`, `resources/read` or `prompts/get`.
    #[schema(example = "tools/call")]
    pub method: String,
    /// The tool's or the prompt's name, or where a resource lives; null for several names.
    #[schema(example = "search")]
    pub name: Option<String>,
    /// The client's own id of the call, as JSON.
    pub request_id: Option<String>,
    /// The step of a trace that the call was a part of: `<trace>-<span>`.
    pub parent_request_id: Option<String>,
    /// What the client speaks: `legacy` (with a session) or `modern` (stateless).
    #[schema(example = "modern")]
    pub era: String,
    /// `success`, `error`, `timeout`, `cancelled` or `blocked`.
    #[schema(value_type = words::UsageStatus, example = "success")]
    pub status: String,
    /// How many calls: 1, or more where they were added up.
    pub calls: i64,
    /// Microseconds that they took together.
    pub latency_us: i64,
    /// Bytes of the requests.
    pub request_bytes: i64,
    /// Bytes of the answers.
    pub answer_bytes: i64,
}

impl UsageEntry {
    pub(crate) fn new(row: UsageRow) -> Self {
        Self {
            id: row.id.to_string(),
            at: rfc3339(row.at),
            instance_id: row.instance.to_string(),
            type_name: row.type_name,
            user_id: row.user.to_string(),
            organization_id: row.organization.to_string(),
            project_id: row.project.to_string(),
            method: row.method.as_str().to_owned(),
            name: row.name,
            request_id: row.request_id,
            parent_request_id: row.parent_request_id,
            era: row.era.as_str().to_owned(),
            status: row.status.as_str().to_owned(),
            calls: row.calls,
            latency_us: row.latency_us,
            request_bytes: row.request_bytes,
            answer_bytes: row.answer_bytes,
        }
    }
}

/// What calls add up to; it has the keys that were asked for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct UsageTotal {
    /// What was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "tools/call")]
    pub method: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "search")]
    pub name: Option<String>,
    /// The day, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31")]
    pub day: Option<String>,
    /// The instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// How many calls.
    pub calls: i64,
    /// How many of them ended with a result.
    pub success: i64,
    /// With an error.
    pub error: i64,
    /// Not in time.
    pub timeout: i64,
    /// Not wanted any more.
    pub cancelled: i64,
    /// Refused by a policy.
    pub blocked: i64,
    /// Microseconds that they took together.
    pub latency_us: i64,
    /// Bytes of the requests.
    pub request_bytes: i64,
    /// Bytes of the answers.
    pub answer_bytes: i64,
}

impl UsageTotal {
    pub(crate) fn new(sum: UsageSum) -> Self {
        Self {
            method: sum.method.map(|method| method.as_str().to_owned()),
            name: sum.name,
            day: sum.day.map(|day| day.to_string()),
            instance_id: sum.instance.map(|id| id.to_string()),
            calls: sum.calls,
            success: sum.success,
            error: sum.error,
            timeout: sum.timeout,
            cancelled: sum.cancelled,
            blocked: sum.blocked,
            latency_us: sum.latency_us,
            request_bytes: sum.request_bytes,
            answer_bytes: sum.answer_bytes,
        }
    }
}
