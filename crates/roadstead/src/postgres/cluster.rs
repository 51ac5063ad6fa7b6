//! The cluster's files: made whole or not at all, with settings and access rules that are ours.
//!
//! ```text
//! {data folder}/postgres/          ours; others may pass through when we are root
//!   cluster/                       the server's user's alone
//!   cluster.set-aside/             the one before, while a restore takes its place
//!   restoring/                     one that is being restored, with settings and a log of its own
//!   postgresql.conf, pg_hba.conf   written at every start
//!   archive.json, archive.sh       where the write-ahead log is archived, and how; only where it is
//!   admin.password, owner.password, app.password
//!   server.log, server.log.1
//! ```
//! Nothing is ever written into `cluster/` by us: as root we would follow a link that its owner put there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::account::Account;
use super::error::{PostgresError, file_error};
use super::programs::Programs;
use super::roles::ADMIN;
use crate::data_folder::{make_folder, sync_parent, write_private};

/// A password for everyone, and no other way in; base backups are the superuser's.
pub(super) const ACCESS_RULES: &str = "# Written at every start.\nlocal all all scram-sha-256\nlocal replication roadstead_admin scram-sha-256\n";

/// Small, since it serves one program on a machine that has other work; durable, since it is the only record.
const SETTINGS: &str = "\
# Written at every start; `alter system` is kept.
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
cluster_name = 'roadstead'
max_connections = 100
shared_buffers = '32MB'
dynamic_shared_memory_type = posix
max_wal_size = '256MB'
fsync = on
full_page_writes = on
synchronous_commit = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u: '
# The text of a failed statement may hold what must not be in a log.
log_min_error_statement = panic
";

/// At a start, a log longer than this begins anew; the one before is kept.
const MAX_LOG_BYTES: u64 = 8 << 20;
/// What a message about a failed start shows of the log.
const TAIL_LINES: usize = 8;
const TAIL_BYTES: u64 = 4096;

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) folder: PathBuf,
    pub(super) cluster: PathBuf,
}

impl Layout {
    pub(super) fn new(data_folder: &Path) -> Self {
        let folder = data_folder.join("postgres");
        Self { cluster: folder.join("cluster"), folder }
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.folder.join("postgresql.conf")
    }

    pub(super) fn access_file(&self) -> PathBuf {
        self.folder.join("pg_hba.conf")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// A cluster gets its name only when it is whole.
    pub(super) fn is_initialised(&self) -> bool {
        self.cluster.exists()
    }

    /// The major version that made the cluster.
    pub(super) fn major(&self) -> Result<Option<u32>, PostgresError> {
        if !self.is_initialised() {
            return Ok(None);
        }
        let path = self.cluster.join("PG_VERSION");
        let text = fs::read_to_string(&path).map_err(file_error("read", &path))?;
        Ok(text.trim().parse().ok())
    }

    /// Makes the folder around the cluster.
    pub(super) fn make_folder(&self) -> Result<(), PostgresError> {
        let mode = if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 };
        make_folder(&self.folder, mode).map_err(file_error("make", &self.folder))
    }

    /// Writes the settings, with more of them, and the access rules.
    pub(super) fn write_settings(&self, more: &str, access: &str) -> Result<(), PostgresError> {
        write_readable(&self.settings_file(), &format!("{SETTINGS}{more}"))?;
        write_readable(&self.access_file(), access)
    }

    /// Where a cluster is while another one is tried in its place.
    pub(super) fn set_aside(&self) -> PathBuf {
        self.folder.join("cluster.set-aside")
    }

    /// Brings the cluster back that was set aside when whoever did it ended before another one was in its place.
    pub(super) fn bring_back(&self) -> Result<(), PostgresError> {
        let aside = self.set_aside();
        if self.is_initialised() || !aside.exists() {
            return Ok(());
        }
        fs::rename(&aside, &self.cluster).map_err(file_error("rename", &aside))?;
        sync_parent(&self.cluster).map_err(file_error("sync", &self.folder))
    }

