//! An instance's row, and the state that its columns make up.

use std::time::Duration;

use roadstead_model::{
    BootId, Confinement, CredentialId, InstanceId, InstanceStatus, NodeId, OrganizationId, Port, ProjectId,
    Standing, TypeId, UserId,
};
use serde_json::Value;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::TABLE;
use crate::{StoreError, convert};

/// A process, told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessMark {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot.
    pub started: u64,
}

/// That an instance was asked to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopping {
    /// When.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: String,
}

/// Where an instance is in its life, with what exists there.
#[derive(Debug, Clone, PartialEq)]
pub enum InstanceState {
    /// The server is not ready yet.
    Pending {
        /// Its port.
        port: Port,
    },
    /// The server is ready.
    Running {
        /// Its port.
        port: Port,
        /// The server's first process.
        process: ProcessMark,
        /// When it was ready.
        started_at: OffsetDateTime,
        /// Whether it is on its way out.
        stopping: Option<Stopping>,
    },
    /// It is over.
    Ended {
        /// How.
        status: InstanceStatus,
        /// When.
        at: OffsetDateTime,
        /// When it was ready, if it ever was.
        started_at: Option<OffsetDateTime>,
        /// The server's first process, while it lived.
        process: Option<ProcessMark>,
        /// Why it was asked to leave, if it was.
        stop_reason: Option<String>,
        /// What is known of the processes' end.
        exit: Option<Value>,
    },
}

/// An instance that is not deleted, with what is shown of its type.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRow {
    /// The instance's id.
    pub id: InstanceId,
    /// Whose it is.
    pub user: UserId,
    /// What it belongs to.
    pub organization: OrganizationId,
    /// What it belongs to.
    pub project: ProjectId,
    /// What it is a copy of.
    pub type_id: TypeId,
    /// What it is a copy of, by name.
    pub type_name: String,
    /// The type's name for people.
    pub type_display_name: String,
    /// The type's picture.
    pub type_icon_url: Option<String>,
    /// The type's version at its launch.
    pub type_version: i32,
    /// The credential it was launched with; none when its secrets came with the launch, or it needs none.
    pub credential: Option<CredentialId>,
    /// Where it runs.
    pub node: NodeId,
    /// That machine's boot.
    pub boot: BootId,
    /// What its owner calls it.
    pub name: String,
    /// Its configuration.
    pub config: Value,
    /// The SHA-256 of its access token.
    pub token_hash: [u8; 32],
    /// The end of its access token.
    pub token_hint: String,
    /// Where it is in its life.
    pub state: InstanceState,
    /// The shim that owns or owned it.
    pub shim: Option<ProcessMark>,
    /// Its deadline.
    pub expires_at: OffsetDateTime,
    /// The idle limit that its launch asked for, in seconds; none for its type's.
    pub idle_limit_s: Option<i32>,
    /// Whether each use moves the deadline on.
    pub keep: bool,
    /// Whether it is started again by itself when the machine was.
    pub autostart: bool,
    /// How long its life was meant to be when it began, and how long a use keeps it.
    pub lifetime: Duration,
    /// When its life began: at its launch, or when it was last renewed.
    pub began_at: OffsetDateTime,
    /// What went wrong last.
    pub error_message: Option<String>,
    /// When a client used it last.
    pub last_accessed: Option<OffsetDateTime>,
    /// Its last figures.
    pub stats: Option<Value>,
    /// How its servers are confined, or were last; none before it ran, or when its shim did not say.
    pub confinement: Option<Confinement>,
    /// Counts the changes that its shim must know of.
    pub generation: i64,
    /// Counts the owners that it had.
    pub fence: i64,
    /// How much of its shim's spool is stored.
    pub spool_seq: i64,
    /// Counts the changes of its name and its configuration.
    pub version: i32,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

impl InstanceRow {
    /// Its status.
    pub fn status(&self) -> InstanceStatus {
        match &self.state {
            InstanceState::Pending { .. } => InstanceStatus::Pending,
            InstanceState::Running { .. } => InstanceStatus::Running,
            InstanceState::Ended { status, .. } => *status,
        }
    }

    /// What it is now: its row, corrected by its deadline.
    pub fn standing(&self, now: OffsetDateTime) -> Standing {
        Standing::of(self.status(), self.expires_at, now)
    }

    /// Its port, while it lives.
    pub fn port(&self) -> Option<Port> {
        match self.state {
            InstanceState::Pending { port } | InstanceState::Running { port, .. } => Some(port),
            InstanceState::Ended { .. } => None,
        }
    }

    /// The server's first process, while it lives.
    pub fn process(&self) -> Option<ProcessMark> {
        match self.state {
            InstanceState::Running { process, .. } => Some(process),
            InstanceState::Pending { .. } | InstanceState::Ended { .. } => None,
        }
    }
}

