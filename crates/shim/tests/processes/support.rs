//! A place for instances, and ways to look at processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_control::{
    ControlSecret, INSTANCE_MARK, Isolation, LifecycleEntry, Limits, ProcessId, Secret, Secrets,
    Specification, TokenHash, UserIds,
};
use roadstead_model::{BootId, Era, InstallationId, InstanceId, NodeId, SystemClock};
use roadstead_supervisor::{Shim, ShimEvent, Supervisor, SupervisorConfig};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Far longer than anything takes, so that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The user that servers run as when the tests run as root.
pub const NOBODY: u32 = 65534;
pub const TOKEN: &str = "rsi_a-token-for-tests";

/// A folder with the programs, where every user may look, and a run folder.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub installation: InstallationId,
    pub boot: BootId,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").unwrap();
        open_to_all(folder.path());
        let place =
            Self { folder, installation: fresh(InstallationId::from_uuid), boot: fresh(BootId::from_uuid) };
        let shim = Path::new(env!("CARGO_BIN_EXE_roadstead-shim"));
        put(shim, &place.shim());
        for example in ["misbehave", "parent", "attempts"] {
            // Cargo builds examples beside the programs.
            put(&shim.with_file_name("examples").join(example), &place.program(example));
        }
        std::fs::create_dir(place.work()).unwrap();
        std::fs::set_permissions(place.work(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        place
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn shim(&self) -> PathBuf {
        self.program("roadstead-shim")
    }

    /// Writable for every server.
    pub fn work(&self) -> PathBuf {
        self.program("work")
    }

    pub fn run_root(&self) -> PathBuf {
        self.program("run")
    }

    pub fn supervisor(&self) -> Supervisor {
        let config = SupervisorConfig { shim_program: self.shim(), run_root: self.run_root() };
        let entropy = Arc::new(|bytes: &mut [u8; 32]| *bytes = roadstead_sandbox::privilege::random_bytes());
        Supervisor::new(config, TaskTracker::new(), Arc::new(SystemClock::new()), entropy).unwrap()
    }

    /// An instance of the misbehaving server, with short times.
    pub fn specification(&self, args: &[&str]) -> Specification {
        Specification {
            version: roadstead_control::PROTOCOL_VERSION,
            installation: self.installation,
            instance: fresh(InstanceId::from_uuid),
            node: fresh(NodeId::from_uuid),
            boot: self.boot,
            generation: 1,
            listen: free_address(),
            remaining_ms: 600_000,
            run_folder: PathBuf::new(),
            program: self.program("misbehave"),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            working_folder: self.work(),
            user: is_root().then_some(UserIds { uid: NOBODY, gid: NOBODY }),
            isolation: Isolation::Auto,
            era: Era::Legacy,
            ready_timeout_ms: 20_000,
            stop_step_ms: 300,
            grace_ms: 300,
            limits: Limits::default(),
            cgroups: Vec::new(),
            allowed_origins: Vec::new(),
            bridge: roadstead_control::BridgeSettings::default(),
            restart: roadstead_model::RestartPolicy::Never,
            idle_limit_ms: None,
            http: None,
            confinement: None,
        }
    }

    /// Launches and expects it to become ready.
    pub async fn launch(&self, specification: Specification) -> Launched {
        let supervisor = self.supervisor();
        let instance = specification.instance;
        let address = specification.listen;
        let mut shim = supervisor.start(specification, secrets()).await.unwrap();
        let events = shim.take_events();
        let ready = shim.ready().await.unwrap();
        Launched { shim, events, ready, address, instance, supervisor }
    }
}

pub struct Launched {
    pub shim: Shim,
    pub events: mpsc::Receiver<ShimEvent>,
    pub ready: roadstead_control::Ready,
    pub address: std::net::SocketAddr,
    pub instance: InstanceId,
    pub supervisor: Supervisor,
}

impl Launched {
    /// The events, for a driver that does with them what it likes.
    pub fn take_events(&mut self) -> mpsc::Receiver<ShimEvent> {
        std::mem::replace(&mut self.events, mpsc::channel(1).1)
    }

    /// The exit record, and the lines that came before it.
    pub async fn exited(&mut self) -> (roadstead_control::ExitRecord, Vec<String>) {
        let control = self.shim.control();
        let mut lines = Vec::new();
        let all = async {
            while let Some(event) = self.events.recv().await {
                match event {
                    ShimEvent::Logs { entries, .. } => {
                        control.logs_received(entries.last().unwrap().seq).await;
                        lines.extend(entries.into_iter().map(|entry| entry.message));
                    }
                    ShimEvent::Exited(record) => return record,
                    ShimEvent::Ready(_)
                    | ShimEvent::Usage { .. }
                    | ShimEvent::EraFound(_)
                    | ShimEvent::ToolsDiffer(_)
                    | ShimEvent::ServerChanged(_)
                    | ShimEvent::Lifecycle(_) => {}
                }
            }
            panic!("the events ended without an end of the instance");
        };
        let record = tokio::time::timeout(PATIENCE, all).await.expect("the instance ends");
        (record, lines)
    }
}

impl Launched {
    /// The next step that the shim took by itself; lines and other words before it are passed over.
    pub async fn step(&mut self) -> LifecycleEntry {
        let control = self.shim.control();
        let next = async {
            loop {
                match self.events.recv().await.expect("the instance has not ended") {
                    ShimEvent::Lifecycle(entry) => return entry,
                    ShimEvent::Logs { entries, .. } => {
                        control.logs_received(entries.last().unwrap().seq).await;
                    }
                    ShimEvent::Exited(record) => panic!("it has ended: {record:?}"),
                    ShimEvent::Ready(_)
                    | ShimEvent::Usage { .. }
                    | ShimEvent::EraFound(_)
                    | ShimEvent::ToolsDiffer(_)
                    | ShimEvent::ServerChanged(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("a step")
    }
}

impl Drop for Launched {
    /// A test that fails leaves nothing behind either.
    fn drop(&mut self) {
        let process = self.shim.process();
        if roadstead_supervisor::is_alive(process) {
            let pid = nix::unistd::Pid::from_raw(process.pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Puts a program into a place. By a link, where that can be: while a copy is written, a process that another test starts at this
/// moment holds it open for a while, and it cannot be run.
fn put(program: &Path, place: &Path) {
    if std::fs::hard_link(program, place).is_err() {
        std::fs::copy(program, place).unwrap();
    }
}

pub fn secrets() -> Secrets {
    Secrets {
        token_sha256: TokenHash::of(TOKEN.as_bytes()),
        control: ControlSecret::new(roadstead_sandbox::privilege::random_bytes()),
        environment: vec![("GREETING".into(), Secret::new("canary-secret".into()))],
        headers: Vec::new(),
        masks: vec![Secret::new("canary-secret".into())],
        files: Vec::new(),
        descriptors: Vec::new(),
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// One HTTP request over a connection of its own: the answer's head and body.
pub fn ask(address: std::net::SocketAddr, request: &str) -> (String, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

pub fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

/// Waits for a condition, far longer than it should take.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "still not: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The same while the tasks of this process go on.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Living processes that carry an instance's mark.
pub fn marked(instance: InstanceId) -> Vec<ProcessId> {
    let mark = instance.to_string();
    procfs::process::all_processes()
        .unwrap()
        .flatten()
        .filter(|process| {
            process
                .environ()
                .is_ok_and(|all| all.get(std::ffi::OsStr::new(INSTANCE_MARK)).is_some_and(|m| *m == *mark))
        })
        .filter_map(|process| {
            let pid = process.pid;
            roadstead_supervisor::started(pid).map(|started| ProcessId { pid, started })
        })
        .collect()
}

fn fresh<T>(make: impl Fn(uuid::Uuid) -> T) -> T {
    make(uuid::Uuid::from_bytes(roadstead_sandbox::privilege::random_bytes()))
}

pub fn free_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}
