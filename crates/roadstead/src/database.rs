//! Which database: somebody else's by `DATABASE_URL`, or a private cluster of our own.

use std::path::Path;

use anyhow::Context;
use roadstead_cli::Exit;
use roadstead_crypto::ExposeSecret;
use roadstead_model::{InstallationId, Randomness};
use roadstead_store::PgConnectOptions;

use crate::config::{ARCHIVE, ArchiveWish, Config, DEFAULT_ARCHIVE_TIMEOUT_S};
use crate::db::Refused;
use crate::postgres::{Archive, Postgres, Running, SYSTEM_FOLDER, Settings, Step, socket_folder};

/// A database that answers.
#[derive(Debug)]
pub struct Database {
    service: PgConnectOptions,
    owner: PgConnectOptions,
    private: Option<(Postgres, Running)>,
}

/// The private cluster of a data folder.
pub fn private_cluster(config: &Config, data_folder: &Path, installation: InstallationId) -> Postgres {
    Postgres::new(Settings {
        data_folder: data_folder.to_owned(),
        socket_folder: socket_folder(config.runtime_dir.as_deref(), installation),
        search_path: config.search_path.clone(),
        system_folder: SYSTEM_FOLDER.into(),
        releases_url: config.postgres_releases.clone(),
    })
}

/// Does what the configuration says of the archive. Only for who holds the data folder.
pub async fn settle_archive(
    config: &Config,
    data_folder: &Path,
    installation: InstallationId,
) -> anyhow::Result<()> {
    if config.database.is_some() {
        return Ok(());
    }
    let postgres = private_cluster(config, data_folder, installation);
    let before = postgres.archive()?;
    let timeout_s = config.archive_timeout_s.or_else(|| before.as_ref().map(|archive| archive.timeout_s));
    let timeout_s = timeout_s.unwrap_or(DEFAULT_ARCHIVE_TIMEOUT_S);
    let wanted = match &config.archive {
        None => before.clone().map(|archive| Archive { timeout_s, ..archive }),
        Some(ArchiveWish::Off) => None,
        Some(ArchiveWish::To(folder)) => {
            let own = Archive { folder: folder.join(installation.to_string()), timeout_s };
            if before.as_ref() != Some(&own) && !folder.is_dir() {
                let message = format!(
                    "there is no folder {} to archive to ({ARCHIVE}); make or mount it, and start again",
                    folder.display()
                );
                return Err(Refused::new(Exit::Config, message).into());
            }
            Some(own)
        }
    };
    postgres.archive_to(wanted.as_ref()).await.context("the archive cannot be used")?;
    Ok(())
}

impl Database {
    /// Finds or starts it.
    pub async fn open(
        config: &Config,
        data_folder: &Path,
        installation: InstallationId,
        randomness: &Randomness,
        progress: impl FnMut(Step) + Send,
    ) -> anyhow::Result<Self> {
        if let Some(urls) = &config.database {
            let service = parse("DATABASE_URL", urls.service.expose_secret())?;
            let owner = parse("ROADSTEAD_OWNER_DATABASE_URL", urls.owner.expose_secret())?;
            return Ok(Self { service, owner, private: None });
        }
        let postgres = private_cluster(config, data_folder, installation);
        let mut rng = seeded(randomness);
        let running =
            postgres.start(&mut rng, progress).await.context("the private database does not run")?;
        Ok(Self { service: running.app(), owner: running.owner(), private: Some((postgres, running)) })
    }

    /// How the service connects to a database that runs already, for whoever does not look after it.
    pub fn running(
        config: &Config,
        data_folder: &Path,
        installation: InstallationId,
    ) -> anyhow::Result<PgConnectOptions> {
        if let Some(urls) = &config.database {
            return parse("DATABASE_URL", urls.service.expose_secret());
        }
        let known = private_cluster(config, data_folder, installation).app_of_running()?;
        known.context("the private database does not run")
    }

    /// How the service connects.
    pub fn service(&self) -> PgConnectOptions {
        self.service.clone()
    }

    /// How migrations connect.
    pub const fn owner(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// Who may make a database that is thrown away again: of a private cluster its superuser, else the owner.
    pub fn maker(&self) -> PgConnectOptions {
        self.private.as_ref().map_or_else(|| self.owner.clone(), |(_, running)| running.admin())
    }

    /// The archive of its write-ahead log, where it is a private cluster that has one.
    pub fn archive(&self) -> anyhow::Result<Option<Archive>> {
        Ok(self.private.as_ref().map(|(postgres, _)| postgres.archive()).transpose()?.flatten())
    }

    /// Whether it is a private cluster.
    pub const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The private cluster, if it is one.
    pub fn into_private(self) -> Option<(Postgres, Running)> {
        self.private
    }
}

fn parse(name: &str, url: &str) -> anyhow::Result<PgConnectOptions> {
    // The driver's own message may repeat the URL, and with it the password.
    url.parse::<PgConnectOptions>().map_err(|_| anyhow::anyhow!("{name} is not a PostgreSQL URL"))
}

/// A generator that may be held across an await.
pub fn seeded(randomness: &Randomness) -> rand::rngs::StdRng {
    use rand::SeedableRng;
    rand::rngs::StdRng::from_rng(&mut *randomness.lock())
}
