//! The steps of a launch that hold something.

use std::sync::Arc;
use std::time::Duration;

use roadstead_access::LaunchPermit;
use roadstead_accounts::PlainToken;
use roadstead_control::{ProcessId, Ready as ShimReady, StopReason};
use roadstead_crypto::TokenKind;
use roadstead_model::{Actor, Confinement, EventType, InstanceId, InstanceStatus, Port, Step, expiry};
use roadstead_port_allocator::PortLease;
use roadstead_store::{
    InstanceRow, ProcessMark, ReopenError, Reopening, ReserveError, Room, Started, StoreError,
};
use roadstead_supervisor::{HeldSoFar, LaunchError as ShimLaunchError, Shim};
use serde_json::json;
use time::OffsetDateTime;

use super::plan::{Plan, gone};
use super::prepare::{Prepared, Told};
use super::quota::quotas;
use super::reserve::{PORT_ATTEMPTS, exhausted, free_port, new_row, refused, until_written};
use crate::admission::{Coming, Place};
use crate::driver::{Driver, shim_hash};
use crate::end::End;
use crate::error::{ChangeError, Failure, LaunchError, StartAgainError};
use crate::live::{Ownership, Request};
use crate::parts::Inner;

/// Lease and row exist; only while it is made, the row is still being written.
pub(super) struct Reserved {
    pub(super) lease: PortLease,
    pub(super) ownership: Ownership,
    pub(super) instance: InstanceId,
    pub(super) token_hash: [u8; 32],
    pub(super) generation: u64,
    pub(super) plan: Plan,
    pub(super) expires_at: OffsetDateTime,
    pub(super) actor: Actor,
    /// What it holds of its turn; nothing for a running instance's restart, which takes none.
    pub(super) place: Option<Place>,
    /// The shim that was prepared while the row was written, or why it could not be.
    pub(super) prepared: Option<Result<Prepared, LaunchError>>,
    /// Whether the row is that of a running instance all the while.
    is_restart: bool,
    /// From readers of the database, in its first moments.
    room: Room,
}

/// The shim runs as well.
pub(super) struct Spawned {
    reserved: Reserved,
    shim: Shim,
    told: Told,
}

/// The server answers as well.
pub(super) struct Ready {
    reserved: Reserved,
    shim: Shim,
    told: Told,
    server: ShimReady,
}

/// What became of the row when the server was ready.
enum Marked {
    /// It says so, for the first time.
    Running(Box<InstanceRow>),
    /// It says so once more.
    Restarted,
    /// Nobody wants it any more.
    Over,
}

// === impl Reserved ===

impl Reserved {
    /// Leases a port and writes the row, in one transaction with the quota. If `hurry` lets it start at once, a shim is prepared
    /// meanwhile.
    pub(super) async fn new(
        inner: &Arc<Inner>,
        permit: &LaunchPermit,
        plan: Plan,
        coming: Coming,
        hurry: bool,
    ) -> Result<(Self, PlainToken), LaunchError> {
        let (instance, token) = {
            let mut rng = inner.parts.randomness.lock();
            let instance = InstanceId::new(&*inner.parts.clock, &mut *rng);
            (instance, PlainToken::generate(TokenKind::Access, &mut *rng))
        };
        // Before the row, so that the reaper never sees a row that nobody answers for.
        let ownership = inner.live.enter(instance);
        inner.took(instance, Step::LaunchBegun);
        let given_up = |_: &LaunchError| inner.steps.given_up(instance);
        let lease = free_port(inner, None).inspect_err(given_up)?;
        let row = new_row(inner, permit, &plan, (instance, lease.port()), &token, inner.now());
        let mut reserved = Self {
            lease,
            ownership,
            instance,
            token_hash: row.token_hash,
            generation: 1,
            expires_at: row.expires_at,
            plan,
            actor: row.actor.clone(),
            place: None,
            prepared: None,
            is_restart: false,
            room: inner.store().make_room(),
        };
        let (written, coming) =
            reserved.write_beside(inner, row, coming, hurry).await.inspect_err(given_up)?;
        reserved.lease =
            until_written(inner, written, &mut reserved.plan, reserved.lease).await.inspect_err(given_up)?;
        inner.took(instance, Step::RowReserved);
        let reserved = match coming {
            Some(coming) => reserved.enter(coming, permit.user()),
            None => reserved,
        };
        Ok((reserved, token))
    }

