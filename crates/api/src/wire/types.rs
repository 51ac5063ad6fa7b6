//! Server types in JSON.

use roadstead_accounts::TypeRow;
use roadstead_model::TypeStatus;
use roadstead_orchestrator::Imported;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// The program, absolute: it is executed directly, never through a shell. A remote server has none.
    #[schema(example = "/opt/servers/mcp-server-time")]
    pub program: Option<String>,
    /// Its arguments, which may hold `${config.KEY}`, `${port}`, `${instance.id}` and `${dir}`.
    pub args: Option<Vec<String>>,
    /// Where it starts; its own folder if none is named. May hold the same.
    pub working_dir: Option<String>,
    /// Which release of the server this runs.
    pub version: Option<String>,
    /// Its environment, which may also hold `${credential.SLOT}`.
    pub env: Option<std::collections::BTreeMap<String, String>>,
    /// The secrets it wants.
    pub credential_slots: Option<Vec<Slot>>,
    /// How its service is asked whether it takes a credential.
    #[schema(value_type = Option<Object>)]
    pub validation: Option<Value>,
    /// How a person logs in to get a credential.
    #[schema(value_type = Option<Object>)]
    pub login: Option<Value>,
    /// A JSON Schema that a launch's configuration must satisfy.
    pub config_schema: Option<Value>,
    /// Defaults of the configuration.
    pub config_template: Option<Value>,
    /// What its credential must permit, in the words of its service.
    pub required_scopes: Option<Vec<String>>,
    /// What it may use.
    #[schema(value_type = Option<Object>)]
    pub resource_limits: Option<Value>,
    /// The same by one word; one of both.
    pub size: Option<String>,
    /// What the walls around its servers leave open.
    #[schema(value_type = Option<Object>)]
    pub confinement: Option<Value>,
    /// The longest life of an instance.
    pub max_duration_minutes: Option<u32>,
    /// `auto`, `legacy`, `modern` or `dual`.
    pub era: Option<String>,
    /// How long it may take to become ready, in seconds.
    pub ready_timeout_s: Option<u32>,
    /// `stdio`, `streamable_http` or `sse`.
    #[schema(example = "streamable_http")]
    pub transport: Option<String>,
    /// Where it answers if it speaks HTTP: `http://localhost:${port}/…` when `program` starts it, else a whole https
    /// address. Holds no secret.
    #[schema(example = "https://mcp.example.com/mcp")]
    pub url: Option<String>,
    /// What every request to such a server carries; values may hold `${credential.SLOT}` and `${config.KEY}`.
    pub headers: Option<std::collections::BTreeMap<String, String>>,
    /// `per_session` or `shared`.
    pub session_mode: Option<String>,
    /// Seconds after which a call without an answer or progress is given up.
    pub call_timeout_s: Option<u32>,
    /// Seconds up to which progress extends that.
    pub call_timeout_max_s: Option<u32>,
    /// Whether clients of the era that it does not speak are translated for.
    pub era_bridge: Option<bool>,
    /// Whether a session outlives its server.
    pub replay_initialize: Option<bool>,
    /// Seconds without a request after which an instance ends.
    pub idle_limit_s: Option<u32>,
    /// `on-failure`: a server that ends unasked is started again; `never`: its instance ends with it.
    pub restart: Option<String>,
    /// How many restarts within the window are enough.
    pub max_restarts: Option<u32>,
    /// The window's seconds.
    pub restart_window_s: Option<u32>,
    /// Whether a remote server may be on a loopback, link-local or private address, and without TLS.
    pub allow_private: Option<bool>,
    /// Whether a server that speaks HTTP may listen on more than the loopback address.
    pub allow_any_interface: Option<bool>,
    /// Calls of tools in a minute, of all clients of an instance together; 0 for any number, 100 if nothing is said.
    #[schema(maximum = 1_000_000, default = 100)]
    pub rate_limit_per_minute: Option<u32>,
    /// Who may launch it, by their role in the organisation: `owner`, `admin`, `member`; everybody without.
    pub allowed_roles: Option<Vec<String>>,
    /// The project that it is for; everybody's without.
    pub project_id: Option<String>,
    /// Only when it is made: that it is approved with it, whatever the settings say.
    pub approve: Option<bool>,
    /// Only when it is made: that nobody is asked to approve it yet.
    pub draft: Option<bool>,
    /// The package that its program was installed from; an import writes it.
    #[schema(value_type = Option<Object>)]
    pub package: Option<Value>,
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
    /// What its values are: `text`, `url`, `email`, `number`, `json` or `multiline`.
    pub kind: Option<String>,
}

