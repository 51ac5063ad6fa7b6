//! What the two ends say to each other.

use roadstead_model::{Era, LogLevel, LogSource, Mechanisms, ToolsDiffer};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{ExitRecord, Failure, IsolationLevel, LifecycleEntry, ProcessId, TokenHash, UsageFact};

/// A line from the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Report {
    /// The first line on each channel.
    Hello {
        /// The shim's version of these messages.
        version: u32,
    },
    /// The port and both sockets exist.
    Bound {
        /// The shim's process.
        shim: ProcessId,
    },
    /// The server answers.
    Ready(Ready),
    /// The launch failed; the shim is about to end.
    Failed(Failure),
    /// What the server and the shim said, in order; sent again until `LogsReceived`.
    Logs {
        /// The lines.
        entries: Vec<LogEntry>,
        /// How many lines a limit has dropped so far.
        dropped: u64,
    },
    /// What calls cost, in the order of their numbers; sent again until `UsageReceived`.
    Usage {
        /// The facts.
        facts: Vec<UsageFact>,
    },
    /// The era that the server was found to speak; said again on each new connection.
    EraFound {
        /// Never `Auto`.
        era: Era,
    },
    /// Its tools are others than the approved ones: all that are known to differ; said again on each new connection.
    ToolsDiffer {
        /// Which.
        tools: ToolsDiffer,
    },
    /// The oldest of the servers that live is another one now; said again on each new connection.
    ServerChanged {
        /// Its process.
        server: ProcessId,
    },
    /// A step that the shim took by itself; said again on each new connection until `LifecycleReceived`.
    Lifecycle(LifecycleEntry),
    /// A request's answer.
    Answer {
        /// The request's number.
        id: u64,
        /// What came of it.
        answer: Answer,
    },
    /// The instance has ended; the record is on disk already.
    Exited(ExitRecord),
}

/// What a shim says when its server answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// The server's process.
    pub server: ProcessId,
    /// The era that it was asked in, or was found to speak.
    pub era: Era,
    /// What keeps its processes together.
    pub isolation: IsolationLevel,
    /// Said nothing to a ping, but lives: taken for ready.
    pub silent: bool,
    /// What was put up around its servers; none from a shim that does not know.
    #[serde(default)]
    pub mechanisms: Option<Mechanisms>,
}

/// A line to the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the sender, named in the answer.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}

/// What may be asked of a shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Moves the deadline.
    SetDeadline {
        /// Must not be older than the shim's.
        generation: u64,
        /// Time to live from now on.
        remaining_ms: u64,
    },
    /// Replaces the access token; the old one is refused at once.
    SetToken {
        /// Must not be older than the shim's.
        generation: u64,
        /// The new token's hash.
        sha256: TokenHash,
    },
    /// Ends the instance: grace for calls in flight, then the ladder.
    Stop {
        /// Why; kept in the exit record.
        reason: StopReason,
        /// How long calls in flight may go on.
        grace_ms: u64,
    },
    /// Asks how it is.
    Status,
    /// The lines up to this number are stored: they need not be sent again. Has no answer.
    LogsReceived {
        /// The last line's number.
        seq: u64,
    },
    /// The step of this number, and only that one, is stored: it need not be said again. Has no answer.
    LifecycleReceived {
        /// The step's number.
        seq: u64,
    },
    /// The facts up to this number are stored: they need not be sent again. Has no answer.
    UsageReceived {
        /// The last fact's number.
        seq: u64,
    },
}

/// Who wants an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// A person asked.
    Requested,
    /// Its time is up, as roadstead sees it.
    Expired,
    /// Nobody used it for as long as its idle limit. Nobody asks for that: its shim notices.
    Idle,
    /// Roadstead itself goes, and was told to take its instances along.
    Shutdown,
    /// Its launch failed elsewhere: nobody will ever use it.
    LaunchFailed,
}

/// What came of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    /// Done, and in force.
    Done,
    /// Refused: the shim has seen a newer generation.
    Stale {
        /// The shim's generation.
        generation: u64,
    },
    /// Refused: the instance is ending.
    Ending,
    /// It could not be done; nothing may be taken for changed.
    Refused {
        /// What went wrong.
        message: String,
    },
    /// How it is.
    Status(Box<Status>),
}

/// How an instance is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// `pending`, `running` or `ending`.
    pub status: String,
    /// The generation in force.
    pub generation: u64,
    /// Time to live.
    pub remaining_ms: u64,
    /// The oldest server's process, once there is one.
    pub server: Option<ProcessId>,
    /// Server processes.
    pub servers: usize,
    /// Calls that have not been answered.
    pub in_flight: usize,
    /// What keeps the processes together.
    pub isolation: IsolationLevel,
    /// The number of the last log line.
    pub last_log_seq: u64,
    /// Why it is still alive.
    #[serde(default)]
    pub alive: Option<Alive>,
}

/// Why an instance is still alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// A clause for people, without a full stop.
    pub because: String,
    /// The milliseconds without a request after which it ends; none if it has no idle limit.
    pub idle_limit_ms: Option<u64>,
    /// What is left of them; none without a limit, or while a request is in flight.
    pub idle_left_ms: Option<u64>,
    /// The milliseconds since a request came or was answered last; none if there was none.
    pub last_request_ms: Option<u64>,
    /// Requests without an answer. Pings, event streams and subscriptions are none of them.
    pub requests: usize,
}

/// One line that a server or the shim said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its number: one more than the line before it, from 1.
    pub seq: u64,
    /// When it was read.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// As the line states it, else info.
    pub level: LogLevel,
    /// The server or the shim.
    pub source: LogSource,
    /// The line, masked.
    pub message: String,
}

/// Why a launch failed, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The server ended before it was ready.
    ServerExited,
    /// The server did not become ready in time.
    ReadyTimeout,
    /// The server spoke, but not MCP.
    ServerMisbehaved,
    /// There is no such program, or the interpreter that it names is missing.
    ProgramNotFound,
    /// The program may not be run by the instance's user, or is no program.
    ProgramNotExecutable,
    /// The working folder is missing or closed to the instance's user.
    WorkingFolderUnusable,
    /// Something else holds the port.
    PortTaken,
    /// The server listens on more than the loopback address, where no token is asked for.
    ListensPublicly,
    /// The specification cannot be carried out.
    InvalidSpecification,
    /// The kernel refused a part of the confinement that is never left out.
    ConfinementFailed,
    /// What can be put up here is less than the type or the operator demands.
    ConfinementTooWeak,
    /// The server ended again and again, and is not started once more.
    CrashLoop,
    /// A fault of the shim or the machine.
    Internal,
}

impl FailureCode {
    /// The word used in rows and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerExited => "SERVER_EXITED",
            Self::ReadyTimeout => "READY_TIMEOUT",
            Self::ServerMisbehaved => "SERVER_MISBEHAVED",
            Self::ProgramNotFound => "PROGRAM_NOT_FOUND",
            Self::ProgramNotExecutable => "PROGRAM_NOT_EXECUTABLE",
            Self::WorkingFolderUnusable => "WORKING_FOLDER_UNUSABLE",
            Self::PortTaken => "PORT_TAKEN",
            Self::ListensPublicly => "LISTENS_PUBLICLY",
            Self::InvalidSpecification => "INVALID_SPECIFICATION",
            Self::ConfinementFailed => "CONFINEMENT_FAILED",
            Self::ConfinementTooWeak => "CONFINEMENT_TOO_WEAK",
            Self::CrashLoop => "CRASH_LOOP",
            Self::Internal => "INTERNAL",
        }
    }
}
