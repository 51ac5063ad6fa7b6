//! Imports: what others wrote about an MCP server, read strictly and turned into a proposal of a type.
//!
//! ```text
//! npm:NAME@1.2.3 ─ reference ─────┐
//! server.json ──── server_json ───┼─► Proposal ─ an administrator looks, the package is installed ─ into_spec ─► TypeSpec
//! mcpServers ───── client_config ─┘
//! tools of a server ─ suspicion ─► findings, and a hash by which a later change is found
//! ```
//!
//! - Everything read here was written by strangers: its size and depth have limits, and no input makes it panic.
//! - Every mistake is reported at once, with a path to its field.
//! - No text of theirs becomes a placeholder of ours: it is escaped, or refused.
//! - A value that looks like a secret is not kept, not even in a message.

pub mod client_config;
pub mod reference;
pub mod server_json;
pub mod suspicion;

mod additions;
mod draft;
mod hidden;
mod json;
mod naming;
mod secrets;

use serde::Serialize;

use crate::problem::{Problem, none_of};
use crate::spec::{Author, TypeSpec};
use crate::template::escape;
pub use additions::Additions;
pub use reference::{PackageRef, Registry};

/// Longest document that is read: far more than any of its kind takes.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Deepest nesting of a document.
pub const MAX_DEPTH: usize = 32;
/// Mistakes reported of one document; a hostile one must not make a long answer.
pub const MAX_PROBLEMS: usize = 50;
/// Servers of one client's configuration, packages of one server, inputs of one package.
pub const MAX_ITEMS: usize = 64;

/// Programs that fetch and run a package. Their options mean nothing to the program inside.
const RUNNERS: [&str; 10] = ["npx", "bunx", "pnpx", "pnpm", "yarn", "uvx", "uv", "pipx", "dnx", "docker"];

/// A type as somebody else's document describes it, for an administrator to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// What it was read from.
    pub source: Source,
    /// The type, without the program of a package that is yet to be installed.
    pub spec: TypeSpec,
    /// What has to be installed first.
    pub install: Option<Install>,
    /// What an administrator should look at.
    pub notes: Vec<String>,
    /// What does not happen without an administrator's word.
    pub needs_approval: Vec<String>,
}

/// What a proposal was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A package's name alone.
    Reference(String),
    /// A `server.json`: the server's name there.
    ServerJson(String),
    /// A client's configuration: the name of the entry.
    ClientConfig(String),
}

/// A package to install, and how its program is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Install {
    /// The package.
    pub package: PackageRef,
    /// Which program is meant to run it, in the words of the document: `npx`, `node`, `uvx`.
    pub runtime: Option<String>,
    /// What that program is given before the package: templates. In force only when they were approved.
    pub runtime_args: Vec<String>,
    /// Which of the package's programs is meant, if it is not the one of the package's name.
    pub entry: Option<String>,
    /// What the file of the package must hash to: SHA-256 in small hexadecimal digits.
    pub expected_sha256: Option<String>,
    /// The registry's address, if it is not the usual one. In force only when it was approved.
    pub registry_url: Option<String>,
}

impl Proposal {
    /// An administrator's yes to everything that needs one. Returns what that was, for the audit log.
    pub fn approve(&mut self) -> Vec<String> {
        std::mem::take(&mut self.needs_approval)
    }

    /// Whether its server is a program of this machine, which `into_spec` has to be told.
    pub fn runs_here(&self) -> bool {
        self.install.is_some() || self.spec.program.is_some()
    }

    /// The type, with the program that was found for it and what comes first among its arguments, as plain texts.
    ///
    /// An empty `program` keeps the one that the document names, which a remote server does not have.
    pub fn into_spec(self, program: &str, leading_args: &[String]) -> Result<TypeSpec, Vec<Problem>> {
        let mut problems: Vec<Problem> = self
            .needs_approval
            .iter()
            .map(|what| Problem::new("needs_approval", format!("is not approved: {what}")))
            .collect();
        let runs_here = self.runs_here();
        let mut spec = self.spec;
        if runs_here {
            if !program.is_empty() {
                spec.program = Some(program.to_owned());
            } else if spec.program.is_none() {
                problems.push(Problem::new("program", "is required: where is the package's program?"));
            }
        } else if !(program.is_empty() && leading_args.is_empty()) {
            problems.push(Problem::new("program", "is for a server that runs here; this one is elsewhere"));
        }
        let mut args = self.install.map(Install::interpreter_args).unwrap_or_default();
        args.extend(leading_args.iter().map(|arg| escape(arg)));
        args.append(&mut spec.args);
        spec.args = args;
        if spec.program.is_some() || !runs_here {
            problems.extend(spec.validate(Author::Admin).err().unwrap_or_default());
        }
        none_of(problems).map(|()| spec)
    }
}

impl Install {
    fn of(package: PackageRef) -> Self {
        Self {
            package,
            runtime: None,
            runtime_args: Vec::new(),
            entry: None,
            expected_sha256: None,
            registry_url: None,
        }
    }

    /// What the program that runs the package is given first. A runner's options are the installer's business: the
    /// runner itself is not run.
    fn interpreter_args(self) -> Vec<String> {
        match self.runtime.as_deref() {
            Some(runtime) if RUNNERS.contains(&runtime) => Vec::new(),
            _ => self.runtime_args,
        }
    }
}

/// A type for a package of which nothing but the name is known.
pub fn propose_package(package: PackageRef) -> Proposal {
    let mut draft = draft::Draft::new(&naming::of_package(package.name()), package.name());
    draft.note("nothing is known of what it needs: look at its documentation for credentials and arguments");
    draft.note_version(&package);
    let source = Source::Reference(package.to_string());
    draft.into_proposal(source, Some(Install::of(package)))
}

#[cfg(test)]
mod tests;
