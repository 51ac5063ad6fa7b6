//! `roadstead db restore --at MOMENT`: the database as it was at a moment, from a base backup and the archived log.
//!
//! ```text
//! a way there? ─► the present cluster's last changes to the archive ─► base and log whole? ─► (asked) ─► it stops
//!   ─► a cluster at the moment, aside ─► looked at ─► takes the place ─► answers? ─► the old one goes
//! ```
//! Until the last step everything can be undone, and is when something fails.

use std::path::PathBuf;

use anyhow::Context;
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, Sheet, moment};
use roadstead_crypto::KeyRing;
use roadstead_model::{Clock, InstallationId, Randomness, SystemClock};
use roadstead_store::backup::Snapshot;
use roadstead_store::restore::Restoring;
use roadstead_store::{Maintenance, Store, migrate};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::take_over;
use crate::config::{ArchiveWish, Config, DEFAULT_ARCHIVE_TIMEOUT_S};
use crate::data_folder::{DataFolder, DataFolderLock, known_installation};
use crate::database::{Database, private_cluster, seeded, settle_archive};
use crate::db::command::RestoreArgs;
use crate::db::records::{Records, Restored, Tenths, Way};
use crate::db::{Refused, ask};
use crate::down::holder;
use crate::key_file;
use crate::postgres::{Archive, Aside, Goal, Postgres, Recovered, Status, StopMode};

/// Connections for looking at what was restored.
const CONNECTIONS: u32 = 4;

/// Where it is restored to, while nobody else may use it.
struct Ground {
    folder: DataFolder,
    _lock: DataFolderLock,
    installation: InstallationId,
    randomness: Randomness,
    postgres: Postgres,
    /// Whether there is a cluster, and whether its server ran.
    before: Status,
    records: Records,
    /// Whether the present cluster archives to it.
    archives: bool,
    /// Whether what is restored goes on archiving to it.
    goes_on: bool,
}

/// What was found in it.
struct Looked {
    files: usize,
    lost: u64,
    needed: Vec<u32>,
    entries: u64,
    is_whole: bool,
}

pub(super) async fn restore(
    config: &Config,
    paper: &Paper,
    args: &RestoreArgs,
    at: OffsetDateTime,
) -> anyhow::Result<Exit> {
    if config.database.is_some() {
        let message = "`--at` is for the PostgreSQL that roadstead runs itself; with DATABASE_URL, restore that server with its \
                       own base backups and archive, or a backup of roadstead's with `roadstead db restore FILE`";
        return Err(Refused::new(Exit::Usage, message).into());
    }
    if at > SystemClock::new().now() {
        return Err(Refused::new(Exit::Usage, format!("{} is still to come", moment(at))).into());
    }
    let ground = Ground::open(config, args).await?;
    let done = Box::pin(ground.restore(config, paper, args, at)).await;
    // What went wrong first is the one to know.
    let left = ground.leave(config).await;
    let exit = done?;
    left.map(|()| exit)
}

impl Ground {
    async fn open(config: &Config, args: &RestoreArgs) -> anyhow::Result<Self> {
        let folder = DataFolder::open(&DataFolder::choose(config.data_dir.as_deref())?)?;
        let Ok(lock) = holder(&folder)? else {
            let message = "the service runs; end it first with `roadstead down`";
            return Err(Refused::new(Exit::Failed, message).into());
        };
        let records = Records::read(archive(config, args, &folder)?)?;
        if let (true, Some(base)) = (args.same_installation, records.bases.last()) {
            take_over(&folder, &base.installation)?;
        }
        let randomness = Randomness::from_seed(crate::service::os_seed());
        let installation = folder.installation_id(&SystemClock::new(), &mut *randomness.lock())?;
        let before = private_cluster(config, folder.path(), installation).status()?;
        settle_archive(config, folder.path(), installation).await?;
        let postgres = private_cluster(config, folder.path(), installation);
        let own = postgres.archive()?;
        let archives = own.as_ref().is_some_and(|own| own.folder == records.archive.folder);
        let goes_on = archives || args.same_installation;
        if let (false, Some(own)) = (goes_on, own)
            && own.wal().read_dir().is_ok_and(|mut files| files.next().is_some())
        {
            let message = format!(
                "this data folder archives to {}, and another history cannot go there; restore into another data folder",
                own.folder.display()
            );
            return Err(Refused::new(Exit::Failed, message).into());
        }
        Ok(Self {
            folder,
            _lock: lock,
            installation,
            randomness,
            postgres,
            before,
            records,
            archives,
            goes_on,
        })
    }

    /// Leaves the server as it was found: whatever is in the place then.
    async fn leave(&self, config: &Config) -> anyhow::Result<()> {
        self.postgres.discard_aside().await?;
        if matches!(self.before, Status::Running { .. }) {
            self.start(config).await?;
        } else {
            self.postgres.stop(StopMode::Fast).await?;
        }
        Ok(())
    }

