//! Starts a server's program: its own session and group, limited, without rights, gone when its parent is.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::{AccessFlags, access, getppid};

use crate::landlock::{LandlockError, Ruleset};
use crate::namespace::die_with_parent;
use crate::privilege;
use crate::seccomp::Filter;

/// A program and all that it gets.
#[derive(Debug)]
pub struct ServerCommand<'a> {
    /// Absolute.
    pub program: &'a Path,
    /// Without the program's name.
    pub args: &'a [String],
    /// The whole environment.
    pub environment: Vec<(&'a str, &'a str)>,
    /// Where it starts.
    pub folder: &'a Path,
}

/// What the kernel lets it have; core dumps are always off.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Open files.
    pub open_files: u64,
    /// Processes of the user.
    pub processes: Option<u64>,
    /// Size of one written file.
    pub file_size_bytes: Option<u64>,
}

/// What stands around a server for good. The default is nothing.
#[derive(Debug, Default)]
pub struct Walls {
    /// Files, ports and signals.
    pub ruleset: Option<Ruleset>,
    /// System calls.
    pub filter: Option<Filter>,
}

impl Walls {
    /// Puts them up around the calling thread and all that comes of it: for a program of ours that confines itself. Has
    /// to have forbidden itself new privileges, and to have one thread only.
    pub fn enter(&self) -> io::Result<()> {
        if let Some(ruleset) = &self.ruleset {
            ruleset.enter()?;
        }
        if let Some(filter) = &self.filter {
            filter.enter()?;
        }
        Ok(())
    }
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A relative program would be looked up by somebody's PATH.
    #[error("the program's path is not absolute")]
    NotAbsolute,
    /// There is none.
    #[error("there is no such program")]
    NotFound,
    /// The first line of the script names a program that is missing.
    #[error("the interpreter that the program names does not exist")]
    InterpreterNotFound,
    /// Permissions, or not a program at all.
    #[error("the program cannot be executed by user {uid}")]
    NotExecutable {
        /// Who tried.
        uid: u32,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The working folder is missing or closed.
    #[error("the working folder cannot be entered by user {uid}")]
    Folder {
        /// Who tried.
        uid: u32,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The rules of files do not let it be executed.
    #[error(
        "the program, or the interpreter that it names, may not be executed within its confinement: name its folder in the \
         type's read_paths"
    )]
    Walled(#[source] Errno),
    /// The rules of files and ports could not be built.
    #[error("could not build the rules of files and ports")]
    Rules(#[source] LandlockError),
    /// The kernel refused a wall: nothing runs without it.
    #[error("the kernel refused to put up {wall}")]
    NoWall {
        /// Which.
        wall: &'static str,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// Everything else.
    #[error("could not start the program")]
    Spawn(#[source] io::Error),
}

/// A failed step of the child is told to the parent as an error number. Those of the walls lie above the kernel's numbers.
const RULESET_STEP: i32 = 1 << 16;
const FILTER_STEP: i32 = 1 << 17;

/// Starts a server on three streams. Before it executes, the child sends the announcement through its socket:
/// the receiver learns the child's process id in its own namespace from the message's credentials.
/// Descriptors of `kept` stay open in it, under their numbers. The caller waits for the child.
#[expect(unsafe_code, reason = "what only the child itself can do runs between fork and exec")]
#[expect(clippy::disallowed_methods, reason = "the one place that builds a server's command line")]
pub fn start(
    command: &ServerCommand<'_>,
    streams: [OwnedFd; 3],
    kept: &[OwnedFd],
    limits: ServerLimits,
    walls: Walls,
    announce: (BorrowedFd<'_>, &[u8]),
) -> Result<i32, StartError> {
    check(command)?;
    let [input, output, errors] = streams;
    let parent = nix::unistd::getpid();
    let (announce, announcement) = (announce.0.as_raw_fd(), announce.1.to_vec());
    let kept: Vec<i32> = kept.iter().map(OwnedFd::as_raw_fd).collect();
    let is_walled = walls.ruleset.is_some();
    let mut built = Command::new(command.program);
    built
        .args(command.args)
        .env_clear()
        .envs(command.environment.iter().copied())
        .current_dir(command.folder)
        .stdin(input)
        .stdout(output)
        .stderr(errors);
    // SAFETY: the hook makes system calls on plain values and on memory that exists since before the fork; it
    // neither allocates nor takes a lock. `announce` is open: its owner waits for this call.
    unsafe {
        built.pre_exec(move || {
            nix::unistd::setsid()?;
            forget_signals()?;
            limit(limits)?;
            privilege::forbid_new_privileges().map_err(|e| e.source)?;
            die_with_parent().map_err(|e| e.source)?;
            if getppid() != parent {
                // It died before the signal was asked for.
                return Err(Errno::ESRCH.into());
            }
            tell(announce, &announcement)?;
            privilege::close_descriptors_on_exec()?;
            kept.iter().try_for_each(|number| keep_on_exec(*number))?;
            put_up(&walls)
        });
    }
    let child = built.spawn().map_err(|error| classify(command, error, is_walled))?;
    Ok(i32::try_from(child.id()).expect("process ids fit"))
}

fn check(command: &ServerCommand<'_>) -> Result<(), StartError> {
    let uid = nix::unistd::geteuid().as_raw();
    if !command.program.is_absolute() {
        return Err(StartError::NotAbsolute);
    }
    match access(command.program, AccessFlags::X_OK) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(StartError::NotFound),
        Err(source) => return Err(StartError::NotExecutable { uid, source }),
        Ok(()) => {}
    }
    access(command.folder, AccessFlags::X_OK).map_err(|source| StartError::Folder { uid, source })
}

/// The walls, the last one first that leaves the other to be put up.
fn put_up(walls: &Walls) -> io::Result<()> {
    let step = |step: i32| move |errno: Errno| io::Error::from_raw_os_error(step | errno as i32);
    if let Some(ruleset) = &walls.ruleset {
        ruleset.enter().map_err(step(RULESET_STEP))?;
    }
    if let Some(filter) = &walls.filter {
        filter.enter().map_err(step(FILTER_STEP))?;
    }
    Ok(())
}

/// Reads an execution's error, given that the program exists and may be executed as far as modes go.
fn classify(command: &ServerCommand<'_>, error: io::Error, is_walled: bool) -> StartError {
    let uid = nix::unistd::geteuid().as_raw();
    for (step, wall) in [(RULESET_STEP, "the rules of Landlock"), (FILTER_STEP, "the seccomp filter")] {
        if let Some(number) = error.raw_os_error().filter(|number| number & step != 0) {
            return StartError::NoWall { wall, source: Errno::from_raw(number & !step) };
        }
    }
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) if command.program.exists() => StartError::InterpreterNotFound,
        Some(Errno::ENOENT) => StartError::NotFound,
        Some(source @ Errno::EACCES) if is_walled => StartError::Walled(source),
        Some(source @ (Errno::EACCES | Errno::EPERM | Errno::ENOEXEC | Errno::EISDIR)) => {
            StartError::NotExecutable { uid, source }
        }
        _ => StartError::Spawn(error),
    }
}

/// The server starts with every standard signal at its default and none blocked, whatever its ancestors ignored.
#[expect(unsafe_code, reason = "setting a disposition is unsafe in general")]
fn forget_signals() -> Result<(), Errno> {
    for each in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default disposition runs no code of this process.
        unsafe { signal(each, SigHandler::SigDfl) }?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn limit(limits: ServerLimits) -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    at_most(Resource::RLIMIT_NOFILE, limits.open_files)?;
    if let Some(processes) = limits.processes {
        at_most(Resource::RLIMIT_NPROC, processes)?;
    }
    if let Some(bytes) = limits.file_size_bytes {
        at_most(Resource::RLIMIT_FSIZE, bytes)?;
    }
    Ok(())
}

fn at_most(resource: Resource, limit: u64) -> Result<(), Errno> {
    let (_, hard) = getrlimit(resource)?;
    let limit = limit.min(hard);
    setrlimit(resource, limit, limit)
}

#[expect(unsafe_code, reason = "the descriptor is known by number only, across the fork")]
fn keep_on_exec(descriptor: i32) -> Result<(), Errno> {
    // SAFETY: it is open, since its owner waits for the fork, and stays so: only a flag changes.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }).map(drop)
}

#[expect(unsafe_code, reason = "the descriptor is known by number only, across the fork")]
fn tell(socket: i32, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the pointer and the length are those of a slice that lives through the call.
    let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    Errno::result(sent).map(drop)
}

#[cfg(test)]
mod tests;
