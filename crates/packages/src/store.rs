//! Installs what is not there yet, once, and finds what is.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roadstead_installer::{Installed, Line, Request, Tools};
use roadstead_supervisor::{ErrandError, run_long_errand};

use crate::name::{Package, is_version, word};
use crate::record::{FILE, Stored, TREE};
use crate::seal;

const STAGING: &str = ".staging";
/// How much of the digest is in a folder's name.
const DIGEST_CHARS: usize = 16;

/// Where packages are, and how they get there.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The folder of all of them; made where it is missing.
    pub folder: PathBuf,
    /// The program that installs one.
    pub installer: PathBuf,
    /// As whom it works, where the service is root.
    pub user: Option<u32>,
    /// Whose the files are afterwards, where the service is root.
    pub owner: Option<u32>,
    /// With what.
    pub tools: Tools,
    /// Proxies, certificates and registries of this machine.
    pub environment: BTreeMap<String, String>,
    /// TCP ports of registries and proxies.
    pub ports: Vec<u16>,
    /// How long one installation may take.
    pub budget: Duration,
    /// The most that one may be.
    pub max_bytes: u64,
    /// In so many files and folders.
    pub max_files: u64,
}

/// What is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Which package.
    pub package: Package,
    /// Whether what it brings to be run at installation may run.
    pub scripts: bool,
}

/// What is being done, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// One word.
    pub step: String,
    /// What exactly.
    pub message: String,
}

/// Why a package is not there.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The installer says why; its code is one word for programs.
    #[error("{message}")]
    Refused {
        /// One word.
        code: String,
        /// For people.
        message: String,
    },
    /// The installer itself did not work.
    #[error("the installer failed")]
    Installer(#[from] ErrandError),
    /// It did not say how it ended.
    #[error("the installer ended without an answer")]
    Silent,
    /// What it said cannot be.
    #[error("the installer told a version that is none: {0:?}")]
    Version(String),
    /// The store's own folder.
    #[error("the package store cannot be written: {what}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The packages of this machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PackageStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: StoreConfig,
    /// One for each thing that somebody wants right now.
    turns: Mutex<HashMap<Wanted, Turn>>,
    staged: AtomicU64,
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Store { what, source }
}

impl PackageStore {
    /// Opens the store, and clears away what was being installed when somebody ended us.
    pub fn open(config: StoreConfig) -> Result<Self, InstallError> {
        let make = |folder: &Path| DirBuilder::new().recursive(true).mode(0o755).create(folder);
        make(&config.folder).map_err(failed("make its folder"))?;
        let staging = config.folder.join(STAGING);
        seal::remove(&staging).map_err(failed("clear what was left half way"))?;
        make(&staging).map_err(failed("make its folder"))?;
        Ok(Self(Arc::new(Inner { config, turns: Mutex::default(), staged: AtomicU64::new(0) })))
    }

