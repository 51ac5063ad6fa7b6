//! What this machine lets us do with processes, found out by doing it: for people who ask before they rely on it.

use std::os::fd::AsFd as _;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::hide::View;
use crate::landlock;
use crate::namespace::{self, InitError, Level, Role};
use crate::privilege::Ids;
use crate::seccomp::Filter;

/// What came of the attempts. A reason stands where the kernel refused.
#[derive(Debug)]
pub struct Probe {
    /// What would keep the tree of an instance together.
    pub level: Level,
    /// Why no namespace does.
    pub no_namespace: Option<String>,
    /// The version of Landlock; zero without it.
    pub landlock_abi: u8,
    /// Whether system calls can be refused.
    pub seccomp: bool,
    /// Why the folders of others cannot be hidden from a server.
    pub no_view: Option<String>,
    /// Why a child cannot become the user that was named; none also when none was.
    pub no_other_user: Option<String>,
    /// Why the parent-death signal cannot be asked for.
    pub no_death_signal: Option<String>,
    /// Why orphaned descendants cannot be inherited.
    pub no_subreaper: Option<String>,
}

/// Tries everything once. Must be called while the process has one thread, as for starting an instance's init; afterwards
/// it is fit for nothing but to end.
pub fn try_everything(ids: Option<Ids>) -> Probe {
    let strongest = namespace::strongest();
    let namespace = attempt(strongest, Role::default()).err();
    let view = View::default();
    let hidden = attempt(strongest, Role { view: Some(&view), ..Role::default() });
    let level = if namespace.is_some() { Level::Nothing } else { strongest };
    let user = ids.and_then(|ids| attempt(level, Role { ids: Some(ids), ..Role::default() }).err());
    Probe {
        level,
        no_namespace: namespace.map(|error| chain(&error)),
        landlock_abi: landlock::abi(),
        seccomp: Filter::is_available(),
        no_view: hidden.err().map(|error| chain(&error)),
        no_other_user: user.map(|error| chain(&error)),
        no_death_signal: namespace::die_with_parent().err().map(|error| chain(&error)),
        no_subreaper: nix::sys::prctl::set_child_subreaper(true).err().map(|errno| errno.desc().to_owned()),
    }
}

fn attempt(level: Level, role: Role<'_>) -> Result<(), InitError> {
    let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC);
    let (socket, _other) = pair.map_err(InitError::Clone)?;
    let child = namespace::attempt(level, || 0, socket.as_fd(), role)?;
    // It has nothing to do and is ours to wait for.
    let _ = waitpid(Pid::from_raw(child), None);
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
