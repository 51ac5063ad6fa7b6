//! What init makes ready for every server: the walls that it starts behind, and the secrets that it finds there.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use nix::errno::Errno;
use roadstead_control::{FIRST_SECRET_DESCRIPTOR, Grant, Secret};
use roadstead_sandbox::secrets::{SealedSecret, is_in_memory};
use roadstead_sandbox::{Filter, Granted, Listening, Rules, Ruleset, StartError, View, Walls, landlock};

use super::wire::{Notice, Prepare, StartFault, Wall};

/// What every server gets. The default is nothing.
#[derive(Default)]
pub(super) struct Prepared {
    rules: Option<Rules>,
    /// Built to see whether it can be: the first server's.
    first: Option<Ruleset>,
    filter: Option<Filter>,
    secrets: Vec<SealedSecret>,
}

/// The walls that every server will start behind, and what they are.
#[derive(Default)]
pub(super) struct Walled {
    rules: Option<Rules>,
    first: Option<Ruleset>,
    filter: Option<Filter>,
    landlock_abi: u8,
    seccomp: bool,
}

/// Why nothing is started.
pub(super) struct Unprepared {
    fault: StartFault,
    message: String,
}

impl Unprepared {
    pub(super) fn notice(self) -> Notice {
        Notice::NotPrepared { fault: self.fault, message: self.message }
    }
}

impl Walled {
    /// Builds everything that can be built before there is a server.
    pub(super) fn new(order: &Wall) -> Result<Self, Unprepared> {
        let plan = &order.plan;
        let rules = rules(order)?;
        let first = Ruleset::build(&rules).map_err(|error| no_wall("build the rules of Landlock", &error))?;
        let landlock_abi = if first.is_some() { landlock::abi() } else { 0 };
        let seccomp = Filter::is_available();
        let may_listen = plan.listen || !plan.bind.is_empty();
        let listening = if may_listen { Listening::Allowed } else { Listening::Refused };
        let filter = seccomp.then(|| Filter::new(listening)).transpose();
        let filter = filter.map_err(|error| no_wall("build the seccomp filter", &error))?;
        Ok(Self { rules: Some(rules), first, filter, landlock_abi, seccomp })
    }
}

impl Prepared {
    /// Carries an order out, with the walls that were `walled` before. The notice tells what will be in force around every
    /// server: a wall that cannot be entered later is a server that is not started.
    pub(super) fn new(
        order: &Prepare,
        walled: Option<Result<Walled, Unprepared>>,
    ) -> Result<(Self, Notice), Unprepared> {
        deliver(order).map_err(|message| Unprepared { fault: StartFault::NoWall, message })?;
        let secrets = order.descriptors.iter().map(|secret| SealedSecret::new(secret.expose().as_bytes()));
        let secrets =
            secrets.collect::<Result<_, _>>().map_err(|errno| no_wall("keep a secret in memory", &errno))?;
        let walled = walled.or_else(|| order.wall.as_ref().map(Walled::new)).transpose()?.unwrap_or_default();
        let Walled { rules, first, filter, landlock_abi, seccomp } = walled;
        Ok((Self { rules, first, filter, secrets }, Notice::Prepared { landlock_abi, seccomp }))
    }

    /// The walls of one more server, made of what the paths lead to now.
    pub(super) fn walls(&mut self) -> Result<Walls, StartError> {
        let ruleset = match (self.first.take(), &self.rules) {
            (Some(first), _) => Some(first),
            (None, Some(rules)) => Ruleset::build(rules).map_err(StartError::Rules)?,
            (None, None) => None,
        };
        Ok(Walls { ruleset, filter: self.filter.clone() })
    }

    /// The secrets of one more server, each at its number.
    pub(super) fn descriptors(&self) -> Result<Vec<OwnedFd>, StartError> {
        let numbers = FIRST_SECRET_DESCRIPTOR..;
        let opened = self.secrets.iter().zip(numbers).map(|(secret, number)| secret.open_at(number));
        opened.collect::<Result<_, _>>().map_err(|errno| StartError::Spawn(errno.into()))
    }
}

fn rules(order: &Wall) -> Result<Rules, Unprepared> {
    let plan = &order.plan;
    let shared =
        View::shared_folders().filter(|_| order.is_mounted).filter_map(|folder| folder.canonicalize().ok());
    Ok(Rules {
        read: vec![order.secrets.clone()],
        execute: plan.execute.clone(),
        write: plan.write.iter().cloned().chain(shared).collect(),
        granted: plan.grants.iter().map(grant).collect::<Result<_, _>>()?,
        connect: plan.connect.clone(),
        bind: plan.bind.clone(),
    })
}

fn grant(grant: &Grant) -> Result<Granted, Unprepared> {
    let opened = landlock::open_beneath(&grant.root, &grant.below);
    let file = opened.map_err(|errno| {
        let (root, below) = (grant.root.display(), grant.below.display());
        let message = match errno {
            Errno::EXDEV => format!("{below} leads out of {root}, the folder that is allowed"),
            errno => format!("{below} in {root} cannot be opened: {}", errno.desc()),
        };
        Unprepared { fault: StartFault::Grant, message }
    })?;
    Ok(Granted { file, write: grant.write })
}

/// Writes the secrets that are read from files, where they are on no disk.
fn deliver(order: &Prepare) -> Result<(), String> {
    if order.files.is_empty() {
        return Ok(());
    }
    let folder = &order.secrets;
    if !order.is_mounted {
        let parent = folder.parent().unwrap_or(folder);
        if !is_in_memory(parent) {
            return Err(format!(
                "secrets are delivered in files only where these are in memory: {} is no tmpfs, and there is no mount \
                 namespace here; deliver them by environment or descriptor",
                parent.display()
            ));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| format!("the folder for secrets could not be made: {error}"))?;
    }
    let write = |(name, secret): &(String, Secret)| {
        // A name is one name: no part of it leads elsewhere.
        let mut parts = Path::new(name).components();
        let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        let written = if is_name {
            write_secret(&folder.join(name), secret)
        } else {
            Err(std::io::ErrorKind::InvalidInput.into())
        };
        written.map_err(|error| format!("the secret in file {name} could not be delivered: {error}"))
    };
    order.files.iter().try_for_each(write)
}

fn write_secret(path: &Path, secret: &Secret) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(secret.expose().as_bytes())
}

fn no_wall(step: &str, error: &dyn std::error::Error) -> Unprepared {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Unprepared { fault: StartFault::NoWall, message: format!("could not {step}: {error}{cause}") }
}
