//! Children that put walls around themselves and try things, for tests.

use std::io::Read as _;

use nix::errno::Errno;
use nix::unistd::{ForkResult, fork, pipe};

/// What a call gave: its result, or the error that it left.
pub(crate) type Attempt<'a> = &'a dyn Fn() -> libc::c_long;

/// What tells the test that the walls themselves could not be put up.
const NO_WALLS: i32 = 10_000;

/// Forks, puts the walls up and tries; zero stands for what was allowed. The attempts run in a copy of a process with several
/// threads: they make system calls on what exists already, and nothing else.
#[expect(unsafe_code, reason = "walls stay for good: a child has to stand behind them")]
pub(crate) fn behind(walls: impl FnOnce() -> Result<(), Errno>, attempts: &[Attempt<'_>]) -> Vec<i32> {
    let (told, tell) = pipe().unwrap();
    // SAFETY: the child makes system calls only, and leaves without running anybody's destructors.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let say = |number: i32| nix::unistd::write(&tell, &number.to_ne_bytes()).is_ok();
            match walls() {
                Ok(()) => attempts.iter().all(|attempt| {
                    let result = attempt();
                    say(if result < 0 { Errno::last_raw() } else { 0 })
                }),
                Err(errno) => say(NO_WALLS + errno as i32),
            };
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(tell);
            let mut bytes = Vec::new();
            std::fs::File::from(told).read_to_end(&mut bytes).unwrap();
            nix::sys::wait::waitpid(child, None).unwrap();
            bytes.chunks_exact(4).map(|four| i32::from_ne_bytes(four.try_into().unwrap())).collect()
        }
    }
}

/// One attempt.
pub(crate) fn one_behind(walls: impl FnOnce() -> Result<(), Errno>, attempt: Attempt<'_>) -> Errno {
    let said = behind(walls, &[attempt]);
    assert_eq!(said.len(), 1, "the child did not end before it had said something");
    assert!(said[0] < NO_WALLS, "no walls: {}", Errno::from_raw(said[0] - NO_WALLS));
    Errno::from_raw(said[0])
}
