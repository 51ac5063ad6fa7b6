//! `roadstead db backup`: everything as it was at one moment, in one file, while everything goes on.
//!
//! ```text
//! moment ─► pg_dump ┐
//!    └────► counts  ┴─► tar beside the target, on the disk ─► takes the target's name ─► (tried) ─► (older ones go)
//! ```
//! Counts and dump see the same moment of the database: what the manifest says is what the dump holds. Until the end there is
//! nothing under the target's name, or what was there before.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, Sheet, moment, size};
use roadstead_crypto::SecretString;
use roadstead_model::{Clock, SystemClock};
use roadstead_store::backup::Snapshot;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::archive::{self, Chain, FORMAT, Manifest, Whole};
use super::command::BackupArgs;
use super::{Place, Refused};
use crate::config::Config;
use crate::postgres::Tools;

/// The folder of backups in the data folder.
const FOLDER: &str = "backups";
/// What the names of our own making begin with.
const PREFIX: &str = "roadstead-";

/// Where a backup goes.
#[derive(Debug)]
struct Target {
    folder: PathBuf,
    file: PathBuf,
    /// Whether the name is of our own making.
    named: bool,
}

/// What was written.
struct Written {
    manifest: Manifest,
    bytes: u64,
}

/// `roadstead db backup`.
pub(super) async fn backup(
    place: &Place,
    config: &Config,
    paper: &Paper,
    args: &BackupArgs,
) -> anyhow::Result<Exit> {
    let target = Target::choose(place.folder.path(), args, SystemClock::new().now())?;
    let written = tokio::select! {
        written = write(place, config, args, &target) => written?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Refused::new(Exit::Failed, "broken off; nothing was written").into());
        }
    };
    let verified = if args.verify {
        Some(verify(place, &target.file).await.context("the backup was written, and could not be tried")?)
    } else {
        None
    };
    let removed = match args.keep {
        Some(keep) => target.forget_older(keep as usize)?,
        None => Vec::new(),
    };
    tell(paper, &target, &written, verified, &removed)?;
    Ok(Exit::Ok)
}

fn tell(
    paper: &Paper,
    target: &Target,
    Written { manifest, bytes }: &Written,
    verified: Option<bool>,
    removed: &[PathBuf],
) -> anyhow::Result<()> {
    let rows: u64 = manifest.tables.values().sum();
    let with_keys = manifest.members.len() > 1;
    let answer = json!({ "file": target.file, "bytes": bytes, "manifest": manifest, "with_keys": with_keys,
        "verified": verified, "removed": removed });
    paper.answer(&answer, |paper| {
        let mut sheet = Sheet::details();
        sheet.detail("file", target.file.display().to_string());
        sheet.detail("size", size(*bytes));
        sheet.detail("shows", moment(manifest.at));
        sheet.detail("rows", format!("{rows} in {} tables", manifest.tables.len()));
        sheet.detail("migration", manifest.migration.to_string());
        let keys = manifest.keys.join(", ");
        let keys = match (manifest.keys.is_empty(), with_keys) {
            (true, _) => "none is needed".to_owned(),
            (false, true) => format!("{keys}: in the file; keep it where you keep secrets"),
            (false, false) => format!("{keys}: not in the file; keep a copy of the key elsewhere"),
        };
        sheet.detail("master key", keys);
        sheet.detail(
            "tried",
            match verified {
                Some(true) => "restored into a database of its own, and counted",
                Some(false) => "read and listed; this role may make no database to restore it into",
                None => "",
            },
        );
        for one in removed {
            sheet.detail("removed", one.display().to_string());
        }
        paper.sheet(&sheet)
    })?;
    Ok(())
}

