//! The whole product as a test sees it: the real program, a data folder of its own, and its REST API.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::poll::wait_for;

/// How long a start may take on a busy machine.
const START_PATIENCE: Duration = Duration::from_mins(2);
/// How long an end may take on a busy machine.
const END_PATIENCE: Duration = Duration::from_mins(1);

/// What keeps one from taking what is everybody's keeps a test from doing in a second what takes people an hour. A test of
/// these limits sets its own.
const NO_LIMITS: [(&str, u64); 13] = [
    ("limits.per_address_per_minute", 1_000_000),
    ("limits.per_key_per_minute", 1_000_000),
    ("limits.per_user_per_minute", 1_000_000),
    ("launches.per_minute_per_user", 1_000_000),
    ("launches.at_once", 64),
    ("launches.max_waiting", 10_000),
    ("quotas.instances_per_organization", 100_000),
    ("quotas.credentials_per_user", 100_000),
    ("quotas.api_keys_per_user", 100_000),
    ("quotas.memory_mb_per_user", 100_000_000),
    ("quotas.memory_mb_per_organization", 100_000_000),
    ("quotas.cpu_percent_per_user", 100_000_000),
    ("quotas.cpu_percent_per_organization", 100_000_000),
];

/// Makes the standard input descriptor 3, and says so to the program that follows: only the process itself knows its number.
const PASS_ON: &str = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=$0; export LISTEN_FDS LISTEN_PID LISTEN_FDNAMES; exec \"$@\"";

/// The folder with the programs that were built: the one that the test itself was built into.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it lies");
    let deps = test.parent().expect("a test lies in a folder");
    let folder = if deps.ends_with("deps") { deps.parent().expect("deps lies in a folder") } else { deps };
    assert!(folder.join("roadstead").is_file(), "build the programs first: cargo build --release");
    folder.to_owned()
}

/// How an [`App`] is started.
#[derive(Debug)]
pub struct AppOptions {
    /// The data folder; a new one when none is given.
    pub data: Option<tempfile::TempDir>,
    /// The program: the service, or one that is made of it.
    pub program: &'static str,
    /// The command: `up` or `serve`.
    pub command: &'static str,
    /// Where it listens.
    pub listen: String,
    /// More environment.
    pub environment: Vec<(String, String)>,
    /// More arguments.
    pub args: Vec<String>,
    /// A listening socket that is passed on as a service manager does, and its name.
    pub socket: Option<(std::net::TcpListener, String)>,
    /// Whom root runs it as; the data folder becomes theirs.
    pub user: Option<u32>,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self {
            data: None,
            program: "roadstead",
            command: "up",
            listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            args: Vec::new(),
            socket: None,
            user: None,
        }
    }
}

/// A running service. Dropped, it ends with everything it started; a test asserts on that itself.
#[derive(Debug)]
pub struct App {
    child: Option<Child>,
    data: Option<tempfile::TempDir>,
    /// The base URL of the service.
    pub url: String,
    /// The first key: a platform admin's, with all scopes.
    pub key: String,
    client: reqwest::Client,
}

/// An answer of the REST API.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

/// A data folder that instances' users can pass through, as the default one can be.
pub fn data_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("rs-").tempdir().expect("a temporary folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(folder.path(), mode).expect("the mode of one's own folder");
    folder
}

impl App {
    /// Starts `roadstead up` in a data folder of its own.
    pub async fn start() -> Self {
        Self::start_with(AppOptions::default()).await
    }

    /// Starts one more service at the address and in the data folder of this one, which goes on for as long as it likes.
    pub async fn start_beside(&mut self, args: &[&str]) -> Self {
        let listen = self.url.strip_prefix("http://").expect("it is local").to_owned();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let data = self.data.take();
        Self::start_with(AppOptions { data, command: "serve", listen, args, ..AppOptions::default() }).await
    }

