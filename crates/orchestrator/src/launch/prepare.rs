//! The shim of a launch, until it has its secrets. It runs nothing before, so it may be made ready while the row is still being written.

use std::path::Path;
use std::sync::Arc;

use roadstead_catalog::Rendered;
use roadstead_control::{Secret, Secrets, UserIds};
use roadstead_crypto::KeyId;
use roadstead_model::{InstanceId, Step};
use roadstead_store::NewInstance;
use roadstead_supervisor::{HeldSoFar, Prepared as PreparedShim, Shim};

use super::reserve::{Written, write};
use super::steps::Reserved;
use crate::admission::{Coming, Place};
use crate::compiled::{Lent, VARIABLE, of_npm};
use crate::error::{LaunchError, ShimError};
use crate::parts::Inner;

/// A shim that waits for its secrets, and those.
pub(super) struct Prepared {
    instance: InstanceId,
    shim: PreparedShim,
    secrets: Secrets,
    /// The exact command line, which holds no secret.
    command: Vec<String>,
    control_key: KeyId,
}

/// What a shim was told that its row tells, too.
pub(super) struct Told {
    /// The exact command line, which holds no secret.
    pub(super) command: Vec<String>,
    /// The master key that its control secret was made from.
    pub(super) control_key: KeyId,
    /// How its limits are held: looked up while the server starts, when nobody waits for it.
    pub(super) held: HeldSoFar,
}

impl Reserved {
    /// Writes the row once. If `hurry` lets the launch start at once, and it need not wait for its turn, it takes its turn and
    /// prepares a shim meanwhile; otherwise its place comes back. What was prepared for a row that could not be written is gone.
    pub(super) async fn write_beside(
        &mut self,
        inner: &Arc<Inner>,
        row: NewInstance,
        coming: Coming,
        hurry: bool,
    ) -> Result<(Written, Option<Coming>), LaunchError> {
        let coming = if hurry { self.take_turn(inner, coming).await } else { Some(coming) };
        if coming.is_some() {
            return Ok((write(inner, row).await, coming));
        }
        let writer = Arc::clone(inner);
        let writing = async move { write(&writer, row).await };
        // A task of its own, and first: to start a process holds up whoever does it, and another thread takes nothing over that
        // has not begun.
        let writing = inner.parts.tasks.spawn(tracing::Instrument::in_current_span(writing));
        tokio::task::yield_now().await;
        let prepared = self.prepare(inner).await;
        let written = writing.await.map_err(LaunchError::Panicked)?;
        match (&written.1, prepared) {
            (Ok(()), prepared) => self.prepared = Some(prepared),
            (Err(_), Ok(prepared)) => prepared.discard(inner).await,
            (Err(_), Err(_)) => crate::workplace::remove(&inner.parts.workplaces, self.instance),
        }
        Ok((written, None))
    }

    /// Takes its turn, if it need not wait for it.
    async fn take_turn(&mut self, inner: &Inner, coming: Coming) -> Option<Coming> {
        let settings = inner.settings().launches;
        let taken =
            coming.at_once(self.instance, self.plan.type_id, self.plan.memory_limit(), &settings).await;
        match taken {
            Ok(starting) => {
                self.place = Some(Place::Starting(starting));
                None
            }
            Err(coming) => Some(coming),
        }
    }

    /// Makes the folders, starts the shim and hands the specification over.
    pub(super) async fn prepare(&self, inner: &Arc<Inner>) -> Result<Prepared, LaunchError> {
        self.is_confined_enough(inner)?;
        let user = inner.running_as_root.then(|| crate::workplace::user_of(self.lease.port()));
        let wrong = |source| LaunchError::of_shim(self.instance, source);
        let folder = crate::workplace::make(&inner.parts.workplaces, self.instance, user).map_err(wrong)?;
        inner.took(self.instance, Step::WorkplaceMade);
        let rendered = self.render(inner, &folder)?;
        let compiled = self.compiled(inner, &rendered, &folder, user);
        let (control_key, control) = crate::adopt::newest_secret(inner, self.instance);
        let (mut specification, mut secrets) = self.specification(inner, rendered, &folder, user, control);
        if let Some(lent) = compiled {
            let folder = lent.folder.to_string_lossy().into_owned();
            secrets.environment.push((VARIABLE.to_owned(), Secret::new(folder)));
            specification.confinement.iter_mut().for_each(|policy| policy.read.extend(lent.read.clone()));
        }
        let program = specification.program.to_string_lossy().into_owned();
        let command = std::iter::once(program).chain(specification.args.iter().cloned()).collect();
        let prepared = inner.parts.supervisor.prepare(specification).await;
        let shim = prepared.map_err(|error| wrong(ShimError::Start(error)))?;
        Ok(Prepared { instance: self.instance, shim, secrets, command, control_key })
    }
}

impl Reserved {
    /// What Node compiled before of what is launched, unless its type says itself where that is.
    fn compiled(
        &self,
        inner: &Inner,
        rendered: &Rendered,
        folder: &Path,
        user: Option<UserIds>,
    ) -> Option<Lent> {
        let is_taken = rendered.env.iter().any(|(name, _)| name == VARIABLE);
        let place = of_npm(&self.plan.made_of.places).filter(|_| !is_taken)?;
        inner.lend_compiled(place, folder, user.map(|user| user.uid), self.plan.compiles_for_others())
    }
}

impl Prepared {
    /// Hands the secrets over: from now on a server runs.
    pub(super) async fn start(self, inner: &Inner) -> Result<(Shim, Told), LaunchError> {
        let Self { instance, shim, secrets, command, control_key } = self;
        let started = inner.parts.supervisor.start_prepared(shim, secrets).await;
        let shim = started.map_err(|error| LaunchError::of_shim(instance, ShimError::Start(error)))?;
        let held = inner.parts.supervisor.limits_held(inner.parts.node.installation, instance);
        Ok((shim, Told { command, control_key, held }))
    }

    /// There is no row for it: nothing is left of it.
    async fn discard(self, inner: &Inner) {
        self.shim.discard().await;
        crate::workplace::remove(&inner.parts.workplaces, self.instance);
    }
}
