//! The one owner of a running instance: it hears the shim, obeys requests, and writes the end down.
//!
//! ```text
//! running ──stop asked──► route closed ──► shim stops ──┐
//!    │  ├──deadline─────► route closed ──► shim expires ┼─► Exited ─► end
//!    │  ├──restart──────► route closed ──► shim stops ──│─► Exited ─► a launch with the same row, port and ownership
//!    └──server gone─────────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use roadstead_control::{ExitRecord, LogEntry, ProcessId, Ready, StopReason, TokenHash};
use roadstead_gateway::RouteLease;
use roadstead_model::{
    Actor, Era, EventType, InstanceId, InstanceStatus, LogLevel, Step, ToolsDiffer, TypeId, expiry,
};
use roadstead_port_allocator::PortLease;
use roadstead_store::Probed;
use roadstead_supervisor::{CommandError, ShimControl, ShimEvent};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::end::{End, OVER_LIMIT};
use crate::live::{Ownership, Request, Restart};
use crate::parts::Inner;

/// The pause after which a shim that was killed and is still there is killed again.
const KILL_AGAIN: Duration = Duration::from_secs(10);

pub(crate) struct Driver {
    pub(crate) inner: Arc<Inner>,
    pub(crate) instance: InstanceId,
    pub(crate) control: ShimControl,
    pub(crate) events: mpsc::Receiver<ShimEvent>,
    pub(crate) ownership: Ownership,
    pub(crate) lease: PortLease,
    pub(crate) route: Option<RouteLease>,
    pub(crate) deadline: OffsetDateTime,
    /// Who asked for the end, once somebody has.
    pub(crate) actor: Actor,
    /// The type, as it was at the launch.
    pub(crate) type_version: (TypeId, i32),
    /// The server process that the row names.
    pub(crate) server: ProcessId,
    /// The row says that the server is ready.
    pub(crate) is_ready: bool,
    /// The shim was told to end.
    pub(crate) is_ending: bool,
    /// What follows when the shim has ended, instead of the end.
    pub(crate) restart: Option<Box<Restart>>,
    /// How many lines the shim had dropped when it was last heard.
    pub(crate) dropped_lines: u64,
    /// Why a restart that was under way is the end after all.
    pub(crate) overtaken: Option<StopReason>,
    /// What it had taken too much of, when it is ended for that.
    pub(crate) over: Option<String>,
}

/// Rest before it is tried again to write down that a server is ready.
const PUBLISH_REST: Duration = Duration::from_secs(1);

/// What happens next to an instance.
enum Event {
    Shim(Option<ShimEvent>),
    Asked(Option<Request>),
    Stored(u64),
    UsageStored(u64),
    Due,
    Overdue,
    Again,
}

impl Driver {
    /// Lives as long as the instance.
    pub(crate) async fn run(mut self) {
        let _known = self.inner.admission.runs(self.instance, self.type_version.0);
        let (stored, mut storing) = watch::channel(0_u64);
        let (usage_stored, mut usage_storing) = watch::channel(0_u64);
        let mut asking = true;
        let mut unpublished: Option<Ready> = None;
        let mut overdue_at = self.overdue_at(self.deadline);
        let record = loop {
            let due = self.route.is_some();
            let event = tokio::select! {
                biased;
                event = self.events.recv() => Event::Shim(event),
                request = self.ownership.requests.recv(), if asking => Event::Asked(request),
                Ok(()) = storing.changed() => Event::Stored(*storing.borrow_and_update()),
                Ok(()) = usage_storing.changed() => Event::UsageStored(*usage_storing.borrow_and_update()),
                () = sleep_until(&self.inner, self.deadline), if due => Event::Due,
                () = sleep_until(&self.inner, overdue_at) => Event::Overdue,
                () = tokio::time::sleep(PUBLISH_REST), if unpublished.is_some() => Event::Again,
            };
            match event {
                Event::Shim(Some(ShimEvent::Logs { entries, dropped })) => {
                    self.hand_in(entries, dropped, stored.clone()).await;
                }
                Event::Shim(Some(ShimEvent::Ready(ready))) => unpublished = self.publish(ready).await,
                Event::Again => {
                    if let Some(ready) = unpublished.take() {
                        unpublished = self.publish(ready).await;
                    }
                }
                Event::Shim(Some(ShimEvent::Usage { facts })) => {
                    self.inner.parts.usage_writer.hand_in(self.instance, facts, usage_stored.clone()).await;
                }
                Event::Shim(Some(ShimEvent::EraFound(era))) => self.remember(era).await,
                Event::Shim(Some(ShimEvent::ToolsDiffer(tools))) => self.tools_differ(&tools).await,
                Event::Shim(Some(ShimEvent::ServerChanged(server))) => self.name(server).await,
                Event::Shim(Some(ShimEvent::Lifecycle(step))) => {
                    self.inner.take_step(self.instance, step, &self.control).await;
                }
                Event::Shim(Some(ShimEvent::Exited(record))) => break Some(record),
                Event::Shim(None) => break None,
                Event::Stored(seq) => self.control.logs_received(seq).await,
                Event::UsageStored(seq) => self.control.usage_received(seq).await,
                Event::Due => self.due(),
                Event::Overdue => {
                    self.say(LogLevel::Error, "the shim did not end in time and was killed").await;
                    self.control.kill();
                    overdue_at = self.inner.now() + KILL_AGAIN;
                }
                Event::Asked(None) => asking = false,
                Event::Asked(Some(request)) => {
                    let was_ending = self.is_ending;
                    self.obey(request).await;
                    // Asked again while it ends, it gets no more time.
                    match (was_ending, self.is_ending) {
                        (_, false) => overdue_at = self.overdue_at(self.deadline),
                        (false, true) => overdue_at = self.overdue_at(self.inner.now()),
                        (true, true) => {}
                    }
                }
            }
        };
        self.shim_is_gone(record).await;
    }

