//! Gives up what no installation needs, before anything of a package is there.

use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use roadstead_sandbox::privilege::{self, Ids};
use roadstead_sandbox::{Filter, Listening, Rules, Ruleset, Walls};

use crate::request::{Error, Request};

/// Descriptors of one process: npm holds many files open at once.
const MAX_OPEN_FILES: u64 = 4096;
/// Processes and threads of the user.
const MAX_PROCESSES: u64 = 1024;
/// What pip tells registries of the machine it runs on; without them it fails.
const MACHINE: &[&str] = &["/etc/debian_version", "/etc/lsb-release", "/etc/redhat-release"];
/// Where name servers answer.
const DNS_PORT: u16 = 53;

pub(crate) fn enter(request: &Request) -> Result<(), Error> {
    limits(request)?;
    for group in &request.groups {
        // The number zero stands for whoever writes it.
        std::fs::write(group.join("cgroup.procs"), "0")
            .map_err(|error| Error::Confinement(format!("a control group was not to be entered: {error}")))?;
    }
    let refused = |error: &dyn std::fmt::Display| Error::Confinement(error.to_string());
    privilege::empty_bounding_set();
    if let Some(id) = request.user {
        privilege::become_user(Ids { uid: id, gid: id }).map_err(|error| refused(&error))?;
    }
    privilege::drop_capabilities().map_err(|error| refused(&error))?;
    privilege::forbid_new_privileges().map_err(|error| refused(&error))?;
    let mut connect = request.ports.clone();
    connect.push(DNS_PORT);
    let machine = MACHINE.iter().map(PathBuf::from).filter(|path| path.exists());
    let rules = Rules {
        read: machine.chain(request.groups.iter().cloned()).collect(),
        execute: request.tools.places.clone(),
        write: vec![request.folder.clone()],
        connect,
        ..Rules::default()
    };
    // Where the kernel has no such walls, the user and the limits are all there is.
    let ruleset = Ruleset::build(&rules).map_err(|error| refused(&error))?;
    let filter = if Filter::is_available() {
        Some(Filter::new(Listening::Refused).map_err(|error| refused(&error))?)
    } else {
        None
    };
    Walls { ruleset, filter }.enter().map_err(|error| refused(&error))
}

fn limits(request: &Request) -> Result<(), Error> {
    let limits = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, request.max_bytes),
        (Resource::RLIMIT_NOFILE, MAX_OPEN_FILES),
        (Resource::RLIMIT_NPROC, MAX_PROCESSES),
    ];
    for (resource, most) in limits {
        let refused = |error: nix::Error| Error::Confinement(format!("a limit was refused: {error}"));
        // What we have less of already stays so.
        let (_, hard) = getrlimit(resource).map_err(refused)?;
        let most = most.min(hard);
        setrlimit(resource, most, most).map_err(refused)?;
    }
    Ok(())
}
