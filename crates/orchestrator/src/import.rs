//! Imports of server types: a package's name, or somebody's description of a server, becomes a type whose program is installed.
//!
//! ```text
//! document ─► proposal ─► an administrator's yes, where one is needed ─► package installed ─► its program ─► type
//! ```
//! A launch of such a type executes the program that was found here; no package manager is in its way.

use std::path::Path;

use roadstead_access::AdminPermit;
use roadstead_accounts::types::Begin;
use roadstead_accounts::{AccountsError, TypeRow};
use roadstead_catalog::import::client_config::parse_client_config;
use roadstead_catalog::import::reference::PackageVersion;
use roadstead_catalog::import::server_json::{Pick, parse_server_json};
use roadstead_catalog::import::{self, Additions, Install, PackageRef, Proposal, Registry};
use roadstead_catalog::{PackageUse, TypeSpec};
use roadstead_model::ProjectId;
use roadstead_packages::{
    Executable, Hold, InstallError, Interpreter, Manager, NameError, Package, Progress, Stored, Wanted,
};
use serde_json::Value;

use crate::error::Problem;
use crate::parts::Orchestrator;

mod upgrade;

pub use upgrade::UpgradeRequest;

/// Tells Node to take modules for where they are named; without it, each part of each module's path is looked at.
const NO_LOOK_FOR_LINKS: &str = "--preserve-symlinks";

/// What a type is made of.
#[derive(Debug, Clone)]
pub enum Document {
    /// `npm:NAME@1.2.3`, `pypi:…`, `cargo:…`.
    Reference(String),
    /// A `server.json`, or a client's configuration.
    Json(Value),
}

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// Of what.
    pub document: Document,
    /// Which of its servers, where it describes several.
    pub server: Option<String>,
    /// What the type is to be called; otherwise its document says.
    pub name: Option<String>,
    /// What people read.
    pub display_name: Option<String>,
    /// The project that it is for; everybody's without.
    pub project: Option<ProjectId>,
    /// Which of the package's programs.
    pub entry: Option<String>,
    /// What an administrator adds to what the document says.
    pub additions: Additions,
    /// Whether the packages' own scripts may run at installation.
    pub scripts: bool,
    /// Whether what needs an administrator's yes has it, the type itself too.
    pub approve: bool,
    /// Whether to tell what would be made, and make nothing.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The type; none if only looked at.
    pub row: Option<TypeRow>,
    /// The definition: without a program, if only looked at.
    pub spec: TypeSpec,
    /// What an administrator should look at.
    pub notes: Vec<String>,
    /// What has an administrator's yes, or needs it.
    pub approved: Vec<String>,
    /// Packages that wanted to run something at installation and were not let.
    pub unrun_scripts: Vec<String>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Fields are wrong.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<Problem>),
    /// An administrator has to say yes to these.
    #[error(
        "this needs an administrator's yes; look at the details, and ask again with `approve` if they are right"
    )]
    NeedsApproval(Vec<String>),
    /// We are stopping.
    #[error("the service is stopping and installs nothing new; try again in a moment")]
    ShuttingDown,
    /// The package could not be installed.
    #[error(transparent)]
    Package(#[from] InstallError),
    /// The type could not be made.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

impl ImportError {
    pub(crate) fn of(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![(field.to_owned(), message.into())])
    }
}

