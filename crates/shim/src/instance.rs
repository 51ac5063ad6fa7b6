//! What is known of the instance while it lives, and what may be asked of it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use roadstead_control::{
    Answer, Command, ExitRecord, IsolationLevel, PROTOCOL_VERSION, ProcessId, Ready, ShimState,
    Specification, Status, StopReason, TokenHash,
};
use roadstead_listener::Tidy;
use roadstead_model::{Clock, Era, Mechanisms, ToolsDiffer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::events::Events;
use crate::folder::Folder;
use crate::logs::Logs;
use crate::mcp::Mcp;
use crate::spawner::Spawner;
use crate::usage::Usage;

/// Where the instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Pending,
    Running,
    Ending,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ending => "ending",
        }
    }
}

/// Somebody wants the instance to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StopWanted {
    pub(crate) reason: StopReason,
    pub(crate) grace: Duration,
}

/// The one instance of this process, shared by its tasks: one thread, no locks.
pub(crate) struct Instance {
    pub(crate) specification: Specification,
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) folder: Folder,
    pub(crate) token: Cell<TokenHash>,
    pub(crate) generation: Cell<u64>,
    pub(crate) deadline: Deadline,
    pub(crate) logs: Rc<Logs>,
    pub(crate) events: Events,
    pub(crate) usage: Rc<Usage>,
    pub(crate) spawner: Rc<Spawner>,
    pub(crate) tidy: Tidy,
    pub(crate) bridge: OnceCell<Mcp>,
    pub(crate) phase: Cell<Phase>,
    /// What was reported of the server when it first answered.
    pub(crate) ready: watch::Sender<Option<Ready>>,
    /// From here on time is counted that no change of a clock may change.
    pub(crate) began: Instant,
    /// When the first server was ready, from then on.
    pub(crate) ready_at: Cell<Option<Duration>>,
    /// The era that the server was found to speak.
    pub(crate) era: watch::Sender<Option<Era>>,
    /// Which of its tools are others than the approved ones.
    pub(crate) tools_differ: watch::Sender<Option<ToolsDiffer>>,
    pub(crate) shim: ProcessId,
    pub(crate) init: ProcessId,
    pub(crate) isolation: IsolationLevel,
    /// What was put up around its servers, once that is known.
    pub(crate) mechanisms: Cell<Option<Mechanisms>>,
    pub(crate) stop: watch::Sender<Option<StopWanted>>,
    pub(crate) exit: watch::Sender<Option<ExitRecord>>,
}

impl Instance {
    /// Carries out a command of roadstead's; `None` where no answer is wanted.
    pub(crate) fn obey(&self, command: &Command) -> Option<Answer> {
        let answer = match *command {
            Command::LogsReceived { seq } => {
                self.logs.stored(seq);
                return None;
            }
            Command::LifecycleReceived { seq } => {
                self.events.stored(seq);
                return None;
            }
            Command::UsageReceived { seq } => {
                self.usage.confirmed(seq);
                return None;
            }
            Command::Status => Answer::Status(Box::new(self.status())),
            _ if self.phase.get() == Phase::Ending => Answer::Ending,
            Command::Stop { reason, grace_ms } => {
                self.stop.send_if_modified(|stop| {
                    let first = stop.is_none();
                    if first {
                        *stop = Some(StopWanted { reason, grace: Duration::from_millis(grace_ms) });
                    }
                    first
                });
                Answer::Done
            }
            Command::SetDeadline { generation, remaining_ms } => self.renew(generation, || {
                self.deadline.set(Duration::from_millis(remaining_ms)).map_err(|e| e.to_string())
            }),
            Command::SetToken { generation, sha256 } => self.renew(generation, || {
                self.token.set(sha256);
                Ok(())
            }),
        };
        Some(answer)
    }

    /// Applies a change that is not older than what is in force, and records it before it is acknowledged.
    fn renew(&self, generation: u64, change: impl FnOnce() -> Result<(), String>) -> Answer {
        let known = self.generation.get();
        if generation < known {
            return Answer::Stale { generation: known };
        }
        let saved = change().and_then(|()| {
            self.generation.set(generation);
            self.save_state().map_err(|e| e.to_string())
        });
        match saved {
            Ok(()) => Answer::Done,
            Err(message) => Answer::Refused { message },
        }
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            status: self.phase.get().as_str().to_owned(),
            generation: self.generation.get(),
            remaining_ms: u64::try_from(self.deadline.remaining().as_millis()).unwrap_or(u64::MAX),
            server: *self.spawner.oldest().borrow(),
            servers: self.spawner.living(),
            in_flight: self.in_flight(),
            isolation: self.isolation,
            last_log_seq: self.logs.last_seq(),
            alive: self.alive(),
        }
    }

    /// Calls that wait for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.bridge.get().map_or(0, Mcp::in_flight)
    }

    /// Writes who this shim is, for a roadstead that starts later.
    pub(crate) fn save_state(&self) -> std::io::Result<()> {
        let plan = &self.specification;
        self.folder.save_state(&ShimState {
            version: PROTOCOL_VERSION,
            installation: plan.installation,
            instance: plan.instance,
            node: plan.node,
            boot: plan.boot,
            shim: self.shim,
            init: self.init,
            listen: plan.listen,
            generation: self.generation.get(),
            deadline: self.clock.now() + self.deadline.remaining(),
            token_sha256: self.token.get(),
            isolation: self.isolation,
            mechanisms: self.mechanisms.get(),
        })
    }
}
