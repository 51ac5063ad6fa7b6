//! `roadstead db`: looking after the database from outside, whether the service runs or not.
//!
//! ```text
//! migrations   migrate, list, create, validate, rollback
//! look         size, table-sizes, stats, locks, analyze, vacuum
//! cleanup      cleanup: what retention does every day, now
//! backup       backup: one file of everything, at one moment
//! base         backup --base: what a restore to any later moment begins with
//! restore      restore: everything, the missing rows of one table, or the database of a moment
//! ```
//! All of it connects as the owner of the tables. A private cluster that did not run is started for it, and stopped again.

pub mod command;

mod archive;
mod backup;
mod base;
mod cleanup;
mod look;
mod migrations;
mod records;
mod restore;

use anyhow::bail;
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, PrintError};
use roadstead_model::{InstallationId, Randomness, SystemClock};
use roadstead_store::PgConnectOptions;
use roadstead_store::maintain::Maintenance;

use crate::config::Config;
use crate::data_folder::{DataFolder, DataFolderLock};
use crate::database::{Database, private_cluster};
use crate::down::{confirmed, holder, installation};
use crate::postgres::{Archive, Postgres, Status, StopMode, Tools};

pub use self::command::DbCommand;

/// A command that ends with a code of its own, and why.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The code.
    pub exit: Exit,
    message: String,
}

/// The database that a command looks after.
pub(crate) struct Place {
    pub(crate) folder: DataFolder,
    pub(crate) installation: InstallationId,
    /// Ours while no service runs.
    lock: Option<DataFolderLock>,
    pub(crate) database: Database,
    /// Where the private cluster is, or would be.
    cluster: Postgres,
    /// Whether the private cluster was started for this.
    started: bool,
}

/// `roadstead db …`.
pub async fn db(config: &Config, command: DbCommand, json: bool, no_color: bool) -> anyhow::Result<Exit> {
    let paper = Paper::new(json, no_color);
    match &command {
        DbCommand::Create { name } => return migrations::create(&paper, name),
        DbCommand::Restore(args) => return Box::pin(restore::restore(config, &paper, args)).await,
        _ => {}
    }
    let place = Place::open(config, matches!(command, DbCommand::Migrate { .. })).await?;
    let done = Box::pin(run(&place, config, command, &paper)).await;
    // What went wrong first is the one to know.
    let left = place.leave().await;
    let exit = done?;
    left.map(|()| exit)
}

async fn run(place: &Place, config: &Config, command: DbCommand, paper: &Paper) -> anyhow::Result<Exit> {
    match command {
        DbCommand::Migrate { to } => migrations::migrate(place, paper, to).await,
        DbCommand::List => migrations::list(place, paper).await,
        DbCommand::Validate => migrations::validate(place, paper).await,
        DbCommand::Rollback { to, yes } => migrations::rollback(place, paper, to, yes).await,
        DbCommand::Size => look::size(place, paper).await,
        DbCommand::TableSizes => look::table_sizes(place, paper).await,
        DbCommand::Stats => look::stats(place, paper).await,
        DbCommand::Locks => look::locks(place, paper).await,
        DbCommand::Analyze => look::analyze(place, paper).await,
        DbCommand::Vacuum { full, yes } => look::vacuum(place, paper, full, yes).await,
        DbCommand::Cleanup(args) => cleanup::cleanup(place, paper, &args).await,
        DbCommand::Backup(args) if args.base => base::backup(place, paper, &args).await,
        DbCommand::Backup(args) => backup::backup(place, config, paper, &args).await,
        DbCommand::Create { .. } | DbCommand::Restore(_) => {
            unreachable!("they open the database themselves, or none")
        }
    }
}

/// The name of the newest base backup in an archive, which is its moment.
pub(crate) fn newest_base(archive: &Archive) -> anyhow::Result<Option<String>> {
    Ok(records::Records::read(archive.clone())?.bases.pop().map(|base| base.name))
}

/// Whether a command ended because nobody read its answer to the end.
pub fn was_read_enough(error: &anyhow::Error) -> bool {
    error.downcast_ref::<PrintError>().is_some_and(|error| error.exit() == Exit::Ok)
}

impl Refused {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl Place {
    /// Finds the database, or makes it where `make` says so.
    async fn open(config: &Config, make: bool) -> anyhow::Result<Self> {
        let path = DataFolder::choose(config.data_dir.as_deref())?;
        if !make && config.database.is_none() && !path.is_dir() {
            let message = format!("there is no data folder at {}; `roadstead up` makes one", path.display());
            return Err(Refused::new(Exit::NotFound, message).into());
        }
        let folder = DataFolder::open(&path)?;
        let lock = holder(&folder)?.ok();
        let randomness = Randomness::from_seed(crate::service::os_seed());
        let installation = match installation(&folder) {
            Some(known) => known,
            None if lock.is_some() => folder.installation_id(&SystemClock::new(), &mut *randomness.lock())?,
            None => bail!("the service is starting; try again"),
        };
        if lock.is_some() {
            crate::database::settle_archive(config, folder.path(), installation).await?;
        }
        let started = lock.is_some()
            && config.database.is_none()
            && !matches!(
                private_cluster(config, folder.path(), installation).status()?,
                Status::Running { .. }
            );
        let database = Database::open(config, folder.path(), installation, &randomness, |_| {}).await?;
        let cluster = private_cluster(config, folder.path(), installation);
        Ok(Self { folder, installation, lock, database, cluster, started })
    }

    /// Leaves the database as it was found.
    async fn leave(self) -> anyhow::Result<()> {
        let Self { lock, database, started, .. } = self;
        if started && let Some((postgres, _)) = database.into_private() {
            postgres.stop(StopMode::Fast).await?;
        }
        drop(lock);
        Ok(())
    }

    pub(crate) fn owner(&self) -> &PgConnectOptions {
        self.database.owner()
    }

    pub(crate) async fn maintenance(&self) -> anyhow::Result<Maintenance> {
        Ok(Maintenance::open(self.owner()).await?)
    }

    /// PostgreSQL's own programs for backups.
    pub(crate) async fn tools(&self, server: u32) -> anyhow::Result<Tools> {
        Ok(self.cluster.tools(self.owner(), self.database.is_private(), server).await?)
    }

    /// Refuses while the service runs.
    pub(crate) fn unused(&self) -> anyhow::Result<()> {
        if self.lock.is_none() {
            return Err(
                Refused::new(Exit::Failed, "the service runs; end it first with `roadstead down`").into()
            );
        }
        Ok(())
    }
}

/// Asks, unless `yes` says that there is no need to.
pub(crate) fn ask(yes: bool, question: &str, otherwise: &str) -> anyhow::Result<()> {
    if yes || confirmed(question)? {
        return Ok(());
    }
    Err(Refused::new(Exit::Failed, format!("{otherwise}; `--yes` does not ask")).into())
}
