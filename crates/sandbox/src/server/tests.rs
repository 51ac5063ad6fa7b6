use std::os::fd::AsFd as _;

use super::*;
use crate::handover;
use crate::landlock::Rules;
use crate::seccomp::Listening;
use crate::testing::one_behind;

/// Rulesets that the kernel lets lie one upon the other.
const MOST_LAYERS: usize = 16;

fn null() -> OwnedFd {
    std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// Starts `true` from a process that may do no more than `before` leaves it; what became of it, as a number.
fn starts(before: impl FnOnce() -> Result<(), Errno>, program: &'static str) -> Errno {
    let ruleset = Ruleset::build(&Rules::default()).unwrap();
    let walls = std::cell::Cell::new(Some(Walls { ruleset, filter: Filter::new(Listening::Refused).ok() }));
    let (_ours, theirs) = handover::pair().unwrap();
    one_behind(before, &|| {
        let command = ServerCommand {
            program: Path::new(program),
            args: &[],
            environment: Vec::new(),
            folder: Path::new("/"),
        };
        let limits = ServerLimits { open_files: 64, processes: None, file_size_bytes: None };
        let walls = walls.take().unwrap_or_default();
        let started =
            start(&command, [null(), null(), null()], &[], limits, walls, (theirs.as_fd(), b"here"));
        let said = match started {
            Ok(_) => return 0,
            Err(StartError::NoWall { source, .. }) => source,
            Err(StartError::Walled(_)) => Errno::EKEYREJECTED,
            Err(_) => Errno::ENOTRECOVERABLE,
        };
        said.set();
        -1
    })
}

#[test]
fn a_program_starts_behind_walls() {
    assert_eq!(starts(|| Ok(()), "/bin/true"), Errno::from_raw(0));
}

#[test]
fn a_wall_that_the_kernel_refuses_is_a_server_that_does_not_start() {
    let every = (0..MOST_LAYERS).map(|_| Ruleset::build(&Rules::default()).unwrap().unwrap());
    let every: Vec<Ruleset> = every.collect();
    let before = move || {
        privilege::forbid_new_privileges().map_err(|e| e.source)?;
        every.iter().try_for_each(Ruleset::enter)
    };
    assert_eq!(starts(before, "/bin/true"), Errno::E2BIG);
}

#[test]
fn a_program_that_no_rule_opens_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("true");
    std::fs::copy("/bin/true", &program).unwrap();
    let program: &'static str = Box::leak(program.to_str().unwrap().to_owned().into_boxed_str());
    assert_eq!(starts(|| Ok(()), program), Errno::EKEYREJECTED);
}