impl Orchestrator {
    /// Makes a type of what others wrote about a server. `hear` is told how an installation goes on.
    pub async fn import_type(
        &self,
        permit: &AdminPermit,
        request: ImportRequest,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<Imported, ImportError> {
        let mut proposal = chosen(described(&request.document)?, request.server.as_deref())?;
        if let Some(name) = request.name {
            proposal.spec.name = name;
        }
        if let Some(name) = request.display_name {
            proposal.spec.display_name = name;
        }
        proposal.add(request.additions).map_err(invalid)?;
        // Before anything is fetched for it.
        let name = proposal.spec.name.clone();
        let found = self.0.store().types().by_name(&name, request.project).await;
        if found.map_err(AccountsError::from)?.iter().any(|row| row.project == request.project) {
            let message =
                format!("{name:?} is the name of a type already; give another, or upgrade that one");
            return Err(ImportError::of("name", message));
        }
        let notes = std::mem::take(&mut proposal.notes);
        if request.dry_run {
            let approved = std::mem::take(&mut proposal.needs_approval);
            return Ok(Imported {
                row: None,
                spec: proposal.spec,
                notes,
                approved,
                unrun_scripts: Vec::new(),
            });
        }
        if !proposal.needs_approval.is_empty() && !request.approve {
            return Err(ImportError::NeedsApproval(proposal.needs_approval));
        }
        let approved = proposal.approve();
        let (spec, unrun_scripts, _held) = match proposal.install.clone() {
            None => (finished(proposal, "", &[])?, Vec::new(), None),
            Some(install) => {
                let wanted = wanted(&install, request.scripts)?;
                let (stored, hold) = self.installed(&wanted, hear).await?;
                has_hash(&install, &stored)?;
                let entry = request.entry.as_deref().or(install.entry.as_deref());
                let executable = executable(&stored, entry)?;
                let (program, leading) = self.command(&stored, executable)?;
                let mut spec = finished(proposal, &program, &leading)?;
                belongs(&mut spec, &wanted, &stored, executable);
                (spec, stored.installed.unrun_scripts.clone(), Some(hold))
            }
        };
        let value =
            serde_json::to_value(&spec).map_err(|error| ImportError::of("type", error.to_string()))?;
        let begin = if request.approve { Begin::Approved } else { Begin::AsSet };
        let row = self.0.parts.accounts.create_type(permit, value, request.project, begin).await?;
        Ok(Imported { row: Some(row), spec, notes, approved, unrun_scripts })
    }

    /// A package, unless the service stops meanwhile; held, until the type that names it is written down.
    async fn installed(
        &self,
        wanted: &Wanted,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<(Stored, Hold), ImportError> {
        let work = self.0.parts.packages.install(wanted, hear);
        let done = self.0.parts.stopping.run_until_cancelled(work).await;
        let (stored, hold) = done.ok_or(ImportError::ShuttingDown)??;
        self.0.mark_packages([stored.place.as_str()]);
        Ok((stored, hold))
    }

    /// The program that runs an executable, and what comes first among its arguments.
    fn command(
        &self,
        stored: &Stored,
        executable: &Executable,
    ) -> Result<(String, Vec<String>), ImportError> {
        let tools = self.0.parts.packages.tools();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let file = text(&stored.tree.join(&executable.path));
        let missing =
            |what: &str| ImportError::of("source", format!("{what} is not installed on this machine"));
        Ok(match executable.interpreter {
            Interpreter::None => (file, Vec::new()),
            Interpreter::Node => {
                let node = text(tools.node.as_deref().ok_or_else(|| missing("node"))?);
                // Where no module is a link, looking for links is of no use: Node does so for each part of each path.
                let has_links = stored.installed.links != Some(0);
                let leading = if has_links { vec![file] } else { vec![NO_LOOK_FOR_LINKS.to_owned(), file] };
                (node, leading)
            }
            Interpreter::Python => {
                let python = tools.python.as_deref().ok_or_else(|| missing("python3"))?;
                (text(python), vec!["-I".to_owned(), "-S".to_owned(), file])
            }
        })
    }
}

fn invalid(problems: Vec<roadstead_catalog::Problem>) -> ImportError {
    ImportError::Invalid(problems.into_iter().map(|problem| (problem.field, problem.message)).collect())
}

/// A server of a document: its name there, and what would become of it.
type Described = (String, Result<Proposal, ImportError>);

fn described(document: &Document) -> Result<Vec<Described>, ImportError> {
    match document {
        Document::Reference(text) => {
            let package: PackageRef = text.parse().map_err(|error: import::reference::ReferenceError| {
                ImportError::of("source", error.to_string())
            })?;
            Ok(vec![(text.clone(), Ok(import::propose_package(package)))])
        }
        Document::Json(value) => {
            let text = value.to_string();
            if value.get("name").is_some() || value.get("server").is_some() {
                let proposal = parse_server_json(&text, Pick::Preferred).map_err(invalid)?;
                let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                return Ok(vec![(name, Ok(proposal))]);
            }
            let entries = parse_client_config(&text).map_err(invalid)?;
            Ok(entries.into_iter().map(|entry| (entry.name, entry.proposal.map_err(invalid))).collect())
        }
    }
}

/// The one that is meant, by its name in the document, or the only one.
fn chosen(mut described: Vec<Described>, server: Option<&str>) -> Result<Proposal, ImportError> {
    let found = match server {
        Some(server) => described.iter().position(|(name, _)| name == server),
        None => (described.len() == 1).then_some(0),
    };
    let Some(index) = found else {
        let names: Vec<&str> = described.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!("must be one of those that the document describes: {}", names.join(", "));
        return Err(ImportError::of("server", message));
    };
    described.swap_remove(index).1
}

fn finished(proposal: Proposal, program: &str, leading: &[String]) -> Result<TypeSpec, ImportError> {
    proposal.into_spec(program, leading).map_err(invalid)
}

fn manager_of(registry: Registry) -> Manager {
    match registry {
        Registry::Npm => Manager::Npm,
        Registry::Pypi => Manager::Pypi,
        Registry::Cargo => Manager::Cargo,
    }
}

pub(super) fn package_of(
    registry: Registry,
    name: &str,
    extras: &[String],
    version: Option<&str>,
) -> Result<Package, ImportError> {
    Package::new(manager_of(registry), name, extras.to_vec(), version.map(str::to_owned))
        .map_err(|error: NameError| ImportError::of("source", error.to_string()))
}

fn wanted(install: &Install, scripts: bool) -> Result<Wanted, ImportError> {
    if let Some(url) = &install.registry_url {
        return Err(ImportError::of(
            "source",
            format!("packages come from the machine's own registries, not from {url}"),
        ));
    }
    let of = &install.package;
    Ok(Wanted { package: package_of(of.registry(), of.name(), of.extras(), exact(of))?, scripts })
}

/// The exact version that is named; `latest` is what is installed where none is.
fn exact(package: &PackageRef) -> Option<&str> {
    match package.version() {
        Some(PackageVersion::Exact(version)) => Some(version),
        Some(PackageVersion::Latest) | None => None,
    }
}

fn has_hash(install: &Install, stored: &Stored) -> Result<(), ImportError> {
    let Some(expected) = &install.expected_sha256 else { return Ok(()) };
    if stored.installed.integrity.strip_prefix("sha256:") == Some(expected.as_str()) {
        return Ok(());
    }
    let message = format!(
        "the package's hash is {}, and the document says sha256:{expected}",
        stored.installed.integrity
    );
    Err(ImportError::of("source", message))
}

/// The program that is meant: the one that is named, the one of the package's own name, or the only one.
pub(super) fn executable<'a>(stored: &'a Stored, entry: Option<&str>) -> Result<&'a Executable, ImportError> {
    let all = &stored.installed.executables;
    let named = |name: &str| all.iter().find(|one| one.name == name);
    let short = stored.name.rsplit('/').next().unwrap_or(&stored.name);
    let found = match entry {
        Some(entry) => named(entry),
        None => named(short).or_else(|| named(&stored.name)).or(if let [one] = &all[..] {
            Some(one)
        } else {
            None
        }),
    };
    let list = || all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    found
        .ok_or_else(|| ImportError::of("entry", format!("must be one of the package's programs: {}", list())))
}

/// Notes in a type what its program belongs to, and lets its servers read it.
fn belongs(spec: &mut TypeSpec, wanted: &Wanted, stored: &Stored, executable: &Executable) {
    spec.version = Some(stored.installed.version.clone());
    let package = package_use(wanted.scripts, stored, executable);
    spec.confinement.read_paths.push(package.tree.clone());
    spec.package = Some(package);
}

fn package_use(scripts: bool, stored: &Stored, executable: &Executable) -> PackageUse {
    let installed = &stored.installed;
    PackageUse {
        manager: manager_word(stored.manager).to_owned(),
        name: stored.name.clone(),
        extras: stored.extras.clone(),
        version: installed.version.clone(),
        integrity: installed.integrity.clone(),
        digest: installed.digest.clone(),
        tree: stored.tree.to_string_lossy().into_owned(),
        entry: executable.name.clone(),
        scripts,
    }
}

pub(crate) const fn manager_word(manager: Manager) -> &'static str {
    match manager {
        Manager::Npm => "npm",
        Manager::Pypi => "pypi",
        Manager::Cargo => "cargo",
    }
}
