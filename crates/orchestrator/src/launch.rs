//! A launch: request → plan → `Reserved` → its turn → `Spawned` → `Ready` → published. What a step holds is given back when
//! the step is dropped; the row is ended with the cause.

mod again;
mod autostart;
mod confine;
mod made_of;
mod plan;
mod prepare;
mod quota;
mod reserve;
mod specification;
mod steps;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_access::LaunchPermit;
use roadstead_accounts::PlainToken;
use roadstead_model::{Actor, CredentialId};
use roadstead_store::InstanceRow;
use serde_json::{Map, Value};

use crate::admission::Queued;
use crate::error::LaunchError;
use crate::parts::{Inner, Orchestrator};
pub(crate) use again::{Asker, begin_again};
pub(crate) use plan::{Plan, next_config};
pub(crate) use specification::{RELAY, written};
use steps::Reserved;
pub(crate) use steps::{mark, started};

/// How often a launch that lost its port to another program begins again with the next.
const PORT_RACES: usize = 5;

/// What a caller asks for.
pub struct LaunchRequest {
    /// The server type's name.
    pub type_name: String,
    /// What the owner calls the instance; none for one made of type and id.
    pub name: Option<String>,
    /// A stored credential.
    pub credential: Option<CredentialId>,
    /// Secret values that are kept with the instance alone.
    pub secrets: Option<BTreeMap<String, String>>,
    /// Merged over the type's defaults.
    pub config: Map<String, Value>,
    /// The lifetime; none for the setting's.
    pub expires_in: Option<Duration>,
    /// After how long without a request it ends; none for the type's. Not longer than the type's.
    pub idle_limit: Option<Duration>,
    /// Whether each use moves the deadline on.
    pub keep: bool,
    /// Whether it is started again by itself when the machine was.
    pub autostart: bool,
    /// When to answer.
    pub wait: Wait,
    /// Whether it is only asked what it offers: then its type need not be approved.
    pub inspects: bool,
}

/// When a launch is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// When the server is ready, or has failed.
    Ready,
    /// When the row is written.
    None,
}

/// The deadline of an instance that is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It keeps the one that it has.
    Same,
    /// It gets a new one, so long from now on; none for the setting's.
    New(Option<Duration>),
}

/// An instance and its token, which is shown once.
#[derive(Debug)]
pub struct Launched {
    /// The row.
    pub instance: InstanceRow,
    /// The access token.
    pub token: PlainToken,
    /// Where it stands, if it waits to be started.
    pub queued: Option<Queued>,
}

impl std::fmt::Debug for LaunchRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchRequest").field("type_name", &self.type_name).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Launches an instance. The work goes on if the caller stops waiting.
    pub async fn launch(
        &self,
        permit: LaunchPermit,
        request: LaunchRequest,
    ) -> Result<Launched, LaunchError> {
        if self.0.parts.stopping.is_cancelled() {
            return Err(LaunchError::ShuttingDown);
        }
        if !self.0.settings().launches.enabled {
            return Err(LaunchError::Disabled);
        }
        let inner = Arc::clone(&self.0);
        let work = tracing::Instrument::in_current_span(run(inner, permit, request));
        self.0.parts.tasks.spawn(work).await.map_err(LaunchError::Panicked)?
    }
}

async fn run(
    inner: Arc<Inner>,
    permit: LaunchPermit,
    request: LaunchRequest,
) -> Result<Launched, LaunchError> {
    let wait = request.wait;
    let plan = Plan::make(&inner, &permit, request).await?;
    let begun = Instant::now();
    let mut attempt = 1;
    let (instance, token, running, queued) = loop {
        let coming = inner.let_in()?;
        let hurry = wait == Wait::Ready;
        let (reserved, token) = Reserved::new(&inner, &permit, plan.clone(), coming, hurry).await?;
        let instance = reserved.instance();
        if wait == Wait::None {
            let queued = inner.admission.place(instance, &inner.settings().launches);
            go_on_later(&inner, reserved);
            break (instance, token, None, queued);
        }
        match go_on(Arc::clone(&inner), reserved).await {
            Ok(running) => break (instance, token, running, None),
            Err(error) if error.lost_the_port() && attempt < PORT_RACES => {
                attempt += 1;
                // Nobody has heard of this attempt yet.
                inner.store().instances().soft_delete(instance, &Actor::SYSTEM, inner.now()).await?;
            }
            Err(error) => {
                if error.lost_the_port() {
                    inner.parts.metrics.launched(false, begun.elapsed());
                }
                return Err(error);
            }
        }
    };
    let row = match running {
        Some(row) => Some(row),
        None => inner.store().instances().get(instance, None).await?,
    };
    let row = row.ok_or_else(|| LaunchError::ServerFailed {
        instance,
        failure: crate::error::Failure {
            code: "DELETED".to_owned(),
            message: "the instance was deleted while it started".to_owned(),
            stderr_tail: Vec::new(),
            timed_out: false,
        },
    })?;
    Ok(Launched { instance: row, token, queued })
}

/// Goes on without anybody who waits: the row tells how it went.
fn go_on_later(inner: &Arc<Inner>, reserved: Reserved) {
    let later = Arc::clone(inner);
    let work = async move {
        let _ = go_on(later, reserved).await;
    };
    inner.parts.tasks.spawn(tracing::Instrument::in_current_span(work));
}

/// Answers the row of a launch that it made run.
async fn go_on(inner: Arc<Inner>, reserved: Reserved) -> Result<Option<InstanceRow>, LaunchError> {
    let spawned = reserved.wait_turn(&inner).await?.spawn(&inner).await?;
    let ready = spawned.wait_ready(&inner).await?;
    ready.publish(&inner).await
}
