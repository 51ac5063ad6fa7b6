//! Instances, their events and their lines in JSON.

use roadstead_accounts::ExposeSecret;
use roadstead_orchestrator::{EventRow, InstanceRow, InstanceState, LogRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::confinement::Confinement;
use super::rfc3339;
use super::words::{InstanceStatus, Level, Source};

/// From where an instance is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// What access URLs begin with.
    pub(crate) public_base: &'a str,
    /// Now: a deadline outranks the row.
    pub(crate) now: OffsetDateTime,
}

/// What to launch.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaunchBody {
    /// The server type's name.
    #[serde(rename = "type")]
    #[schema(example = "echo")]
    pub type_name: String,
    /// What you call it.
    #[schema(example = "my server")]
    pub name: Option<String>,
    /// A stored credential.
    pub credential_id: Option<String>,
    /// Secret values by slot, kept sealed with the instance alone; instead of `credential_id`.
    pub credentials: Option<std::collections::BTreeMap<String, String>>,
    /// Merged over the type's defaults.
    pub config: Option<Value>,
    /// The lifetime: `90s`, `15m`, `1h`, `7d`.
    #[schema(example = "1h")]
    pub expires_in: Option<String>,
    /// The time without a request after which it ends; at most the type's own, which holds when none is given.
    #[schema(example = "30m")]
    pub idle_limit: Option<String>,
    /// Whether each use through the access URL moves the deadline on: to the lifetime from then on, at most to the
    /// type's cap from the beginning. False by default.
    pub keep: Option<bool>,
    /// Whether it is started again by itself, with its id, URL and token, when the machine was and it has time left. False
    /// by default.
    pub autostart: Option<bool>,
    /// `ready` (default): answer when the server is ready; `none`: at once, with status `pending`.
    #[schema(example = "ready")]
    pub wait: Option<String>,
}

/// How to restart or restore; may be left out.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StartBody {
    /// `ready` (default): answer when the server is ready; `none`: when it is starting.
    #[schema(example = "ready")]
    pub wait: Option<String>,
}

/// How to renew; may be left out.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RenewBody {
    /// The new lifetime, from now on; without it, that of the settings.
    #[schema(example = "1h")]
    pub expires_in: Option<String>,
    /// `ready` (default): answer when the server is ready; `none`: when it is starting.
    #[schema(example = "ready")]
    pub wait: Option<String>,
}

/// How to move a deadline; one of the two.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExtendBody {
    /// So long from now on.
    #[schema(example = "30m")]
    pub expires_in: Option<String>,
    /// So much later than it is.
    pub by: Option<String>,
}

/// A server type, in short.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TypeSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// A picture.
    pub icon_url: Option<String>,
}

/// An instance.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is a copy of.
    #[serde(rename = "type")]
    pub server_type: TypeSummary,
    /// `pending`, `running`, `expired`, `disconnected`, `stopped` or `error`.
    #[schema(value_type = InstanceStatus, example = "running")]
    pub status: String,
    /// Why it is in that status, if something went wrong.
    pub error_message: Option<String>,
    /// Where any MCP client reaches it, with the access token as bearer.
    #[schema(example = "http://127.0.0.1:8700/i/0198c0de-0000-7000-8000-000000000000/mcp")]
    pub access_url: String,
    /// Where a client on this machine reaches it directly, while it lives.
    #[schema(example = "http://127.0.0.1:3001/mcp")]
    pub port_url: Option<String>,
    /// Its port of the pool, while it lives.
    pub assigned_port: Option<u16>,
    /// The server's process, while it runs.
    pub process_id: Option<u32>,
    /// The process of its shim, while it runs.
    pub shim_process_id: Option<u32>,
    /// Whose it is.
    pub user_id: String,
    /// What it was launched with.
    pub credential_id: Option<String>,
    /// Its configuration.
    pub config: Value,
    /// The end of its access token.
    pub token_hint: String,
    /// RFC 3339.
    pub created_at: String,
    /// When it was ready, RFC 3339.
    pub started_at: Option<String>,
    /// Its deadline, RFC 3339.
    pub expires_at: String,
    /// Whether each use moves the deadline on.
    pub keep: bool,
    /// Whether it is started again by itself when the machine was.
    pub autostart: bool,
    /// Since when it is on its way out, RFC 3339.
    pub stopping_at: Option<String>,
    /// When it ended, RFC 3339.
    pub ended_at: Option<String>,
    /// When it was last used through its access URL, RFC 3339; written down in batches.
    pub last_accessed: Option<String>,
    /// RFC 3339.
    pub updated_at: String,
    /// How its servers are confined, or were when it ran last; null before it ran.
    pub confinement: Option<Confinement>,
    /// Counts the changes of deadline and token.
    pub generation: i64,
    /// Counts the changes of name and configuration: the `ETag`.
    pub version: i32,
    /// The idle limit that its launch asked for, in seconds; null for its type's.
    pub idle_limit_s: Option<i32>,
    /// Why it is still alive: where one running instance is asked for, and its shim answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alive: Option<Alive>,
    /// Where it stands, while it is `pending` and waits to be started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
}

/// The place of a launch that waits.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Queue {
    /// How many turns it is until its own: 1 for the next.
    #[schema(example = 7)]
    pub position: usize,
    /// What the next one waits for: its `turn`, or free `memory`.
    #[schema(example = "turn")]
    pub waits_for: String,
}

