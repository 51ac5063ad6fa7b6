//! `roadstead db backup --base`: what a restore to any later moment begins with.
//!
//! ```text
//! pg_basebackup ─► bases/.MOMENT.part ─► every byte looked at ─► bases/MOMENT ─► base-MOMENT.json ─► (older ones go)
//! ```
//! A base counts from the moment on that its record is there.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, Sheet, moment, size};
use roadstead_model::{Clock, SystemClock};
use roadstead_store::backup::Snapshot;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::format_description;

use super::command::BackupArgs;
use super::records::{Base, FORMAT, Records, Tenths, manifest_sha256};
use super::{Place, Refused};
use crate::data_folder::sync_parent;
use crate::postgres::{Archive, Lsn, Tools, Written, segment_name};

/// `roadstead db backup --base`.
pub(super) async fn backup(place: &Place, paper: &Paper, args: &BackupArgs) -> anyhow::Result<Exit> {
    if !place.database.is_private() {
        let message = "base backups are of the PostgreSQL that roadstead runs itself; with DATABASE_URL, use pg_basebackup and \
                       archive_command of that server";
        return Err(Refused::new(Exit::Usage, message).into());
    }
    let Some(archive) = place.cluster.archive()? else {
        let message = "archiving is off: start the service with ROADSTEAD_ARCHIVE set to a folder";
        return Err(Refused::new(Exit::Config, message).into());
    };
    if let Some(problem) = archive.problem() {
        return Err(Refused::new(Exit::Failed, format!("the archive cannot be used: {problem}")).into());
    }
    let _lock = alone(&archive)?;
    let mut records = Records::read(archive)?;
    let base = tokio::select! {
        base = write(place, paper, &records) => base?,
        _ = tokio::signal::ctrl_c() => {
            clear(&records.archive)?;
            return Err(Refused::new(Exit::Failed, "broken off; nothing was written").into());
        }
    };
    records.note_base(&base)?;
    records.bases.push(base.clone());
    let (removed, files) = match args.keep {
        Some(keep) => records.forget_older(keep as usize)?,
        None => (Vec::new(), 0),
    };
    tell(paper, &records.archive, &base, &removed, files)?;
    Ok(Exit::Ok)
}

fn tell(
    paper: &Paper,
    archive: &Archive,
    base: &Base,
    removed: &[String],
    files: usize,
) -> anyhow::Result<()> {
    let folder = base.folder(archive);
    let answer = json!({ "folder": folder, "base": base, "verified": true, "removed": removed,
        "removed_log_files": files });
    paper.answer(&answer, |paper| {
        let mut sheet = Sheet::details();
        sheet.detail("base", folder.display().to_string());
        sheet.detail("size", size(base.bytes));
        sheet.detail("from", format!("{}: any moment from here on can be gone back to", moment(base.ended)));
        sheet.detail("tried", "every byte was read and compared");
        let keys = if base.keys.is_empty() {
            "none is needed".to_owned()
        } else {
            format!("{}: not in the archive; keep a copy of the key elsewhere", base.keys.join(", "))
        };
        sheet.detail("master key", keys);
        for name in removed {
            sheet.detail("removed", name.clone());
        }
        if files > 0 {
            sheet.detail("removed", format!("{files} files of the log that only they needed"));
        }
        paper.sheet(&sheet)
    })?;
    Ok(())
}

/// One at a time.
fn alone(archive: &Archive) -> anyhow::Result<Flock<File>> {
    let path = archive.folder.join("base.lock");
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.with_context(|| format!("could not open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        anyhow::Error::from(errno).context("another base backup is being written to this archive")
    })
}

/// Removes what was begun and never became whole.
fn clear(archive: &Archive) -> anyhow::Result<()> {
    for entry in archive.bases().read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "part") {
            fs::remove_dir_all(&path).with_context(|| format!("could not remove {}", path.display()))?;
        }
    }
    Ok(())
}

async fn write(place: &Place, paper: &Paper, records: &Records) -> anyhow::Result<Base> {
    let archive = &records.archive;
    clear(archive)?;
    let clock = SystemClock::new();
    let began = clock.now();
    let mut snapshot = Snapshot::take(place.owner()).await?;
    let (migration, keys) = (snapshot.migration().await?, snapshot.key_ids().await?);
    let major = snapshot.server_major();
    snapshot.release().await?;
    let tools = place.cluster.base_tools(major, Some(&place.database.maker())).await?;
    let part = archive.bases().join(format!(".{}.part", name(began)?));
    let written = write_part(&tools, &part, paper).await;
    let (written, bytes) = match written {
        Ok(written) => written,
        Err(error) => {
            let _ = fs::remove_dir_all(&part);
            return Err(error.context("the base backup could not be written; there is none"));
        }
    };
    archive.wait_for(&segment_name(written.timeline, written.until.last_segment())).await?;
    let ended = clock.now();
    let name = name(ended)?;
    let folder = archive.bases().join(&name);
    let manifest_sha256 = manifest_sha256(&part)?;
    fs::rename(&part, &folder).with_context(|| format!("could not name {}", folder.display()))?;
    sync_parent(&folder)?;
    let place_of = |lsn: Lsn| lsn.to_string();
    Ok(Base {
        format: FORMAT,
        name,
        began,
        ended,
        roadstead: env!("CARGO_PKG_VERSION").to_owned(),
        installation: place.installation.to_string(),
        migration,
        postgres: major,
        timeline: written.timeline,
        from: place_of(written.from),
        until: place_of(written.until),
        bytes,
        keys: keys.into_iter().map(|key| format!("{key:08x}")).collect(),
        manifest_sha256,
    })
}

async fn write_part(tools: &Tools, part: &Path, paper: &Paper) -> anyhow::Result<(Written, u64)> {
    let mut told = Tenths::new("Writing the base");
    tools.base_backup(part, |percent| told.tell(paper, percent.into(), 100)).await?;
    paper.note("Reading it again");
    tools.verify(part).await?;
    let part = part.to_owned();
    tokio::task::spawn_blocking(move || Ok((Written::read(&part)?, bytes_in(&part)?))).await?
}

fn bytes_in(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes_in(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

/// A name that is its moment in UTC, to the thousandth: two bases are never of the same.
fn name(at: OffsetDateTime) -> anyhow::Result<String> {
    let form = format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:3]Z");
    Ok(at.to_offset(time::UtcOffset::UTC).format(form)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_named_by_its_moment_in_utc() {
        let at = OffsetDateTime::from_unix_timestamp(1_795_262_400).unwrap();
        let elsewhere = at.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(name(elsewhere).unwrap(), "20261121T120000.000Z");
    }
}
