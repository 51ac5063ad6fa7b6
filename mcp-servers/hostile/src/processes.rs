//! Other processes: what they hold, and what can be done to them.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::fs::{self, File};
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, kill};
use nix::unistd::{Pid, getppid};

use crate::outcome::{Outcome, Tried, called, errno, tried};
use crate::target::Target;

/// A soft limit that nobody has by chance.
const ODD_LIMIT: u64 = 700_001;
/// `ioprio_set`'s best-effort class, lowest priority, for one process.
const IDLE_PRIORITY: (i32, i32) = (1, 2 << 13 | 7);
/// `fcntl`'s command for the signal that is sent.
const F_SETSIG: i32 = 10;
/// Whoever outlives an instance must not live for ever on the machine of whoever tried this.
const LINGER: Duration = Duration::from_mins(10);

fn proc(pid: i32, part: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{part}"))
}

fn read_part(pid: i32, part: &str) -> Tried {
    // What is not permitted is empty on some parts of /proc.
    match fs::read(proc(pid, part)) {
        Ok(bytes) if bytes.is_empty() => Err(Errno::ENODATA),
        read => tried(read, |bytes| format!("{} bytes", bytes.len())),
    }
}

/// An address at which a process has something: its first mapping, or else where this program has something.
fn address_in(pid: i32) -> usize {
    let maps = fs::read_to_string(proc(pid, "maps")).unwrap_or_default();
    let first = maps.split('-').next().and_then(|start| usize::from_str_radix(start, 16).ok());
    first.unwrap_or_else(|| std::ptr::from_ref(&LINGER).addr())
}

fn read_memory(pid: i32) -> Tried {
    let memory = File::open(proc(pid, "mem")).map_err(|error| errno(&error))?;
    let mut bytes = [0_u8; 16];
    let read = memory.read_at(&mut bytes, address_in(pid) as u64);
    Ok(read.map_or_else(|_| "opened".to_owned(), |count| format!("{count} bytes")))
}

pub fn environ(target: &Target) -> Outcome {
    Outcome::of(read_part(target.neighbour, "environ"))
}

pub fn mem(target: &Target) -> Outcome {
    Outcome::of(read_memory(target.neighbour))
}

pub fn maps(target: &Target) -> Outcome {
    Outcome::of(read_part(target.neighbour, "maps"))
}

pub fn fd(target: &Target) -> Outcome {
    let open = |number: i32| {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(proc(target.neighbour, &format!("fd/{number}")));
        tried(file, |_| format!("descriptor {number}"))
    };
    Outcome::any([("0", open(0)), ("1", open(1)), ("2", open(2))])
}

pub fn root(target: &Target) -> Outcome {
    let hosts = crate::files::text_of(&proc(target.neighbour, "root/etc/hosts"));
    let list = tried(fs::read_dir(proc(target.neighbour, "cwd/")), |all| format!("{} names", all.count()));
    Outcome::any([("root", hosts), ("cwd", list)])
}

/// A wrong address is found out after the rights were looked at.
fn permitted(result: isize) -> Tried {
    match called(result as i64, "bytes") {
        Err(Errno::EFAULT) => Ok("permitted; the address was wrong".into()),
        other => other,
    }
}

pub fn vm_read(target: &Target) -> Outcome {
    let mut bytes = [0_u8; 16];
    let remote = libc::iovec { iov_base: address_in(target.neighbour) as *mut libc::c_void, iov_len: 16 };
    let mut local = [IoSliceMut::new(&mut bytes)];
    // SAFETY: an `IoSliceMut` is laid out as an iovec, and its bytes live through the call; the other address is the
    // other process's.
    let read = unsafe {
        libc::process_vm_readv(target.neighbour, local.as_mut_ptr().cast(), 1, &raw const remote, 1, 0)
    };
    Outcome::of(permitted(read))
}

pub fn vm_write(target: &Target) -> Outcome {
    // An address where nobody has anything: the rights alone are tried.
    let remote = libc::iovec { iov_base: 4096 as *mut libc::c_void, iov_len: 1 };
    let local = [IoSlice::new(b"x")];
    // SAFETY: an `IoSlice` is laid out as an iovec, and its bytes live through the call; the other address is the
    // other process's.
    let written = unsafe {
        libc::process_vm_writev(target.neighbour, local.as_ptr().cast(), 1, &raw const remote, 1, 0)
    };
    Outcome::of(permitted(written))
}

