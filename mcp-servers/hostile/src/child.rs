//! Trying something in a child, because it changes the process that tries it, or ends it.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::outcome::Tried;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what it was to do.
    Well,
    /// A call was refused.
    Refused(Errno),
    /// The kernel ended it.
    Killed {
        /// By which signal.
        signal: Signal,
        /// Whether a core was written.
        core: bool,
    },
}

/// Starts a child that does something and ends with its error as its status.
pub fn start(work: impl FnOnce() -> Result<(), Errno>) -> Result<Pid, Errno> {
    // SAFETY: this process has one thread, so that the child may do all that the parent may.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let status = work().err().map_or(0, |errno| errno as i32);
            // SAFETY: ends this process; nothing of it is used any more.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Waits for a child's end.
pub fn wait(child: Pid) -> Result<End, Errno> {
    loop {
        return match waitpid(child, None) {
            Err(Errno::EINTR) => continue,
            Err(errno) => Err(errno),
            Ok(WaitStatus::Exited(_, 0)) => Ok(End::Well),
            Ok(WaitStatus::Exited(_, status)) => Ok(End::Refused(Errno::from_raw(status))),
            Ok(WaitStatus::Signaled(_, signal, core)) => Ok(End::Killed { signal, core }),
            Ok(_) => continue,
        };
    }
}

/// Does something in a child; what it says is what the child's end says.
pub fn try_in_child(got: &str, work: impl FnOnce() -> Result<(), Errno>) -> Tried {
    match wait(start(work)?)? {
        End::Well => Ok(got.to_owned()),
        End::Refused(errno) => Err(errno),
        // The kernel's sharpest refusal.
        End::Killed { .. } => Err(Errno::EPERM),
    }
}
