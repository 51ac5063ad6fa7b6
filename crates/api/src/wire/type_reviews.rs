//! Decisions about types, and what their servers offer, in JSON.

use roadstead_accounts::TypeRow;
use roadstead_accounts::types::Manifest;
use roadstead_accounts::{ReviewRow, ToolRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{rfc3339, words};

/// What to say with a decision.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// Why.
    #[schema(example = "read its source", max_length = 1000)]
    pub reason: Option<String>,
    /// Whether grave findings were looked at, and are no reason against an approval.
    pub accept_findings: Option<bool>,
}

/// Why a type is rejected.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectBody {
    /// What would have to change.
    #[schema(
        example = "reads the whole home folder",
        min_length = 1,
        max_length = 1000,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$"
    )]
    pub reason: String,
}

/// What a server is asked with.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectBody {
    /// A stored credential of yours.
    pub credential_id: Option<String>,
    /// Secrets for this once, by slot.
    pub credentials: Option<std::collections::BTreeMap<String, String>>,
    /// Merged over the type's defaults.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Value>,
}

/// What you think of a tool.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolBody {
    /// Its name.
    #[schema(example = "delete_repository", max_length = 256)]
    pub tool: String,
    /// How much harm it can do.
    #[schema(value_type = Option<words::RiskLevel>)]
    pub risk_level: Option<String>,
    /// What else there is to say; null for nothing.
    #[schema(max_length = 1000)]
    pub notes: Option<String>,
    /// Whether clients of instances that start from now on see it, and may call it.
    pub enabled: Option<bool>,
}

/// What platform admins think of a tool.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ToolOpinion {
    /// Its name.
    pub tool: String,
    /// How much harm it can do.
    #[schema(value_type = words::RiskLevel)]
    pub risk_level: &'static str,
    /// What else there is to say.
    pub notes: String,
    /// Whether clients see it, and may call it.
    pub enabled: bool,
}

impl ToolOpinion {
    pub(crate) fn new(row: ToolRow) -> Self {
        Self { tool: row.name, risk_level: row.risk.as_str(), notes: row.notes, enabled: row.enabled }
    }
}

/// A decision about a type.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TypeReview {
    /// When, RFC 3339.
    pub at: String,
    /// The version that the type had from then on.
    pub version: i32,
    /// What was decided.
    #[schema(value_type = words::TypeStatus)]
    pub status: &'static str,
    /// Why; empty where nobody said.
    pub reason: String,
    /// Who decided; null when the service did.
    pub user_id: Option<String>,
    /// With which key.
    pub api_key_id: Option<String>,
}

impl TypeReview {
    pub(crate) fn new(row: ReviewRow) -> Self {
        Self {
            at: rfc3339(row.at),
            version: row.version,
            status: row.status.as_str(),
            reason: row.reason,
            user_id: row.user.map(|user| user.to_string()),
            api_key_id: row.api_key.map(|key| key.to_string()),
        }
    }
}

/// What a type's servers offer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TypeManifest {
    /// Of which type.
    pub type_id: String,
    /// Its name.
    #[schema(example = "github")]
    pub type_name: String,
    /// What was decided about it.
    #[schema(value_type = words::TypeStatus)]
    pub status: &'static str,
    /// Whether it is of the type as it is now, and not of an earlier version.
    pub is_current: bool,
    /// When the server was asked, RFC 3339.
    pub read_at: String,
    /// The hash of all tools together.
    #[schema(example = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")]
    pub tools_hash: String,
    /// The server's name and version, as it gave them.
    #[schema(value_type = Option<Object>)]
    pub server: Value,
    /// What it tells models about itself.
    pub instructions: Option<String>,
    /// The revision of the protocol in which it was asked.
    pub protocol_version: Option<String>,
    /// Its tools, each with its hash, and with what platform admins think of it.
    #[schema(value_type = Vec<Object>)]
    pub tools: Vec<Value>,
    /// Its resources.
    #[schema(value_type = Vec<Object>)]
    pub resources: Value,
    /// Its templates of resources.
    #[schema(value_type = Vec<Object>)]
    pub resource_templates: Value,
    /// Its prompts.
    #[schema(value_type = Vec<Object>)]
    pub prompts: Value,
    /// What looked suspicious.
    #[schema(value_type = Vec<Object>)]
    pub findings: Value,
    /// How the tools differ from those that were approved; null where none were yet.
    pub differences: Option<ToolDifferences>,
}

/// How tools differ from those that were approved, by name.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ToolDifferences {
    /// New ones, renamed ones among them.
    pub added: Vec<String>,
    /// Those of which models are told something else.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
}

impl TypeManifest {
    pub(crate) fn new(row: &TypeRow, manifest: Manifest) -> Self {
        let Manifest { row: kept, differences, tools } = manifest;
        let mut content = kept.content;
        let mut take = |key: &str| content.get_mut(key).map(Value::take).unwrap_or_default();
        let list = |value: Value| if value.is_array() { value } else { json!([]) };
        let text = |value: Value| value.as_str().map(str::to_owned);
        let mut offered = match take("tools") {
            Value::Array(offered) => offered,
            _ => Vec::new(),
        };
        for tool in &mut offered {
            let opinion = tools.iter().find(|one| tool["name"] == one.name.as_str());
            tool["risk_level"] = json!(opinion.map_or("low", |one| one.risk.as_str()));
            tool["notes"] = json!(opinion.map_or("", |one| one.notes.as_str()));
            tool["enabled"] = json!(opinion.is_none_or(|one| one.enabled));
        }
        Self {
            type_id: row.id.to_string(),
            type_name: row.name.clone(),
            status: row.status.as_str(),
            is_current: kept.type_version == row.version,
            read_at: rfc3339(kept.read_at),
            tools_hash: kept.tools_hash,
            server: take("server"),
            instructions: text(take("instructions")),
            protocol_version: text(take("protocol_version")),
            tools: offered,
            resources: list(take("resources")),
            resource_templates: list(take("resource_templates")),
            prompts: list(take("prompts")),
            findings: list(kept.findings),
            differences: differences.map(|found| ToolDifferences {
                added: found.added,
                changed: found.changed,
                removed: found.removed,
            }),
        }
    }
}
