//! Process trees: who descends from this process, and how all of them are ended.

use std::collections::HashMap;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// How long to rest between two walks while killed processes go.
const WALK_INTERVAL: Duration = Duration::from_millis(1);

/// A process's start in clock ticks since boot: with its id it names it for good.
pub fn started(pid: i32) -> std::io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat)
        .map(|(_, started)| started)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "unexpected form of stat"))
}

/// A handle that becomes readable when a process ends, and that never means another process.
#[expect(unsafe_code, reason = "pidfd_open has no safe form")]
pub fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes integers; on success it returns a descriptor that nobody else owns.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptors fit")) })
}

/// Adopts orphaned descendants from now on, so that a walk finds them.
pub fn adopt_orphans() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Ends every descendant of this process and reaps it. Needs `adopt_orphans` to have been called before
/// there was one. Returns how many are left when `patience` is over.
pub fn end_descendants(patience: Duration) -> usize {
    let until = Instant::now() + patience;
    loop {
        reap_all();
        let left = descendants();
        if left.is_empty() {
            return 0;
        }
        for pid in &left {
            // Gone already is what we want.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        if Instant::now() >= until {
            return left.len();
        }
        std::thread::sleep(WALK_INTERVAL);
    }
}

fn reap_all() {
    while matches!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..) | WaitStatus::Stopped(..))
    ) {}
}

/// Every descendant, found by one walk of `/proc`.
pub fn descendants() -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let parent =
            std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse_stat(&stat));
        if let Some((parent, _)) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![Pid::this().as_raw()];
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            open.push(child);
        }
    }
    found
}

/// The time of a processor that all descendants which live have used so far.
pub fn effort() -> Duration {
    let ticks = |pid: Pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let user: u64 = fields.nth(11)?.parse().ok()?;
        Some(user + fields.next()?.parse::<u64>().ok()?)
    };
    let all: u64 = descendants().into_iter().filter_map(ticks).sum();
    let a_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs(all) / u32::try_from(a_second).unwrap_or(100)
}

/// Parent and start from a line of `/proc/<pid>/stat`; the name in parentheses may hold anything.
fn parse_stat(stat: &str) -> Option<(i32, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((parent, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_mislead() {
        let stat = "7 (a) S 1 (b) R 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0";
        assert_eq!(parse_stat(stat), Some((3, 4711)));
    }

    #[test]
    fn our_own_start_is_known_and_does_not_change() {
        let own = Pid::this().as_raw();
        assert_eq!(started(own).unwrap(), started(own).unwrap());
        assert!(started(i32::MAX).is_err());
    }
}
