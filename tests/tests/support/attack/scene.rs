//! The scene of the attempts: a neighbour with something to lose, a bystander, folders of people, and the hostile server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use roadstead_test_support::app::{App, is_alive, programs};
use roadstead_test_support::raw::{Session, call, http_client, messages};
use serde_json::{Value, json};

use super::bystander::Bystander;
use super::machine::{Machine, Running, answered, owned_by};

/// What the neighbour's folder holds.
const PRIVATE: &str = "of the neighbour alone";
/// Where people have their homes: nothing hides it.
const HOMES: &str = "/home";
/// Whose key lies in a home, where the service is root's.
const SOMEBODY: u32 = 1_234_567;

/// Everything that stands still while attempts are made.
pub(crate) struct Scene {
    pub(crate) running: Running,
    pub(crate) bystander: Bystander,
    pub(crate) neighbour: Launched,
    /// The neighbour's own client.
    session: Session,
    attacker_key: String,
    folder: PathBuf,
    people: tempfile::TempDir,
    _agent: UnixListener,
    shared: [PathBuf; 2],
    owner: u32,
    limits: String,
}

/// A running instance.
pub(crate) struct Launched {
    pub(crate) id: String,
    pub(crate) server: i32,
    pub(crate) shim: i32,
    token: String,
    port: u16,
}

/// The hostile server's instance, and its way in.
pub(crate) struct Attacker {
    pub(crate) launched: Launched,
    pub(crate) row: Value,
    session: Session,
    calls: u64,
}

impl Scene {
    pub(crate) async fn set(machine: &Machine) -> Self {
        let running = machine.start().await;
        let app = &running.app;
        let (attacker_key, neighbour_key) = (user(app, "attacker").await, user(app, "neighbour").await);
        let secret = json!({"type": "echo", "credentials": {"token": canary()}});
        let launch = app.ask_as(&neighbour_key, "POST", "/instances", Some(secret)).await;
        let neighbour = Launched::of(answered(&launch, 201));
        let url = format!("{}/i/{}/mcp", app.url, neighbour.id);
        let session = Session::open(&http_client(false), &url, &neighbour.token).await;
        let folder = app.data().join("instances").join(&neighbour.id);
        let owner = folder.metadata().expect("the neighbour has a folder").uid();
        let people = tempfile::Builder::new().prefix("rs-people-").tempdir_in(HOMES).expect("a folder");
        let agent = UnixListener::bind(people.path().join("agent")).expect("a socket");
        fs::set_permissions(people.path().join("agent"), Permissions::from_mode(0o600)).expect("its mode");
        owned_by(&people.path().join("agent"), running.user);
        let package = Self::furnish(people.path(), running.user);
        let bystander = Bystander::start(&package.join("roadstead-hostile"), owner, &folder);
        let name = format!("roadstead-neighbour-{}", std::process::id());
        let shared = [Path::new("/tmp").join(&name), Path::new("/dev/shm").join(&name)];
        let limits = limits_of(neighbour.server);
        let scene = Self {
            running,
            bystander,
            neighbour,
            session,
            attacker_key,
            folder,
            people,
            _agent: agent,
            shared,
            owner,
            limits,
        };
        scene.define().await;
        scene
    }

    /// Folders of people, a home with a key, and the installed server.
    fn furnish(people: &Path, service: u32) -> PathBuf {
        open_to_all(people);
        for name in ["package", "home", "outside", "project", "reading"] {
            fs::create_dir(people.join(name)).expect("a folder");
            open_to_all(&people.join(name));
        }
        write(&people.join("outside/secret"), 0o644, None);
        let key = people.join("home/id_ed25519");
        write(&key, 0o600, Some(if service == 0 { SOMEBODY } else { service }));
        let package = people.join("package");
        for (from, name, mode) in [
            (programs().join("roadstead-hostile"), "roadstead-hostile", 0o755),
            (PathBuf::from("/usr/bin/id"), "id", 0o4755),
        ] {
            fs::copy(from, package.join(name)).expect("a copy of a program");
            fs::set_permissions(package.join(name), Permissions::from_mode(mode)).expect("its mode");
        }
        write(&package.join("package.json"), 0o644, Some(service));
        owned_by(&package, service);
        package
    }

