//! What a server behind walls can do, seen from inside and outside, and what its shim says of them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_control::{
    FailureCode, Grant, HttpServer, HttpTransport, Isolation, LifecycleStep, Policy, Secret, Specification,
};
use roadstead_model::{ConfinementLevel, LEAST_LANDLOCK_ABI};

use crate::failure::fails;
use crate::support::{Launched, NOBODY, Place, free_address, is_root, secrets};

const REFUSED: &[&str] = &["EACCES", "EPERM"];
const ABSENT: &[&str] = &["ENOENT"];
const DONE: &[&str] = &["ok "];

/// What is tried, on what, and what may come of it.
type Expected<'a> = (&'a str, &'a str, &'a [&'a str]);

/// A neighbour's folder, of the server's own user, so that only walls refuse.
struct Neighbour {
    folder: PathBuf,
    secret: PathBuf,
    socket: PathBuf,
    _listening: UnixListener,
}

impl Neighbour {
    fn new(place: &Place) -> Self {
        let folder = place.program("neighbour");
        std::fs::create_dir(&folder).unwrap();
        let (secret, socket) = (folder.join("secret"), folder.join("socket"));
        std::fs::write(&secret, "of a neighbour").unwrap();
        let listening = UnixListener::bind(&socket).unwrap();
        for path in [&folder, &secret, &socket] {
            belongs_to_server(path);
        }
        Self { folder, secret, socket, _listening: listening }
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(std::fs::read_to_string(&self.secret).unwrap(), "of a neighbour");
        assert_eq!(std::fs::metadata(&self.secret).unwrap().permissions().mode() & 0o777, 0o777);
        assert_eq!(std::fs::read_dir(&self.folder).unwrap().count(), 2);
    }
}

fn belongs_to_server(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn policy(place: &Place) -> Policy {
    Policy { own: place.work(), hide: vec![place.folder.path().to_owned()], ..Policy::default() }
}

/// An instance that tries these things.
fn trying(place: &Place, policy: Policy, expected: &[Expected<'_>]) -> Specification {
    let attempts = expected.iter().flat_map(|(verb, target, _)| [(*verb).to_owned(), (*target).to_owned()]);
    Specification {
        program: place.program("attempts"),
        args: [text(&facts_file(place)).to_owned()].into_iter().chain(attempts).collect(),
        confinement: Some(policy),
        ..place.specification(&[])
    }
}

fn facts_file(place: &Place) -> PathBuf {
    place.work().join("facts")
}

#[track_caller]
fn came_true(place: &Place, expected: &[Expected<'_>]) {
    let facts = std::fs::read_to_string(facts_file(place)).unwrap();
    let facts: BTreeMap<String, String> = serde_json::from_str(&facts).unwrap();
    for (verb, target, words) in expected {
        let said = &facts[&format!("{verb} {target}")];
        assert!(words.contains(&said.as_str()), "{verb} {target}: {said}, not one of {words:?}");
    }
}

async fn leave(mut launched: Launched) {
    launched.shim.control().kill();
    launched.exited().await;
}

/// Launches, and looks what came of the attempts.
async fn try_all(place: &Place, policy: Policy, isolation: Isolation, expected: &[Expected<'_>]) {
    let specification = Specification { isolation, ..trying(place, policy, expected) };
    let launched = place.launch(specification).await;
    came_true(place, expected);
    leave(launched).await;
}

#[tokio::test]
async fn for_a_server_with_namespaces_a_neighbour_does_not_exist() {
    let place = Place::new();
    let neighbour = Neighbour::new(&place);
    let (secret, new) = (text(&neighbour.secret), neighbour.folder.join("new"));
    let up = place.work().join("../neighbour/secret");
    let shared = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    let this = std::process::id().to_string();
    let own = place.work().join("own");
    let expected = [
        ("read", secret, ABSENT),
        ("append", secret, ABSENT),
        ("write", text(&new), ABSENT),
        ("mode", secret, ABSENT),
        ("stat", secret, ABSENT),
        ("list", text(&neighbour.folder), ABSENT),
        ("link", secret, ABSENT),
        ("read", text(&up), ABSENT),
        ("connect-path", text(&neighbour.socket), ABSENT),
        ("stat", text(shared.path()), ABSENT),
        ("processes", "", &["ok 2"]),
        ("limit", &this, REFUSED),
        ("mode", "/etc/hosts", &["EROFS"]),
        ("read", "/etc/shadow", REFUSED),
        ("list", "/", REFUSED),
        ("write", "/tmp/roadstead-test-of-walls", DONE),
        ("write", text(&own), DONE),
        ("run", "/bin/true", &["ok exit status: 0"]),
    ];
    try_all(&place, policy(&place), Isolation::Auto, &expected).await;
    neighbour.is_untouched();
    assert!(own.exists(), "its own folder is the real one");
    assert!(!Path::new("/tmp/roadstead-test-of-walls").exists());
}

#[tokio::test]
async fn without_namespaces_a_neighbours_files_and_processes_are_closed_all_the_same() {
    let place = Place::new();
    let neighbour = Neighbour::new(&place);
    let (secret, new) = (text(&neighbour.secret), neighbour.folder.join("new"));
    let this = std::process::id().to_string();
    let expected = [
        ("read", secret, REFUSED),
        ("append", secret, REFUSED),
        ("remove", secret, REFUSED),
        ("write", text(&new), REFUSED),
        ("link", secret, REFUSED),
        ("signal", &this, REFUSED),
        ("limit", &this, REFUSED),
        ("write", "/tmp/roadstead-test-of-walls-alone", REFUSED),
        ("run", "/bin/true", &["ok exit status: 0"]),
    ];
    try_all(&place, policy(&place), Isolation::Off, &expected).await;
    neighbour.is_untouched();
}

#[tokio::test]
async fn ports_off_the_list_are_closed_both_ways() {
    let place = Place::new();
    let [open, closed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [&open, &closed].map(|listener| listener.local_addr().unwrap().port());
    let own = free_address().port();
    let [open_port, closed_port] = ports.map(|port| port.to_string());
    let (free, own_port, path) = (free_address().port().to_string(), own.to_string(), place.work().join("s"));
    let expected = [
        ("connect", &*open_port, DONE),
        ("connect", &closed_port, REFUSED),
        ("bind", &free, REFUSED),
        ("bind", "0", REFUSED),
        ("bind-path", text(&path), REFUSED),
    ];
    let walls = Policy { connect: vec![ports[0]], ..policy(&place) };
    try_all(&place, walls.clone(), Isolation::Auto, &expected).await;
    std::fs::remove_file(&path).unwrap();
    let expected = [("bind", &*free, REFUSED), ("bind", &own_port, DONE), ("bind-path", text(&path), DONE)];
    try_all(&place, Policy { bind: vec![own], listen: true, ..walls }, Isolation::Auto, &expected).await;
}

#[tokio::test]
async fn what_stands_is_told_and_kept() {
    for isolation in [Isolation::Auto, Isolation::Off] {
        let place = Place::new();
        let alone = [("processes", "", &["ok 2"][..])];
        let specification = Specification { isolation, ..trying(&place, policy(&place), &alone) };
        let folder = place.supervisor().run_folder(specification.instance);
        let launched = place.launch(specification).await;
        let told = launched.ready.mechanisms.unwrap();
        assert!(told.no_new_privileges && told.seccomp && told.landlock_abi >= LEAST_LANDLOCK_ABI);
        assert_eq!(told.own_user, is_root());
        assert_eq!(told.namespace, isolation == Isolation::Auto);
        if told.namespace {
            came_true(&place, &alone);
        }
        let expected = match (is_root(), isolation) {
            (true, _) if told.cgroup => ConfinementLevel::Full,
            (true, _) | (false, Isolation::Auto) => ConfinementLevel::Strong,
            (false, Isolation::Off) => ConfinementLevel::Basic,
        };
        assert_eq!(told.level(), expected);
        let status = std::fs::read_to_string(format!("/proc/{}/status", launched.ready.server.pid)).unwrap();
        assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
        let state = std::fs::read_to_string(folder.join("state.json")).unwrap();
        let state: roadstead_control::ShimState = serde_json::from_str(&state).unwrap();
        assert_eq!(state.mechanisms, Some(told));
        leave(launched).await;
    }
}

#[tokio::test]
async fn a_server_without_a_policy_is_said_to_have_no_walls() {
    let place = Place::new();
    let launched = place.launch(place.specification(&[])).await;
    let told = launched.ready.mechanisms.unwrap();
    assert_eq!((told.level(), told.seccomp, told.landlock_abi), (ConfinementLevel::None, false, 0));
    assert!(!told.namespace, "it sees the machine as it is");
    leave(launched).await;
}

#[tokio::test]
async fn a_machine_that_has_less_than_is_demanded_starts_nothing() {
    let place = Place::new();
    let walls = Policy { min: ConfinementLevel::Full, ..policy(&place) };
    let mut specification = trying(&place, walls, &[]);
    // Without any limit no control group limits it.
    specification.limits.processes = None;
    specification.isolation = Isolation::Off;
    let failure = fails(&place, specification).await;
    assert_eq!(failure.code, FailureCode::ConfinementTooWeak);
    assert!(failure.message.contains("at least full is demanded"), "{failure}");
    assert!(failure.message.contains("a control group with its limits"), "{failure}");
    assert!(!facts_file(&place).exists(), "its server has not run");
}

#[tokio::test]
async fn granted_folders_are_open_as_granted_and_nothing_around_them() {
    let place = Place::new();
    let neighbour = Neighbour::new(&place);
    let people =
        tempfile::Builder::new().prefix("rs-people").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = people.path().canonicalize().unwrap();
    std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["project", "reading", "private"] {
        std::fs::create_dir(at.join(name)).unwrap();
        std::fs::write(at.join(name).join("file"), name).unwrap();
        belongs_to_server(&at.join(name));
        belongs_to_server(&at.join(name).join("file"));
    }
    symlink(&neighbour.folder, at.join("way-out")).unwrap();
    let [kept, new, reading, changed, private] =
        ["project/file", "project/new", "reading/file", "reading/new", "private/file"]
            .map(|name| at.join(name));
    let expected = [
        ("read", text(&kept), &["ok project"][..]),
        ("write", text(&new), DONE),
        ("run", text(&kept), REFUSED),
        ("read", text(&reading), &["ok reading"]),
        ("write", text(&changed), &["EACCES", "EROFS"]),
        ("read", text(&private), &["EACCES", "ENOENT"]),
    ];
    let grant = |below: &str, write| Grant { root: at.clone(), below: below.into(), write };
    let walls = Policy { grants: vec![grant("project", true), grant("reading", false)], ..policy(&place) };
    for isolation in [Isolation::Auto, Isolation::Off] {
        try_all(&place, walls.clone(), isolation, &expected).await;
        std::fs::remove_file(&new).unwrap();
    }
    for below in ["way-out", "../neighbour", "nothing"] {
        let walls = Policy { grants: vec![grant(below, true)], ..policy(&place) };
        let failure = fails(&place, trying(&place, walls, &[])).await;
        assert_eq!(failure.code, FailureCode::InvalidSpecification, "{failure}");
        assert!(failure.message.contains(below), "{failure}");
    }
}

#[tokio::test]
async fn secrets_come_by_file_and_descriptor_and_leave_no_file_outside() {
    let place = Place::new();
    let supervisor = place.supervisor();
    let mut specification = trying(&place, policy(&place), &[]);
    let file = supervisor.run_folder(specification.instance).join("s/key");
    let expected = [
        ("descriptor", "100", &["ok first"][..]),
        ("descriptor", "101", &["ok second"]),
        ("read", text(&file), &["ok in a file"]),
        ("append", text(&file), REFUSED),
    ];
    specification.args = trying(&place, policy(&place), &expected).args;
    let secret = |text: &str| Secret::new(text.to_owned());
    let mut all = secrets();
    all.descriptors = vec![secret("first"), secret("second")];
    all.files = vec![("key".to_owned(), secret("in a file"))];
    let mut shim = supervisor.start(specification, all).await.unwrap();
    let mut events = shim.take_events();
    shim.ready().await.unwrap();
    came_true(&place, &expected);
    assert!(!file.exists(), "outside its namespace there is no such file");
    shim.control().kill();
    while events.recv().await.is_some() {}
}

#[tokio::test]
async fn without_namespaces_no_secret_is_written_to_a_disk() {
    let place = Place::new();
    let supervisor = place.supervisor();
    let mut specification = trying(&place, policy(&place), &[]);
    specification.isolation = Isolation::Off;
    let mut all = secrets();
    all.files = vec![("key".to_owned(), Secret::new("in a file".to_owned()))];
    let file = supervisor.run_folder(specification.instance).join("s/key");
    let in_memory = roadstead_sandbox::secrets::is_in_memory(&place.run_root());
    let mut shim = supervisor.start(specification, all).await.unwrap();
    let mut events = shim.take_events();
    let ready = shim.ready().await;
    assert_eq!(ready.is_ok(), in_memory, "{ready:?}");
    assert_eq!(file.exists(), in_memory);
    if let Err(error) = ready {
        assert!(format!("{error:?}").contains("no tmpfs"), "{error:?}");
    }
    shim.control().kill();
    while events.recv().await.is_some() {}
}

#[tokio::test]
async fn a_server_that_speaks_http_has_its_own_port_and_no_other() {
    let place = Place::new();
    let (own, other) = (free_address(), free_address());
    let specification = |address: std::net::SocketAddr| Specification {
        http: Some(HttpServer {
            transport: HttpTransport::StreamableHttp,
            url: format!("http://{own}/mcp"),
            allow_any_interface: false,
        }),
        confinement: Some(policy(&place)),
        ..place.specification(&["--ignore-end-of-input", "--listen", &address.to_string()])
    };
    leave(place.launch(specification(own)).await).await;
    let failure = fails(&place, specification(other)).await;
    assert_eq!(failure.code, FailureCode::ServerExited, "{failure}");
}

#[tokio::test]
async fn a_server_that_is_started_again_stands_behind_walls_made_anew() {
    let place = Place::new();
    let neighbour = Neighbour::new(&place);
    let expected = [("read", text(&neighbour.secret), REFUSED)];
    let mut specification = trying(&place, policy(&place), &expected);
    specification.isolation = Isolation::Off;
    specification.restart = crate::again::at_most(1);
    let program = specification.program.clone();
    let mut launched = place.launch(specification).await;
    std::fs::remove_file(facts_file(&place)).unwrap();
    // An update: the same name, another file.
    std::fs::copy(&program, program.with_extension("new")).unwrap();
    std::fs::rename(program.with_extension("new"), &program).unwrap();
    kill(Pid::from_raw(launched.ready.server.pid), Signal::SIGKILL).unwrap();
    let LifecycleStep::Restarted { .. } = launched.step().await.step;
    came_true(&place, &expected);
    leave(launched).await;
}

#[tokio::test]
async fn a_program_is_found_through_interpreters_and_links() {
    let place = Place::new();
    let mut specification = trying(&place, policy(&place), &[]);
    let script = place.program("script");
    std::fs::write(&script, format!("#!{}\n", text(&place.program("inner")))).unwrap();
    std::fs::write(place.program("inner"), format!("#!{}\n", text(&place.program("link")))).unwrap();
    std::fs::copy(place.program("misbehave"), place.program("hidden-away")).unwrap();
    symlink(place.program("hidden-away"), place.program("link")).unwrap();
    for name in ["script", "inner"] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(place.program(name), mode).unwrap();
    }
    specification.program = script;
    specification.args = Vec::new();
    let failure = fails(&place, specification).await;
    // The program at the end was run, and does not know what it was told.
    assert!(failure.stderr_tail.iter().any(|line| line.contains("unknown flag")), "{failure:?}");
}

/// Servers of a few lines that do what real ones do at their start.
const PYTHON: &str = "
import json, os, socket, ssl, subprocess, sys, tempfile, threading
ssl.create_default_context(); socket.getaddrinfo('localhost', 80)
t = threading.Thread(target=lambda: None); t.start(); t.join()
assert subprocess.run(['/bin/true']).returncode == 0
tempfile.NamedTemporaryFile(dir='.').close()
for line in sys.stdin:
    m = json.loads(line)
    if m.get('id') is not None:
        print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'result': {}}), flush=True)
";
const NODE: &str = "
const { Worker } = require('worker_threads'), { spawnSync } = require('child_process'), fs = require('fs');
require('https'); require('os').cpus(); require('dns').lookup('localhost', () => {});
if (spawnSync('/bin/true').status !== 0) process.exit(9);
fs.writeFileSync('node-was-here', '');
new Worker('1', { eval: true });
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const m = JSON.parse(line);
  if (m.id != null) console.log(JSON.stringify({ jsonrpc: '2.0', id: m.id, result: {} }));
});
";

#[tokio::test]
async fn servers_of_python_and_node_start_behind_walls() {
    for (name, flag, source) in [("python3", "-c", PYTHON), ("node", "-e", NODE)] {
        let found = ["/usr/bin", "/usr/local/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let Some(program) = found.into_iter().find(|path| path.exists()) else {
            eprintln!("this machine has no {name}");
            continue;
        };
        for isolation in [Isolation::Auto, Isolation::Off] {
            let place = Place::new();
            let mut specification = trying(&place, policy(&place), &[]);
            (specification.program, specification.isolation) = (program.clone(), isolation);
            specification.args = vec![flag.to_owned(), source.to_owned()];
            leave(place.launch(specification).await).await;
        }
    }
}