/// What a type is to be made of: one of `source` and `document`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportBody {
    /// A package: `npm:NAME`, `pypi:NAME` or `cargo:NAME`, with `@` and an exact version, or the newest.
    #[schema(example = "npm:@modelcontextprotocol/server-everything@2026.7.4", max_length = 400)]
    pub source: Option<String>,
    /// A `server.json`, or a client's configuration with `mcpServers`.
    #[schema(value_type = Option<Object>)]
    pub document: Option<Value>,
    /// Which server of the document, where it describes several.
    #[schema(max_length = 200)]
    pub server: Option<String>,
    /// What the type is called; otherwise the document or the package says.
    #[schema(max_length = 50)]
    pub name: Option<String>,
    /// For people.
    #[schema(max_length = 100)]
    pub display_name: Option<String>,
    /// The project that it is for; everybody's without.
    pub project_id: Option<String>,
    /// Which of the package's programs, where it brings several.
    #[schema(max_length = 200)]
    pub entry: Option<String>,
    /// Arguments behind those of the document: templates, as in a type.
    pub args: Option<Vec<String>>,
    /// Variables over those of the document: templates.
    pub env: Option<std::collections::BTreeMap<String, String>>,
    /// Variables that hold a secret of each user: a slot is made for each.
    pub secrets: Option<Vec<String>>,
    /// Variables that hold the path of a file with a secret of each user.
    pub secret_files: Option<Vec<String>>,
    /// Where it answers, if it speaks HTTP itself: a template with `${port}`.
    #[schema(example = "http://localhost:${port}/mcp", max_length = 2048)]
    pub url: Option<String>,
    /// `stdio`, `streamable_http` or `sse`; with an address alone, `streamable_http`.
    pub transport: Option<String>,
    /// Whether it may listen on more than the loopback address.
    pub allow_any_interface: Option<bool>,
    /// Whether what packages bring to be run at installation may run.
    pub scripts: Option<bool>,
    /// Whether what needs an administrator's yes has it.
    pub approve: Option<bool>,
    /// Tell what would be made; install nothing and make nothing.
    pub dry_run: Option<bool>,
}

/// Which version of a type's package.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpgradeBody {
    /// Exactly which; the newest, if none is named.
    #[schema(example = "2026.7.4", max_length = 200)]
    pub version: Option<String>,
}

/// An imported type, or what would be one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ImportedType {
    /// The type; null if it was only looked at.
    #[serde(rename = "type")]
    pub server_type: Option<ServerType>,
    /// Its definition; without a program, if it was only looked at.
    #[schema(value_type = TypeBody)]
    pub manifest: Value,
    /// What to look at.
    pub notes: Vec<String>,
    /// What has an administrator's yes, or needs it.
    pub approved: Vec<String>,
    /// Packages that wanted to run something at installation and were not let.
    pub unrun_scripts: Vec<String>,
}

impl ImportedType {
    pub(crate) fn new(imported: Imported) -> Self {
        Self {
            server_type: imported.row.map(ServerType::new),
            manifest: serde_json::to_value(&imported.spec).unwrap_or_default(),
            notes: imported.notes,
            approved: imported.approved,
            unrun_scripts: imported.unrun_scripts,
        }
    }
}

