//! A PostgreSQL of our own: found or fetched, made, started, reused, recovered and stopped.
//!
//! ```text
//! start ─► does its server run? ─ yes ─────────────────────────────► connect ─► roles ─► Ready { reused: true }
//!              │ no                                                     ▲
//!              └─► find programs ─► (download) ─► (initdb) ─► launch ───┘ ... ─────────► Ready { reused: false }
//! ```
//! The server listens on a unix socket only, asks everyone for a password, writes durably, runs as a user without
//! privileges, and lives in a session of its own: it outlives us unless it is told to stop. The caller holds the data
//! folder's lock from before `start` until it no longer needs the server.
//!
//! Deliberately absent: our schema (migrations make it as the owner), and any read of the environment.

mod account;
mod archive;
mod base;
mod cluster;
mod download;
mod error;
mod passwords;
mod postmaster;
mod programs;
mod recovery;
mod roles;
mod server;
mod socket;
mod tools;
mod wal;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rand::CryptoRng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::process::Child;

use self::account::Account;
use self::cluster::Layout;
use self::error::file_error;
use self::passwords::Passwords;
use self::postmaster::{LockFile, Postmaster};
use self::programs::{Places, Programs};

pub use self::archive::{Archive, Archiving, BASES, WAL};
pub use self::base::Written;
pub use self::download::{DownloadError, RELEASES_URL};
pub use self::error::PostgresError;
pub use self::recovery::{Aside, Goal, Recovered};
pub use self::socket::socket_folder;
pub use self::tools::Tools;
pub use self::wal::{History, Lsn, SEGMENT_BYTES, Timelines, segment_name, segment_of};

/// Where distributions put the programs, one folder per major version.
pub const SYSTEM_FOLDER: &str = "/usr/lib/postgresql";

/// What the private cluster needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder, absolute; the cluster goes to `postgres` in it, fetched programs to `programs`.
    pub data_folder: PathBuf,
    /// The folder of the socket, for this cluster alone; see [`socket_folder`].
    pub socket_folder: PathBuf,
    /// The value of PATH.
    pub search_path: Option<OsString>,
    /// The folder of packaged versions; see [`SYSTEM_FOLDER`].
    pub system_folder: PathBuf,
    /// Where to fetch programs from when there are none, see [`RELEASES_URL`]; none turns fetching off.
    pub releases_url: Option<String>,
}

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking for PostgreSQL's programs.
    Finding,
    /// Fetching the programs.
    Downloading {
        /// So much has come.
        bytes: u64,
        /// Out of so much, if that is known.
        total: Option<u64>,
    },
    /// Making the cluster.
    Initialising,
    /// Starting the server.
    Starting,
    /// It answers, and the roles and the database are there.
    Ready {
        /// Whether it ran before.
        reused: bool,
    },
}

/// How to end the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Sessions are cut off and everything is written: the next start has nothing to recover.
    Fast,
    /// At once, as in a crash: the next start recovers. Nothing that was committed is lost.
    Immediate,
}

/// What there is of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It was never made.
    Absent,
    /// It was made, and its server does not run.
    Stopped,
    /// Its server runs.
    Running {
        /// The server's process.
        pid: u32,
        /// The folder of its socket; none while it starts.
        socket_folder: Option<PathBuf>,
    },
}

/// The private cluster of one data folder, running or not.
#[derive(Debug)]
pub struct Postgres {
    settings: Settings,
    layout: Layout,
}

/// A server that answered. Dropping this leaves the server running.
pub struct Running {
    postmaster: Postmaster,
    _child: Option<Child>,
    reused: bool,
    owner: PgConnectOptions,
    app: PgConnectOptions,
    admin: PgConnectOptions,
}

impl Settings {
    fn places<'a>(&'a self, downloaded: &'a Path) -> Places<'a> {
        Places { search_path: self.search_path.as_deref(), system: &self.system_folder, downloaded }
    }
}

// === impl Postgres ===

impl Postgres {
    /// The cluster of a data folder; nothing is touched yet.
    pub fn new(settings: Settings) -> Self {
        // Without symbolic links, as the system names the folder that a server runs in.
        let data_folder = settings.data_folder.canonicalize();
        let layout = Layout::new(data_folder.as_deref().unwrap_or(&settings.data_folder));
        Self { settings, layout }
    }

