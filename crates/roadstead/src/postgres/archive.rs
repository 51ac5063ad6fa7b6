//! The archive of the write-ahead log: which folder, how the server copies to it, and whether that goes well.
//!
//! ```text
//! {archive}/{installation}/        ours; others may pass through when we are root
//!   wal/NAME.gz                    the server's user's alone: every file of the log, written once
//!   bases/MOMENT/                  the server's user's alone: base backups
//!   base-MOMENT.json               what is said of a base; without it, there is none
//!   timeline-0000000N.json         when a restore began a new history
//! ```
//! Which archive a cluster has is kept beside the cluster: whoever starts the server starts it with the same one, or files of the
//! log would be missing in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Row};
use time::OffsetDateTime;

use super::account::Account;
use super::cluster::Layout;
use super::error::{PostgresError, file_error};
use super::wal::{Lsn, segment_name, segment_of};
use crate::data_folder::{make_folder, sync_parent, write_private};

/// What the server runs for each file.
const SCRIPT: &str = include_str!("archive.sh");
/// The folder of the log's files.
pub const WAL: &str = "wal";
/// The folder of base backups.
pub const BASES: &str = "bases";

/// How long a file may take to be archived that is wanted now; the server tries again every minute what failed three times.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(90);
/// The pause between two looks at it.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(50);

/// An archive that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The installation's own folder in the one that was named.
    pub folder: PathBuf,
    /// After so many seconds at most, what was written is archived.
    pub timeout_s: u32,
}

/// How archiving goes, as the server tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archiving {
    /// What was archived last, and when.
    pub last: Option<(String, OffsetDateTime)>,
    /// What could not be archived, since it has not been archived afterwards.
    pub failing: Option<(String, OffsetDateTime)>,
}

impl Archive {
    /// The folder of the log's files.
    pub fn wal(&self) -> PathBuf {
        self.folder.join(WAL)
    }

    /// The folder of base backups.
    pub fn bases(&self) -> PathBuf {
        self.folder.join(BASES)
    }

    /// What is wrong with the folder, as far as one sees from outside.
    pub fn problem(&self) -> Option<String> {
        let wal = self.wal();
        if !wal.is_dir() {
            return Some(format!("{} is not there", wal.display()));
        }
        let writable = nix::unistd::access(&wal, nix::unistd::AccessFlags::W_OK);
        writable.err().map(|errno| format!("{} cannot be written: {errno}", wal.display()))
    }

    /// Asks the server.
    pub async fn look(server: &PgConnectOptions) -> Result<Archiving, PostgresError> {
        let failed = |source| PostgresError::Provision { action: "ask for the state of the archive", source };
        let mut connection = server.connect().await.map_err(failed)?;
        let row = sqlx::query(
            "select last_archived_wal, last_archived_time, last_failed_wal, last_failed_time from pg_stat_archiver",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
        let _ = connection.close().await;
        let pair = |name, at| {
            let name: Option<String> = row.try_get(name).map_err(failed)?;
            let at: Option<OffsetDateTime> = row.try_get(at).map_err(failed)?;
            Ok::<_, PostgresError>(name.zip(at))
        };
        let last = pair("last_archived_wal", "last_archived_time")?;
        let failing = pair("last_failed_wal", "last_failed_time")?;
        let is_over = |at: OffsetDateTime| last.as_ref().is_some_and(|(_, done)| *done >= at);
        Ok(Archiving { failing: failing.filter(|(_, at)| !is_over(*at)), last })
    }

    /// Writes a change of nothing into the log, so that there is one after every moment before now, and waits until it is in the
    /// archive. As the superuser.
    pub async fn mark(&self, admin: &PgConnectOptions) -> Result<(), PostgresError> {
        let failed =
            |source| PostgresError::Provision { action: "write the end of the log to the archive", source };
        let mut connection = admin.connect().await.map_err(failed)?;
        connection.execute("begin; select pg_current_xact_id(); commit").await.map_err(failed)?;
        let place: (String, String) = sqlx::query_as(
            "select pg_walfile_name(pg_current_wal_insert_lsn()), pg_current_wal_insert_lsn()::text",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(failed)?;
        connection.execute("select pg_switch_wal()").await.map_err(failed)?;
        let _ = connection.close().await;
        let known = segment_of(&place.0).zip(place.1.parse::<Lsn>().ok());
        let Some(((timeline, _), end)) = known else {
            return Err(failed(sqlx::Error::Protocol(format!("{} is no file of the log", place.0))));
        };
        self.wait_for(&segment_name(timeline, end.last_segment())).await
    }

    /// Waits until a file of the log is in the archive.
    pub async fn wait_for(&self, name: &str) -> Result<(), PostgresError> {
        let file = self.wal().join(format!("{name}.gz"));
        let arrived = tokio::time::timeout(ARRIVAL_LIMIT, async {
            while !file.exists() {
                tokio::time::sleep(ARRIVAL_PAUSE).await;
            }
        });
        arrived.await.map_err(|_| PostgresError::NotArchived { file, seconds: ARRIVAL_LIMIT.as_secs() })
    }

    /// Makes the installation's folder in the one that was named, which must be there: an empty place where something is to be
    /// mounted later is not made by us.
    pub(super) fn prepare(&self, account: &Account) -> Result<(), PostgresError> {
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        make_folder(&self.folder, mode).map_err(file_error("make", &self.folder))?;
        for folder in [self.wal(), self.bases()] {
            make_folder(&folder, 0o700).map_err(file_error("make", &folder))?;
            account.own(&folder)?;
        }
        account.reaches(&self.folder)?;
        sync_parent(&self.folder).map_err(file_error("sync", &self.folder))
    }

    /// The archive of a cluster, if it has one.
    pub(super) fn of(layout: &Layout) -> Result<Option<Self>, PostgresError> {
        let path = file(layout);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| file_error("read", path)(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", path)(error)),
        }
    }

    /// Remembers it for every start to come.
    pub(super) fn keep(&self, layout: &Layout) -> Result<(), PostgresError> {
        let path = file(layout);
        let text = serde_json::to_vec_pretty(self).expect("two plain values are JSON");
        write_private(&path, &text).map_err(file_error("write", path))
    }

    /// Remembers that there is none.
    pub(super) fn forget(layout: &Layout) -> Result<(), PostgresError> {
        let path = file(layout);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file_error("remove", path)(error))
            }
            _ => sync_parent(&path).map_err(file_error("sync", &path)),
        }
    }

    /// Writes the script beside the cluster, and answers with the settings that make the server run it.
    pub(super) fn settings(&self, layout: &Layout) -> Result<String, PostgresError> {
        let path = layout.folder.join("archive.sh");
        let text = SCRIPT.replace("@INTO@", &shell_word(&self.wal()));
        super::cluster::write_readable(&path, &text)?;
        let command = format!("/bin/sh {} \"%p\" \"%f\"", shell_word(&path).replace('%', "%%"));
        let timeout = self.timeout_s;
        Ok(format!(
            "wal_level = replica\narchive_mode = on\narchive_command = {}\narchive_timeout = {timeout}\n",
            setting(&command)
        ))
    }
}

