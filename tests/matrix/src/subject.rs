//! The servers: what each is started with, over each transport that it has, and one call that harms nothing.
//!
//! Arguments and values may hold `${dir}` (the instance's own folder), `${port}` and `${service}` (the base URL of
//! the service, in calls alone): Roadstead fills the first two in for an instance, and we for the server driven
//! directly.

mod http;
mod stdio;

use std::path::{Path, PathBuf};

use roadstead_test_support::Subjects;
use roadstead_test_support::subjects::install::{Locks, crate_built, installed};
use serde_json::{Value, json};

/// What the table needs beyond the ordinary tests' subjects.
const LOCKS: Locks = Locks {
    package: include_str!("../../subjects/all/package.json"),
    package_lock: include_str!("../../subjects/all/package-lock.json"),
    requirements: "",
};
const WHEELS: Locks = Locks {
    package: "",
    package_lock: "",
    requirements: include_str!("../../subjects/all/requirements.txt"),
};
const COMMON_PACKAGES: &str = include_str!("../../subjects/package.json");
const COMMON_WHEELS: &str = include_str!("../../subjects/requirements.txt");
const RUST_SERVER: (&str, &str) = ("rust-mcp-filesystem", "0.4.5");

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Lines on standard input and output.
    Stdio,
    /// Streamable HTTP of the server's own.
    StreamableHttp,
    /// The HTTP+SSE transport of 2024-11-05.
    Sse,
}

impl Transport {
    /// As a type names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::StreamableHttp => "streamable_http",
            Self::Sse => "sse",
        }
    }
}

/// A made-up secret and the variable that the server reads it from.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The credential slot.
    pub slot: &'static str,
    /// The variable.
    pub variable: &'static str,
    /// The value, which opens nothing.
    pub value: &'static str,
}

/// One server over one transport.
#[derive(Debug, Clone)]
pub struct Subject {
    /// A name for a type and for a row.
    pub name: String,
    /// Where it is from, with its version.
    pub source: String,
    /// The program, or why there is none.
    pub program: Result<PathBuf, String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, without secrets.
    pub env: Vec<(&'static str, String)>,
    /// Its secrets.
    pub secrets: Vec<Secret>,
    /// How it is spoken to.
    pub transport: Transport,
    /// Where it listens, for one that speaks HTTP.
    pub url: String,
    /// The slot with the token that it wants from its own clients.
    pub bearer: Option<&'static str>,
    /// Whether it listens on every interface.
    pub any_interface: bool,
    /// A call, or none that works on a machine without a network.
    pub call: Option<(&'static str, Value)>,
    /// Whether two at once disturb each other.
    pub alone: bool,
}

impl Subject {
    fn new(name: &str, source: String, program: Result<PathBuf, String>, args: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            source,
            program,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            secrets: Vec::new(),
            transport: Transport::Stdio,
            url: String::new(),
            bearer: None,
            any_interface: false,
            call: None,
            alone: false,
        }
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn secret(mut self, slot: &'static str, variable: &'static str, value: &'static str) -> Self {
        self.secrets.push(Secret { slot, variable, value });
        self
    }

    fn call(mut self, name: &'static str, arguments: Value) -> Self {
        self.call = Some((name, arguments));
        self
    }

    /// The type as the REST API takes it.
    pub fn spec(&self, program: &Path) -> Value {
        let mut env: serde_json::Map<String, Value> =
            self.env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        for secret in &self.secrets {
            env.insert(secret.variable.to_owned(), json!(format!("${{credential.{}}}", secret.slot)));
        }
        let slots: Vec<Value> = self
            .secrets
            .iter()
            .map(|it| json!({"name": it.slot, "label": it.slot, "secret": true}))
            .collect();
        let mut spec = json!({
            "name": self.name, "display_name": self.name, "rate_limit_per_minute": 0, "program": program, "args": self.args, "env": env,
            "credential_slots": slots, "ready_timeout_s": 300,
            "resource_limits": {"memory_mb": 1024, "cpu": 1.0, "processes": 256, "open_files": 4096},
        });
        if self.transport != Transport::Stdio {
            spec["transport"] = json!(self.transport.name());
            spec["url"] = json!(self.url);
            if let Some(slot) = self.bearer {
                spec["headers"] = json!({"Authorization": format!("Bearer ${{credential.{slot}}}")});
            }
            if self.any_interface {
                spec["allow_any_interface"] = json!(true);
            }
        }
        spec
    }

    /// The call as a plan has it.
    pub fn call_for(&self, service: &str) -> Value {
        let Some((name, arguments)) = &self.call else { return Value::Null };
        let arguments = arguments.to_string().replace("${service}", service);
        let arguments: Value = serde_json::from_str(&arguments).expect("a URL needs no escape");
        json!({"name": name, "arguments": arguments})
    }
}

/// Everything that was installed, and what could not be.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The ordinary tests' subjects.
    pub common: Subjects,
    /// The folder with the other packages.
    pub packages: Result<PathBuf, String>,
    /// The Python with the other wheels.
    pub python: Result<PathBuf, String>,
    /// The server that cargo installs.
    pub rust: Result<PathBuf, String>,
    /// The folder with our drivers and our fastmcp server, open to every user.
    pub drivers: PathBuf,
}

impl Installed {
    /// Installs what is missing. Only the clients' half is needed; the failure of another makes rows without cells.
    pub fn ready(only: &[String]) -> Self {
        eprintln!("clients and common servers …");
        let common = Subjects::ready();
        eprintln!("more servers from npm …");
        let packages = installed(&LOCKS, Some(&common.node));
        eprintln!("more servers from PyPI …");
        let python = installed(&WHEELS, None).map(|folder| folder.join("venv/bin/python"));
        let wanted = only.is_empty() || only.iter().any(|name| name == RUST_SERVER.0);
        let rust = if wanted {
            eprintln!("{} is compiled once …", RUST_SERVER.0);
            crate_built(Path::new("cargo"), RUST_SERVER.0, RUST_SERVER.1)
        } else {
            Err("not asked for".to_owned())
        };
        for problem in
            [packages.as_ref().err(), python.as_ref().err(), rust.as_ref().err()].into_iter().flatten()
        {
            eprintln!("  {problem}");
        }
        let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers");
        Self { common, packages, python, rust, drivers }
    }

