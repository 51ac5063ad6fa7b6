//! Types as entries of an MCP registry (the generic registry API of 2025-12-01; `server.json` of 2025-12-11).

use std::collections::BTreeMap;

use roadstead_accounts::TypeRow;
use serde::Serialize;
use serde_json::Value;

use super::rfc3339;

/// The schema that entries follow.
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// The namespace of a service without a name of its own.
const LOCAL: &str = "local.roadstead";
/// Characters of a title and of a description, by the schema.
const MAX_CHARS: usize = 100;

/// A page of a registry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RegistryList {
    /// The entries.
    pub servers: Vec<RegistryServer>,
    /// How many, and where the next page starts.
    pub metadata: RegistryPage,
}

/// How many entries a page has, and where the next one starts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryPage {
    /// Entries of this page.
    pub count: usize,
    /// Pass it as `cursor`; missing on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// An entry of a registry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RegistryServer {
    /// The server's own description, a `server.json`.
    pub server: ServerJson,
    /// What the registry says of it.
    #[serde(rename = "_meta")]
    pub meta: RegistryMeta,
}

/// What a registry says of an entry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RegistryMeta {
    /// Status and times.
    #[serde(rename = "io.modelcontextprotocol.registry/official")]
    pub official: Official,
}

/// Status and times of an entry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Official {
    /// Always `active`: others are not told.
    #[schema(example = "active")]
    pub status: &'static str,
    /// RFC 3339.
    pub published_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// Always true: a type has one version that is launched.
    pub is_latest: bool,
}

/// A `server.json`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ServerJson {
    /// The schema that it follows.
    #[serde(rename = "$schema")]
    pub schema: &'static str,
    /// Namespace and type: the host's name read backwards, a slash, the type's name.
    #[schema(example = "com.example.mcp/github")]
    pub name: String,
    /// For people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Which release of the server; without one, made of the count of the type's changes.
    #[schema(example = "1.2.3")]
    pub version: String,
    /// Pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<RegistryIcon>,
    /// Where instances of it answer.
    pub remotes: Vec<Remote>,
}

/// A picture.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RegistryIcon {
    /// Its address.
    pub src: String,
}

/// Where instances answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Remote {
    /// Always `streamable-http`.
    #[serde(rename = "type")]
    #[schema(example = "streamable-http")]
    pub kind: &'static str,
    /// A template of the address.
    #[schema(example = "https://mcp.example.com/i/{instance}/mcp")]
    pub url: String,
    /// What the template's variables are.
    pub variables: BTreeMap<&'static str, Input>,
    /// What every request carries.
    pub headers: Vec<HeaderInput>,
}

/// Something that a person gives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// What to give.
    pub description: &'static str,
    /// Whether it must be given.
    pub is_required: bool,
    /// Whether it is a secret.
    pub is_secret: bool,
}

/// A header of every request.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderInput {
    /// Its name.
    #[schema(example = "Authorization")]
    pub name: &'static str,
    /// A template of its value.
    #[schema(example = "Bearer {token}")]
    pub value: &'static str,
    /// Whether it must be there.
    pub is_required: bool,
    /// Whether it is a secret.
    pub is_secret: bool,
    /// What the template's variables are.
    pub variables: BTreeMap<&'static str, Input>,
}

/// What a type is called in a registry at this address.
pub(crate) fn registry_name(base: &str, name: &str) -> String {
    let host = base.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_lowercase));
    let is_name = |host: &String| {
        host.contains('.')
            && host.chars().any(|c| c.is_ascii_alphabetic())
            && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
    };
    let space = host.filter(is_name).map(|host| host.rsplit('.').collect::<Vec<_>>().join("."));
    format!("{}/{name}", space.as_deref().unwrap_or(LOCAL))
}

impl RegistryList {
    pub(crate) fn new(servers: Vec<RegistryServer>, next_cursor: Option<String>) -> Self {
        Self { metadata: RegistryPage { count: servers.len(), next_cursor }, servers }
    }
}

impl RegistryServer {
    pub(crate) fn new(base: &str, row: &TypeRow) -> Self {
        let definition = &row.definition;
        let release = definition.spec.get("version").and_then(Value::as_str).map(str::to_owned);
        let described =
            [definition.description.as_str(), definition.display_name.as_str(), row.name.as_str()];
        let description = described.into_iter().find(|text| !text.trim().is_empty()).unwrap_or_default();
        let given = |description, is_secret| Input { description, is_required: true, is_secret };
        let remote = Remote {
            kind: "streamable-http",
            url: format!("{base}/i/{{instance}}/mcp"),
            variables: BTreeMap::from([(
                "instance",
                given("The id of your instance, from its launch", false),
            )]),
            headers: vec![HeaderInput {
                name: "Authorization",
                value: "Bearer {token}",
                is_required: true,
                is_secret: true,
                variables: BTreeMap::from([("token", given("Its access token, shown at the launch", true))]),
            }],
        };
        Self {
            server: ServerJson {
                schema: SCHEMA,
                name: registry_name(base, &row.name),
                title: shortened(&definition.display_name),
                description: shortened(description),
                version: release.unwrap_or_else(|| format!("0.0.{}", row.version)),
                icons: definition.icon_url.iter().map(|src| RegistryIcon { src: src.clone() }).collect(),
                remotes: vec![remote],
            },
            meta: RegistryMeta {
                official: Official {
                    status: "active",
                    published_at: rfc3339(row.created_at),
                    updated_at: rfc3339(row.updated_at),
                    is_latest: true,
                },
            },
        }
    }

    pub(crate) fn has_version(&self, version: &str) -> bool {
        self.server.version == version
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_CHARS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(MAX_CHARS - 1).collect();
    cut.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_the_hosts_name_backwards_where_it_has_one() {
        assert_eq!(registry_name("https://mcp.example.com", "time"), "com.example.mcp/time");
        for base in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "nonsense"] {
            assert_eq!(registry_name(base, "time"), "local.roadstead/time", "{base}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let long = "ä".repeat(150);
        assert_eq!(shortened(&long).chars().count(), MAX_CHARS);
        assert_eq!(shortened("short"), "short");
    }
}
