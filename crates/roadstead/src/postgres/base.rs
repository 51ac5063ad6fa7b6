//! PostgreSQL's own programs for base backups and for what is in the write-ahead log.

use std::path::Path;
use std::process::Stdio;

use sqlx::postgres::PgConnectOptions;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::cluster::last_lines;
use super::error::{PostgresError, file_error};
use super::tools::{Tools, failed};
use super::wal::Lsn;
use super::{Account, Layout, Settings};

/// What a base backup says of itself.
const MANIFEST: &str = "backup_manifest";
/// How many of a program's last lines are kept for the case that it fails.
const KEPT_LINES: usize = 8;

/// What a base backup needs of the log, as its manifest tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The history that it was written in.
    pub timeline: u32,
    /// From here on.
    pub from: Lsn,
    /// Up to here at least.
    pub until: Lsn,
}

impl Tools {
    /// Finds them for the private cluster's own version: only that reads its log. With a way to connect where one is needed.
    pub(super) async fn of_version(
        settings: &Settings,
        layout: &Layout,
        major: u32,
        connect: Option<&PgConnectOptions>,
    ) -> Result<Self, PostgresError> {
        let account = Account::choose(&layout.cluster)?;
        let downloaded = settings.data_folder.join("programs");
        let found = super::Programs::find(settings.places(&downloaded), &account, Some(major)).await;
        let folder = found.map(|programs| programs.folder).filter(|folder| {
            ["pg_basebackup", "pg_verifybackup", "pg_waldump"].iter().all(|name| folder.join(name).is_file())
        });
        let folder = folder.ok_or_else(|| PostgresError::NoBasePrograms {
            major,
            system_folder: settings.system_folder.clone(),
        })?;
        Self::with(folder, account, major, connect, &layout.folder)
    }

    /// Writes a base backup with all of the log that it needs into a folder that there is not yet, and waits until it is on the
    /// disk. `told` hears percents.
    pub async fn base_backup(&self, into: &Path, mut told: impl FnMut(u8)) -> Result<(), PostgresError> {
        const NAME: &str = "pg_basebackup";
        let mut command = self.command(NAME);
        command.args(["--no-password", "--progress", "--checkpoint=fast", "--wal-method=stream"]);
        command.args(["--manifest-checksums=SHA256", "--label=roadstead", "--pgdata"]).arg(into);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(self.not_run(NAME))?;
        let mut lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        let mut kept = std::collections::VecDeque::new();
        while let Some(line) = lines.next_line().await.map_err(self.not_run(NAME))? {
            if let Some(percent) = percent_of(&line) {
                told(percent);
                continue;
            }
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        let status = child.wait().await.map_err(self.not_run(NAME))?;
        let said: Vec<String> = kept.into();
        if status.success() { Ok(()) } else { Err(failed(NAME, said.join("\n").as_bytes())) }
    }

    /// Looks at every byte of a base backup, and reads the part of the log that it cannot do without.
    pub async fn verify(&self, base: &Path) -> Result<(), PostgresError> {
        let mut command = self.command("pg_verifybackup");
        // What it found comes on both outputs.
        command.arg("--quiet").arg(base).stdout(Stdio::null());
        self.run("pg_verifybackup", command).await
    }

    /// A folder in `room` that only the server's user and we can look into, for files of the log.
    pub fn desk(&self, room: &Path) -> Result<tempfile::TempDir, PostgresError> {
        let desk =
            tempfile::Builder::new().prefix("log-").tempdir_in(room).map_err(file_error("use", room))?;
        self.account().own(desk.path())?;
        Ok(desk)
    }

    /// When the last change was made that is in one file of the log; none when there is none in it.
    pub async fn last_change(&self, file: &Path) -> Result<Option<OffsetDateTime>, PostgresError> {
        const NAME: &str = "pg_waldump";
        self.account().own(file)?;
        let mut command = self.command(NAME);
        command.env("TZ", "UTC").arg("--rmgr=Transaction").arg(file);
        let output = command.output().await.map_err(self.not_run(NAME))?;
        // The end of what was written is where it stops, with an error about an invalid record: the rest of the file is zeros. In
        // a file that is the middle of one long record, it finds no valid one.
        let text = String::from_utf8_lossy(&output.stdout);
        if text.is_empty() && !last_lines(&output.stderr).contains("valid ") && !output.status.success() {
            return Err(failed(NAME, &output.stderr));
        }
        Ok(text.lines().filter_map(change_of).max())
    }

    /// Copies a base as the server's user, and leaves out what the server has no use for.
    pub(super) async fn copy(&self, base: &Path, into: &Path) -> Result<(), PostgresError> {
        let mut command = self.account().command("cp");
        command.arg("-a").arg(base.join(".")).arg(into);
        self.run("cp", command).await?;
        let manifest = into.join(MANIFEST);
        std::fs::remove_file(&manifest).map_err(file_error("remove", &manifest))
    }

    /// Whether the server's user may read a folder and what is in it.
    pub(super) async fn reads(&self, folder: &Path) -> bool {
        let mut command = self.account().command("ls");
        command.arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().await.is_ok_and(|status| status.success())
    }

    /// Makes an empty file as the server's user.
    pub(super) async fn touch(&self, path: &Path) -> Result<(), PostgresError> {
        let mut command = self.account().command("touch");
        command.arg(path);
        self.run("touch", command).await
    }
}

impl Written {
    /// Reads it from a base's manifest.
    pub fn read(base: &Path) -> Result<Self, PostgresError> {
        let path = base.join(MANIFEST);
        let wrong = |why: &str| file_error("read", &path)(std::io::Error::other(why.to_owned()));
        let text = std::fs::read(&path).map_err(file_error("read", &path))?;
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| wrong(&format!("it is no manifest: {error}")))?;
        let range = value["WAL-Ranges"].as_array().and_then(|ranges| ranges.last());
        let place = |name: &str| range?[name].as_str()?.parse().ok();
        let timeline = range.and_then(|range| u32::try_from(range["Timeline"].as_u64()?).ok());
        match (timeline, place("Start-LSN"), place("End-LSN")) {
            (Some(timeline), Some(from), Some(until)) => Ok(Self { timeline, from, until }),
            _ => Err(wrong("it names no part of the log")),
        }
    }
}