    /// Leases a port, the former one if it is to be had, and makes the row of an instance that has ended pending again,
    /// in one transaction with the quota.
    pub(super) async fn again(
        inner: &Arc<Inner>,
        ownership: Ownership,
        mut plan: Plan,
        mut reopening: Reopening,
    ) -> Result<Self, StartAgainError> {
        let instance = reopening.id;
        inner.took(instance, Step::LaunchBegun);
        let former =
            inner.store().ports().former(reopening.node, instance).await.map_err(LaunchError::Store)?;
        let mut lease = free_port(inner, former)?;
        let quotas = quotas(&inner.settings());
        for attempt in 1.. {
            reopening.port = lease.port();
            let error = match inner.store().instances().reopen(&reopening, &quotas).await {
                Ok(desired) => {
                    inner.took(instance, Step::RowReserved);
                    return Ok(Self {
                        lease,
                        ownership,
                        instance,
                        token_hash: desired.token_hash,
                        generation: desired.generation.unsigned_abs(),
                        expires_at: desired.expires_at,
                        plan,
                        actor: reopening.actor,
                        place: None,
                        prepared: None,
                        is_restart: false,
                        room: inner.store().make_room(),
                    });
                }
                Err(ReopenError::Missing) => return Err(ChangeError::NotFound.into()),
                Err(ReopenError::Refused(refused)) => return Err(refused.into()),
                Err(ReopenError::Reserve(error)) => error,
            };
            match error {
                ReserveError::PortHeld(_) if attempt < PORT_ATTEMPTS => {
                    lease = lease.taken_by_other().map_err(|full| exhausted(&full))?;
                }
                ReserveError::CredentialChanged if attempt < PORT_ATTEMPTS => {
                    plan.read_again(inner, reopening.user).await.map_err(gone)?;
                    reopening.credential = plan.credential;
                }
                error => return Err(refused(inner, error).into()),
            }
        }
        unreachable!("the loop ends with an answer")
    }

    /// Takes over what the driver of a running instance held, for its next shim.
    pub(super) fn restarted(
        inner: &Inner,
        ownership: Ownership,
        lease: PortLease,
        plan: Plan,
        row: &InstanceRow,
        actor: Actor,
    ) -> Self {
        inner.took(row.id, Step::LaunchBegun);
        inner.took(row.id, Step::RowReserved);
        Self {
            lease,
            ownership,
            instance: row.id,
            token_hash: row.token_hash,
            generation: row.generation.unsigned_abs(),
            expires_at: row.expires_at,
            plan,
            actor,
            place: None,
            prepared: None,
            is_restart: true,
            room: inner.store().make_room(),
        }
    }

    pub(super) const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Starts the shim and hands the specification over.
    pub(super) async fn spawn(mut self, inner: &Arc<Inner>) -> Result<Spawned, LaunchError> {
        // It may have waited for its turn until now.
        self.room = inner.store().make_room();
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => self.prepare(inner).await,
        };
        let started = match prepared {
            Ok(prepared) => prepared.start(inner).await,
            Err(error) => Err(error),
        };
        match started {
            Ok((shim, told)) => Ok(Spawned { reserved: self, shim, told }),
            Err(LaunchError::ServerFailed { instance, failure }) => {
                self.abort(inner, InstanceStatus::Error, &failure.message).await;
                Err(LaunchError::ServerFailed { instance, failure })
            }
            Err(error) => {
                let message = match &error {
                    LaunchError::Exhausted { .. } => error.to_string(),
                    _ => "the shim could not be started; the service's log says why".to_owned(),
                };
                self.abort(inner, InstanceStatus::Error, &message).await;
                Err(error)
            }
        }
    }

    /// Ends the row with the cause and gives everything back.
    async fn abort(self, inner: &Arc<Inner>, status: InstanceStatus, message: &str) {
        let end = End::unrecorded(status, message, inner.now());
        inner.finish(self.instance, &end, &self.actor).await;
    }
}

// === impl Spawned ===

