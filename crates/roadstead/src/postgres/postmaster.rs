//! Telling truthfully whether a cluster's server runs, and holding on to exactly that process.
//!
//! A process id in a file may belong to someone else by now. A server counts as the cluster's only when it runs in
//! the cluster's folder or was started for it, and it is held by a process descriptor, which cannot change owner.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::{Interest, unix::AsyncFd};

use super::error::{PostgresError, file_error};

/// Sessions whose server died notice it at once; one that hangs is ended by then.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(10);

/// What a server's lock file says: `postmaster.pid` in the cluster, or the one beside the socket.
#[derive(Debug)]
pub(super) struct LockFile {
    pub(super) pid: u32,
    pub(super) cluster: PathBuf,
    /// Missing while the server starts.
    pub(super) socket_folder: Option<PathBuf>,
}

/// A live server process.
#[derive(Debug)]
pub(super) struct Postmaster {
    pid: u32,
    handle: AsyncFd<OwnedFd>,
}

impl LockFile {
    pub(super) fn of_cluster(cluster: &Path) -> Result<Option<Self>, PostgresError> {
        Self::read(&cluster.join("postmaster.pid"))
    }

    /// None when there is no such file, or the server has not finished writing it.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PostgresError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", path)(error)),
        }
    }

    /// Lines: process id, cluster, start time, port, socket folder, and more.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // A single-user server writes its id negated; it serves nobody.
        let pid = lines.next()?.trim().parse::<i32>().ok()?.unsigned_abs();
        let cluster = PathBuf::from(lines.next()?);
        let socket_folder = lines.nth(2).map(str::trim).filter(|line| !line.is_empty()).map(PathBuf::from);
        Some(Self { pid, cluster, socket_folder })
    }

    /// Whether the process named here is the server of this cluster.
    pub(super) fn serves(&self, cluster: &Path) -> bool {
        is_server_of(self.pid, cluster)
    }
}

fn is_server_of(pid: u32, cluster: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let (Ok(found), Ok(folder)) = (process.metadata(), cluster.metadata()) else { return false };
    let Ok(command_line) = fs::read(process.join("cmdline")) else { return false };
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    // A session's process calls itself "postgres: …"; the name of one that has ended is empty.
    if found.uid() != folder.uid() || arguments[0].is_empty() || arguments[0].starts_with(b"postgres:") {
        return false;
    }
    // Without the right to look where it runs (containers withhold it from root), its arguments must do.
    let runs_there = fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == cluster);
    let started_for =
        arguments.windows(2).any(|pair| pair == [b"-D".as_slice(), cluster.as_os_str().as_bytes()]);
    runs_there || started_for
}

impl Postmaster {
    /// The running server of a cluster, if there is one.
    pub(super) fn find(cluster: &Path) -> Result<Option<Self>, PostgresError> {
        match LockFile::of_cluster(cluster)? {
            Some(lock) => Self::hold(lock.pid, || lock.serves(cluster)),
            None => Ok(None),
        }
    }

    /// A process that we started and have not waited for yet: its id is surely its own.
    pub(super) fn started(pid: u32) -> Result<Option<Self>, PostgresError> {
        Self::hold(pid, || true)
    }

    /// First the descriptor, then the check: the other way round, the process could change in between.
    fn hold(pid: u32, check: impl FnOnce() -> bool) -> Result<Option<Self>, PostgresError> {
        let failed = |source| PostgresError::Process { action: "watch", pid, source };
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        if !check() {
            return Ok(None);
        }
        let handle = register(handle).map_err(failed)?;
        Ok(Some(Self { pid, handle }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Resolves when the process has ended, whoever its parent is.
    pub(super) async fn ended(&self) {
        // The descriptor's only event is the end; losing the reactor means that we end ourselves.
        let _ = self.handle.readable().await.map(|mut guard| guard.retain_ready());
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), PostgresError> {
        match pidfd_send_signal(self.handle.get_ref(), signal) {
            // Gone already: what was wanted.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => {
                Err(PostgresError::Process { action: "signal", pid: self.pid, source: errno.into() })
            }
        }
    }
}

#[expect(unsafe_code, reason = "tokio cannot see that the descriptor stays the same")]
fn register(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` always names the same open descriptor, and nothing here replaces it while it is registered.
    Ok(unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) }?)
}

/// Ends the sessions that outlived their server, and removes its lock file if the process id in it has a new owner.
///
/// Call it only when the cluster's server does not run.
pub(super) async fn clear_leftovers(cluster: &Path) -> Result<(), PostgresError> {
    for pid in processes_in(cluster) {
        let Some(left) = Postmaster::hold(pid, || runs_in(pid, cluster))? else { continue };
        left.signal(Signal::QUIT)?;
        // One that stays is PostgreSQL's own to refuse: it checks its shared memory.
        let _ = tokio::time::timeout(LEFTOVER_LIMIT, left.ended()).await;
    }
    let path = cluster.join("postmaster.pid");
    let Some(lock) = LockFile::read(&path)? else { return Ok(()) };
    if Path::new(&format!("/proc/{}", lock.pid)).exists() && !lock.serves(cluster) {
        fs::remove_file(&path).map_err(file_error("remove", path))?;
    }
    Ok(())
}

fn processes_in(cluster: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| runs_in(*pid, cluster))
        .collect()
}

fn runs_in(pid: u32, cluster: &Path) -> bool {
    let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let cwd = fs::read_link(format!("/proc/{pid}/cwd"));
    name.starts_with(b"postgres:") && cwd.is_ok_and(|folder| folder == cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_is_read_as_far_as_it_is_written() {
        let whole =
            LockFile::parse("42\n/data/cluster\n1700000000\n5432\n/run/x\n\n  1 2\nready   \n").unwrap();
        assert_eq!((whole.pid, whole.cluster.as_path()), (42, Path::new("/data/cluster")));
        assert_eq!(whole.socket_folder.as_deref(), Some(Path::new("/run/x")));
        let early = LockFile::parse("42\n/data/cluster\n1700000000\n5432\n").unwrap();
        assert_eq!(early.socket_folder, None);
        assert!(LockFile::parse("").is_none());
        assert!(LockFile::parse("forty-two\n/data\n").is_none());
    }

    #[test]
    fn a_process_that_only_has_the_id_is_not_the_server() {
        let cluster = tempfile::tempdir().unwrap();
        assert!(!is_server_of(std::process::id(), cluster.path()));
    }
}
