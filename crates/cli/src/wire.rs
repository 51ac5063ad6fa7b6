//! The parts of the API's answers that are shown. What is not shown is not named: a newer service may say more.

use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// One instance.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) server_type: TypeName,
    pub(crate) status: String,
    #[serde(default, alias = "error_message")]
    pub(crate) status_reason: Option<String>,
    pub(crate) access_url: String,
    #[serde(default)]
    pub(crate) port_url: Option<String>,
    #[serde(default)]
    pub(crate) assigned_port: Option<u16>,
    #[serde(default)]
    pub(crate) process_id: Option<u64>,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) started_at: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) expires_at: Option<OffsetDateTime>,
    #[serde(default)]
    pub(crate) keep: bool,
    #[serde(default)]
    pub(crate) autostart: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) stopping_at: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) ended_at: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) last_accessed: Option<OffsetDateTime>,
    #[serde(default)]
    pub(crate) token_hint: Option<String>,
    #[serde(default)]
    pub(crate) credential_id: Option<String>,
    #[serde(default)]
    pub(crate) config: Value,
    #[serde(default)]
    pub(crate) alive: Option<Alive>,
    #[serde(default)]
    pub(crate) confinement: Option<Confinement>,
}

/// How an instance's servers are confined.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Confinement {
    pub(crate) level: String,
    /// What was put up, each by its name: yes or no, or a version.
    #[serde(default)]
    pub(crate) mechanisms: Map<String, Value>,
    /// How each limit is held.
    #[serde(default)]
    pub(crate) limits: Map<String, Value>,
}

/// Why an instance is still alive.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Alive {
    pub(crate) because: String,
}

impl Instance {
    /// Whether its server runs or is about to.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.status.as_str(), "pending" | "running")
    }
}

/// The type that an instance is of.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TypeName {
    pub(crate) name: String,
}

/// One line of a log.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LogLine {
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) timestamp: OffsetDateTime,
    pub(crate) level: String,
    pub(crate) source: String,
    pub(crate) message: String,
}

/// One step of an instance's life.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "event_type")]
    pub(crate) kind: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    #[serde(default)]
    pub(crate) data: Value,
    #[serde(default)]
    pub(crate) user_id: Option<String>,
    #[serde(default)]
    pub(crate) ip_address: Option<String>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) data: Vec<Value>,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

/// The envelope of an error.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) error: Refusal,
}

/// What the service said when it refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Refusal {
    /// The stable code.
    pub code: String,
    /// What and what to do.
    pub message: String,
    /// What is wrong with which field.
    #[serde(default)]
    pub details: Vec<Detail>,
    /// The request, for whoever reads the service's log.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Detail {
    /// The field.
    #[serde(default)]
    pub field: String,
    /// What is wrong, or what it holds.
    #[serde(default)]
    pub message: String,
}

/// A text field of an answer, empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The names of a type's credential slots, and whether each is required.
pub(crate) fn slots(server_type: &Value) -> Vec<(String, bool)> {
    let list =
        server_type.get("credential_slots").or_else(|| server_type.get("slots")).and_then(Value::as_array);
    let slot = |value: &Value| {
        let name = value.as_str().or_else(|| value.get("name").and_then(Value::as_str))?;
        let required = value.get("required").and_then(Value::as_bool).unwrap_or(true);
        Some((name.to_owned(), required))
    };
    list.map(|slots| slots.iter().filter_map(slot).collect()).unwrap_or_default()
}