    async fn shim_is_gone(mut self, record: Option<ExitRecord>) {
        match self.restart.take() {
            Some(restart) if !expiry::is_due(self.deadline, self.inner.now()) => self.begin_again(*restart),
            Some(_) => {
                self.overtaken = Some(StopReason::Expired);
                self.end(record).await;
            }
            None => self.end(record).await,
        }
    }

    /// New callers are turned away; the shim keeps the deadline itself and lets calls in flight finish.
    fn due(&mut self) {
        (self.route, self.is_ending) = (None, true);
        self.inner.took(self.instance, Step::EndBegun);
    }

    async fn hand_in(&mut self, entries: Vec<LogEntry>, dropped: u64, stored: watch::Sender<u64>) {
        let before = std::mem::replace(&mut self.dropped_lines, dropped);
        self.inner.parts.metrics.log_lines_dropped(dropped.saturating_sub(before));
        self.inner.parts.log_writer.hand_in(self.instance, entries, stored).await;
    }

    /// When a shim that began to end at `from` must be gone.
    fn overdue_at(&self, from: OffsetDateTime) -> OffsetDateTime {
        from + self.inner.parts.limits.longest_end()
    }

    async fn obey(&mut self, request: Request) {
        match request {
            Request::Stop { reason, actor } => self.stop(reason, actor).await,
            Request::Control { done } => {
                // Whoever asked may have left.
                let _ = done.send(self.control.clone());
            }
            Request::EndOver { message } => self.end_over(message).await,
            Request::Restart(restart) => self.restart(restart).await,
            Request::SetDeadline { generation, expires_at, done } => {
                let remaining = Duration::try_from(expires_at - self.inner.now()).unwrap_or_default();
                let kept = self.control.set_deadline(generation, remaining).await.is_ok();
                if kept {
                    self.deadline = expires_at;
                }
                acknowledge(done, kept);
            }
            Request::SetToken { generation, sha256, done } => {
                acknowledge(done, self.control.set_token(generation, sha256).await.is_ok());
            }
        }
    }

    async fn stop(&mut self, reason: StopReason, actor: Actor) {
        let is_first = !std::mem::replace(&mut self.is_ending, true);
        if self.restart.take().is_some() {
            self.overtaken = Some(reason);
            self.ownership.set_restarting(false);
        } else if !is_first {
            return;
        }
        self.route = None;
        self.actor = actor;
        if is_first {
            self.inner.took(self.instance, Step::EndBegun);
        }
        let word = match reason {
            StopReason::Requested => "requested",
            StopReason::Expired => "expired",
            StopReason::Idle => "idle",
            StopReason::Shutdown => "shutdown",
            StopReason::LaunchFailed => "launch failed",
        };
        self.mark_stopping(word).await;
        if !is_first {
            // The shim was told to end when the restart began.
            return;
        }
        let grace =
            if reason == StopReason::Shutdown { Duration::ZERO } else { self.inner.parts.limits.grace };
        self.tell_to_end(reason, grace).await;
    }

