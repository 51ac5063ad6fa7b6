//! What is asked, and what is answered.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest request that is read.
const MAX_REQUEST_BYTES: u64 = 64 * 1024;

/// Whose package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// JavaScript, by npm.
    Npm,
    /// Python, by pip.
    Pypi,
    /// Rust, built by cargo.
    Cargo,
}

/// Programs of the machine, each by its absolute path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tools {
    /// `node`.
    pub node: Option<PathBuf>,
    /// npm's own program, a script for `node`.
    pub npm: Option<PathBuf>,
    /// `python3`, with pip.
    pub python: Option<PathBuf>,
    /// `cargo`.
    pub cargo: Option<PathBuf>,
    /// Folders that these need to read beside what every program may.
    pub places: Vec<PathBuf>,
    /// Programs that lie where whoever installs and runs packages does not get: by their names, for a message.
    pub closed: BTreeMap<String, PathBuf>,
}

impl Tools {
    /// Why there is no such program to use: it is nowhere, or out of reach.
    pub(crate) fn missing(&self, name: &str, what: &'static str, how: &'static str) -> Error {
        match self.closed.get(name) {
            Some(path) => Error::ClosedTool { what, path: path.clone(), how },
            None => Error::MissingTool { what, how },
        }
    }
}

/// What to install, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// By whom.
    pub manager: Manager,
    /// The package, in the registry's own spelling.
    pub name: String,
    /// Optional parts of a Python package.
    #[serde(default)]
    pub extras: Vec<String>,
    /// Exactly which version; the newest, if none is named.
    #[serde(default)]
    pub version: Option<String>,
    /// An empty folder, which the user owns.
    pub folder: PathBuf,
    /// As whom; as whoever started it, if nobody is named.
    #[serde(default)]
    pub user: Option<u32>,
    /// With what.
    pub tools: Tools,
    /// Proxies, certificates and registries of this machine: names and values.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// TCP ports of registries and proxies.
    pub ports: Vec<u16>,
    /// Whether what packages bring to be run at installation may run.
    #[serde(default)]
    pub scripts: bool,
    /// The most that may be installed.
    pub max_bytes: u64,
    /// In so many files and folders.
    pub max_files: u64,
    /// Control groups to enter.
    #[serde(default)]
    pub groups: Vec<PathBuf>,
    /// What these let it have of memory, for whoever is told that it was too little.
    #[serde(default)]
    pub max_memory_bytes: u64,
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What is being done.
    Progress {
        /// One word.
        step: String,
        /// For people.
        message: String,
    },
    /// All is there.
    Installed(Box<Installed>),
    /// Nothing is.
    Failed {
        /// One word.
        code: String,
        /// For people.
        message: String,
    },
}

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Exactly which version.
    pub version: String,
    /// The package's own hash, as its registry tells it.
    pub integrity: String,
    /// Every package that came, with the first.
    pub packages: Vec<Locked>,
    /// The package manager's own record of them, kept as it is.
    pub lock: String,
    /// What can be run.
    pub executables: Vec<Executable>,
    /// Packages that wanted to run something at installation and were not let.
    pub unrun_scripts: Vec<String>,
    /// SHA-256 over every file's path, mode and bytes, in hex.
    #[serde(default)]
    pub digest: String,
    /// All files together.
    #[serde(default)]
    pub bytes: u64,
    /// How many files and folders.
    #[serde(default)]
    pub files: u64,
    /// How many links but those to programs; not known of what was installed by an earlier version.
    #[serde(default)]
    pub links: Option<u64>,
}

/// One exactly named package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its hash, with the algorithm in front.
    pub integrity: String,
}

/// Something that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// What people call it.
    pub name: String,
    /// Below the folder.
    pub path: PathBuf,
    /// What runs it.
    pub interpreter: Interpreter,
}

/// What runs a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpreter {
    /// `node FILE`.
    Node,
    /// `python3 -I -S FILE`.
    Python,
    /// The kernel.
    None,
}

/// Why nothing was installed. No message holds what the environment holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("the request cannot be read: {0}")]
    Request(String),
    /// The machine does not have it.
    #[error("{what} is not installed on this machine; {how}")]
    MissingTool {
        /// What is not there.
        what: &'static str,
        /// Where to get it.
        how: &'static str,
    },
    /// It is there, for somebody else.
    #[error(
        "{what} lies at {}, where the user that installs packages and those that run them do not get, or only chooses what lies \
         in somebody's home; {how}, or put it where everybody may read and enter, on the service's PATH", path.display()
    )]
    ClosedTool {
        /// What is out of reach.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Where to get another.
        how: &'static str,
    },
    /// The walls could not be put up.
    #[error("the installation could not be confined: {0}")]
    Confinement(String),
    /// The package manager said no.
    #[error("{manager} could not install {package}: {said}")]
    Failed {
        /// Which.
        manager: &'static str,
        /// What.
        package: String,
        /// The end of what it said.
        said: String,
    },
    /// The registry has no such package, or no such version.
    #[error("{registry} has no {package}")]
    NotFound {
        /// Which.
        registry: &'static str,
        /// What.
        package: String,
    },
    /// Something that was installed is not to be trusted.
    #[error("{package} was refused: {why}")]
    Refused {
        /// What.
        package: String,
        /// Why.
        why: String,
    },
    /// It is too much.
    #[error("the package is too large: {what}")]
    TooLarge {
        /// Of what.
        what: String,
    },
    /// There is no room for it.
    #[error("there is no room left on the disk to install {package}")]
    DiskFull {
        /// What.
        package: String,
    },
    /// There is nothing in it to run.
    #[error("{package} brings no program; what runs it has to be named by hand")]
    NoExecutable {
        /// What.
        package: String,
    },
    /// A file could not be read or written.
    #[error("{what}: {source}")]
    File {
        /// Which.
        what: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// One word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::MissingTool { .. } | Self::ClosedTool { .. } => "missing_tool",
            Self::Confinement(_) => "confinement",
            Self::Failed { .. } => "failed",
            Self::NotFound { .. } => "not_found",
            Self::Refused { .. } => "refused",
            Self::TooLarge { .. } => "too_large",
            Self::DiskFull { .. } => "disk_full",
            Self::NoExecutable { .. } => "no_executable",
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => "disk_full",
            Self::File { .. } => "file",
        }
    }
}

/// Reads the request: one line. What comes after it is the end, when whoever asked has gone.
pub(crate) fn read() -> Result<Request, Error> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_REQUEST_BYTES)
        .read_line(&mut text)
        .map_err(|error| Error::Request(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| Error::Request(error.to_string()))
}