    async fn start(&self, config: &Config) -> anyhow::Result<Database> {
        Database::open(config, self.folder.path(), self.installation, &self.randomness, |_| {}).await
    }

    async fn restore(
        &self,
        config: &Config,
        paper: &Paper,
        args: &RestoreArgs,
        at: OffsetDateTime,
    ) -> anyhow::Result<Exit> {
        let way = self.records.way(at)?;
        if way.base.migration > migrate::newest() {
            anyhow::bail!(
                "the base backup has migration {}, and this version of roadstead knows {} at most; use the version that wrote it ({})",
                way.base.migration,
                migrate::newest(),
                way.base.roadstead
            );
        }
        let made = tokio::select! {
            made = self.make(config, paper, args, &way) => made,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("broken off; nothing was changed")),
        };
        let (recovered, looked) = made?;
        let timeline = recovered.timeline;
        let aside = recovered.stop().await?;
        let kept = self.put_in_place(config, args, aside).await?;
        if self.goes_on {
            let restored = Restored { timeline, began: SystemClock::new().now(), to: at };
            if let Err(error) = self.records.note_restored(&restored) {
                paper.note(&format!(
                    "{error:#}: until the next base backup, restores know nothing of this one"
                ));
            }
        }
        let missing = self.missing_keys(config, &looked.needed)?;
        tell(paper, &way, timeline, &looked, &missing, kept.as_ref())?;
        if missing.is_empty() {
            return Ok(Exit::Ok);
        }
        let message = format!(
            "the master key of this data folder does not open everything that was restored: key {} is missing; put back the \
             file master.key of that time, or set ROADSTEAD_MASTER_KEY, before the service starts",
            missing.join(", ")
        );
        Err(Refused::new(Exit::Config, message).into())
    }

    /// Everything up to a cluster that is at its moment, and was looked at.
    async fn make(
        &self,
        config: &Config,
        paper: &Paper,
        args: &RestoreArgs,
        way: &Way,
    ) -> anyhow::Result<(Recovered, Looked)> {
        let archive = &self.records.archive;
        let tools = self.postgres.base_tools(way.base.postgres, None).await?;
        paper.note(&format!("Reading the base of {}", moment(way.base.ended)));
        way.check_base(&tools, archive).await?;
        if self.before != Status::Absent && self.archives {
            self.archive_the_rest(config, paper).await?;
        }
        let files = way.check_log(&tools, archive, &self.folder.path().join("postgres"), paper).await?;
        if self.before != Status::Absent {
            let question = format!(
                "Put the database as it was at {} in the place of the present one? What came afterwards is lost to it.",
                moment(way.at)
            );
            ask(args.yes, &question, "nothing was changed")?;
        }
        self.postgres.stop(StopMode::Fast).await?;
        paper.note("Laying the base out, and going through the log");
        let goal = Goal {
            archive: archive.clone(),
            goes_on: self.goes_on,
            base: way.base.folder(archive),
            major: way.base.postgres,
            timeline: way.timelines.number(),
            at: way.at,
        };
        let mut told = Tenths::new("Going through the log");
        let passed = |done| told.tell(paper, done as u64, files as u64);
        let recovered = self.postgres.recover(&tools, &goal, &mut seeded(&self.randomness), passed).await;
        let recovered =
            recovered.context("nothing was changed: the database of that moment could not be made")?;
        let looked = self.look(paper, args, &recovered, files).await;
        let looked =
            looked.context("nothing was changed: the database of that moment is not as it should be")?;
        Ok((recovered, looked))
    }

    /// Brings what the present cluster has written last to the archive: the moment may be in it.
    async fn archive_the_rest(&self, config: &Config, paper: &Paper) -> anyhow::Result<()> {
        match self.start(config).await {
            Ok(database) => {
                let done = self.records.archive.mark(&database.maker()).await;
                done.context("nothing was changed: what was written last could not be archived")
            }
            Err(error) => {
                paper.note(&format!(
                    "The present database does not start ({error:#}); what is in the archive is all there is."
                ));
                Ok(())
            }
        }
    }

    async fn look(
        &self,
        paper: &Paper,
        args: &RestoreArgs,
        recovered: &Recovered,
        files: usize,
    ) -> anyhow::Result<Looked> {
        let owner = recovered.owner();
        let mut snapshot = Snapshot::take(owner).await?;
        let migration = snapshot.migration().await?;
        snapshot.release().await?;
        anyhow::ensure!(
            migration <= migrate::newest(),
            "it has migration {migration}, and this version of roadstead knows {} at most",
            migrate::newest()
        );
        let store = Store::connect(recovered.app().clone(), CONNECTIONS).await?;
        let verified = store.audit().verify(None, None).await;
        store.close().await;
        let verified = verified.context("the audit log could not be verified")?;
        anyhow::ensure!(
            verified.is_whole() || args.accept_broken_audit,
            "the audit log had been altered by then, in {} places; choose an earlier moment, or say --accept-broken-audit",
            verified.broken.count()
        );
        // Rights are given by the migrations' own function, to the roles that are here.
        migrate::up(owner, None).await.context("it could not be brought up to date")?;
        let mut inside = Restoring::open(owner).await?;
        let lost = inside.lose_instances(self.installation, SystemClock::new().now()).await?;
        let needed = inside.key_ids().await?;
        inside.close().await?;
        let checksums = migrate::checksums(owner).await?;
        let mut maintenance = Maintenance::open(owner).await?;
        let findings = maintenance.check(&checksums).await?.len();
        maintenance.close().await?;
        if findings > 0 {
            paper.note(&format!(
                "{findings} things are not as they should be; `roadstead db validate` names them."
            ));
        }
        Ok(Looked { files, lost, needed, entries: verified.entries, is_whole: verified.is_whole() })
    }

    /// The cluster takes the place of the present one, unless its server does not answer there.
    async fn put_in_place(
        &self,
        config: &Config,
        args: &RestoreArgs,
        aside: Aside,
    ) -> anyhow::Result<Option<PathBuf>> {
        self.postgres.take_place(&aside)?;
        if self.goes_on {
            self.postgres.archive_to(Some(&self.records.archive)).await?;
        }
        if let Err(error) = self.start(config).await {
            self.postgres.stop(StopMode::Fast).await?;
            self.postgres.give_place_back(&aside)?;
            return Err(error.context("nothing was changed: what was restored does not answer"));
        }
        let stamp = SystemClock::new()
            .now()
            .format(format_description!("before-[year][month][day]T[hour][minute][second]Z"))?;
        Ok(self.postgres.let_go(&aside, args.keep_old.then_some(stamp.as_str()))?)
    }

    fn missing_keys(&self, config: &Config, needed: &[u32]) -> anyhow::Result<Vec<String>> {
        let ring = key_file::known(self.folder.path(), config.master_key.as_ref())?;
        let held: Vec<String> = ring.iter().flat_map(KeyRing::key_ids).map(|id| id.to_string()).collect();
        Ok(needed.iter().map(|key| format!("{key:08x}")).filter(|key| !held.contains(key)).collect())
    }
}