    /// Makes the server run, whatever state it was left in, and waits until it answers.
    ///
    /// A server that runs is used as it is. Otherwise programs are found or fetched, the cluster is made if it is
    /// missing, and the server is started; it recovers by itself from a crash.
    pub async fn start(
        &self,
        rng: &mut (impl CryptoRng + Send + ?Sized),
        mut progress: impl FnMut(Step) + Send,
    ) -> Result<Running, PostgresError> {
        self.layout.make_folder()?;
        self.layout.bring_back()?;
        let passwords = Passwords::open(&self.layout.folder, self.layout.is_initialised(), rng)?;
        if let Some(postmaster) = Postmaster::find(&self.layout.cluster)?
            && let Some(connection) = self.reuse(&postmaster, &passwords).await?
        {
            let running = self.finish(postmaster, None, connection, &passwords).await?;
            progress(Step::Ready { reused: true });
            return Ok(running);
        }
        let running = self.start_stopped(&passwords, &mut progress).await?;
        progress(Step::Ready { reused: false });
        Ok(running)
    }

    /// Whether the server runs.
    pub fn status(&self) -> Result<Status, PostgresError> {
        if !self.layout.is_initialised() {
            return Ok(Status::Absent);
        }
        let cluster = &self.layout.cluster;
        Ok(match LockFile::of_cluster(cluster)?.filter(|lock| lock.serves(cluster)) {
            Some(lock) => Status::Running { pid: lock.pid, socket_folder: lock.socket_folder },
            None => Status::Stopped,
        })
    }

    /// How the service connects to a server that runs, without a connection being tried; none while it does not run.
    pub fn app_of_running(&self) -> Result<Option<PgConnectOptions>, PostgresError> {
        if !self.layout.is_initialised() {
            return Ok(None);
        }
        let socket = server::listening_in(&self.layout.cluster)?;
        let password = Passwords::app_of(&self.layout.folder)?;
        Ok(socket
            .zip(password)
            .map(|(socket, password)| roles::options(&socket, roles::APP, &password, roles::DATABASE)))
    }

    /// The archive of the write-ahead log, where there is one.
    pub fn archive(&self) -> Result<Option<Archive>, PostgresError> {
        Archive::of(&self.layout)
    }

    /// Turns archiving on, off, or to another folder; a server that runs is ended first, so that the next start is with it.
    /// Only for who holds the data folder. Answers whether something changed.
    pub async fn archive_to(&self, wanted: Option<&Archive>) -> Result<bool, PostgresError> {
        if Archive::of(&self.layout)?.as_ref() == wanted {
            return Ok(false);
        }
        self.layout.make_folder()?;
        if let Some(archive) = wanted {
            archive.prepare(&Account::choose(&self.layout.cluster)?)?;
        }
        self.stop(StopMode::Fast).await?;
        match wanted {
            Some(archive) => archive.keep(&self.layout)?,
            None => Archive::forget(&self.layout)?,
        }
        Ok(true)
    }

    /// The programs for backups: of this cluster, or (with its way to connect) of somebody else's server.
    pub async fn tools(
        &self,
        owner: &PgConnectOptions,
        private: bool,
        server: u32,
    ) -> Result<Tools, PostgresError> {
        Tools::find(&self.settings, &self.layout, private, owner, server).await
    }

    /// Ends the server if it runs, and waits until it has ended.
    pub async fn stop(&self, mode: StopMode) -> Result<(), PostgresError> {
        match Postmaster::find(&self.layout.cluster)? {
            Some(postmaster) => server::stop(&postmaster, mode).await,
            None => Ok(()),
        }
    }

