//! What a shim is told at its start, in two documents: the plan, and the secrets that come only once the
//! shim can no longer be read by others.

use std::net::SocketAddr;
use std::path::PathBuf;

use roadstead_model::{
    BootId, BridgeLimits, Era, InstallationId, InstanceId, NodeId, RestartPolicy, SessionMode, ToolRules,
};
use serde::{Deserialize, Serialize};

use crate::{ControlSecret, Policy, Secret, TokenHash};

/// Everything about an instance that is no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Specification {
    /// The sender's version of these messages.
    pub version: u32,
    /// Whose data folder the instance belongs to.
    pub installation: InstallationId,
    /// The instance.
    pub instance: InstanceId,
    /// The machine's node.
    pub node: NodeId,
    /// The boot during which process ids mean something.
    pub boot: BootId,
    /// Of the deadline and the token below; changes carry higher ones.
    pub generation: u64,
    /// The pooled port, on the loopback address.
    pub listen: SocketAddr,
    /// Time to live from now on.
    pub remaining_ms: u64,
    /// The instance's own folder for sockets and records; exists, and is writable for `user`.
    pub run_folder: PathBuf,
    /// The server's program, absolute.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Where it starts.
    pub working_folder: PathBuf,
    /// Who it runs as: demanded when the shim is started as root, refused otherwise.
    pub user: Option<UserIds>,
    /// Whether a PID namespace is tried.
    pub isolation: Isolation,
    /// Which protocol revisions the server speaks.
    pub era: Era,
    /// How long it may take to become ready.
    pub ready_timeout_ms: u64,
    /// The length of each step of the stop ladder.
    pub stop_step_ms: u64,
    /// How long calls in flight may go on after the deadline.
    pub grace_ms: u64,
    /// What the kernel lets each server process have.
    pub limits: Limits,
    /// The folders of the control groups that hold for all the server processes together; init enters them.
    #[serde(default)]
    pub cgroups: Vec<PathBuf>,
    /// Origins of web pages that may call.
    pub allowed_origins: Vec<String>,
    /// How the bridge behaves.
    #[serde(default)]
    pub bridge: BridgeSettings,
    /// Whether the server is started again when it ends unasked.
    #[serde(default = "never")]
    pub restart: RestartPolicy,
    /// The time without a request after which the instance ends; none for ever.
    #[serde(default)]
    pub idle_limit_ms: Option<u64>,
    /// Where the program answers, if it speaks HTTP itself; else it does on its standard streams.
    #[serde(default)]
    pub http: Option<HttpServer>,
    /// The walls around its servers; none for a type that is not confined.
    #[serde(default)]
    pub confinement: Option<Policy>,
}

/// What a sender means that knows nothing of restarts.
const fn never() -> RestartPolicy {
    RestartPolicy::Never
}

/// How the bridge of an instance behaves: the operator's limits, and what the type says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgeSettings {
    /// What an operator has set; the times of calls as the type changes them.
    pub limits: BridgeLimits,
    /// The era was found out by an earlier instance, not given by the type: should it prove wrong, it is found
    /// out again.
    pub era_is_remembered: bool,
    /// What a legacy session has to itself.
    pub session_mode: SessionMode,
    /// Whether clients of the other era are translated for.
    pub era_bridge: bool,
    /// Whether a session outlives its server.
    pub replay_initialize: bool,
    /// Which tools clients see and call, and how often.
    pub tools: ToolRules,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            limits: BridgeLimits::default(),
            era_is_remembered: false,
            session_mode: SessionMode::default(),
            era_bridge: true,
            replay_initialize: false,
            tools: ToolRules::default(),
        }
    }
}

/// A server that the program starts and that speaks HTTP on the loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpServer {
    /// Which HTTP transport.
    pub transport: HttpTransport,
    /// Where it answers; its host is a loopback one, its port was free when it was chosen.
    pub url: String,
    /// Whether it may listen on more than the loopback address.
    pub allow_any_interface: bool,
}

/// An HTTP transport of MCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpTransport {
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of the revision 2024-11-05.
    Sse,
}

/// Everything about an instance that must not be seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// The hash of the access token.
    pub token_sha256: TokenHash,
    /// What control connections are proved with.
    pub control: ControlSecret,
    /// The server's whole environment; the shim adds its mark and nothing else.
    pub environment: Vec<(String, Secret)>,
    /// What every request to a server that speaks HTTP carries.
    #[serde(default)]
    pub headers: Vec<(String, Secret)>,
    /// Values that may appear in no log line.
    pub masks: Vec<Secret>,
    /// What the server finds in files of the folder [`SECRETS_FOLDER`](crate::SECRETS_FOLDER) in its run folder, by
    /// name. The folder lies in memory.
    #[serde(default)]
    pub files: Vec<(String, Secret)>,
    /// What the server can read from descriptors, the first from
    /// [`FIRST_SECRET_DESCRIPTOR`](crate::FIRST_SECRET_DESCRIPTOR) on.
    #[serde(default)]
    pub descriptors: Vec<Secret>,
}

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserIds {
    /// The user.
    pub uid: u32,
    /// The group, and the only one.
    pub gid: u32,
}

/// Whether a PID namespace is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// The best that the machine allows.
    #[default]
    Auto,
    /// None, as on a machine that allows none.
    Off,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// A PID namespace, made as root.
    PidNamespace,
    /// A PID namespace inside a user namespace of its own.
    UserNamespace,
    /// No namespace: the tree is ended by walking it.
    None,
}

impl IsolationLevel {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PidNamespace => "pid_namespace",
            Self::UserNamespace => "user_namespace",
            Self::None => "none",
        }
    }
}

/// What the servers may have: files and file sizes of each process, the others of all of them together. What the kernel does
/// not hold, the service looks at. Core dumps are always off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Open files.
    pub open_files: u64,
    /// Processes and threads of all servers together; without a control group, of the user, and only where nobody else's are
    /// counted with them.
    pub processes: Option<u64>,
    /// Size of one written file.
    pub file_size_bytes: Option<u64>,
    /// Memory, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processor time, in thousandths of one processor.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// What the instance's own folder may take of the disk, in bytes.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
}

impl Default for Limits {
    /// Enough for a server of one user, as documented.
    fn default() -> Self {
        Self {
            open_files: 1024,
            processes: Some(64),
            file_size_bytes: None,
            memory_bytes: None,
            cpu_millis: None,
            disk_bytes: None,
        }
    }
}