/// Which archive: the one that was named, the one that the data folder has, or the one that the configuration names.
fn archive(config: &Config, args: &RestoreArgs, folder: &DataFolder) -> anyhow::Result<Archive> {
    let timeout_s = config.archive_timeout_s.unwrap_or(DEFAULT_ARCHIVE_TIMEOUT_S);
    let own = match known_installation(folder.path()) {
        Some(installation) => private_cluster(config, folder.path(), installation).archive()?,
        None => None,
    };
    let configured = match &config.archive {
        Some(ArchiveWish::To(named)) => Some(named),
        _ => None,
    };
    let named = args.from.as_ref().or(own.as_ref().map(|own| &own.folder)).or(configured);
    let Some(named) = named else {
        let message = "this data folder has no archive; name one with --from";
        return Err(Refused::new(Exit::NotFound, message).into());
    };
    let folder = Records::find(&std::path::absolute(named)?)?;
    Ok(own.filter(|own| own.folder == folder).unwrap_or(Archive { folder, timeout_s }))
}

fn tell(
    paper: &Paper,
    way: &Way,
    timeline: u32,
    looked: &Looked,
    missing: &[String],
    kept: Option<&PathBuf>,
) -> anyhow::Result<()> {
    let answer = json!({
        "restored": { "at": way.at.unix_timestamp(), "base": way.base.name, "log_files": looked.files, "timeline": timeline },
        "audit": { "entries": looked.entries, "whole": looked.is_whole },
        "instances_lost": looked.lost, "missing_keys": missing, "set_aside": kept });
    paper.answer(&answer, |paper| {
        let mut sheet = Sheet::details();
        sheet.detail("restored", moment(way.at));
        sheet.detail(
            "from",
            format!("the base of {} and {} files of the log", moment(way.base.ended), looked.files),
        );
        let audit = if looked.is_whole { "unbroken" } else { "broken, as it was then" };
        sheet.detail("audit log", format!("{} entries, {audit}", looked.entries));
        if looked.lost > 0 {
            sheet.detail(
                "instances",
                format!("{} ran elsewhere; they are shown as disconnected", looked.lost),
            );
        }
        if let Some(kept) = kept {
            sheet.detail("set aside", format!("{}; delete it when you need it no more", kept.display()));
        }
        paper.sheet(&sheet)?;
        paper.line("\nNext: roadstead up")
    })?;
    Ok(())
}
