//! A cluster as it was at a moment, made beside the present one, and its taking the other one's place.
//!
//! ```text
//! base ─► copied to restoring/ ─► goes through the log up to the moment ─► a history of its own ─► Recovered
//!                                                                                                     │ (looked at)
//! cluster ─► cluster.set-aside      restoring/cluster ─► cluster  ◄──────── Aside ◄── stopped ◄───────┘
//! ```
//! Until it takes the place nothing of the present cluster is touched, and what was made is thrown away when it is of no use.
//! While it is aside, its server lets in whoever reaches its socket, which is the server's user and us: the passwords that it
//! knows are those of the moment.

use std::fs;
use std::path::PathBuf;

use rand::CryptoRng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use time::OffsetDateTime;
use time::macros::format_description;

use super::archive::{Archive, setting, shell_word};
use super::error::{PostgresError, file_error};
use super::passwords::Passwords;
use super::postmaster::Postmaster;
use super::server::{self, Started};
use super::{Account, Layout, Postgres, StopMode, Tools, roles};
use crate::data_folder::{make_folder, sync_parent};

/// Nobody but the server's user and us reaches the socket.
const ACCESS_ASIDE: &str = "# Written for a restore.\nlocal all all trust\n";

/// Where to go, and from where.
#[derive(Debug, Clone)]
pub struct Goal {
    /// The archive that the log is read from.
    pub archive: Archive,
    /// Whether the cluster goes on archiving to it.
    pub goes_on: bool,
    /// The base backup's folder.
    pub base: PathBuf,
    /// The major version that wrote it.
    pub major: u32,
    /// The history to follow.
    pub timeline: u32,
    /// The moment.
    pub at: OffsetDateTime,
}

/// A cluster that is at its moment, with a server that runs.
#[derive(Debug)]
pub struct Recovered {
    /// The history that begins with it.
    pub timeline: u32,
    started: Started,
    owner: PgConnectOptions,
    app: PgConnectOptions,
    aside: Aside,
}

/// The same without a server.
#[derive(Debug)]
pub struct Aside {
    layout: Layout,
}

impl Postgres {
    /// The programs for base backups of a version.
    pub async fn base_tools(
        &self,
        major: u32,
        connect: Option<&PgConnectOptions>,
    ) -> Result<Tools, PostgresError> {
        self.layout.make_folder()?;
        Tools::of_version(&self.settings, &self.layout, major, connect).await
    }

    /// The major version of the cluster that is there.
    pub fn major(&self) -> Result<Option<u32>, PostgresError> {
        self.layout.major()
    }

    /// Makes the cluster of a moment beside the present one, whose server must not run. `passed` hears how many files of the log
    /// it has gone through.
    pub async fn recover(
        &self,
        tools: &Tools,
        goal: &Goal,
        rng: &mut (impl CryptoRng + Send + ?Sized),
        passed: impl FnMut(usize) + Send,
    ) -> Result<Recovered, PostgresError> {
        self.discard_aside().await?;
        for folder in [goal.archive.wal(), goal.base.clone()] {
            if !tools.reads(&folder).await {
                return Err(PostgresError::Unreadable { user: tools.account().name().to_owned(), folder });
            }
        }
        let passwords = Passwords::open(&self.layout.folder, false, rng)?;
        let passwords = Passwords { changed: true, ..passwords };
        let aside = Aside { layout: self.layout.beside() };
        let recovered = self.recover_aside(tools, goal, &passwords, &aside.layout, passed).await;
        match recovered {
            Ok((started, timeline, [owner, app])) => Ok(Recovered { timeline, started, owner, app, aside }),
            Err(error) => {
                aside.discard();
                Err(error)
            }
        }
    }

    /// Ends and removes what a restore has left that was broken off.
    pub async fn discard_aside(&self) -> Result<(), PostgresError> {
        let layout = self.layout.beside();
        if let Some(postmaster) = Postmaster::find(&layout.cluster)? {
            server::stop(&postmaster, StopMode::Immediate).await?;
        }
        Aside { layout }.discard();
        Ok(())
    }

    async fn recover_aside(
        &self,
        tools: &Tools,
        goal: &Goal,
        passwords: &Passwords,
        layout: &Layout,
        passed: impl FnMut(usize) + Send,
    ) -> Result<(Started, u32, [PgConnectOptions; 2]), PostgresError> {
        let account = tools.account();
        layout.lay_out(account)?;
        account.reaches(&layout.folder)?;
        tools.copy(&goal.base, &layout.cluster).await?;
        tools.touch(&layout.cluster.join("recovery.signal")).await?;
        let programs = self.programs_of(account, goal.major).await?;
        let settings = goal.settings(&self.layout)?;
        let socket_folder = &self.settings.socket_folder;
        let started =
            server::launch(layout, &programs, account, socket_folder, (&settings, ACCESS_ASIDE)).await?;
        let ready = async {
            let mut admin = server::wait_recovered(layout, &started, &passwords.admin, passed).await?;
            roles::adopt(&mut admin, socket_folder, passwords).await?;
            let timeline = timeline(&mut admin).await?;
            let _ = admin.close().await;
            Ok(timeline)
        };
        match ready.await {
            Ok(timeline) => {
                let to = |role, password| roles::options(socket_folder, role, password, roles::DATABASE);
                let [owner, app] = [to(roles::OWNER, &passwords.owner), to(roles::APP, &passwords.app)];
                Ok((started, timeline, [owner, app]))
            }
            Err(error) => {
                // The first error is the one to know.
                let _ = server::stop(&started.postmaster, StopMode::Immediate).await;
                Err(error)
            }
        }
    }

