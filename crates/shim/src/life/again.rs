//! A server that was lost is started again, as its type allows.
//!
//! ```text
//! well ──(the last server ends)──► pause ──► starting ──► well
//!               │                    ▲           │
//!               └─ give up           └───────────┴─ it does not become ready: that counts as an end, too
//! ```
//! Only the loss of the last server counts. A server of a further session takes that session along and nothing else: its
//! neighbours go on, nothing of ours starts it again, and to end them all because of it would be worse.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use roadstead_control::{Failure, FailureCode, LifecycleStep, ServerEnd};
use roadstead_model::restart::GiveUp;
use roadstead_model::{LogLevel, RestartDecision, RestartHistory, RestartPolicy, ServerLoss, duration};
use tokio::time::{Instant, sleep_until};

use super::{Cause, Life};
use crate::instance::{Instance, Phase};
use crate::launcher::Launcher;
use crate::mcp::NotAgain;
use crate::spawner::{End, Ended, Server};

/// The restarts of one instance.
pub(super) struct Again {
    policy: RestartPolicy,
    history: RestartHistory,
    state: State,
    /// The server whose end has been counted already, because it did not become ready.
    counted: Option<u32>,
}

enum State {
    /// Nothing is planned: no timer runs.
    Well,
    Pause {
        lost: Lost,
        until: Instant,
    },
    Starting {
        lost: Lost,
        start: Starting,
    },
}

type Starting = Pin<Box<dyn Future<Output = Result<Server, NotAgain>>>>;

/// The loss that a restart answers.
#[derive(Clone, Copy)]
struct Lost {
    end: End,
    at: Instant,
    attempt: u32,
}

/// What a restart has come to.
pub(super) enum Step {
    /// The pause is over.
    Due,
    /// The fresh server is ready, or will not be.
    Started(Result<Server, NotAgain>),
}

impl Again {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, history: RestartHistory::new(policy), state: State::Well, counted: None }
    }

    /// The first server is ready.
    pub(super) fn ready(&mut self, at: Duration) {
        self.history.ready(at);
    }

    /// The next step of a restart; never, while none is planned.
    pub(super) async fn next(&mut self) -> Step {
        match &mut self.state {
            State::Well => std::future::pending().await,
            State::Pause { until, .. } => {
                sleep_until(*until).await;
                Step::Due
            }
            State::Starting { start, .. } => Step::Started(start.await),
        }
    }
}

impl Life {
    /// The last server has ended unasked. Answers with what ends the instance, if that does.
    pub(super) fn lost(&mut self, ended: Ended) -> Option<Cause> {
        // Before it was ready, whoever starts it sees its end, and knows what follows.
        if self.instance.phase.get() != Phase::Running {
            return None;
        }
        // While a restart is under way, its own outcome tells what became of its server.
        if !matches!(self.again.state, State::Well) || self.again.counted == Some(ended.server) {
            return None;
        }
        self.count(ended.end, loss(ended.end), None)
    }

    /// Goes on with a restart. Answers with what ends the instance, if that does.
    pub(super) fn go_on(&mut self, step: Step) -> Option<Cause> {
        match (step, std::mem::replace(&mut self.again.state, State::Well)) {
            (Step::Due, State::Pause { lost, .. }) => {
                let start = start(Rc::clone(&self.instance), Rc::clone(&self.launcher));
                self.again.state = State::Starting { lost, start: Box::pin(start) };
                None
            }
            (Step::Started(Ok(server)), State::Starting { lost, .. }) => {
                self.restarted(lost, &server);
                None
            }
            (Step::Started(Err(failed)), State::Starting { .. }) => {
                self.again.counted = failed.server;
                self.count(failed.end, loss(failed.end), Some(failed.why))
            }
            // A step is always one of the state that it was waited for in.
            (_, state) => {
                self.again.state = state;
                None
            }
        }
    }

    /// Holds an end against the policy: another restart, or the end of the instance.
    fn count(&mut self, end: End, how: ServerLoss, why: Option<String>) -> Option<Cause> {
        let what = why.unwrap_or_else(|| format!("the server ended, and nobody asked it to: {end}"));
        match self.again.history.ended(self.instance.began.elapsed(), how) {
            RestartDecision::Restart { after, attempt } => {
                if let Some(bridge) = self.instance.bridge.get() {
                    bridge.pause();
                }
                let limits = match self.again.policy {
                    RestartPolicy::OnFailure(limits) => format!(
                        ", of at most {} within {}",
                        limits.max_restarts(),
                        duration::short(limits.window())
                    ),
                    RestartPolicy::Never => String::new(),
                };
                let pause = duration::short(after);
                let line = format!("{what}; it is started again in {pause} (restart {attempt}{limits})");
                self.instance.logs.say(LogLevel::Warn, line);
                let now = Instant::now();
                let lost = Lost { end, at: now, attempt };
                self.again.state = State::Pause { lost, until: now + after };
                None
            }
            RestartDecision::GiveUp(GiveUp::NotWanted { .. }) => Some(Cause::Lost(end)),
            RestartDecision::GiveUp(too_often) => {
                let message = match how {
                    ServerLoss::Lost => format!("{too_often}: {what}"),
                    _ => too_often.to_string(),
                };
                let (code, server_end) = (FailureCode::CrashLoop, seen(end));
                Some(Cause::CrashLoop(Failure { code, message, server_end, stderr_tail: Vec::new() }))
            }
        }
    }

    fn restarted(&mut self, lost: Lost, server: &Server) {
        self.again.history.ready(self.instance.began.elapsed());
        let away = lost.at.elapsed();
        let logs = &self.instance.logs;
        let line = format!(
            "the server answers again as process {} (restart {}, {} ms after its end)",
            server.process.pid,
            lost.attempt,
            away.as_millis()
        );
        logs.say(LogLevel::Info, line);
        let kept = self.instance.events.push(LifecycleStep::Restarted {
            attempt: lost.attempt,
            ended: seen(lost.end),
            process_id: server.process.pid,
            away_ms: u64::try_from(away.as_millis()).unwrap_or(u64::MAX),
        });
        if let Some(error) = kept.not_saved {
            logs.say(LogLevel::Error, format!("that it was started again could not be written: {error}"));
        }
        if kept.dropped {
            logs.say(LogLevel::Warn, "too many steps wait to be stored: the oldest was dropped".to_owned());
        }
    }
}

/// Starts a fresh first server and waits until it is ready, as at launch.
async fn start(instance: Rc<Instance>, launcher: Rc<Launcher>) -> Result<Server, NotAgain> {
    let gone = || NotAgain { why: "there is no bridge".to_owned(), end: End::Lost, server: None };
    let bridge = instance.bridge.get().ok_or_else(gone)?;
    let budget = Duration::from_millis(instance.specification.ready_timeout_ms);
    let server = bridge.start_again(&instance, &launcher, budget).await?;
    let end = *server.end.borrow();
    match end {
        // It ended as soon as it had answered, and the word of it may have been taken for one of the start's.
        Some(end) => Err(NotAgain::ended(&server, end)),
        None => Ok(server),
    }
}

fn loss(end: End) -> ServerLoss {
    match end {
        End::Seen(ServerEnd::Code(code)) => ServerLoss::Code(code),
        End::Seen(ServerEnd::Signal(signal)) => ServerLoss::Signal(signal),
        End::Seen(ServerEnd::OutOfMemory) => ServerLoss::OutOfMemory,
        End::Lost => ServerLoss::Lost,
    }
}

pub(super) fn seen(end: End) -> Option<ServerEnd> {
    match end {
        End::Seen(end) => Some(end),
        End::Lost => None,
    }
}
