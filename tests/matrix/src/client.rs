//! The clients, and one run of one of them: a plan goes in on its standard input, a report or a reason comes out.

mod rust_sdk;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::subject::{Installed, Transport, version};

/// How long one cell may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);
/// How much of the beginning, and of the end, of what a failed client said is kept.
const REASON_CHARS: usize = 200;

/// A client in one of its modes: a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its name in the table.
    pub name: &'static str,
    /// How it is run.
    pub kind: Kind,
    /// The mode, as its driver takes it.
    pub mode: &'static str,
}

/// What runs a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The Python SDK.
    Python,
    /// The Python SDK over the transport of 2024-11-05.
    PythonSse,
    /// The command line of fastmcp.
    Fastmcp,
    /// The Inspector.
    Inspector,
    /// An example client of the TypeScript SDK.
    Example,
    /// The second generation of the TypeScript SDK.
    TypeScript,
    /// `mcp-remote`, behind which the Python SDK is the host.
    Remote,
    /// rmcp.
    Rust,
}

/// Every column. The last takes a way to an instance that older builds do not have.
pub const ALL: [Client; 15] = [
    Client { name: "python legacy", kind: Kind::Python, mode: "legacy" },
    Client { name: "python auto", kind: Kind::Python, mode: "auto" },
    Client { name: "python modern", kind: Kind::Python, mode: "modern" },
    Client { name: "fastmcp", kind: Kind::Fastmcp, mode: "auto" },
    Client { name: "inspector legacy", kind: Kind::Inspector, mode: "legacy" },
    Client { name: "inspector auto", kind: Kind::Inspector, mode: "auto" },
    Client { name: "inspector modern", kind: Kind::Inspector, mode: "modern" },
    Client { name: "ts example interactive", kind: Kind::Example, mode: "interactive" },
    Client { name: "ts example fallback", kind: Kind::Example, mode: "fallback" },
    Client { name: "ts client 2", kind: Kind::TypeScript, mode: "auto" },
    Client { name: "mcp-remote", kind: Kind::Remote, mode: "legacy" },
    Client { name: "rmcp initialize", kind: Kind::Rust, mode: "initialize" },
    Client { name: "rmcp discover", kind: Kind::Rust, mode: "discover" },
    Client { name: "rmcp auto", kind: Kind::Rust, mode: "auto" },
    Client { name: "python http+sse", kind: Kind::PythonSse, mode: "legacy" },
];

impl Client {
    /// Whether it can drive a server on that server's standard input and output.
    pub fn starts_servers(self) -> bool {
        !matches!(self.kind, Kind::Example | Kind::Remote | Kind::PythonSse)
    }

    /// The package that it is, with its version.
    pub fn package(self) -> String {
        let name = match self.kind {
            Kind::Python | Kind::PythonSse => "mcp",
            Kind::Fastmcp => "fastmcp",
            Kind::Inspector => "@modelcontextprotocol/inspector",
            Kind::Example => "@modelcontextprotocol/sdk",
            Kind::TypeScript => "@modelcontextprotocol/client",
            Kind::Remote => "mcp-remote",
            Kind::Rust => return format!("rmcp {}", rust_sdk::version()),
        };
        format!("{name} {}", version(name))
    }
}

/// Where a client finds a server.
#[derive(Debug, Clone)]
pub enum Target {
    /// It starts the server itself.
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// Environment.
        env: Vec<(String, String)>,
    },
    /// It connects.
    Url {
        /// The URL of the endpoint.
        url: String,
        /// The token, if one is wanted.
        token: Option<String>,
        /// Over which transport.
        transport: Transport,
    },
}

/// What a server can be asked for.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Offers {
    /// Resources.
    pub resources: bool,
    /// Prompts.
    pub prompts: bool,
}

/// What a client saw. What it has no way to tell is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How many tools.
    pub tools: usize,
    /// The negotiated revision.
    pub protocol: Option<String>,
    /// The server's name and version.
    pub server: Option<String>,
    /// How the call ended: `ok`, `error` (the tool's own), `answered` (one of these).
    pub call: Option<String>,
    /// How many resources.
    pub resources: Option<usize>,
    /// How many prompts.
    pub prompts: Option<usize>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What was seen, or why nothing was.
    pub result: Result<Report, String>,
    /// How long it took, the client's own start included.
    pub seconds: f64,
}