fn file(layout: &Layout) -> PathBuf {
    layout.folder.join("archive.json")
}

/// A path as one word of a shell.
pub(super) fn shell_word(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// A text as a value in a file of settings.
pub(super) fn setting(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Output;

    use super::*;

    async fn run(script: &Path, from: &Path, name: &str) -> Output {
        let account = Account::own_user();
        account.command("/bin/sh").arg(script).arg(from).arg(name).output().await.unwrap()
    }

    fn place() -> (tempfile::TempDir, Archive, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        fs::create_dir(&layout.folder).unwrap();
        let archive = Archive { folder: root.path().join("an 'archive' of 100%"), timeout_s: 60 };
        let settings = archive.settings(&layout).unwrap();
        assert!(settings.contains("archive_mode = on\n") && settings.contains("archive_timeout = 60\n"));
        let script = layout.folder.join("archive.sh");
        (root, archive, script)
    }

    #[tokio::test]
    async fn a_file_is_archived_once_and_never_written_over() {
        let (root, archive, script) = place();
        archive.prepare(&Account::own_user()).unwrap();
        let from = root.path().join("segment");
        fs::write(&from, "first").unwrap();
        for _ in 0..2 {
            let done = run(&script, &from, "0001").await;
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        let there = archive.wal().join("0001.gz");
        assert_eq!(there.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&there).unwrap();
        fs::write(&from, "other").unwrap();
        let refused = run(&script, &from, "0001").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("something else"), "{said}");
        assert_eq!(fs::read(&there).unwrap(), before);
        assert_eq!(archive.wal().read_dir().unwrap().count(), 1, "nothing half is left");
    }

    #[tokio::test]
    async fn a_folder_that_is_away_is_named_and_not_made() {
        let (root, archive, script) = place();
        let from = root.path().join("segment");
        fs::write(&from, "first").unwrap();
        let refused = run(&script, &from, "0001").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("is not there"), "{said}");
        assert!(!archive.folder.exists() && archive.problem().unwrap().contains("is not there"));
    }

    #[test]
    fn what_is_remembered_is_read_again_until_it_is_forgotten() {
        let (root, archive, _) = place();
        let layout = Layout::new(root.path());
        assert_eq!(Archive::of(&layout).unwrap(), None);
        archive.keep(&layout).unwrap();
        assert_eq!(Archive::of(&layout).unwrap(), Some(archive));
        Archive::forget(&layout).unwrap();
        Archive::forget(&layout).unwrap();
        assert_eq!(Archive::of(&layout).unwrap(), None);
    }

    #[test]
    fn a_value_keeps_its_quotes_and_backslashes() {
        assert_eq!(setting("a'b\\c"), "'a''b\\\\c'");
        assert_eq!(shell_word(Path::new("/it's")), "'/it'\\''s'");
    }
}