/// What `12345/23456 kB (52%), 0/1 tablespace` tells.
fn percent_of(line: &str) -> Option<u8> {
    let (before, _) = line.split_once("%)")?;
    let (_, digits) = before.rsplit_once('(')?;
    line.contains(" kB ").then(|| digits.trim().parse().ok()).flatten()
}

/// When a change was made, of a line such as `rmgr: Transaction … desc: COMMIT 2026-11-21 12:00:00.123456 UTC; …`.
fn change_of(line: &str) -> Option<OffsetDateTime> {
    let (_, rest) = line.split_once("desc: COMMIT ").or_else(|| line.split_once("desc: ABORT "))?;
    let (moment, _) = rest.split_once(" UTC")?;
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond]");
    time::PrimitiveDateTime::parse(moment, form).ok().map(time::PrimitiveDateTime::assume_utc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_and_other_lines_are_not() {
        assert_eq!(percent_of(" 12345/23456 kB (52%), 0/1 tablespace"), Some(52));
        assert_eq!(percent_of("12345/12345 kB (100%), 1/1 tablespace"), Some(100));
        assert_eq!(percent_of("pg_basebackup: error: no room (99%) left"), None);
    }

    #[test]
    fn the_moment_of_a_change_is_read_as_the_log_has_it() {
        let line = "rmgr: Transaction len (rec/tot):     34/    34, tx:        748, lsn: 0/0150F1E8, prev 0/0150F1B0, \
                    desc: COMMIT 2026-11-21 12:00:00.123456 UTC; inval msgs: catcache 55";
        let moment = change_of(line).unwrap();
        assert_eq!(moment.unix_timestamp_nanos(), 1_795_262_400_123_456_000);
        assert!(change_of("rmgr: Transaction … desc: ASSIGNMENT xtop 7: subxacts: 8").is_none());
    }

    #[test]
    fn what_a_base_needs_is_read_from_its_manifest() {
        let base = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(base.path().join(MANIFEST), text).unwrap();
        write(r#"{"WAL-Ranges": [{ "Timeline": 2, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }]}"#);
        let found = Written::read(base.path()).unwrap();
        assert_eq!(found, Written { timeline: 2, from: Lsn(0x200_0028), until: Lsn(0x200_0100) });
        write("{}");
        assert!(Written::read(base.path()).is_err());
    }
}