    /// Ends the server and removes the cluster with all that is in it, its passwords and its log.
    pub async fn reset(&self) -> Result<(), PostgresError> {
        self.stop(StopMode::Fast).await?;
        let folder = &self.layout.folder;
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(file_error("remove", folder))?;
        }
        // The server took its socket along. If anything else is in there, it is not ours to remove.
        let _ = fs::remove_dir(&self.settings.socket_folder);
        Ok(())
    }

    /// A connection to a server that runs already; none when it ended while we asked, as one that is stopping does.
    async fn reuse(
        &self,
        postmaster: &Postmaster,
        passwords: &Passwords,
    ) -> Result<Option<PgConnection>, PostgresError> {
        let log_end = fs::metadata(self.layout.log_file()).map_or(0, |log| log.len());
        match server::wait_ready(&self.layout, postmaster, &passwords.admin, log_end).await {
            Ok(connection) => Ok(Some(connection)),
            Err(PostgresError::Ended { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn start_stopped(
        &self,
        passwords: &Passwords,
        progress: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Running, PostgresError> {
        let account = Account::choose(&self.layout.cluster)?;
        account.reaches(&self.layout.folder)?;
        let programs = self.programs(&account, self.layout.major()?, progress).await?;
        if !self.layout.is_initialised() {
            progress(Step::Initialising);
            self.layout.initialise(&programs, &account, &passwords.admin).await?;
        }
        progress(Step::Starting);
        let archive = Archive::of(&self.layout)?;
        let more = archive.map(|archive| archive.settings(&self.layout)).transpose()?.unwrap_or_default();
        let text = (more.as_str(), cluster::ACCESS_RULES);
        let socket_folder = &self.settings.socket_folder;
        let started = server::launch(&self.layout, &programs, &account, socket_folder, text).await?;
        let ready =
            server::wait_ready(&self.layout, &started.postmaster, &passwords.admin, started.log_begin).await;
        match ready {
            Ok(connection) => {
                self.finish(started.postmaster, Some(started.child), connection, passwords).await
            }
            Err(error) => {
                // What we started and cannot use must not stay; the first error is the one to know.
                let _ = server::stop(&started.postmaster, StopMode::Fast).await;
                Err(error)
            }
        }
    }

    async fn programs(
        &self,
        account: &Account,
        required: Option<u32>,
        progress: &mut (dyn FnMut(Step) + Send),
    ) -> Result<Programs, PostgresError> {
        progress(Step::Finding);
        let downloaded = self.settings.data_folder.join("programs");
        if let Some(found) = Programs::find(self.settings.places(&downloaded), account, required).await {
            return Ok(found);
        }
        let missing = |source| PostgresError::NoPrograms {
            required,
            system_folder: self.settings.system_folder.clone(),
            source,
        };
        let url = self.settings.releases_url.as_deref().ok_or_else(|| missing(None))?;
        let fetched = download::download(url, required, &downloaded, progress).await;
        let folder = fetched.map_err(|source| missing(Some(Box::new(source))))?;
        Programs::inspect(folder.clone(), account)
            .await
            .ok_or_else(|| missing(Some(Box::new(DownloadError::DoesNotRun { folder }))))
    }

    /// The programs that run a cluster of a version, with no word about how they are come by.
    async fn programs_of(&self, account: &Account, major: u32) -> Result<Programs, PostgresError> {
        self.programs(account, Some(major), &mut |_| {}).await
    }

    async fn finish(
        &self,
        postmaster: Postmaster,
        child: Option<Child>,
        mut admin: PgConnection,
        passwords: &Passwords,
    ) -> Result<Running, PostgresError> {
        let socket = server::listening_in(&self.layout.cluster)?
            .ok_or_else(|| PostgresError::Ended { log: "(its lock file is gone)".to_owned() })?;
        roles::provision(&mut admin, &socket, passwords).await?;
        // The server notices either way; closing politely keeps its log clean.
        let _ = admin.close().await;
        let to = |role, password| roles::options(&socket, role, password, roles::DATABASE);
        Ok(Running {
            postmaster,
            reused: child.is_none(),
            _child: child,
            owner: to(roles::OWNER, &passwords.owner),
            app: to(roles::APP, &passwords.app),
            admin: to(roles::ADMIN, &passwords.admin),
        })
    }
}

// === impl Running ===

/// Without the ways to connect: they show their passwords.
impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("pid", &self.pid())
            .field("reused", &self.reused)
            .field("socket_folder", &self.socket_folder())
            .finish_non_exhaustive()
    }
}

impl Running {
    /// How to connect as the owner of the database and its tables: for migrations and new partitions. Its `Debug`
    /// shows the password.
    pub fn owner(&self) -> PgConnectOptions {
        self.owner.clone()
    }

    /// How to connect as the service, which reads and writes rows and changes no table. Its `Debug` shows the
    /// password.
    pub fn app(&self) -> PgConnectOptions {
        self.app.clone()
    }

    /// How to connect as the cluster's superuser: to make a database that is thrown away again, and for nothing else. Its
    /// `Debug` shows the password.
    pub fn admin(&self) -> PgConnectOptions {
        self.admin.clone()
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.postmaster.pid()
    }

    /// Whether the server ran before.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// The folder of the server's socket.
    pub fn socket_folder(&self) -> &Path {
        self.app.get_socket().expect("both options are made with a socket")
    }

    /// Resolves when the server has ended, however it did; then it is the caller's to start it again.
    pub async fn watch(&self) {
        self.postmaster.ended().await;
    }
}
