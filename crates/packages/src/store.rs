//! Installs what is not there yet, once, and finds what is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roadstead_installer::{Installed, Line, Request, Tools};
use roadstead_supervisor::{ErrandError, ErrandGroup, ErrandGroups, ErrandLimits, run_long_errand};

use crate::hold::{self, Asked, Hold};
use crate::name::{Package, is_version, word};
use crate::place::named_in;
use crate::record::{FILE, Stored, TREE};
use crate::seal;

const STAGING: &str = ".staging";
/// How much of the digest is in a folder's name.
const DIGEST_CHARS: usize = 16;
/// How long a package may be asked for that somebody decides about: as long as a database takes to answer.
const HOLD_PATIENCE: Duration = Duration::from_secs(20);
/// The pause between two such questions.
const HOLD_PAUSE: Duration = Duration::from_millis(5);
/// Processes and threads of one installation together.
const MAX_PROCESSES: u64 = 1024;
/// How often a package is installed that is taken away before it can be held.
const ATTEMPTS: usize = 3;

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
    /// Where control groups are made for what works on it; none where none are wanted.
    pub groups: Option<ErrandGroups>,
    /// The memory that an installation may take.
    pub max_memory_bytes: u64,
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
    /// It is being taken away.
    #[error("the package is about to be removed; try again in a moment")]
    Leaving,
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

pub(crate) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Store { what, source }
}

impl PackageStore {
    /// Opens the store, and clears away what was being installed when somebody ended us.
    pub fn open(config: StoreConfig) -> Result<Self, InstallError> {
        let make = |folder: &Path| DirBuilder::new().recursive(true).mode(0o755).create(folder);
        make(&config.folder).map_err(failed("make its folder"))?;
        let staging = config.folder.join(STAGING);
        make(&staging).map_err(failed("make its folder"))?;
        for left in fs::read_dir(&staging).map_err(failed("look for what was left half way"))?.flatten() {
            clear(&left.path());
        }
        Ok(Self(Arc::new(Inner { config, turns: Mutex::default(), staged: AtomicU64::new(0) })))
    }

    /// The package, installed now if it is not there yet. Of those who want the same at once, one installs it and hears of the
    /// progress; the others wait. It stays there as long as it is held.
    pub async fn install(
        &self,
        wanted: &Wanted,
        mut hear: impl FnMut(Progress) + Send,
    ) -> Result<(Stored, Hold), InstallError> {
        let turn = Arc::clone(
            self.0.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(wanted.clone()).or_default(),
        );
        let outcome = {
            let _mine = turn.lock().await;
            self.held_or_installed(wanted, &mut hear).await
        };
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's and ours: nobody else waits.
        if Arc::strong_count(&turn) <= 2 {
            turns.remove(wanted);
        }
        outcome
    }

    async fn held_or_installed(
        &self,
        wanted: &Wanted,
        hear: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(Stored, Hold), InstallError> {
        for _ in 0..ATTEMPTS {
            let stored = match self.find(&wanted.package, wanted.scripts) {
                Some(stored) => stored,
                None => self.install_anew(wanted, &mut *hear).await?,
            };
            // Whoever cleans may have been quicker.
            if let Some(hold) = self.hold(&stored.place).await? {
                return Ok((stored, hold));
            }
        }
        Err(InstallError::Leaving)
    }

    /// Keeps a package where it is; none when it is not there. Waits while somebody decides whether it goes.
    pub async fn hold(&self, place: &str) -> Result<Option<Hold>, InstallError> {
        let folder = self.path_of(place);
        let until = tokio::time::Instant::now() + HOLD_PATIENCE;
        loop {
            match hold::hold(&folder).map_err(failed("lock a package"))? {
                Asked::Got(hold) => return Ok(Some(hold)),
                Asked::Gone => return Ok(None),
                Asked::Busy if tokio::time::Instant::now() >= until => return Err(InstallError::Leaving),
                Asked::Busy => tokio::time::sleep(HOLD_PAUSE).await,
            }
        }
    }

    /// The places of packages that texts name by their paths.
    pub fn places_in<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for text in texts {
            named_in(self.folder(), text, &mut found);
        }
        found
    }

    /// A package that is there, by its exact version.
    pub fn find(&self, package: &Package, scripts: bool) -> Option<Stored> {
        package.version()?;
        let folder = self.0.config.folder.join(word(package.manager())).join(package.folder());
        let entries = fs::read_dir(folder).ok()?;
        let mut all = entries.flatten().filter_map(|entry| self.read(&entry.path()));
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
        folders.flat_map(below).filter_map(|folder| self.read(&folder)).collect()
    }