impl Spawned {
    /// Waits until the server answers, unless somebody asks for the end before.
    pub(super) async fn wait_ready(mut self, inner: &Arc<Inner>) -> Result<Ready, LaunchError> {
        let control = self.shim.control();
        let mut over = None;
        let launched = {
            let waiting = self.shim.ready();
            tokio::pin!(waiting);
            loop {
                tokio::select! {
                    launched = &mut waiting => break launched,
                    request = self.reserved.ownership.requests.recv() => {
                        let reason = match request {
                            Some(Request::Stop { reason, actor }) => {
                                self.reserved.actor = actor;
                                reason
                            }
                            Some(Request::EndOver { message }) => {
                                over = Some(message);
                                StopReason::LaunchFailed
                            }
                            // Other requests need a running instance; dropping one answers no.
                            _ => continue,
                        };
                        if control.stop(reason, Duration::ZERO).await.is_err() {
                            control.kill();
                        }
                    }
                }
            }
        };
        match launched {
            Ok(ready) => {
                inner.took(self.reserved.instance, Step::ServerReady);
                let Self { reserved, shim, told } = self;
                Ok(Ready { reserved, shim, told, server: ready })
            }
            Err(error) => Err(self.failed(inner, &error, over).await),
        }
    }

    async fn failed(
        mut self,
        inner: &Arc<Inner>,
        error: &ShimLaunchError,
        over: Option<String>,
    ) -> LaunchError {
        let instance = self.reserved.instance;
        // What the server said on its way is stored as any other line.
        let mut events = self.shim.take_events();
        let mut record = None;
        while let Some(event) = events.recv().await {
            match event {
                roadstead_supervisor::ShimEvent::Logs { entries, .. } => {
                    let unheard = tokio::sync::watch::Sender::new(0);
                    inner.parts.log_writer.hand_in(instance, entries, unheard).await;
                }
                roadstead_supervisor::ShimEvent::Exited(exited) => record = Some(exited),
                // It never served anybody: what it spoke, and in which process, is of no use. What calls cost is on disk.
                roadstead_supervisor::ShimEvent::Ready(_)
                | roadstead_supervisor::ShimEvent::Usage { .. }
                | roadstead_supervisor::ShimEvent::EraFound(_)
                | roadstead_supervisor::ShimEvent::ToolsDiffer(_)
                | roadstead_supervisor::ShimEvent::ServerChanged(_)
                | roadstead_supervisor::ShimEvent::Lifecycle(_) => {}
            }
        }
        let (mut end, mut failure) = match error {
            ShimLaunchError::Failed(failure) => {
                let end = record.as_ref().map_or_else(
                    || End::unrecorded(InstanceStatus::Error, &failure.message, inner.now()),
                    End::of,
                );
                (end, Failure::from(failure))
            }
            ShimLaunchError::Ended(record) => {
                let end = End::of(record);
                let message = format!("the instance ended ({}) before it was ready", end.status);
                (
                    end,
                    Failure { code: "ENDED".to_owned(), message, stderr_tail: Vec::new(), timed_out: false },
                )
            }
        };
        if matches!(error, ShimLaunchError::Failed(_)) {
            // Whatever ended it, it never became ready.
            (end.status, end.event) = (InstanceStatus::Error, EventType::Error);
            end.message.get_or_insert_with(|| failure.message.clone());
        }
        if let Some(message) = over {
            failure.message.clone_from(&message);
            end.was_over(message);
        }
        let failed = LaunchError::ServerFailed { instance, failure };
        if failed.lost_the_port() && !self.reserved.is_restart {
            // Nothing has failed yet: the launch begins again with another port.
            inner.steps.forget(instance);
        }
        inner.finish(instance, &end, &self.reserved.actor).await;
        failed
    }
}

// === impl Ready ===

