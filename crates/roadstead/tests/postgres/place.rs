//! A private place for one cluster, which is stopped when the place goes; and a look at processes from outside.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rand::SeedableRng;
use rand::rngs::StdRng;
use roadstead::postgres::{Postgres, PostgresError, Running, SYSTEM_FOLDER, Settings, Status, Step};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data folder and a socket folder that nobody else uses.
pub struct Place {
    root: tempfile::TempDir,
}

/// A process of the server's user that has nothing to do with PostgreSQL.
pub struct Stranger(Mutex<Child>);

impl Place {
    pub fn new() -> Self {
        let place = Self::closed();
        let_pass(place.root());
        place
    }

    /// One that only we may enter.
    pub fn closed() -> Self {
        let root = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let place = Self { root };
        let_pass(&place.root().join("data"));
        place
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn folder(&self) -> PathBuf {
        self.root().join("data/postgres")
    }

    pub fn cluster(&self) -> PathBuf {
        self.folder().join("cluster")
    }

    pub fn socket_lock(&self) -> PathBuf {
        self.root().join("s/.s.PGSQL.5432.lock")
    }

    #[expect(clippy::disallowed_methods, reason = "the tests use the programs of whoever runs them")]
    pub fn settings(&self) -> Settings {
        Settings {
            data_folder: self.root().join("data"),
            socket_folder: self.root().join("s"),
            search_path: std::env::var_os("PATH"),
            system_folder: PathBuf::from(SYSTEM_FOLDER),
            releases_url: None,
        }
    }

    pub fn without_programs(&self, releases_url: Option<String>) -> Settings {
        Settings {
            search_path: None,
            system_folder: self.root().join("none"),
            releases_url,
            ..self.settings()
        }
    }

    pub fn postgres(&self) -> Postgres {
        Postgres::new(self.settings())
    }

    pub async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    pub async fn try_start(&self) -> Result<Running, PostgresError> {
        self.start_as(self.settings()).await
    }

    pub async fn start_with_steps(&self) -> (Running, Vec<Step>) {
        let (running, steps) = self.start_as_with_steps(self.settings()).await;
        (running.unwrap(), steps)
    }

    pub async fn start_as(&self, settings: Settings) -> Result<Running, PostgresError> {
        self.start_as_with_steps(settings).await.0
    }

    pub async fn start_as_with_steps(
        &self,
        settings: Settings,
    ) -> (Result<Running, PostgresError>, Vec<Step>) {
        let mut steps = Vec::new();
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).unwrap();
        let running = Postgres::new(settings).start(&mut rng, |step| steps.push(step)).await;
        (running, steps)
    }

    /// A process of the cluster's owner.
    pub fn stranger(&self) -> Stranger {
        let owner = self.cluster().metadata().unwrap();
        let mut command = command("sleep");
        if is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Stranger(Mutex::new(command.arg("600").current_dir("/").spawn().unwrap()))
    }

    /// Writes a file as the server would have left it.
    pub fn write_as_server(&self, path: &Path, text: &str) {
        let owner = self.cluster().metadata().unwrap();
        fs::write(path, text).unwrap();
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let begun = Instant::now();
        while let Ok(Status::Running { pid, .. }) = self.postgres().status() {
            assert!(begun.elapsed() < PATIENCE, "the server (process {pid}) does not end");
            kill(pid, Signal::SIGQUIT);
            std::thread::yield_now();
        }
    }
}

impl Stranger {
    pub fn id(&self) -> u32 {
        self.0.lock().unwrap().id()
    }

    pub fn is_alive(&self) -> bool {
        self.0.lock().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let child = self.0.get_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Lets the server's user pass through a folder, as a data folder of root's does.
pub fn let_pass(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A process that is gone already is what was wanted.
pub fn kill(pid: u32, signal: Signal) {
    let _ = nix::sys::signal::kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal);
}

#[expect(clippy::disallowed_methods, reason = "the one place of these tests that builds a command line")]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs tests of this program once more, as a user who owns nothing.
pub fn as_ordinary_user(names: &[&str]) -> Output {
    let program = std::env::current_exe().unwrap();
    command("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["--exact", "--test-threads=1"])
        .args(names)
        .current_dir("/")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

/// Waits for a condition, which is asked again and again.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "the condition never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether a session's process lives and computes.
pub fn is_busy(session: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{session}/stat")) else { return false };
    let line = fs::read(format!("/proc/{session}/cmdline")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('R'))
        && String::from_utf8_lossy(&line).contains("DO")
}

/// The sockets that a process has open.
pub fn sockets_of(pid: u32) -> HashSet<u64> {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// Every TCP and UDP socket of the machine.
pub fn internet_sockets() -> HashSet<u64> {
    ["tcp", "tcp6", "udp", "udp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/net/{table}")).ok())
        .flat_map(|table| {
            let sockets: Vec<u64> = table
                .lines()
                .skip(1)
                .filter_map(|line| line.split_whitespace().nth(9)?.parse().ok())
                .collect();
            sockets
        })
        .collect()
}
