//! The walls around an instance's servers, as its specification wants them: worked out once, before a process of the instance
//! runs that could move what the paths lead to.

use std::path::{Path, PathBuf};

use roadstead_control::{FailureCode, Policy, SECRETS_FOLDER, Secrets, Specification};
use roadstead_model::Mechanisms;
use roadstead_sandbox::{View, rules};

use crate::init::wire::{Prepare, Wall, WallPlan};
use crate::spawner::Standing;

/// The plan of the walls, for a specification that wants some.
pub(crate) fn plan(specification: &Specification) -> Option<WallPlan> {
    let policy = specification.confinement.as_ref()?;
    let closed: Vec<PathBuf> = resolved(policy.hide.iter().chain([&specification.run_folder])).collect();
    let programs = [&specification.program].into_iter().chain(&policy.programs);
    let installed = programs.flat_map(|program| rules::installation(program, &closed));
    let mut execute: Vec<PathBuf> =
        resolved(policy.read.iter().chain([&specification.working_folder])).chain(installed).collect();
    execute.sort();
    execute.dedup();
    let own_port =
        specification.http.as_ref().and_then(|http| http.url.parse::<http::Uri>().ok()?.port_u16());
    Some(WallPlan {
        execute,
        write: resolved([&policy.own].into_iter().chain(&policy.write)).collect(),
        grants: policy.grants.clone(),
        connect: policy.connect.clone(),
        bind: policy.bind.iter().copied().chain(own_port).collect(),
        listen: policy.listen,
    })
}

/// What the servers are shown, where they have a mount namespace.
pub(crate) fn view(specification: &Specification, policy: &Policy, plan: &WallPlan) -> View {
    View {
        hidden: resolved(&policy.hide).collect(),
        kept: plan.execute.clone(),
        writable: plan.write.clone(),
        granted: plan
            .grants
            .iter()
            .map(|grant| (grant.root.clone(), grant.below.clone(), grant.write))
            .collect(),
        secrets: Some(secrets_folder(specification)),
        memory_bytes: specification.limits.memory_bytes,
    }
}

/// The walls that init builds while there is no secret yet. Where the folder for secrets is not mounted, the order that delivers
/// them makes it, and the walls after it.
pub(crate) fn wall(specification: &Specification, plan: WallPlan, is_mounted: bool) -> Wall {
    Wall { plan, secrets: secrets_folder(specification), is_mounted }
}

/// What init makes ready before the first server. Not ordered, where there is nothing.
pub(crate) fn prepare(
    specification: &Specification,
    wall: Option<Wall>,
    is_mounted: bool,
    secrets: &mut Secrets,
) -> Prepare {
    let (files, descriptors) = (std::mem::take(&mut secrets.files), std::mem::take(&mut secrets.descriptors));
    Prepare { wall, secrets: secrets_folder(specification), is_mounted, files, descriptors }
}

/// What really stands.
pub(crate) fn mechanisms(
    specification: &Specification,
    shows_view: bool,
    standing: Option<Standing>,
) -> Mechanisms {
    let limits = &specification.limits;
    let is_limited =
        limits.memory_bytes.is_some() || limits.cpu_millis.is_some() || limits.processes.is_some();
    Mechanisms {
        // Without it no server is started.
        no_new_privileges: true,
        seccomp: standing.is_some_and(|standing| standing.seccomp),
        landlock_abi: standing.map_or(0, |standing| standing.landlock_abi),
        own_user: specification.user.is_some(),
        namespace: shows_view,
        cgroup: is_limited && !specification.cgroups.is_empty(),
    }
}

/// Why what stands is not enough, if it is not.
pub(crate) fn too_weak(
    policy: &Policy,
    mechanisms: Mechanisms,
    refused: Option<&str>,
) -> Option<(FailureCode, String)> {
    let (level, min) = (mechanisms.level(), policy.min);
    if level >= min {
        return None;
    }
    let lacking = mechanisms.lacking(min).join(", ");
    let refused = refused.map(|why| format!("; the machine refused a namespace: {why}")).unwrap_or_default();
    let message = format!(
        "the confinement here is {level}, and at least {min} is demanded; lacking: {lacking}{refused}. Run `roadstead doctor` \
         to see what this machine allows, or lower the least level"
    );
    Some((FailureCode::ConfinementTooWeak, message))
}

/// Where secrets in files are.
pub(crate) fn secrets_folder(specification: &Specification) -> PathBuf {
    let folder = &specification.run_folder;
    folder.canonicalize().as_deref().unwrap_or(folder).join(SECRETS_FOLDER)
}

/// The paths without links. What does not exist is not needed.
fn resolved<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> impl Iterator<Item = PathBuf> {
    paths.into_iter().filter_map(|path| path.as_ref().canonicalize().ok())
}