impl Ready {
    /// Row → running, route open, and the driver takes everything over. Answers the row, unless it is that of a restart.
    pub(super) async fn publish(mut self, inner: &Arc<Inner>) -> Result<Option<InstanceRow>, LaunchError> {
        let instance = self.reserved.instance;
        let control = self.shim.control();
        let port = self.reserved.lease.port();
        let (shim, actor) = (self.shim.process(), self.reserved.actor.clone());
        let mut started = started(inner.now(), &self.server, self.told.held, shim, port, actor);
        started.event_data["command"] = json!(std::mem::take(&mut self.told.command));
        started.control_key = Some(self.told.control_key.get());
        let published = self.mark(inner, &started).await;
        let is_wanted = matches!(published, Ok(Marked::Running(_) | Marked::Restarted));
        if is_wanted {
            inner.took(instance, Step::RowRunning);
        }
        let route = is_wanted.then(|| inner.route_to(instance));
        self.reserved.ownership.set_restarting(false);
        if self.server.silent {
            let message = "the server answered no ping; it lives, so it was taken for ready".to_owned();
            inner
                .parts
                .log_writer
                .say(&*inner.parts.clock, instance, roadstead_model::LogLevel::Info, message)
                .await;
        }
        if route.is_none() {
            // The row has ended meanwhile, or could not be written: nobody will ever use the server.
            if control.stop(StopReason::LaunchFailed, Duration::ZERO).await.is_err() {
                control.kill();
            }
        }
        let driver = Driver {
            inner: Arc::clone(inner),
            instance,
            control,
            events: self.shim.take_events(),
            ownership: self.reserved.ownership,
            lease: self.reserved.lease,
            route,
            deadline: self.reserved.expires_at,
            actor: Actor::SYSTEM,
            type_version: (self.reserved.plan.type_id, self.reserved.plan.type_version),
            server: self.server.server,
            is_ready: true,
            is_ending: false,
            restart: None,
            overtaken: None,
            over: None,
            dropped_lines: 0,
        };
        inner.own(driver.run());
        if is_wanted {
            inner.took(instance, Step::Published);
        }
        match published {
            Ok(Marked::Running(row)) => Ok(Some(*row)),
            Ok(Marked::Restarted) => Ok(None),
            Ok(Marked::Over) => {
                let failure = Failure {
                    code: "ENDED".to_owned(),
                    message: "the instance was ended while it started".to_owned(),
                    stderr_tail: Vec::new(),
                    timed_out: false,
                };
                Err(LaunchError::ServerFailed { instance, failure })
            }
            Err(error) => Err(LaunchError::Store(error)),
        }
    }

    /// Writes down that the server is ready.
    async fn mark(&mut self, inner: &Inner, started: &Started) -> Result<Marked, StoreError> {
        let instance = self.reserved.instance;
        if !self.reserved.is_restart {
            let row = inner.store().instances().mark_running(instance, started).await?;
            return Ok(row.map_or(Marked::Over, |row| Marked::Running(Box::new(row))));
        }
        let plan = &self.reserved.plan;
        let (version, credential) = (plan.type_version, plan.credential.map(|used| used.version));
        let instances = inner.store().instances();
        let packages = &plan.made_of.places;
        let desired = instances.mark_restarted(instance, version, credential, packages, started).await?;
        let Some(desired) = desired else { return Ok(Marked::Over) };
        let generation = desired.generation.unsigned_abs();
        if generation == self.reserved.generation {
            return Ok(Marked::Restarted);
        }
        // Changed while no shim was there to be told.
        let control = self.shim.control();
        let remaining = expiry::remaining(desired.expires_at, inner.now());
        self.reserved.expires_at = desired.expires_at;
        let told = control.set_deadline(generation, remaining).await.is_ok()
            && control.set_token(generation, shim_hash(&desired.token_hash)).await.is_ok();
        Ok(if told { Marked::Restarted } else { Marked::Over })
    }
}

/// What a row is told when a server is ready.
pub(crate) fn started(
    at: OffsetDateTime,
    ready: &ShimReady,
    held: HeldSoFar,
    shim: ProcessId,
    port: Port,
    actor: Actor,
) -> Started {
    Started {
        at,
        process: mark(ready.server),
        shim: mark(shim),
        confinement: confinement(ready, held),
        control_key: None,
        actor,
        event_data: json!({
            "pid": ready.server.pid,
            "port": port,
            "isolation": ready.isolation.as_str(),
            "era": ready.era,
        }),
    }
}

/// How an instance is confined, as far as its shim knows.
fn confinement(ready: &ShimReady, held: HeldSoFar) -> Option<Confinement> {
    let mechanisms = ready.mechanisms?;
    Some(Confinement { level: mechanisms.level(), mechanisms, limits: held.kept_by(ready.isolation) })
}

/// A process as rows name it.
pub(crate) fn mark(process: ProcessId) -> ProcessMark {
    ProcessMark { pid: u32::try_from(process.pid).unwrap_or_default(), started: process.started }
}
