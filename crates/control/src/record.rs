//! What a shim leaves in its run folder: who it is while it lives, and how the instance ended.

use std::net::SocketAddr;

use roadstead_model::{BootId, InstallationId, InstanceId, Mechanisms, NodeId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{FailureCode, IsolationLevel, Limits, StopReason, TokenHash};

/// A process, named so that a later owner of its number is not mistaken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number, as roadstead sees it.
    pub pid: i32,
    /// Its start in clock ticks since boot, from `/proc/<pid>/stat`.
    pub started: u64,
}

/// Written by the supervisor between starting a shim and telling it what to do: however the launch is cut
/// short, the next start knows which process to look for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchNote {
    /// Whose it is.
    pub installation: InstallationId,
    /// The instance.
    pub instance: InstanceId,
    /// The boot during which the process id means something.
    pub boot: BootId,
    /// The shim.
    pub shim: ProcessId,
    /// What its servers may have; none from a service that did not note it.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// Whether it runs as a user that no other instance has.
    #[serde(default)]
    pub has_own_user: bool,
}

/// What a living shim is. Holds no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShimState {
    /// The version of its messages.
    pub version: u32,
    /// Whose it is.
    pub installation: InstallationId,
    /// The instance.
    pub instance: InstanceId,
    /// The machine's node.
    pub node: NodeId,
    /// The boot during which the process ids mean something.
    pub boot: BootId,
    /// The shim.
    pub shim: ProcessId,
    /// The parent of its servers.
    pub init: ProcessId,
    /// The pooled port.
    pub listen: SocketAddr,
    /// Of deadline and token.
    pub generation: u64,
    /// When its time is up, by the machine's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub deadline: OffsetDateTime,
    /// The hash of the access token.
    pub token_sha256: TokenHash,
    /// What keeps the processes together.
    pub isolation: IsolationLevel,
    /// What was put up around its servers; none from a shim that does not know.
    #[serde(default)]
    pub mechanisms: Option<Mechanisms>,
}

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its time was up.
    Expired,
    /// It was asked to leave.
    Stopped,
    /// Its server, its spawner or its shim was lost.
    Disconnected,
    /// It never became ready.
    Failed,
    /// Its server ended too often to be started once more; the failure says how often.
    CrashLoop,
}

/// How a server process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerEnd {
    /// It returned a status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The kernel ended it because the instance's memory was used up.
    OutOfMemory,
}

impl std::fmt::Display for ServerEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory: the instance reached its limit"),
        }
    }
}

/// Why a launch failed, or an instance could not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people.
    pub message: String,
    /// How the server ended, if it did.
    pub server_end: Option<ServerEnd>,
    /// The last lines that it wrote to its standard error, masked.
    pub stderr_tail: Vec<String>,
}

/// How an instance ended, or, while `complete` is false, why it is being ended: written before the first act,
/// so that a shim that is killed half way still leaves the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The instance.
    pub instance: InstanceId,
    /// How it ended.
    pub outcome: Outcome,
    /// Every process is gone.
    pub complete: bool,
    /// Who asked, if someone did.
    pub reason: Option<StopReason>,
    /// When the end began.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// How the first server ended.
    pub server_end: Option<ServerEnd>,
    /// For how many milliseconds nobody had used it, if it ended for that.
    #[serde(default)]
    pub idle_ms: Option<u64>,
    /// Why the launch failed, or the server is not started once more.
    pub failure: Option<Failure>,
    /// The last lines of standard error, masked.
    pub stderr_tail: Vec<String>,
    /// The number of the last log line.
    pub last_log_seq: u64,
    /// Lines that a limit dropped.
    pub dropped_logs: u64,
}