    /// The types of the hostile server, behind walls and without, and what is granted to it.
    async fn define(&self) {
        let app = &self.running.app;
        let roots = json!({"value": [{"path": self.people.path(), "access": "read-write"}]});
        let set = app.ask("PUT", "/settings/confinement.allowed_roots", Some(roots)).await;
        answered(&set, 200);
        let ports = [json!(443), self.bystander.has["allowed_port"].clone()];
        let path = |access: &str| json!({"type": "string", "format": "path", "x-access": access});
        for (name, confinement) in
            [("hostile", json!({"outbound_ports": ports})), ("unwalled", json!({"off": true}))]
        {
            let spec = json!({
                "name": name, "display_name": name, "program": self.at("package/roadstead-hostile"),
                "era": "legacy", "restart": "never", "confinement": confinement,
                "resource_limits": {"memory_mb": 128, "cpu": 0.5, "processes": 40, "open_files": 200,
                                    "disk_mb": 64, "file_size_mb": 16},
                "config_schema": {"type": "object", "properties": {
                    "project": path("read-write"), "reading": path("read")}},
            });
            answered(&app.ask("POST", "/types", Some(spec)).await, 201);
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.people.path().join(name)
    }

    /// Launches the hostile server.
    pub(crate) async fn attacker(&self, kind: &str) -> Attacker {
        self.reset();
        let app = &self.running.app;
        let config = json!({"project": self.at("project"), "reading": self.at("reading")});
        let body = json!({"type": kind, "config": config});
        let row = app.ask_as(&self.attacker_key, "POST", "/instances", Some(body)).await;
        let row = answered(&row, 201).clone();
        let url = row["access_url"].as_str().expect("a URL");
        let launched = Launched::of(&row);
        let session = Session::open(&http_client(false), url, &launched.token).await;
        Attacker { launched, row, session, calls: 0 }
    }

    /// Everything there is to be attacked, as the attacker is told of it.
    pub(crate) fn targets(&self, machine: &Machine, attacker: &Launched, signal: i32) -> Value {
        let app = &self.running.app;
        let runs = self.run_folder();
        let tail = |id: &str| id.replace('-', "")[20..].to_owned();
        let sockets = runs.join(tail(&self.neighbour.id));
        let database = runs.with_file_name(name_of(&runs).replace("run-", "pg-")).join(".s.PGSQL.5432");
        let api = app.url.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
        let has = &self.bystander.has;
        let secrets = ["master.key", "profile.json", "postgres/app.password", "postgres/owner.password"];
        let secrets = secrets.map(|name| app.data().join(name)).into_iter().filter(|path| path.exists());
        json!({
            "neighbour": self.neighbour.server, "service": app.pid(), "signal": signal,
            "keepers": [attacker.shim, parent_of(attacker.server)],
            "bystander": has["pid"], "key": has["key"], "queue": has["queue"],
            "abstract_socket": has["abstract_socket"], "path_socket": has["path_socket"],
            "other_port": has["other_port"], "allowed_port": has["allowed_port"], "udp_port": has["udp_port"],
            "folder": self.folder, "control_socket": sockets.join("c"), "gateway_socket": sockets.join("h"),
            "database_socket": database, "api_port": api, "pool_port": self.neighbour.port,
            "free_port": machine.last_port, "tmp_file": self.shared[0], "shm_file": self.shared[1],
            "private_key": self.at("home/id_ed25519"), "home_socket": self.at("agent"), "package": self.at("package"),
            "setuid": self.at("package/id"), "secrets": secrets.collect::<Vec<_>>(),
            "project": self.at("project"), "reading": self.at("reading"), "outside": self.at("outside"),
            "name": format!("outliver-{}", attacker.server),
        })
    }

    /// Where the service's shims have their sockets, as one of them says by its command line's environment: found by
    /// the neighbour's folder in it.
    fn run_folder(&self) -> PathBuf {
        let roots = match self.running.user {
            0 => PathBuf::from("/run/roadstead"),
            user => PathBuf::from(format!("/tmp/roadstead-{user}")),
        };
        let tail = self.neighbour.id.replace('-', "")[20..].to_owned();
        let all = fs::read_dir(&roots).expect("the folder of sockets").flatten().map(|entry| entry.path());
        let mut holding = all.filter(|path| path.join(&tail).is_dir());
        holding.next().expect("the neighbour has sockets")
    }

    /// Puts back what an attempt may have changed.
    pub(crate) fn reset(&self) {
        for name in ["planted", "moved"] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        let _ = fs::remove_dir(self.folder.join("made"));
        let _ = fs::remove_file(self.folder.join("private"));
        write(&self.folder.join("private"), 0o600, Some(self.owner));
        for path in &self.shared {
            write(path, 0o600, Some(self.owner));
        }
        let _ = fs::remove_file(self.at("package/planted"));
        for name in ["project", "reading"] {
            let folder = self.at(name);
            for entry in fs::read_dir(&folder).expect("a folder of people").flatten() {
                let path = entry.path();
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.expect("what lies in a folder of people can be removed");
            }
            fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("the mode of a folder");
        }
        fs::create_dir(self.at("project/sub")).expect("a folder");
        fs::set_permissions(self.at("project/sub"), Permissions::from_mode(0o777)).expect("its mode");
        write(&self.at("project/sub/secret"), 0o666, None);
        write(&self.at("reading/book"), 0o666, None);
    }

    /// What is different of the neighbour from what it was; nothing, where all is well.
    pub(crate) fn harm(&self) -> Vec<String> {
        let mut harm = Vec::new();
        let mut expect = |is_so: bool, what: &str| {
            if !is_so {
                harm.push(what.to_owned());
            }
        };
        expect(self.neighbour.lives(), "the neighbour does not live");
        expect(limits_of(self.neighbour.server) == self.limits, "the neighbour's limits have changed");
        let private = self.folder.join("private");
        let text = fs::read_to_string(&private).unwrap_or_default();
        expect(text == PRIVATE, "the neighbour's file has changed");
        let metadata = fs::metadata(&private);
        expect(
            metadata.is_ok_and(|it| it.mode() & 0o777 == 0o600 && it.mtime() > 1),
            "its marks have changed",
        );
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .expect("the neighbour's folder")
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.retain(|name| name != "private" && name != "bystander.socket");
        expect(names.is_empty(), &format!("in the neighbour's folder are {names:?}"));
        expect(!self.at("package/planted").exists(), "the package has changed");
        expect(!self.at("reading/planted").exists(), "what was granted for reading has changed");
        expect(is_alive(self.running.app.pid()), "the service does not live");
        harm
    }

    /// The neighbour still does what it is there for.
    pub(crate) async fn neighbour_answers(&self) {
        let answer = self.session.call(&json!("here"), "echo", &json!({"text": "here"})).await;
        assert_eq!(answer["result"]["content"][0]["text"], "here", "{answer}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for path in &self.shared {
            let _ = fs::remove_file(path);
        }
    }
}

impl Launched {
    fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().expect("a launch tells it").to_owned();
        let number = |name: &str| body[name].as_i64().expect("a launch tells it");
        let pid = |name: &str| i32::try_from(number(name)).expect("a process id");
        Self {
            id: text("id"),
            server: pid("process_id"),
            shim: pid("shim_process_id"),
            token: text("access_token"),
            port: u16::try_from(number("assigned_port")).expect("a port"),
        }
    }

