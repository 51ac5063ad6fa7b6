//! A shim as its owner sees it: whether it became ready, what it says, what may be asked of it.

use std::time::Duration;

use roadstead_control::{
    Answer, Command, ExitRecord, Failure, LifecycleEntry, LogEntry, ProcessId, Ready, Status, StopReason,
    TokenHash, UsageFact,
};
use roadstead_model::{Era, InstanceId, ToolsDiffer};
use tokio::sync::{mpsc, oneshot, watch};

/// How long a shim may take to answer a command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Something that a shim has to say, in order.
#[derive(Debug, Clone)]
pub enum ShimEvent {
    /// Lines of the server's standard error and of the shim. Confirm them with `logs_received` once stored.
    Logs {
        /// The lines, each seen once.
        entries: Vec<LogEntry>,
        /// How many lines the shim has had to drop so far.
        dropped: u64,
    },
    /// The server answers. Said again on each connection.
    Ready(Ready),
    /// What calls cost. Confirm them with `usage_received` once stored.
    Usage {
        /// The facts, each seen once.
        facts: Vec<UsageFact>,
    },
    /// The era that the server was found to speak. May be said again.
    EraFound(Era),
    /// Its tools are others than the approved ones: all that are known to differ. May be said again.
    ToolsDiffer(ToolsDiffer),
    /// The oldest of the servers that live is another one now. May be said again.
    ServerChanged(ProcessId),
    /// A step that the shim took by itself. May be said again; confirm it with `lifecycle_received` once stored.
    Lifecycle(LifecycleEntry),
    /// The instance has ended and its tree is gone. Always the last event.
    Exited(ExitRecord),
}

/// Why a launch came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaunchError {
    /// The shim says why.
    #[error("the instance did not become ready")]
    Failed(#[source] Failure),
    /// It was stopped, or its time was up, before it was ready.
    #[error("the instance ended before it was ready")]
    Ended(Box<ExitRecord>),
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The shim has seen a newer generation.
    #[error("the shim knows generation {generation} already")]
    Stale {
        /// The shim's generation.
        generation: u64,
    },
    /// The instance is ending or has ended.
    #[error("the instance is ending")]
    Ending,
    /// The shim could not do it.
    #[error("the shim refused: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// The shim could not be reached, or did not answer in time.
    #[error("the shim did not answer")]
    Unreachable,
}

/// A started shim. Dropped before `ready` has succeeded, it is killed: nobody would ever use it.
#[derive(Debug)]
#[must_use = "a shim that is dropped before it is ready is killed"]
pub struct Shim {
    pub(crate) control: ShimControl,
    pub(crate) launched: Option<oneshot::Receiver<Result<Ready, LaunchError>>>,
    pub(crate) events: Option<mpsc::Receiver<ShimEvent>>,
    pub(crate) decided: bool,
}

impl Shim {
    /// The shim's process.
    pub fn process(&self) -> ProcessId {
        self.control.process
    }

    /// The instance that it is for.
    pub fn instance(&self) -> InstanceId {
        self.control.instance
    }

    /// Waits until the server is ready or the launch has failed. The shim bounds the wait itself. When it
    /// fails, every process is gone already, and `Exited` follows.
    pub async fn ready(&mut self) -> Result<Ready, LaunchError> {
        let launched = self.launched.take().expect("`ready` is asked once");
        let result = launched.await.expect("the owner task always decides a launch");
        self.decided = true;
        result
    }

    /// What may be asked of it; clones are the same shim.
    pub fn control(&self) -> ShimControl {
        self.control.clone()
    }

    /// What it says. A driver that does not confirm lines gets no more of them until it does.
    pub fn take_events(&mut self) -> mpsc::Receiver<ShimEvent> {
        self.events.take().expect("the events are taken once")
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if !self.decided {
            self.control.kill();
        }
    }
}

pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
}

/// What may be asked of a shim.
#[derive(Debug, Clone)]
pub struct ShimControl {
    pub(crate) instance: InstanceId,
    pub(crate) process: ProcessId,
    pub(crate) asked: mpsc::Sender<Asked>,
    pub(crate) kill: watch::Sender<bool>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

impl ShimControl {
    /// The shim's process.
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Ends the instance: calls in flight get the grace, then the server the ladder. Answered when begun; the
    /// end itself is the event `Exited`.
    pub async fn stop(&self, reason: StopReason, grace: Duration) -> Result<(), CommandError> {
        self.change(Command::Stop { reason, grace_ms: millis(grace) }).await
    }

    /// Moves the deadline. Once this returns, the shim keeps the new one.
    pub async fn set_deadline(&self, generation: u64, remaining: Duration) -> Result<(), CommandError> {
        self.change(Command::SetDeadline { generation, remaining_ms: millis(remaining) }).await
    }

    /// Replaces the access token. Once this returns, the old one is refused.
    pub async fn set_token(&self, generation: u64, sha256: TokenHash) -> Result<(), CommandError> {
        self.change(Command::SetToken { generation, sha256 }).await
    }

    /// How the instance is.
    pub async fn status(&self) -> Result<Status, CommandError> {
        match self.ask(Command::Status).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(refusal(other)),
        }
    }

    /// The lines up to this one are stored: the shim may forget them.
    pub async fn logs_received(&self, seq: u64) {
        // A shim that is gone has forgotten them anyway.
        let _ = self.asked.send(Asked { command: Command::LogsReceived { seq }, answer: None }).await;
    }

    /// The step of this number is stored: the shim may forget it.
    pub async fn lifecycle_received(&self, seq: u64) {
        // A shim that is gone has left it on disk.
        let _ = self.asked.send(Asked { command: Command::LifecycleReceived { seq }, answer: None }).await;
    }

    /// The facts up to this one are stored: the shim may forget them.
    pub async fn usage_received(&self, seq: u64) {
        // A shim that is gone has left them on disk.
        let _ = self.asked.send(Asked { command: Command::UsageReceived { seq }, answer: None }).await;
    }

    /// Kills the shim, and with it everything that belongs to it. `Exited` follows.
    pub fn kill(&self) {
        self.kill.send_replace(true);
    }

    async fn change(&self, command: Command) -> Result<(), CommandError> {
        match self.ask(command).await? {
            Answer::Done => Ok(()),
            other => Err(refusal(other)),
        }
    }

    async fn ask(&self, command: Command) -> Result<Answer, CommandError> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { command, answer: Some(answer) };
        let exchange = async {
            self.asked.send(asked).await.map_err(|_| CommandError::Ending)?;
            answered.await.map_err(|_| CommandError::Unreachable)
        };
        tokio::time::timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| CommandError::Unreachable)?
    }
}

fn refusal(answer: Answer) -> CommandError {
    match answer {
        Answer::Stale { generation } => CommandError::Stale { generation },
        Answer::Ending => CommandError::Ending,
        Answer::Refused { message } => CommandError::Refused { message },
        Answer::Done | Answer::Status(_) => {
            CommandError::Refused { message: "it answered something else".into() }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
