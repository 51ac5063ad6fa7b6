//! Processes by id and start time, and the strays of an instance by their mark.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use roadstead_control::{INSTANCE_MARK, ProcessId};
use roadstead_model::InstanceId;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Rest between two looks while processes go.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long an init may take to end what is below it, before it is ended itself. Without a PID namespace it alone finds a
/// process that has left its group and its mark behind.
const INIT_PATIENCE: Duration = Duration::from_secs(3);

/// A process's start in clock ticks since boot; `None` when there is none, or only its zombie.
pub fn started(pid: i32) -> Option<u64> {
    let stat = procfs::process::Process::new(pid).ok()?.stat().ok()?;
    (stat.state != 'Z').then_some(stat.starttime)
}

/// Whether this very process still lives.
pub fn is_alive(process: ProcessId) -> bool {
    started(process.pid) == Some(process.started)
}

/// Signals this very process, never a later owner of its number. Gone already is fine.
pub(crate) fn signal(process: ProcessId, signal: Signal) {
    // Opened first, compared second: from then on the handle cannot mean another process.
    if let Ok(handle) = pidfd(process.pid)
        && is_alive(process)
    {
        send(&handle, signal);
    }
}

/// A process that is no child of ours: its end can be waited for all the same.
#[derive(Debug)]
pub(crate) struct Stranger(AsyncFd<OwnedFd>);

impl Stranger {
    /// Nothing when it is gone.
    pub(crate) fn find(process: ProcessId) -> io::Result<Option<Self>> {
        let handle = match pidfd(process.pid) {
            Ok(handle) => handle,
            Err(Errno::ESRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Opened first, compared second, as for a signal.
        if !is_alive(process) {
            return Ok(None);
        }
        watched(handle).map(|handle| Some(Self(handle)))
    }

    /// Resolves when it has ended.
    pub(crate) async fn ended(&self) {
        // Only the end makes the handle readable; a failure here would mean that the handle is closed.
        let _ = self.0.readable().await;
    }

    pub(crate) fn kill(&self) {
        send(self.0.get_ref(), Signal::SIGKILL);
    }
}

#[expect(unsafe_code, reason = "the runtime cannot see that a descriptor is owned by what it is given")]
fn watched(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the owned descriptor stays open and the same until the registration is dropped, together with it.
    Ok(unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?)
}

#[expect(unsafe_code, reason = "pidfd_open has no safe form")]
fn pidfd(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: the call takes integers; on success it returns a descriptor that nobody else owns.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("descriptors fit")) })
}

#[expect(unsafe_code, reason = "pidfd_send_signal has no safe form")]
fn send(handle: &OwnedFd, signal: Signal) {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open; a null pointer stands for an ordinary signal.
    unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal as i32, nothing, 0);
    }
}

/// What a search for strays came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strays {
    /// Alive at the first look.
    pub(crate) found: usize,
    /// Alive at the last.
    pub(crate) left: usize,
}

/// The processes of instances that are known by their number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) shims: Vec<ProcessId>,
    /// They see that their shim is gone, and end what is below them.
    pub(crate) inits: Vec<ProcessId>,
}

/// Ends everything that carries one of these instances' marks, and these processes; waits until they are gone
/// or patience is over.
pub(crate) async fn end_strays(instances: HashSet<InstanceId>, known: Known, patience: Duration) -> Strays {
    let mut first = None;
    let begun = tokio::time::Instant::now();
    loop {
        let (instances, known) = (instances.clone(), known.clone());
        let is_late = begun.elapsed() >= INIT_PATIENCE;
        let looked = tokio::task::spawn_blocking(move || {
            let living = |all: Vec<ProcessId>| all.into_iter().filter(|process| is_alive(*process));
            let mut ended = marked(&instances);
            ended.extend(living(known.shims));
            let mut waited_for: Vec<ProcessId> = living(known.inits).collect();
            if is_late {
                ended.append(&mut waited_for);
            }
            for process in &ended {
                signal(*process, Signal::SIGKILL);
            }
            ended.len() + waited_for.len()
        });
        // A look that failed has seen nothing: the next one, or the next start, looks again.
        let left = looked.await.unwrap_or(0);
        let found = *first.get_or_insert(left);
        if left == 0 || begun.elapsed() >= patience {
            return Strays { found, left };
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Processes whose environment carries the mark of one of these instances.
fn marked(instances: &HashSet<InstanceId>) -> Vec<ProcessId> {
    let Ok(every) = procfs::process::all_processes() else { return Vec::new() };
    every
        .flatten()
        .filter_map(|process| {
            // What we may not read is not ours.
            let environment = process.environ().ok()?;
            let mark = environment.get(std::ffi::OsStr::new(INSTANCE_MARK))?.to_str()?;
            let instance: InstanceId = mark.parse().ok()?;
            let pid = process.pid;
            instances.contains(&instance).then_some(())?;
            started(pid).map(|started| ProcessId { pid, started })
        })
        .collect()
}