    /// Starts with options.
    #[expect(clippy::disallowed_methods, reason = "the one place of the tests that starts the program")]
    pub async fn start_with(options: AppOptions) -> Self {
        let data = options.data.unwrap_or_else(data_folder);
        let log = data.path().join("test.log");
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let program = programs().join(options.program);
        let mut command = match (options.socket, options.user) {
            (None, None) => Command::new(program),
            (None, Some(user)) => {
                std::os::unix::fs::chown(data.path(), Some(user), Some(user)).expect("we are root");
                let mut other = Command::new("setpriv");
                other.args([
                    format!("--reuid={user}"),
                    format!("--regid={user}"),
                    "--clear-groups".to_owned(),
                ]);
                other.arg("--").arg(program).current_dir("/").stdin(Stdio::null());
                other
            }
            (Some((socket, name)), _) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", PASS_ON, &name]).arg(program).stdin(Stdio::from(OwnedFd::from(socket)));
                shell
            }
        };
        if command.get_args().len() == 0 {
            command.stdin(Stdio::null());
        }
        command
            .args([options.command, "--listen", &options.listen])
            .args(options.args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", data.path())
            .env("ROADSTEAD_DATA_DIR", data.path())
            .env("ROADSTEAD_LOG", "info")
            .envs(options.environment)
            .stdout(out.try_clone().expect("a second descriptor"))
            .stderr(out);
        // A profile of an earlier run names a port that may be another's by now.
        let _ = forget_port(data.path());
        let mut child = command.spawn().expect("roadstead starts");
        let client = client();
        let profile = wait_for("roadstead to be ready", START_PATIENCE, async || {
            if let Some(status) = child.try_wait().expect("a child can be asked") {
                panic!(
                    "roadstead ended at its start: {status}\n{}",
                    std::fs::read_to_string(&log).unwrap_or_default()
                );
            }
            let text = std::fs::read(data.path().join("profile.json")).ok()?;
            let profile: Value = serde_json::from_slice(&text).ok()?;
            let url = profile["url"].as_str()?;
            let ready = client.get(format!("{url}/readyz")).send().await.ok()?.status().is_success();
            ready.then_some(profile)
        })
        .await;
        let field = |name: &str| profile[name].as_str().expect("a profile has it").to_owned();
        let app =
            Self { child: Some(child), data: Some(data), url: field("url"), key: field("api_key"), client };
        for (setting, value) in NO_LIMITS {
            // A test of a service that takes no changes has limits that it does not reach.
            app.set(setting, json!(value)).await;
        }
        app
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.as_ref().expect("kept until the end").path()
    }

