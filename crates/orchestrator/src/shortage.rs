//! What a machine can run out of, told apart: each wants something else of whoever runs it.

use std::error::Error;
use std::io;

use nix::errno::Errno;

/// What the machine did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// File descriptors.
    Descriptors,
    /// Processes.
    Processes,
    /// Memory.
    Memory,
    /// Room on a disk.
    Disk,
    /// Turns to start: many servers start at the same time, and a launch waited as long as it may.
    Turns,
    /// Free memory, for as long as a launch may wait for it.
    FreeMemory,
}

impl Shortage {
    /// The shortage behind an error, if one of its sources is one.
    pub(crate) fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(shortage) = error.downcast_ref::<io::Error>().and_then(Self::of) {
                return Some(shortage);
            }
            next = error.source();
        }
        None
    }

    fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_raw(error.raw_os_error()?) {
            Errno::EMFILE | Errno::ENFILE => Some(Self::Descriptors),
            Errno::EAGAIN => Some(Self::Processes),
            Errno::ENOMEM => Some(Self::Memory),
            Errno::ENOSPC | Errno::EDQUOT => Some(Self::Disk),
            _ => None,
        }
    }

    /// What is short, and what whoever runs the service can do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Descriptors => {
                "no file descriptors are left; raise the service's limit (LimitNOFILE, ulimit -n)"
            }
            Self::Processes => "no process may be started; raise the limit (TasksMax, pids.max, ulimit -u)",
            Self::Memory => "no memory is left; end something, or give the machine more",
            Self::Disk => "no room is left on the disk; make some",
            Self::Turns => {
                "many servers start at the same time, and its turn did not come in time; try again in a moment"
            }
            Self::FreeMemory => {
                "it has too little free memory, and none became free in time; end something, or give it more"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_found_behind_any_error_that_names_it() {
        let cases = [
            (Errno::EMFILE, Some(Shortage::Descriptors)),
            (Errno::ENFILE, Some(Shortage::Descriptors)),
            (Errno::EAGAIN, Some(Shortage::Processes)),
            (Errno::ENOMEM, Some(Shortage::Memory)),
            (Errno::ENOSPC, Some(Shortage::Disk)),
            (Errno::EDQUOT, Some(Shortage::Disk)),
            (Errno::EACCES, None),
        ];
        for (code, shortage) in cases {
            let source = io::Error::from(code);
            let error = crate::error::ShimError::Workplace { path: "/somewhere".into(), source };
            assert_eq!(Shortage::behind(&error), shortage, "{error:?}");
        }
    }
}