/// The definition of a server elsewhere.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RemoteTypeBody {
    /// Lower-case letters, digits and hyphens; its project's own, and no name of a type that is for everybody.
    #[schema(example = "notes")]
    pub name: String,
    /// For people.
    #[schema(example = "Notes")]
    pub display_name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A picture.
    pub icon_url: Option<String>,
    /// `streamable_http` or `sse`.
    #[schema(example = "streamable_http")]
    pub transport: String,
    /// Its whole https address, which no private network answers; holds no secret.
    #[schema(example = "https://mcp.example.com/mcp")]
    pub url: String,
    /// What every request carries; values may hold `${credential.SLOT}` and `${config.KEY}`.
    pub headers: Option<std::collections::BTreeMap<String, String>>,
    /// The secrets it wants.
    pub credential_slots: Option<Vec<Slot>>,
    /// How a person logs in to get a credential.
    #[schema(value_type = Option<Object>)]
    pub login: Option<Value>,
    /// A JSON Schema that a launch's configuration must satisfy.
    pub config_schema: Option<Value>,
    /// Defaults of the configuration.
    pub config_template: Option<Value>,
    /// What its credential must permit, in the words of its service.
    pub required_scopes: Option<Vec<String>>,
    /// The longest life of an instance.
    pub max_duration_minutes: Option<u32>,
    /// `auto`, `legacy`, `modern` or `dual`.
    pub era: Option<String>,
    /// Calls of tools in a minute; 0 for any number, 100 if nothing is said.
    #[schema(maximum = 1_000_000, default = 100)]
    pub rate_limit_per_minute: Option<u32>,
    /// Who may launch it, by their role in the organisation: `owner`, `admin`, `member`; everybody without.
    pub allowed_roles: Option<Vec<String>>,
    /// For owners and admins: that it is approved with it.
    pub approve: Option<bool>,
    /// That nobody is asked to approve it yet.
    pub draft: Option<bool>,
}

/// What is decided about a server type of a project.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectTypeDecision {
    /// Its name or its id.
    #[schema(rename = "type", example = "notes", max_length = 50)]
    #[serde(rename = "type")]
    pub named: String,
    /// What it is to be: `pending`, `approved`, `rejected` or `deprecated`.
    #[schema(value_type = super::words::TypeStatus)]
    pub status: String,
    /// Why; a rejection has to say so.
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
    /// Whether grave findings were looked at, and are no reason against an approval.
    pub accept_findings: Option<bool>,
}

/// A server type.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ServerType {
    /// Its id.
    pub id: String,
    /// Counts changes; also the ETag.
    pub version: i32,
    /// Whether it may be launched: whether it is approved.
    pub is_active: bool,
    /// What was decided about it.
    #[schema(value_type = super::words::TypeStatus)]
    pub status: &'static str,
    /// Why; empty where nobody said.
    pub status_reason: String,
    /// The project that it is for; null for everybody's.
    pub project_id: Option<String>,
    /// Who registered it; null for what came with us, and where they are gone.
    pub registered_by: Option<String>,
    /// The era that an instance was found to speak, where the definition leaves it open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed_era: Option<&'static str>,
    /// When that was, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed_at: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// Its definition, as it was given and completed.
    #[schema(value_type = TypeBody)]
    pub manifest: Value,
    /// The definition's fields again, beside these, but for its `version`: that name counts changes here.
    #[serde(flatten)]
    #[schema(ignore)]
    pub definition: Map<String, Value>,
}

impl ServerType {
    pub(crate) fn new(row: TypeRow) -> Self {
        let manifest = row.definition.spec;
        let mut definition = manifest.as_object().cloned().unwrap_or_default();
        definition.remove("version");
        Self {
            id: row.id.to_string(),
            version: row.version,
            is_active: row.status == TypeStatus::Approved,
            status: row.status.as_str(),
            status_reason: row.status_reason,
            project_id: row.project.map(|project| project.to_string()),
            registered_by: row.registered_by.map(|user| user.to_string()),
            probed_era: row.probed.map(|found| found.era.as_str()),
            probed_at: row.probed.map(|found| rfc3339(found.at)),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            manifest,
            definition,
        }
    }
}