impl Queue {
    pub(crate) fn new(queued: roadstead_orchestrator::Queued) -> Self {
        Self { position: queued.position, waits_for: queued.waits_for.as_str().to_owned() }
    }
}

/// Why an instance is still alive.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Alive {
    /// For people.
    #[schema(example = "last request 40s ago; idle limit 10m, so 9m 20s more unless another comes")]
    pub because: String,
    /// The idle limit that holds, in milliseconds; null if there is none.
    pub idle_limit_ms: Option<u64>,
    /// What is left of it; null without one, or while a request is in flight.
    pub idle_left_ms: Option<u64>,
    /// Since a request came or was answered last; null if there was none.
    pub last_request_ms: Option<u64>,
    /// Requests without an answer; pings, event streams and subscriptions are none of them.
    pub requests_in_flight: usize,
}

impl Alive {
    pub(crate) fn new(told: roadstead_orchestrator::Alive) -> Self {
        Self {
            because: told.because,
            idle_limit_ms: told.idle_limit_ms,
            idle_left_ms: told.idle_left_ms,
            last_request_ms: told.last_request_ms,
            requests_in_flight: told.requests,
        }
    }
}

/// An instance with its access token, which is shown only here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Launched {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// Opens exactly this instance, as `Authorization: Bearer`.
    #[schema(example = "rsi_…")]
    pub access_token: String,
}

impl Instance {
    pub(crate) fn new(row: InstanceRow, view: View<'_>) -> Self {
        let (started_at, stopping_at, ended_at) = match &row.state {
            InstanceState::Pending { .. } => (None, None, None),
            InstanceState::Running { started_at, stopping, .. } => {
                (Some(*started_at), stopping.as_ref().map(|stopping| stopping.at), None)
            }
            InstanceState::Ended { at, started_at, .. } => (*started_at, None, Some(*at)),
        };
        let port = row.port().map(roadstead_model::Port::get);
        let process = row.process();
        Self {
            access_url: format!("{}/i/{}/mcp", view.public_base, row.id),
            port_url: port.map(|port| format!("http://127.0.0.1:{port}/mcp")),
            assigned_port: port,
            process_id: process.map(|process| process.pid),
            shim_process_id: process.and(row.shim).map(|shim| shim.pid),
            status: row.standing(view.now).status().as_str().to_owned(),
            id: row.id.to_string(),
            name: row.name,
            server_type: TypeSummary {
                id: row.type_id.to_string(),
                name: row.type_name,
                display_name: row.type_display_name,
                icon_url: row.type_icon_url,
            },
            error_message: row.error_message,
            user_id: row.user.to_string(),
            credential_id: row.credential.map(|id| id.to_string()),
            config: row.config,
            token_hint: row.token_hint,
            created_at: rfc3339(row.created_at),
            started_at: started_at.map(rfc3339),
            expires_at: rfc3339(row.expires_at),
            keep: row.keep,
            autostart: row.autostart,
            stopping_at: stopping_at.map(rfc3339),
            ended_at: ended_at.map(rfc3339),
            last_accessed: row.last_accessed.map(rfc3339),
            updated_at: rfc3339(row.updated_at),
            generation: row.generation,
            version: row.version,
            idle_limit_s: row.idle_limit_s,
            confinement: row.confinement.as_ref().map(Confinement::new),
            alive: None,
            queue: None,
        }
    }
}

impl Launched {
    pub(crate) fn new(launched: roadstead_orchestrator::Launched, view: View<'_>) -> Self {
        let queue = launched.queued.map(Queue::new);
        Self {
            instance: Instance { queue, ..Instance::new(launched.instance, view) },
            access_token: launched.token.expose_secret().to_owned(),
        }
    }
}

/// A step of an instance's life.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// `created`, `started`, `stopped`, …
    #[schema(example = "started")]
    pub event_type: String,
    /// RFC 3339.
    pub at: String,
    /// Particulars.
    pub data: Value,
    /// Who did it; null for the system.
    pub user_id: Option<String>,
    /// Through which key.
    pub api_key_id: Option<String>,
    /// From where.
    pub ip_address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
}

impl Event {
    pub(crate) fn new(row: EventRow) -> Self {
        Self {
            id: row.id.to_string(),
            event_type: row.event_type.as_str().to_owned(),
            at: rfc3339(row.at),
            data: row.data,
            user_id: row.actor.user.map(|id| id.to_string()),
            api_key_id: row.actor.api_key.map(|id| id.to_string()),
            ip_address: row.actor.ip_address.map(|address| address.to_string()),
            user_agent: row.actor.user_agent,
        }
    }
}

/// A line that a server or the service said.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LogLine {
    /// Its id.
    pub id: String,
    /// RFC 3339.
    pub timestamp: String,
    /// `debug`, `info`, `warn` or `error`.
    #[schema(value_type = Level, example = "info")]
    pub level: String,
    /// `process`, `system` or `api`.
    #[schema(value_type = Source, example = "process")]
    pub source: String,
    /// The line, with credentials masked.
    pub message: String,
    /// Particulars.
    pub metadata: Option<Value>,
}

impl LogLine {
    pub(crate) fn new(row: LogRow) -> Self {
        Self {
            id: row.id.to_string(),
            timestamp: rfc3339(row.at),
            level: row.level.as_str().to_owned(),
            source: row.source.as_str().to_owned(),
            message: row.message,
            metadata: row.metadata,
        }
    }
}