    /// The service's own process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().expect("running").id()).expect("a process id fits")
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data().join("test.log")).unwrap_or_default()
    }

    /// A request with the admin's key.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_as(&self.key, method, path, body).await
    }

    /// From here on the service goes by what was changed in the database by hand: what it knows of keys is worth nothing after any
    /// change of its own, and this one finds nothing to change.
    pub async fn look_again(&self) {
        let answer = self.ask("DELETE", "/api-keys/00000000-0000-0000-0000-000000000000", None).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    }

    /// Changes a setting; answers with the status.
    pub async fn set(&self, setting: &str, value: Value) -> u16 {
        self.ask("PUT", &format!("/settings/{setting}"), Some(json!({"value": value}))).await.status
    }

    /// A request with a key.
    pub async fn ask_as(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// A request still to be completed, without a key.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let outside = ["/i/", "/healthz", "/readyz", "/metrics", "/v0.1/"];
        let path = if outside.iter().any(|each| path.starts_with(each)) {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Defines a type that runs the echo server with flags.
    pub async fn define_echo(&self, name: &str, args: &[&str]) {
        let spec = json!({
            "name": name, "display_name": name, "program": programs().join("roadstead-echo"), "args": args,
            "env": {"ECHO_TOKEN": "${credential.token}"},
            "credential_slots": [{"name": "token", "label": "Token", "required": false}],
            "era": "dual", "ready_timeout_s": 10, "rate_limit_per_minute": 0,
        });
        let answer = self.ask("POST", "/types", Some(spec)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Launches an instance and answers with what the API says of it.
    pub async fn launch(&self, body: Value) -> Value {
        let answer = self.ask("POST", "/instances", Some(body)).await;
        assert_eq!(answer.status, 201, "{answer:?}\n{}", self.log());
        answer.body
    }

    /// An instance as the API shows it.
    pub async fn instance(&self, id: &str) -> Value {
        let answer = self.ask("GET", &format!("/instances/{id}"), None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Waits until an instance has a status, and, if it is one that is over, until its row says since when: a deadline
    /// outranks the row while the processes still end.
    pub async fn wait_status(&self, id: &str, status: &str, patience: Duration) -> Value {
        wait_for(&format!("{id} to be {status}"), patience, async || {
            let instance = self.instance(id).await;
            let has_failed = instance["status"] == "error" && status != "error";
            assert!(!has_failed, "it failed instead of being {status}: {instance}\n{}", self.log());
            let is_live = ["pending", "running"].contains(&status);
            let is_settled = is_live || !instance["ended_at"].is_null();
            (instance["status"] == status && is_settled).then_some(instance)
        })
        .await
    }

    /// The types of an instance's events, in order.
    pub async fn event_types(&self, id: &str) -> Vec<String> {
        let answer = self.ask("GET", &format!("/instances/{id}/events?limit=100"), None).await;
        let events = answer.body["data"].as_array().expect("a list").clone();
        events.iter().map(|event| event["event_type"].as_str().expect("a word").to_owned()).collect()
    }

    /// One MCP request through an instance's URL.
    pub async fn mcp(&self, url: &str, token: &str, session: Option<&str>, message: Value) -> Answer {
        let mut request = self
            .client
            .post(url)
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .json(&message);
        if let Some(session) = session {
            request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-06-18");
        }
        answer(request).await
    }

    /// Sends a signal to the service.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("our own child");
    }

    /// Waits until the service has ended; answers with its data folder.
    pub async fn ended(mut self) -> (ExitStatus, tempfile::TempDir) {
        let mut child = self.child.take().expect("running");
        let status = wait_for("roadstead to end", END_PATIENCE, async || {
            child.try_wait().expect("a child can be asked")
        })
        .await;
        (status, self.data.take().expect("kept until the end"))
    }

    /// Whether the service's process has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().expect("running").try_wait().expect("a child can be asked").is_none()
    }

    /// Waits until a service has ended whose data folder another one uses.
    pub async fn ended_alone(mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        wait_for("roadstead to end", END_PATIENCE, async || child.try_wait().expect("a child can be asked"))
            .await
    }

    /// Ctrl-C, and waits for the end.
    pub async fn interrupt(self) -> (ExitStatus, tempfile::TempDir) {
        self.signal(Signal::SIGINT);
        self.ended().await
    }
}

fn client() -> reqwest::Client {
    // Another test of this process may have been quicker.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

/// Takes the URL out of an earlier profile, so that only a new one counts; the key stays in force.
fn forget_port(data: &Path) -> Option<()> {
    let path = data.join("profile.json");
    let mut profile: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    profile["url"] = Value::from("http://127.0.0.1:1");
    std::fs::write(path, profile.to_string()).ok()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

impl Drop for App {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"));
        let _ = kill(pid, Signal::SIGINT);
        let end = Instant::now() + END_PATIENCE;
        while Instant::now() < end {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Processes that name a folder in their command line or environment: what a data folder's service has left.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc can be read").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if u32::try_from(pid).is_ok_and(|pid| pid == std::process::id()) {
            continue;
        }
        for part in ["cmdline", "environ"] {
            let mut text = Vec::new();
            let read = std::fs::File::open(format!("/proc/{pid}/{part}"))
                .and_then(|mut file| file.read_to_end(&mut text));
            if read.is_ok() && String::from_utf8_lossy(&text).contains(&needle) {
                found.push(format!("{pid} {}", command_line(pid)));
                break;
            }
        }
    }
    found
}

/// A process's command line; empty when it has gone.
pub fn command_line(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ").trim().to_owned()
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}