pub(super) struct Record {
    pub id: Uuid,
    pub user_id: Uuid,
    pub organization_id: Uuid,
    pub project_id: Uuid,
    pub mcp_type_id: Uuid,
    pub type_name: String,
    pub type_display_name: String,
    pub type_icon_url: Option<String>,
    pub type_version: i32,
    pub credential_id: Option<Uuid>,
    pub node_id: Uuid,
    pub boot_id: Uuid,
    pub name: String,
    pub status: String,
    pub config: Value,
    pub access_token_hash: Vec<u8>,
    pub token_hint: String,
    pub assigned_port: Option<i32>,
    pub process_id: Option<i32>,
    pub process_started: Option<i64>,
    pub shim_pid: Option<i32>,
    pub shim_started: Option<i64>,
    pub expires_at: OffsetDateTime,
    pub idle_limit_s: Option<i32>,
    pub keep: bool,
    pub autostart: bool,
    pub lifetime_s: i64,
    pub began_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub stopping_at: Option<OffsetDateTime>,
    pub stop_reason: Option<String>,
    pub ended_at: Option<OffsetDateTime>,
    pub error_message: Option<String>,
    pub exit: Option<Value>,
    pub last_accessed: Option<OffsetDateTime>,
    pub stats: Option<Value>,
    pub confinement: Option<Json<Confinement>>,
    pub generation: i64,
    pub fence: i64,
    pub spool_seq: i64,
    pub version: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl Record {
    fn state(&self) -> Result<InstanceState, String> {
        let status: InstanceStatus =
            self.status.parse().map_err(|error: roadstead_model::era::UnknownWord| error.to_string())?;
        let process = mark(self.process_id, self.process_started)?;
        let stopping = match (self.stopping_at, &self.stop_reason) {
            (Some(at), Some(reason)) => Some(Stopping { at, reason: reason.clone() }),
            (Some(_), None) => return Err("stopping for no reason".to_owned()),
            (None, _) => None,
        };
        match (status, self.assigned_port, self.ended_at) {
            (InstanceStatus::Pending, Some(port), None) => {
                Ok(InstanceState::Pending { port: convert::port(port)? })
            }
            (InstanceStatus::Running, Some(port), None) => Ok(InstanceState::Running {
                port: convert::port(port)?,
                process: process.ok_or("running without a process")?,
                started_at: self.started_at.ok_or("running without a start")?,
                stopping,
            }),
            (ended, None, Some(at)) if !ended.is_live() => Ok(InstanceState::Ended {
                status: ended,
                at,
                started_at: self.started_at,
                process,
                stop_reason: self.stop_reason.clone(),
                exit: self.exit.clone(),
            }),
            (status, port, ended) => Err(format!(
                "{status} {} a port and {} an end",
                if port.is_some() { "with" } else { "without" },
                if ended.is_some() { "with" } else { "without" },
            )),
        }
    }
}

fn mark(pid: Option<i32>, started: Option<i64>) -> Result<Option<ProcessMark>, String> {
    match (pid, started) {
        (None, None) => Ok(None),
        (Some(pid), Some(started)) => match (u32::try_from(pid), u64::try_from(started)) {
            (Ok(pid), Ok(started)) => Ok(Some(ProcessMark { pid, started })),
            _ => Err("a process with a negative number".to_owned()),
        },
        _ => Err("a process without its start, or a start without its process".to_owned()),
    }
}

impl TryFrom<Record> for InstanceRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        let state = record.state().map_err(wrong)?;
        Ok(Self {
            id: InstanceId::from_uuid(id),
            user: UserId::from_uuid(record.user_id),
            organization: OrganizationId::from_uuid(record.organization_id),
            project: ProjectId::from_uuid(record.project_id),
            type_id: TypeId::from_uuid(record.mcp_type_id),
            type_name: record.type_name,
            type_display_name: record.type_display_name,
            type_icon_url: record.type_icon_url,
            type_version: record.type_version,
            credential: record.credential_id.map(CredentialId::from_uuid),
            node: NodeId::from_uuid(record.node_id),
            boot: BootId::from_uuid(record.boot_id),
            name: record.name,
            config: record.config,
            token_hash: convert::hash(&record.access_token_hash).map_err(wrong)?,
            token_hint: record.token_hint,
            state,
            shim: mark(record.shim_pid, record.shim_started).map_err(wrong)?,
            expires_at: record.expires_at,
            idle_limit_s: record.idle_limit_s,
            keep: record.keep,
            autostart: record.autostart,
            lifetime: Duration::from_secs(record.lifetime_s.unsigned_abs()),
            began_at: record.began_at,
            error_message: record.error_message,
            last_accessed: record.last_accessed,
            stats: record.stats,
            confinement: record.confinement.map(|Json(it)| it),
            generation: record.generation,
            fence: record.fence,
            spool_seq: record.spool_seq,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}