    /// Whose the files are, where the service is root.
    pub(crate) fn owner(&self) -> Option<u32> {
        self.0.config.owner
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0.config.folder
    }

    pub(crate) fn path_of(&self, place: &str) -> PathBuf {
        self.folder().join(place)
    }

    /// A new, empty folder that only we know of.
    pub(crate) fn staging_folder(&self) -> Result<PathBuf, InstallError> {
        loop {
            let number = self.0.staged.fetch_add(1, Ordering::Relaxed);
            let folder = self.folder().join(STAGING).join(number.to_string());
            match DirBuilder::new().mode(0o755).create(&folder) {
                // What a run before could not clear away.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    return made.map(|()| folder).map_err(failed("make a folder to install into"));
                }
            }
        }
    }

    fn read(&self, folder: &Path) -> Option<Stored> {
        let text = fs::read(folder.join(FILE)).ok()?;
        let mut stored: Stored = serde_json::from_slice(&text).ok()?;
        folder.strip_prefix(self.folder()).ok()?.to_str()?.clone_into(&mut stored.place);
        stored.tree = folder.join(TREE);
        Some(stored)
    }

    async fn install_anew(
        &self,
        wanted: &Wanted,
        hear: impl FnMut(Progress) + Send,
    ) -> Result<Stored, InstallError> {
        let staged = Staged::new(self.staging_folder()?)?;
        let tree = staged.path.join(TREE);
        let made = DirBuilder::new().mode(0o755).create(&tree);
        made.map_err(failed("make a folder to install into"))?;
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
        let limits = ErrandLimits { memory_bytes: config.max_memory_bytes, processes: MAX_PROCESSES };
        let group = config.groups.as_ref().map(|groups| groups.make(limits));
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
            groups: group.as_ref().map_or_else(Vec::new, ErrandGroup::folders),
            max_memory_bytes: config.max_memory_bytes,
        };
        let mut request = serde_json::to_vec(&request)
            .map_err(|error| InstallError::Store { what: "write a request", source: error.into() })?;
        request.push(b'\n');
        let mut last = None;
        let work = run_long_errand(&config.installer, &request, config.budget, |line| {
            match serde_json::from_slice(line) {
                Ok(Line::Progress { step, message }) => hear(Progress { step, message }),
                Ok(end) => last = Some(end),
                // Whatever it is, it is not how it ended.
                Err(error) => tracing::debug!(%error, "the installer said something unknown"),
            }
        });
        let ended = work.await;
        if let Some(group) = group {
            group.end().await;
        }
        if let Some(Line::Failed { code, message }) = last {
            // Also of one that had to end itself by force.
            return Err(InstallError::Refused { code, message });
        }
        ended?;
        match last {
            Some(Line::Installed(installed)) => Ok(*installed),
            _ => Err(InstallError::Silent),
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
            place: String::new(),
            tree: PathBuf::new(),
        };
        let record = serde_json::to_vec_pretty(&stored)
            .map_err(|error| InstallError::Store { what: "write a record", source: error.into() })?;
        fs::write(staged.path.join(FILE), record).map_err(failed("write a record"))?;
        seal::seal(&staged.path.join(TREE), config.owner).map_err(failed("seal a package"))?;
        let folder = config.folder.join(word(package.manager())).join(package.folder());
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&folder)
            .map_err(failed("make a package's folder"))?;
        let place = folder.join(name);
        match fs::rename(&staged.path, &place) {
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
        // Gone again, it is installed again.
        Ok(self.read(&place).unwrap_or(stored))
    }
}

/// A folder that goes unless it got its place. Its lock, which ends with us, tells others that it is no remains.
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    _lock: Hold,
}

impl Staged {
    pub(crate) fn new(path: PathBuf) -> Result<Self, InstallError> {
        match hold::hold(&path).map_err(failed("lock a folder to install into"))? {
            Asked::Got(lock) => Ok(Self { path, _lock: lock }),
            Asked::Busy | Asked::Gone => Err(InstallError::Leaving),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = seal::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "what was left of an installation could not be removed");
        }
    }
}

/// Removes what a run before left half way, unless it is somebody's who lives. What cannot be removed, because an installer
/// still dies, say, is in nobody's way: the next start tries again.
fn clear(left: &Path) {
    let outcome = match hold::claim(left) {
        Ok(Asked::Got(_sole)) => seal::remove(left),
        Ok(Asked::Busy | Asked::Gone) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::warn!(path = %left.display(), %error, "what was left of an installation could not be removed");
    }
}