    /// Whether server and shim both live.
    pub(crate) fn lives(&self) -> bool {
        is_alive(self.server) && is_alive(self.shim)
    }
}

impl Attacker {
    /// Has an attempt made; nothing, where there was no answer.
    pub(crate) async fn attempt(&mut self, name: &str, target: &Value) -> Option<Value> {
        self.calls += 1;
        let arguments = json!({"name": name, "target": target});
        let response = self.session.send(&call(&json!(self.calls), "attempt", &arguments, None)).await;
        if !response.status().is_success() {
            return None;
        }
        let answer = messages(response).await.pop()?;
        let said = &answer["result"]["structuredContent"];
        said.is_object().then(|| said.clone())
    }

    /// Name, meaning and kind of all attempts.
    pub(crate) async fn attempts(&self) -> Vec<[String; 3]> {
        let answer = self.session.call(&json!("list"), "attempts", &json!({})).await;
        let all = answer["result"]["structuredContent"]["attempts"].as_array().expect("a list");
        let text = |each: &Value, name: &str| each[name].as_str().expect("a text").to_owned();
        all.iter().map(|each| [text(each, "name"), text(each, "tries"), text(each, "kind")]).collect()
    }
}

/// A user of the service, with a key that may all that the admin's may, of what is theirs.
async fn user(app: &App, name: &str) -> String {
    let body = json!({"email": format!("{name}@example.com"), "name": name});
    let user = app.ask("POST", "/users", Some(body)).await;
    assert_eq!(user.status, 201, "{user:?}");
    let scopes = app.ask("GET", "/me", None).await.body["key"]["scopes"].clone();
    let body = json!({"name": name, "scopes": scopes, "user_id": user.body["id"]});
    let key = app.ask("POST", "/api-keys", Some(body)).await;
    assert_eq!(key.status, 201, "{key:?}");
    key.body["key"].as_str().expect("a key").to_owned()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a plain name")
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("the mode of one's own folder");
}

fn write(path: &Path, mode: u32, owner: Option<u32>) {
    fs::write(path, PRIVATE).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
    if let Some(owner) = owner {
        owned_by(path, owner);
    }
}

fn limits_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default()
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
    parent.expect("a process has a parent")
}

/// Something that occurs nowhere by chance.
fn canary() -> String {
    format!("canary-{}-{}", std::process::id(), env!("CARGO_PKG_NAME"))
}

/// A service's programs that still run.
pub(crate) fn named(name: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| roadstead_test_support::app::command_line(*pid).ends_with(name)).collect()
}

/// What the service has, in memory.
pub(crate) fn resident_kb(app: &App) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