    /// Runs `initdb` aside and renames the finished cluster into place.
    pub(super) async fn initialise(
        &self,
        programs: &Programs,
        account: &Account,
        password: &SecretString,
    ) -> Result<(), PostgresError> {
        let fresh = self.folder.join("cluster.new");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(file_error("remove", &fresh))?;
        }
        make_folder(&fresh, 0o700).map_err(file_error("make", &fresh))?;
        account.own(&fresh)?;
        let password_file = self.folder.join("initdb.password");
        write_private(&password_file, password.expose_secret().as_bytes())
            .map_err(file_error("write", &password_file))?;
        account.own(&password_file)?;
        let outcome = run_initdb(programs, account, &fresh, &password_file).await;
        fs::remove_file(&password_file).map_err(file_error("remove", &password_file))?;
        outcome?;
        fs::rename(&fresh, &self.cluster).map_err(file_error("rename", &fresh))?;
        sync_parent(&self.cluster).map_err(file_error("sync", &self.folder))
    }

    /// Opens the log to append to, and says where the next lines will begin.
    pub(super) fn open_log(&self) -> Result<(File, u64), PostgresError> {
        let path = self.log_file();
        if path.metadata().is_ok_and(|found| found.len() > MAX_LOG_BYTES) {
            let before = self.folder.join("server.log.1");
            fs::rename(&path, before).map_err(file_error("rename", &path))?;
        }
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(file_error("open", &path))?;
        let begin = log.metadata().map_err(file_error("inspect", &path))?.len();
        Ok((log, begin))
    }

    /// How many lines of the log since `begin` have these words.
    pub(super) fn log_count(&self, begin: u64, words: &[u8]) -> Result<usize, PostgresError> {
        let path = self.log_file();
        let mut log = File::open(&path).map_err(file_error("open", &path))?;
        log.seek(SeekFrom::Start(begin)).map_err(file_error("read", &path))?;
        let lines = io::BufReader::new(log).split(b'\n').map_while(Result::ok);
        Ok(lines.filter(|line| line.windows(words.len()).any(|part| part == words)).count())
    }

    /// The last lines of the log since `begin`, on one line.
    pub(super) fn log_tail(&self, begin: u64) -> String {
        let mut text = Vec::new();
        let tail = File::open(self.log_file()).and_then(|mut log| {
            let from = log.metadata()?.len().saturating_sub(TAIL_BYTES).max(begin);
            log.seek(SeekFrom::Start(from))?;
            log.take(TAIL_BYTES).read_to_end(&mut text)
        });
        match tail {
            Ok(_) => last_lines(&text),
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }
}

/// Writes a file that the server's user may read and we alone may change.
pub(super) fn write_readable(path: &Path, text: &str) -> Result<(), PostgresError> {
    write_private(path, text.as_bytes()).map_err(file_error("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(file_error("open", path))
}

async fn run_initdb(
    programs: &Programs,
    account: &Account,
    into: &Path,
    password_file: &Path,
) -> Result<(), PostgresError> {
    let program = programs.initdb();
    let output = account
        .command(&program)
        .arg("--pgdata")
        .arg(into)
        .arg("--pwfile")
        .arg(password_file)
        .args(["--username", ADMIN, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
        .args(["--data-checksums", "--no-instructions"])
        .output()
        .await
        .map_err(|source| PostgresError::Run { program, user: account.name().to_owned(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let text = if output.stderr.is_empty() { output.stdout } else { output.stderr };
    Err(PostgresError::Initialise { output: last_lines(&text) })
}

pub(super) fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "(it said nothing)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_this_start_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir(&layout.folder).unwrap();
        fs::write(layout.log_file(), "of an earlier start\n").unwrap();
        let (_log, begin) = layout.open_log().unwrap();
        assert_eq!(layout.log_tail(begin), "(it said nothing)");
        let many: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
        fs::write(layout.log_file(), format!("of an earlier start\n{}\n", many.join("\n"))).unwrap();
        let tail = layout.log_tail(begin);
        assert!(tail.starts_with("line 12 | ") && tail.ends_with("line 19"), "{tail}");
    }

    #[test]
    fn a_cluster_that_was_set_aside_comes_back_unless_there_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir_all(layout.set_aside()).unwrap();
        layout.bring_back().unwrap();
        assert!(layout.is_initialised() && !layout.set_aside().exists());
        fs::create_dir(layout.set_aside()).unwrap();
        layout.bring_back().unwrap();
        assert!(layout.is_initialised() && layout.set_aside().exists());
    }

    #[test]
    fn a_long_log_begins_anew_and_the_one_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir(&layout.folder).unwrap();
        File::create(layout.log_file()).unwrap().set_len(MAX_LOG_BYTES + 1).unwrap();
        let (_log, begin) = layout.open_log().unwrap();
        assert_eq!(begin, 0);
        assert!(layout.folder.join("server.log.1").exists());
    }
}