    /// The package, installed now if it is not there yet. Of those who want the same at once, one installs it and hears of the
    /// progress; the others wait.
    pub async fn install(
        &self,
        wanted: &Wanted,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<Stored, InstallError> {
        let turn = Arc::clone(
            self.0.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(wanted.clone()).or_default(),
        );
        let outcome = {
            let _mine = turn.lock().await;
            match self.find(&wanted.package, wanted.scripts) {
                Some(stored) => Ok(stored),
                None => self.install_anew(wanted, hear).await,
            }
        };
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and ours: nobody else waits.
        if Arc::strong_count(&turn) <= 2 {
            turns.remove(wanted);
        }
        outcome
    }

    /// A package that is there, by its exact version.
    pub fn find(&self, package: &Package, scripts: bool) -> Option<Stored> {
        package.version()?;
        let folder = self.0.config.folder.join(word(package.manager())).join(package.folder());
        let entries = fs::read_dir(folder).ok()?;
        let mut all = entries.flatten().filter_map(|entry| read(&entry.path()));
        all.find(|stored| stored.is(package, scripts))
    }

    /// The programs of this machine that run packages.
    pub fn tools(&self) -> &Tools {
        &self.0.config.tools
    }

    /// Everything that is there.
    pub fn all(&self) -> Vec<Stored> {
        let below =
            |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let managers = [
            roadstead_installer::Manager::Npm,
            roadstead_installer::Manager::Pypi,
            roadstead_installer::Manager::Cargo,
        ];
        let folders =
            managers.into_iter().flat_map(|manager| below(self.0.config.folder.join(word(manager))));
        folders.flat_map(below).filter_map(|folder| read(&folder)).collect()
    }

    /// Takes a package away. Who asks has made sure that nothing needs it.
    pub fn remove(&self, stored: &Stored) -> Result<(), InstallError> {
        let Some(folder) = stored.tree.parent() else { return Ok(()) };
        // Out of its place in one step: what is half gone is found by nobody.
        let going = self.staging_folder();
        fs::rename(folder, &going).map_err(failed("move a package out of its place"))?;
        seal::remove(&going).map_err(failed("remove a package"))
    }

    fn staging_folder(&self) -> PathBuf {
        let number = self.0.staged.fetch_add(1, Ordering::Relaxed);
        self.0.config.folder.join(STAGING).join(number.to_string())
    }

    async fn install_anew(
        &self,
        wanted: &Wanted,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<Stored, InstallError> {
        let staged = Staged(self.staging_folder());
        let tree = staged.0.join(TREE);
        let make = |folder: &Path, mode| DirBuilder::new().mode(mode).create(folder);
        make(&staged.0, 0o755).map_err(failed("make a folder to install into"))?;
        make(&tree, 0o755).map_err(failed("make a folder to install into"))?;
        if let Some(user) = self.0.config.user {
            chown(&tree, Some(user), Some(user)).map_err(failed("give a folder to the installer"))?;
        }
        let installed = self.run(wanted, &tree, hear).await?;
        if !is_version(&installed.version) {
            return Err(InstallError::Version(installed.version));
        }
        let (this, wanted) = (self.clone(), wanted.clone());
        let placed = tokio::task::spawn_blocking(move || this.place(&wanted, installed, &staged));
        placed.await.map_err(|error| InstallError::Store { what: "seal a package", source: error.into() })?
    }

    async fn run(
        &self,
        wanted: &Wanted,
        tree: &Path,
        mut hear: impl FnMut(Progress) + Send,
    ) -> Result<Installed, InstallError> {
        let config = &self.0.config;
        let package = &wanted.package;
        let request = Request {
            manager: package.manager(),
            name: package.name().to_owned(),
            extras: package.extras().to_vec(),
            version: package.version().map(str::to_owned),
            folder: tree.to_owned(),
            user: config.user,
            tools: config.tools.clone(),
            environment: config.environment.clone(),
            ports: config.ports.clone(),
            scripts: wanted.scripts,
            max_bytes: config.max_bytes,
            max_files: config.max_files,
        };
        let request = serde_json::to_vec(&request)
            .map_err(|error| InstallError::Store { what: "write a request", source: error.into() })?;
        let mut last = None;
        let work = run_long_errand(&config.installer, &request, config.budget, |line| {
            match serde_json::from_slice(line) {
                Ok(Line::Progress { step, message }) => hear(Progress { step, message }),
                Ok(end) => last = Some(end),
                // Whatever it is, it is not how it ended.
                Err(error) => tracing::debug!(%error, "the installer said something unknown"),
            }
        });
        work.await?;
        match last {
            Some(Line::Installed(installed)) => Ok(*installed),
            Some(Line::Failed { code, message }) => Err(InstallError::Refused { code, message }),
            Some(Line::Progress { .. }) | None => Err(InstallError::Silent),
        }
    }

    /// Seals what was installed and gives it its place.
    fn place(&self, wanted: &Wanted, installed: Installed, staged: &Staged) -> Result<Stored, InstallError> {
        let config = &self.0.config;
        let package = &wanted.package;
        let digest = installed.digest.get(..DIGEST_CHARS).unwrap_or(&installed.digest).to_owned();
        // Two ways to install the same version do not share a folder, although they may come to the same.
        let scripts = if wanted.scripts { "-scripts" } else { "" };
        let name = format!("{}-{digest}{scripts}", installed.version);
        let stored = Stored {
            manager: package.manager(),
            name: package.name().to_owned(),
            extras: package.extras().to_vec(),
            scripts: wanted.scripts,
            installed,
            tree: PathBuf::new(),
        };
        let record = serde_json::to_vec_pretty(&stored)
            .map_err(|error| InstallError::Store { what: "write a record", source: error.into() })?;
        fs::write(staged.0.join(FILE), record).map_err(failed("write a record"))?;
        seal::seal(&staged.0.join(TREE), config.owner).map_err(failed("seal a package"))?;
        let folder = config.folder.join(word(package.manager())).join(package.folder());
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&folder)
            .map_err(failed("make a package's folder"))?;
        let place = folder.join(name);
        match fs::rename(&staged.0, &place) {
            Ok(()) => {}
            // The newest version was asked for, and it is the one that is there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) => {}
            Err(error) => return Err(failed("give a package its place")(error)),
        }
        // Only when the disk has it is it there: a name without files would be found after a power cut.
        let synced = fs::File::open(&folder).and_then(|folder| folder.sync_all());
        synced.map_err(failed("write a package to the disk"))?;
        Ok(Stored { tree: place.join(TREE), ..stored })
    }
}

/// A folder that goes unless it got its place.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = seal::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "what was left of an installation could not be removed");
        }
    }
}

fn read(folder: &Path) -> Option<Stored> {
    let text = fs::read(folder.join(FILE)).ok()?;
    let mut stored: Stored = serde_json::from_slice(&text).ok()?;
    stored.tree = folder.join(TREE);
    Some(stored)
}