    /// Puts a cluster in the place of the present one, which is set aside.
    pub fn take_place(&self, aside: &Aside) -> Result<(), PostgresError> {
        let (cluster, old) = (&self.layout.cluster, self.layout.set_aside());
        if self.layout.is_initialised() {
            if old.exists() {
                // Of a restore that was done and did not get to throwing it away.
                fs::remove_dir_all(&old).map_err(file_error("remove", &old))?;
            }
            fs::rename(cluster, &old).map_err(file_error("rename", cluster))?;
        }
        let made = &aside.layout.cluster;
        fs::rename(made, cluster).map_err(file_error("rename", made)).or_else(|error| {
            self.layout.bring_back()?;
            Err(error)
        })?;
        sync_parent(cluster).map_err(file_error("sync", &self.layout.folder))
    }

    /// Undoes [`Self::take_place`]; the server must not run.
    pub fn give_place_back(&self, aside: &Aside) -> Result<(), PostgresError> {
        let cluster = &self.layout.cluster;
        fs::rename(cluster, &aside.layout.cluster).map_err(file_error("rename", cluster))?;
        self.layout.bring_back()
    }

    /// Throws away what was set aside, or keeps it under a name; answers with where it is.
    pub fn let_go(&self, aside: &Aside, keep: Option<&str>) -> Result<Option<PathBuf>, PostgresError> {
        aside.discard();
        let old = self.layout.set_aside();
        if !old.exists() {
            return Ok(None);
        }
        let Some(name) = keep else {
            fs::remove_dir_all(&old).map_err(file_error("remove", &old))?;
            return Ok(None);
        };
        let kept = self.layout.folder.join(format!("cluster.{name}"));
        fs::rename(&old, &kept).map_err(file_error("rename", &old))?;
        Ok(Some(kept))
    }
}

impl Recovered {
    /// How to connect as the owner of the tables.
    pub const fn owner(&self) -> &PgConnectOptions {
        &self.owner
    }

    /// How to connect as the service.
    pub const fn app(&self) -> &PgConnectOptions {
        &self.app
    }

    /// Ends its server.
    pub async fn stop(self) -> Result<Aside, PostgresError> {
        server::stop(&self.started.postmaster, StopMode::Fast).await?;
        Ok(self.aside)
    }
}

impl Aside {
    /// Throws it away. What cannot be removed now is removed by the next restore.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.layout.folder);
    }
}

impl Layout {
    /// The place of a cluster that is being restored.
    fn beside(&self) -> Self {
        let folder = self.folder.join("restoring");
        Self { cluster: folder.join("cluster"), folder }
    }

    /// Makes an empty cluster's folder, in the place of what an earlier attempt may have left.
    fn lay_out(&self, account: &Account) -> Result<(), PostgresError> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(file_error("remove", &self.folder))?;
        }
        self.make_folder()?;
        make_folder(&self.cluster, 0o700).map_err(file_error("make", &self.cluster))?;
        account.own(&self.cluster)
    }
}

impl Goal {
    fn settings(&self, layout: &Layout) -> Result<String, PostgresError> {
        let more = if self.goes_on { self.archive.settings(layout)? } else { String::new() };
        let form =
            format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]+00");
        let at = self.at.to_offset(time::UtcOffset::UTC).format(form).expect("every moment has these parts");
        let file = |name: &str| shell_word(&self.archive.wal()).replace('%', "%%") + name;
        let command = format!("test -f {0} && gzip -dc {0} > \"%p\"", file("/%f.gz"));
        Ok(format!(
            "{more}hot_standby = off\nrestore_command = {}\nrecovery_target_time = '{at}'\n\
             recovery_target_timeline = '{}'\nrecovery_target_action = 'promote'\n",
            setting(&command),
            self.timeline
        ))
    }
}

/// The history that a server writes.
async fn timeline(admin: &mut PgConnection) -> Result<u32, PostgresError> {
    let failed = |source| PostgresError::Provision { action: "ask for the history", source };
    let name: String = sqlx::query_scalar("select pg_walfile_name(pg_current_wal_insert_lsn())")
        .fetch_one(admin)
        .await
        .map_err(failed)?;
    let unknown = || failed(sqlx::Error::Protocol(format!("{name} is no file of the log")));
    super::wal::segment_of(&name).map(|(timeline, _)| timeline).ok_or_else(unknown)
}