fn traced(request: libc::c_uint, pid: i32) -> Tried {
    // SAFETY: this request takes no memory of ours.
    let attached = unsafe { libc::ptrace(request, pid, 0, 0) };
    let got = called(attached, "attached")?;
    // Left as it was found: a process that is traced by nobody runs on.
    // SAFETY: these requests take no memory of ours; the status lives through the wait.
    unsafe {
        if request == libc::PTRACE_SEIZE {
            libc::ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0);
        }
        let mut status = 0;
        libc::waitpid(pid, &raw mut status, libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
    }
    Ok(got)
}

pub fn ptrace(target: &Target) -> Outcome {
    let pid = target.neighbour;
    Outcome::any([("attach", traced(libc::PTRACE_ATTACH, pid)), ("seize", traced(libc::PTRACE_SEIZE, pid))])
}

fn pidfd(pid: i32) -> Result<i64, Errno> {
    // SAFETY: takes two numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

pub fn steal_descriptor(target: &Target) -> Outcome {
    let steal = |pidfd: i64| {
        // SAFETY: takes three numbers.
        called(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0) }, "descriptor")
    };
    Outcome::any([("pidfd_getfd", pidfd(target.neighbour).and_then(steal))])
}

fn signalled(pid: i32, signal: i32) -> [(&'static str, Tried); 3] {
    // SAFETY: all zeroes is a valid one.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    (info.si_signo, info.si_code) = (signal, libc::SI_QUEUE);
    // SAFETY: these take numbers, and `info` lives through the last of them.
    unsafe {
        [
            ("kill", called(libc::kill(pid, signal), "sent")),
            ("tgkill", called(libc::syscall(libc::SYS_tgkill, pid, pid, signal), "sent")),
            (
                "rt_sigqueueinfo",
                called(libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, &raw const info), "sent"),
            ),
        ]
    }
}

pub fn kill_neighbour(target: &Target) -> Outcome {
    let all = [target.neighbour, target.bystander].into_iter().flat_map(|pid| signalled(pid, target.signal));
    Outcome::any(all)
}

pub fn kill_everybody(target: &Target) -> Outcome {
    // Zero is answered although nobody may have been reached.
    // SAFETY: takes two numbers.
    let sent = called(unsafe { libc::kill(-1, target.signal) }, "sent");
    Outcome::Done(format!("{sent:?}"))
}

pub fn pidfd_signal(target: &Target) -> Outcome {
    let send = |pidfd: i64| {
        // SAFETY: takes numbers, and a pointer that may be null.
        let sent = unsafe {
            let nothing = std::ptr::null::<libc::siginfo_t>();
            libc::syscall(libc::SYS_pidfd_send_signal, pidfd, target.signal, nothing, 0)
        };
        called(sent, "sent")
    };
    Outcome::any([
        ("neighbour", pidfd(target.neighbour).and_then(send)),
        ("bystander", pidfd(target.bystander).and_then(send)),
    ])
}

pub fn signal_by_descriptor(target: &Target) -> Outcome {
    let sent = || -> std::io::Result<()> {
        let (near, mut far) = UnixStream::pair()?;
        let number = near.as_raw_fd();
        // SAFETY: these take numbers alone.
        let set = unsafe {
            [
                libc::fcntl(number, libc::F_SETOWN, target.bystander),
                libc::fcntl(number, F_SETSIG, libc::SIGWINCH),
                libc::fcntl(number, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK),
            ]
        };
        if set.contains(&-1) {
            return Err(std::io::Error::last_os_error());
        }
        far.write_all(b"x")
    };
    match sent() {
        Ok(()) => Outcome::Done("asked for".into()),
        Err(error) => Outcome::Refused(errno(&error), "F_SETOWN".into()),
    }
}

pub fn kill_keepers(target: &Target) -> Outcome {
    // By the numbers of the machine, and the parent by the one that it has here.
    let parent = getppid().as_raw();
    let all = target.keepers.iter().copied().chain([parent]).filter(|pid| *pid > 0);
    let sent: Vec<_> = all.flat_map(|pid| signalled(pid, target.signal)).collect();
    match Outcome::any(sent) {
        // The first process of a namespace is sent what it never gets.
        Outcome::Got(detail) if parent == 1 && target.signal == libc::SIGKILL => Outcome::Done(detail),
        other => other,
    }
}