async fn write(
    place: &Place,
    config: &Config,
    args: &BackupArgs,
    target: &Target,
) -> anyhow::Result<Written> {
    let keys = if args.with_keys { Some(keys(place, config)?) } else { None };
    let mut snapshot = Snapshot::take(place.owner()).await?;
    let tools = place.tools(snapshot.server_major()).await?;
    let mut dump = tempfile::tempfile_in(&target.folder).context("there is no room for the backup")?;
    let (foreign, name) = (snapshot.foreign_schemas().await?, snapshot.name.clone());
    let dumping = async {
        let into = dump.try_clone().context("there is no room for the backup")?;
        Ok(tools.dump(&name, &foreign, !args.gzip, into).await?)
    };
    let (manifest, ()) = tokio::try_join!(manifest(place, &mut snapshot, tools.major), dumping)?;
    snapshot.release().await?;
    let (folder, file, gzip) = (target.folder.clone(), target.file.clone(), args.gzip);
    let written = tokio::task::spawn_blocking(move || {
        let mut manifest = manifest;
        manifest.describe(&mut dump, keys.as_ref())?;
        let fresh = tempfile::Builder::new().prefix(".roadstead-").suffix(".part").tempfile_in(&folder)?;
        archive::write(fresh.as_file(), gzip, &manifest, &mut dump, keys.as_ref())?;
        let bytes = fresh.as_file().metadata()?.len();
        fresh.persist(&file)?;
        crate::data_folder::sync_parent(&file)?;
        Ok::<_, std::io::Error>(Written { manifest, bytes })
    });
    written.await?.with_context(|| format!("could not write {}", target.file.display()))
}

async fn manifest(place: &Place, snapshot: &mut Snapshot, pg_dump: u32) -> anyhow::Result<Manifest> {
    let chains = snapshot.chain_heads().await?.into_iter().map(|head| Chain {
        organization: head.organization.to_string(),
        number: head.number,
        hash: hex::encode(head.hash),
    });
    Ok(Manifest {
        format: FORMAT,
        at: SystemClock::new().now(),
        roadstead: env!("CARGO_PKG_VERSION").to_owned(),
        installation: place.installation.to_string(),
        migration: snapshot.migration().await?,
        postgres: snapshot.server_major(),
        pg_dump,
        tables: snapshot.counts().await?,
        keys: snapshot.key_ids().await?.into_iter().map(|key| format!("{key:08x}")).collect(),
        chains: chains.collect(),
        closed_functions: snapshot.closed_functions().await?,
        members: std::collections::BTreeMap::new(),
    })
}

fn keys(place: &Place, config: &Config) -> anyhow::Result<SecretString> {
    let ring = crate::key_file::known(place.folder.path(), config.master_key.as_ref())?;
    Ok(ring.context("there is no master key to put into the backup")?.to_text())
}

impl Target {
    fn choose(data_folder: &Path, args: &BackupArgs, now: OffsetDateTime) -> anyhow::Result<Self> {
        let own_name = |folder: PathBuf| {
            let stamp = now.format(format_description!("[year][month][day]-[hour][minute][second]"))?;
            let end = if args.gzip { "tar.gz" } else { "tar" };
            let file = folder.join(format!("{PREFIX}{stamp}.{end}"));
            anyhow::Ok(Self { folder, file, named: true })
        };
        let target = match &args.to {
            None => {
                let folder = data_folder.join(FOLDER);
                crate::data_folder::make_folder(&folder, 0o700)
                    .with_context(|| format!("could not make {}", folder.display()))?;
                own_name(folder)?
            }
            Some(path) if path.is_dir() => own_name(path.clone())?,
            Some(path) => {
                let path = std::path::absolute(path)?;
                let folder = path.parent().filter(|folder| folder.is_dir());
                let Some(folder) = folder.map(Path::to_owned) else {
                    bail!(Refused::new(Exit::NotFound, format!("there is no folder for {}", path.display())));
                };
                Self { folder, file: path, named: false }
            }
        };
        if args.keep.is_some() && !target.named {
            bail!(Refused::new(
                Exit::Usage,
                "--keep counts backups in a folder; give --to a folder, or leave it out"
            ));
        }
        if target.file.exists() && !archive::is_backup(&target.file) {
            let message = format!("{} is there and is no backup; it was left alone", target.file.display());
            bail!(Refused::new(Exit::Failed, message));
        }
        Ok(target)
    }