/// Runs a client against a target.
pub async fn drive(
    installed: &Installed,
    client: Client,
    target: &Target,
    call: &Value,
    offers: Offers,
) -> Outcome {
    let begun = Instant::now();
    let run = async {
        match client.kind {
            Kind::Rust => rust_sdk::drive(client.mode, target, call, offers).await,
            _ => run_driver(installed, client, target, call, offers).await,
        }
    };
    let result = tokio::time::timeout(PATIENCE, run).await;
    let result = result.unwrap_or_else(|_| Err(format!("no end within {PATIENCE:?}")));
    Outcome { result, seconds: begun.elapsed().as_secs_f64() }
}

async fn run_driver(
    installed: &Installed,
    client: Client,
    target: &Target,
    call: &Value,
    offers: Offers,
) -> Result<Report, String> {
    let common = &installed.common;
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut plan = json!({"mode": client.mode, "call": call, "offers": offers});
    let (program, script) = match client.kind {
        Kind::Python | Kind::PythonSse | Kind::Remote => (common.python.clone(), "python_sdk.py"),
        Kind::Fastmcp => (installed.python.clone()?, "fastmcp_cli.py"),
        Kind::Inspector => (common.node.clone(), "inspector.mjs"),
        Kind::Example => (common.node.clone(), "ts_examples.mjs"),
        Kind::TypeScript => (common.node.clone(), "ts_client.mjs"),
        Kind::Rust => unreachable!("it runs in this process"),
    };
    match client.kind {
        Kind::Inspector => plan["inspector"] = json!(common.inspector),
        Kind::Example => plan["examples"] = json!(common.sdk_examples),
        Kind::TypeScript => plan["packages"] = json!(installed.packages.clone()?),
        _ => {}
    }
    put_target(&mut plan, client, target, installed, home.path());
    let said = run(&program, &installed.drivers.join(script), &plan, home.path()).await?;
    serde_json::from_str(&said).map_err(|error| format!("{error} in {said}"))
}

fn put_target(plan: &mut Value, client: Client, target: &Target, installed: &Installed, home: &Path) {
    match target {
        Target::Command { command, env } => {
            let env: serde_json::Map<String, Value> =
                env.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            (plan["command"], plan["env"]) = (json!(command), Value::Object(env));
        }
        Target::Url { url, token, .. } if client.kind == Kind::Remote => {
            let mut command =
                vec![json!(installed.common.node), json!(installed.common.mcp_remote), json!(url)];
            let mut env = json!({"MCP_REMOTE_CONFIG_DIR": home.join("mcp-remote"), "NO_PROXY": "*"});
            if let Some(token) = token {
                // It fills the variable in itself: the token stands in no command line.
                command.extend([json!("--header"), json!("Authorization:${SUBJECT_HEADER}")]);
                env["SUBJECT_HEADER"] = json!(format!("Bearer {token}"));
            }
            (plan["command"], plan["env"]) = (json!(command), env);
        }
        Target::Url { url, token, transport } => {
            plan["url"] = json!(url);
            plan["token"] = json!(token);
            plan["transport"] = json!(transport.name());
        }
    }
}

/// Runs a driver in a home of its own and in a process group that ends with it.
#[expect(clippy::disallowed_methods, reason = "the clients are no part of the product")]
async fn run(program: &Path, script: &Path, plan: &Value, home: &Path) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program);
    command
        .arg(script)
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
    let _group = Group::of(&child);
    let mut stdin = child.stdin.take().expect("piped");
    let written = stdin.write_all(plan.to_string().as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(reason(&String::from_utf8_lossy(&output.stderr)))
}

/// A process group that is killed when this is dropped, whether its leader has ended or not.
#[derive(Debug)]
pub struct Group(Option<Pid>);

impl Group {
    /// The group that a child leads.
    pub fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already: what we wanted.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// What a client said, on one line, without colours and without what differs between two runs.
fn reason(said: &str) -> String {
    let mut plain = String::new();
    let mut rest = said.chars();
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => {
                rest.by_ref().find(char::is_ascii_alphabetic);
            }
            char if char.is_whitespace() => {
                if !plain.ends_with(' ') {
                    plain.push(' ');
                }
            }
            char => plain.push(char),
        }
    }
    // The cause comes first with some, last with others.
    let plain: Vec<char> = plain.trim().chars().collect();
    match plain.len() {
        0 => "it said nothing".to_owned(),
        length if length <= 2 * REASON_CHARS => plain.into_iter().collect(),
        length => {
            let end = plain[length - REASON_CHARS..].iter();
            plain[..REASON_CHARS].iter().chain(&[' ', '…', ' ']).chain(end).collect()
        }
    }
}

/// The paths of a command line as a plan has them.
pub fn command_line(program: &Path, args: &[String]) -> Vec<String> {
    let program = PathBuf::from(program).into_os_string().into_string().expect("a readable path");
    std::iter::once(program).chain(args.iter().cloned()).collect()
}