pub fn kill_service(target: &Target) -> Outcome {
    Outcome::any(signalled(target.service, target.signal))
}

fn limited(pid: i32) -> Tried {
    // SAFETY: all zeroes is a valid one.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: `limit` lives through both calls.
    unsafe {
        called(libc::prlimit(pid, libc::RLIMIT_MSGQUEUE, std::ptr::null(), &raw mut limit), "read")?;
        limit.rlim_cur = ODD_LIMIT.min(limit.rlim_max);
        called(libc::prlimit(pid, libc::RLIMIT_MSGQUEUE, &raw const limit, std::ptr::null_mut()), "set")
    }
}

pub fn limit_neighbour(target: &Target) -> Outcome {
    Outcome::any([("neighbour", limited(target.neighbour)), ("bystander", limited(target.bystander))])
}

pub fn limit_service(target: &Target) -> Outcome {
    Outcome::any([("prlimit", limited(target.service))])
}

pub fn renice(target: &Target) -> Outcome {
    let pid = target.bystander;
    let own = libc::sched_param { sched_priority: 0 };
    // SAFETY: these take numbers, and `own` lives through the last of them.
    unsafe {
        let who = libc::id_t::try_from(pid).unwrap_or_default();
        Outcome::any([
            ("setpriority", called(libc::setpriority(libc::PRIO_PROCESS, who, 7), "set")),
            (
                "ioprio_set",
                called(libc::syscall(libc::SYS_ioprio_set, IDLE_PRIORITY.0, pid, IDLE_PRIORITY.1), "set"),
            ),
            (
                "sched_setscheduler",
                called(libc::sched_setscheduler(pid, libc::SCHED_BATCH, &raw const own), "set"),
            ),
        ])
    }
}

pub fn pin(target: &Target) -> Outcome {
    let mut processors = nix::sched::CpuSet::new();
    let set = processors.set(0).and_then(|()| {
        nix::sched::sched_setaffinity(Pid::from_raw(target.bystander), &processors).map(|()| "set".into())
    });
    Outcome::any([("sched_setaffinity", set)])
}

pub fn keepers_secrets(target: &Target) -> Outcome {
    let all = target.keepers.iter().copied().chain([getppid().as_raw()]);
    Outcome::any(all.flat_map(|pid| [("environ", read_part(pid, "environ")), ("mem", read_memory(pid))]))
}

pub fn service_secrets(target: &Target) -> Outcome {
    let pid = target.service;
    Outcome::any([("environ", read_part(pid, "environ")), ("mem", read_memory(pid))])
}

/// The descriptors that are open now.
pub fn descriptors() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut numbers: Vec<i32> = numbers.collect();
    // The listing's own is closed by now.
    numbers.retain(|number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    numbers
}

pub fn inherited_descriptors(inherited: &[i32]) -> Outcome {
    let others: Vec<i32> = inherited.iter().copied().filter(|number| *number > 2).collect();
    if inherited.is_empty() {
        return Outcome::Absent("the list could not be read".into());
    }
    if others.is_empty() {
        return Outcome::Refused(Errno::EBADF, format!("only {inherited:?}"));
    }
    Outcome::Got(format!("{others:?}"))
}

/// Leaves a grandchild behind that has nothing in common with this process any more.
pub fn outlive(target: &Target) -> Outcome {
    let started = crate::child::try_in_child("left", || {
        nix::unistd::setsid()?;
        let spawned = outliver(&target.name).spawn();
        spawned.map(drop).map_err(|error| errno(&error))
    });
    match started {
        Ok(detail) => Outcome::Done(detail),
        Err(errno) => Outcome::Refused(errno, "it could not be started".into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "what a server starts is its own business")]
fn outliver(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.args(["outlive", name]).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).process_group(0);
    command
}

/// Stays, whatever is asked of it.
pub fn linger() -> std::io::Result<()> {
    SigSet::all().thread_block()?;
    std::thread::sleep(LINGER);
    Ok(())
}

pub fn names(target: &Target) -> Outcome {
    let told = |pid| read_part(pid, "cmdline");
    let alive = kill(Pid::from_raw(target.service), None).map(|()| "exists".to_owned());
    Outcome::any([
        ("neighbour", told(target.neighbour)),
        ("service", told(target.service)),
        ("service by signal 0", alive),
    ])
}