    /// Ends it at once: what is above its limits takes from its neighbours. One that ends already, or is about to start
    /// afresh, gives everything back anyway.
    async fn end_over(&mut self, message: String) {
        if std::mem::replace(&mut self.is_ending, true) {
            return;
        }
        self.route = None;
        self.inner.took(self.instance, Step::EndBegun);
        tracing::warn!(instance.id = %self.instance, message, "an instance is ended for what it takes");
        self.say(LogLevel::Error, &message).await;
        // Should another service see the end, it finds both in the row.
        let kept = self.inner.store().instances().set_live_error(self.instance, Some(&message)).await;
        if let Err(error) = kept {
            tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                "what an instance is ended for could not be written");
        }
        self.mark_stopping(OVER_LIMIT).await;
        self.over = Some(message);
        // In a word that shims of every version know: the row says the rest.
        self.tell_to_end(StopReason::Requested, Duration::ZERO).await;
    }

    async fn mark_stopping(&self, word: &str) {
        let marked =
            self.inner.store().instances().mark_stopping(self.instance, word, self.inner.now()).await;
        if let Err(error) = marked {
            // It stops all the same; the end is written when the database is back.
            tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                "that an instance stops could not be written");
        }
    }

    /// Ends the shim, with the grace of a stop; the row stays that of a running instance, and the port is kept.
    async fn restart(&mut self, mut restart: Box<Restart>) {
        if self.is_ending || self.route.take().is_none() {
            // It ends, or is restarted already: dropped, the request says no.
            return;
        }
        self.is_ending = true;
        self.inner.took(self.instance, Step::EndBegun);
        self.ownership.set_restarting(true);
        let (unheard, _) = oneshot::channel();
        // Whoever asked may have left.
        let _ = std::mem::replace(&mut restart.begun, unheard).send(());
        self.restart = Some(restart);
        self.tell_to_end(StopReason::Requested, self.inner.parts.limits.grace).await;
    }

    async fn tell_to_end(&self, reason: StopReason, grace: Duration) {
        match self.control.stop(reason, grace).await {
            // On its way already, for a reason of its own.
            Ok(()) | Err(CommandError::Ending) => {}
            Err(_) => self.control.kill(),
        }
    }

    /// Hands port and ownership over to the next launch of the instance, which a stop of the service waits for.
    fn begin_again(self, restart: Restart) {
        let Self { inner, instance, ownership, lease, .. } = self;
        let tasks = inner.parts.tasks.clone();
        tasks.spawn(crate::launch::begin_again(inner, instance, ownership, lease, restart));
    }

    /// The next launch of this version of the type need not find the era out again.
    async fn remember(&self, era: Era) {
        let (id, version) = self.type_version;
        let found = Probed { era, at: self.inner.now() };
        if let Err(error) = self.inner.store().types().remember_era(id, version, found).await {
            tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                "the era of a type that was found out could not be kept; the next launch finds it out again");
        }
    }

    /// What a client was told of the tools is not what was approved.
    async fn tools_differ(&self, tools: &ToolsDiffer) {
        let (id, version) = self.type_version;
        if let Err(error) = self.inner.parts.accounts.tools_differ_in_use(id, version, tools).await {
            tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                "that tools are others than the approved ones could not be kept; it is told again when the shim is met again");
        }
    }

    /// A launch that an earlier run began has come to its end: the row → running, and the way is open.
    /// Gives the news back when it could not be written.
    async fn publish(&mut self, ready: Ready) -> Option<Ready> {
        if self.is_ready || self.is_ending {
            return None;
        }
        let (inner, port, shim) = (&self.inner, self.lease.port(), self.control.process());
        let held = inner.parts.supervisor.limits_held(inner.parts.node.installation, self.instance);
        let started = crate::launch::started(inner.now(), &ready, held, shim, port, Actor::SYSTEM);
        match inner.store().instances().mark_running(self.instance, &started).await {
            Ok(Some(_)) => {
                inner.took(self.instance, Step::RowRunning);
                self.route = Some(inner.route_to(self.instance));
                inner.took(self.instance, Step::Published);
                (self.is_ready, self.server) = (true, ready.server);
            }
            // The row has ended meanwhile: nobody will ever use the server.
            Ok(None) => self.stop(StopReason::LaunchFailed, Actor::SYSTEM).await,
            Err(error) => {
                tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                    "that an instance is ready could not be written");
                return Some(ready);
            }
        }
        None
    }

    async fn name(&mut self, server: ProcessId) {
        if server == self.server {
            return;
        }
        self.server = server;
        let process = crate::launch::mark(server);
        if let Err(error) = self.inner.store().instances().change_process(self.instance, process).await {
            tracing::warn!(instance.id = %self.instance, error = &error as &dyn std::error::Error,
                "which process an instance has now could not be written");
        }
    }

    async fn say(&self, level: LogLevel, message: &str) {
        let clock = &*self.inner.parts.clock;
        self.inner.parts.log_writer.say(clock, self.instance, level, message.to_owned()).await;
    }

    async fn end(mut self, record: Option<ExitRecord>) {
        self.route = None;
        let mut end = record.as_ref().map_or_else(
            || {
                let message = "the shim is gone and left no record";
                End::unrecorded(InstanceStatus::Disconnected, message, self.inner.now())
            },
            End::of,
        );
        if self.overtaken == Some(StopReason::Expired) {
            (end.status, end.event) = (InstanceStatus::Expired, EventType::Expired);
        }
        if let Some(message) = self.over {
            end.was_over(message);
        }
        self.inner.finish(self.instance, &end, &self.actor).await;
        // The port before the word that it has ended: who hears the word may count on the port.
        drop(self.lease);
        drop(self.ownership);
    }
}

fn acknowledge(done: oneshot::Sender<bool>, kept: bool) {
    // Whoever asked may have left.
    let _ = done.send(kept);
}

async fn sleep_until(inner: &Inner, at: OffsetDateTime) {
    let remaining = Duration::try_from(at - inner.now()).unwrap_or_default();
    tokio::time::sleep(remaining).await;
}

/// A token's hash as the shim wants it.
pub(crate) fn shim_hash(hash: &[u8; 32]) -> TokenHash {
    TokenHash::new(*hash)
}