    fn package(&self, path: &str) -> Result<String, String> {
        let file = self.packages.clone()?.join("node_modules").join(path);
        if file.exists() { Ok(text(&file)) } else { Err(format!("{path} is not in its package")) }
    }

    /// A subject that Node runs.
    fn node(&self, name: &str, package: &str, script: Result<String, String>, args: &[&str]) -> Subject {
        let source = format!("npm {package} {}", version(package));
        match script {
            Ok(script) => {
                let all: Vec<&str> = std::iter::once(script.as_str()).chain(args.iter().copied()).collect();
                Subject::new(name, source, Ok(self.common.node.clone()), &all)
            }
            Err(problem) => Subject::new(name, source, Err(problem), args),
        }
    }

    /// A subject that Python runs.
    fn wheel(&self, name: &str, package: &str, args: &[&str]) -> Subject {
        Subject::new(name, format!("PyPI {package} {}", version(package)), self.python.clone(), args)
    }
}

/// Every row of the table: servers on their standard input and output, then those that speak HTTP themselves.
pub fn all(installed: &Installed, shared: &Shared, http: bool) -> Vec<Subject> {
    let mut all = stdio::all(installed, shared);
    if http {
        all.extend(http::all(installed, shared));
    }
    all
}

/// Files that servers read: open to every user, gone with the run.
#[derive(Debug)]
pub struct Shared {
    folder: tempfile::TempDir,
}

impl Shared {
    /// Writes them.
    ///
    /// # Errors
    /// When a temporary folder cannot be made or filled.
    pub fn new(drivers: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new()
            .prefix("rs-matrix-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()?;
        let kubeconfig = concat!(
            "apiVersion: v1\nkind: Config\ncurrent-context: harbour\n",
            "clusters: [{name: harbour, cluster: {server: \"http://127.0.0.1:9\"}}]\n",
            "users: [{name: pilot, user: {token: opens-nothing}}]\n",
            "contexts: [{name: harbour, context: {cluster: harbour, user: pilot}}]\n",
        );
        let files = [
            ("kubeconfig.yaml", kubeconfig.to_owned()),
            ("harbour.py", std::fs::read_to_string(drivers.join("harbour.py"))?),
            // The least that is a repository: no program of the machine has to make it.
            ("repository/.git/HEAD", "ref: refs/heads/main\n".to_owned()),
            ("repository/.git/config", "[core]\n\trepositoryformatversion = 0\n".to_owned()),
            ("repository/.git/objects/info/packs", String::new()),
            ("repository/.git/refs/heads/.keep", String::new()),
        ];
        for (name, text) in files {
            let path = folder.path().join(name);
            let parent = path.parent().expect("a file lies in a folder");
            std::fs::DirBuilder::new().recursive(true).create(parent)?;
            for part in parent.ancestors().take_while(|part| part.starts_with(folder.path())) {
                std::fs::set_permissions(part, std::fs::Permissions::from_mode(0o755))?;
            }
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        }
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }
}

/// The version that a lock names; a word in its place where none does.
pub fn version(package: &str) -> String {
    for packages in [COMMON_PACKAGES, LOCKS.package] {
        let packages: Value = serde_json::from_str(packages).expect("package.json is JSON");
        if let Some(version) = packages["dependencies"][package].as_str() {
            return version.to_owned();
        }
    }
    let pin = format!("{package}==");
    let mut wheels = COMMON_WHEELS.lines().chain(WHEELS.requirements.lines());
    wheels.find_map(|line| line.strip_prefix(&pin)).unwrap_or("unpinned").to_owned()
}

fn text(path: &Path) -> String {
    path.to_str().expect("a build lies under a readable path").to_owned()
}
