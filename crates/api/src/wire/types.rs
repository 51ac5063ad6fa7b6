//! Server types in JSON.

use roadstead_accounts::TypeRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rfc3339;

/// The definition of a server type.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TypeBody {
    /// Lower-case letters, digits and hyphens.
    #[schema(example = "time")]
    pub name: String,
    /// For people.
    #[schema(example = "Time")]
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A picture.
    pub icon_url: Option<String>,
    /// The program, absolute: it is executed directly, never through a shell.
    #[schema(example = "/opt/servers/mcp-server-time")]
    pub program: String,
    /// Its arguments, which may hold `${config.KEY}`, `${port}`, `${instance.id}` and `${dir}`.
    pub args: Option<Vec<String>>,
    /// Its environment, which may also hold `${credential.SLOT}`.
    pub env: Option<std::collections::BTreeMap<String, String>>,
    /// The secrets it wants.
    pub credential_slots: Option<Vec<Slot>>,
    /// A JSON Schema that a launch's configuration must satisfy.
    pub config_schema: Option<Value>,
    /// Defaults of the configuration.
    pub config_template: Option<Value>,
    /// What its credential must permit, in the words of its service.
    pub required_scopes: Option<Vec<String>>,
    /// What it may use.
    pub resource_limits: Option<Value>,
    /// The longest life of an instance.
    pub max_duration_minutes: Option<u32>,
    /// `auto`, `legacy`, `modern` or `dual`.
    pub era: Option<String>,
    /// How long it may take to become ready, in seconds.
    pub ready_timeout_s: Option<u32>,
}

/// One secret that a type wants.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Slot {
    /// The name in `credentials` and `${credential.NAME}`.
    pub name: String,
    /// For people.
    pub label: Option<String>,
    /// Where to get it.
    pub description: Option<String>,
    /// Whether it is masked when typed.
    pub secret: Option<bool>,
    /// Whether a launch without it is refused.
    pub required: Option<bool>,
    /// A regular expression that its value matches.
    pub pattern: Option<String>,
}

/// A server type.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ServerType {
    /// Its id.
    pub id: String,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// Whether it may be launched.
    pub is_active: bool,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// The definition's fields, beside these.
    #[serde(flatten)]
    #[schema(inline)]
    pub definition: Value,
}

impl ServerType {
    pub(crate) fn new(row: TypeRow) -> Self {
        Self {
            id: row.id.to_string(),
            version: row.version,
            is_active: row.is_active,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            definition: row.definition.spec,
        }
    }
}