    /// Deletes all but the newest of those that have a name of our own making and are backups.
    fn forget_older(&self, keep: usize) -> anyhow::Result<Vec<PathBuf>> {
        let entries = self.folder.read_dir()?;
        let mut ours: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_own_name(path) && archive::is_backup(path))
            .collect();
        // By the moment in the name.
        ours.sort_by(|one, other| other.file_name().cmp(&one.file_name()));
        let old = ours.split_off(keep.min(ours.len()));
        for path in &old {
            std::fs::remove_file(path).with_context(|| format!("could not delete {}", path.display()))?;
        }
        Ok(old)
    }
}

fn is_own_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
    name.is_some_and(|rest| {
        let stamp = rest.strip_suffix(".tar").or_else(|| rest.strip_suffix(".tar.gz"));
        stamp.is_some_and(|stamp| stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    })
}

/// Reads a backup as a restore would, into a database that is thrown away. False where none may be made.
async fn verify(place: &Place, file: &Path) -> anyhow::Result<bool> {
    let whole = read(file, place.folder.path()).await?;
    let tools = place.tools(whole.manifest.postgres).await?;
    tools.list(whole.dump()?).await?;
    let mut maker = roadstead_store::Maintenance::open(&place.database.maker()).await?;
    let name = format!("roadstead_try_{}", std::process::id());
    if !maker.make_database(&name, place.owner().get_username()).await? {
        return Ok(false);
    }
    let tried = fill(place, &tools, &whole, &name).await;
    maker.drop_database(&name).await?;
    maker.close().await?;
    tried.map(|()| true)
}

async fn fill(place: &Place, tools: &Tools, whole: &Whole, database: &str) -> anyhow::Result<()> {
    tools.restore(database, whole.dump()?).await?;
    let owner = place.owner().clone().database(database);
    let mut inside = roadstead_store::restore::Restoring::open(&owner).await?;
    let compared = super::restore::compare(&mut inside, &whole.manifest).await;
    inside.close().await?;
    compared
}

/// Reads and checks a file aside from everything else.
pub(super) async fn read(file: &Path, room: &Path) -> anyhow::Result<Whole> {
    let (file, room) = (file.to_owned(), room.to_owned());
    Ok(tokio::task::spawn_blocking(move || archive::read(&file, &room)).await??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> BackupArgs {
        BackupArgs { to: None, base: false, gzip: false, verify: false, keep: None, with_keys: false }
    }

    #[test]
    fn a_backup_has_a_name_of_its_moment_unless_one_is_given() {
        let data = tempfile::tempdir().unwrap();
        let at = OffsetDateTime::UNIX_EPOCH;
        let own = Target::choose(data.path(), &args(), at).unwrap();
        assert!(own.file.ends_with("backups/roadstead-19700101-000000.tar") && is_own_name(&own.file));
        let into = BackupArgs { to: Some(data.path().to_owned()), gzip: true, ..args() };
        assert!(
            Target::choose(data.path(), &into, at)
                .unwrap()
                .file
                .ends_with("roadstead-19700101-000000.tar.gz")
        );
        let named = BackupArgs { to: Some(data.path().join("mine.tar")), ..args() };
        let target = Target::choose(data.path(), &named, at).unwrap();
        assert!(!target.named && target.file.ends_with("mine.tar"));
    }

    #[test]
    fn what_is_no_backup_is_neither_written_over_nor_deleted() {
        let data = tempfile::tempdir().unwrap();
        let other = data.path().join("roadstead-20260101-000000.tar");
        std::fs::write(&other, "somebody's notes").unwrap();
        let over = BackupArgs { to: Some(other.clone()), ..args() };
        assert!(Target::choose(data.path(), &over, OffsetDateTime::UNIX_EPOCH).is_err());
        let target = Target { folder: data.path().to_owned(), file: other.clone(), named: true };
        assert!(target.forget_older(1).unwrap().is_empty() && other.exists());
        let kept = BackupArgs { to: Some(data.path().join("mine.tar")), keep: Some(2), ..args() };
        assert!(Target::choose(data.path(), &kept, OffsetDateTime::UNIX_EPOCH).is_err());
    }
}
