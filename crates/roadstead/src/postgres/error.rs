//! What can go wrong with the private cluster, each with what was attempted and on what.

use std::io;
use std::path::PathBuf;

use super::download::DownloadError;

/// Why the private cluster could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// There is no PostgreSQL to run.
    #[error(
        "PostgreSQL {} was not found in PATH or {} and could not be downloaded: install it with \
         `apt install postgresql`, `dnf install postgresql-server` or `brew install postgresql`, \
         or set DATABASE_URL to a server of yours",
        required.map_or_else(|| format!("{} or newer", super::programs::MIN_MAJOR), |major| major.to_string()),
        system_folder.display()
    )]
    NoPrograms {
        /// The major version that the existing cluster needs.
        required: Option<u32>,
        /// The folder of packaged versions that was searched.
        system_folder: PathBuf,
        /// Why nothing was downloaded; none when downloading is turned off.
        source: Option<Box<DownloadError>>,
    },
    /// The programs that write and read backups are not there.
    #[error(
        "pg_dump and pg_restore of PostgreSQL {major} or newer were not found in PATH or {}: install them with \
         `apt install postgresql-client-{major}` or `dnf install postgresql`",
        system_folder.display()
    )]
    NoBackupPrograms {
        /// The server's major version.
        major: u32,
        /// The folder of packaged versions that was searched.
        system_folder: PathBuf,
    },
    /// The programs that write and read base backups are not there.
    #[error(
        "pg_basebackup, pg_verifybackup and pg_waldump of PostgreSQL {major} were not found beside its server in PATH or {}: \
         install them with `apt install postgresql-{major} postgresql-client-{major}` or `dnf install postgresql-server postgresql`",
        system_folder.display()
    )]
    NoBasePrograms {
        /// The cluster's major version.
        major: u32,
        /// The folder of packaged versions that was searched.
        system_folder: PathBuf,
    },
    /// A file of the log did not reach the archive.
    #[error(
        "{} did not come within {seconds} s; the database's log (postgres/server.log in the data folder) says why, and \
         nothing is lost meanwhile",
        file.display()
    )]
    NotArchived {
        /// Where it would be.
        file: PathBuf,
        /// The limit.
        seconds: u64,
    },
    /// The server's user cannot read an archive.
    #[error("PostgreSQL runs as user {user}, who may not read {}; give it to this user with `chown -R`", folder.display())]
    Unreadable {
        /// The server's user.
        user: String,
        /// The folder.
        folder: PathBuf,
    },
    /// One of those programs ended with an error.
    #[error("{program} ended with an error: {output}")]
    BackupProgram {
        /// Which.
        program: &'static str,
        /// Its last lines.
        output: String,
    },
    /// As root, neither of the users exists that the server could run as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoServerUser,
    /// The server's user cannot pass through a folder.
    #[error(
        "PostgreSQL runs as user {user}, who may not pass through {}; use `chmod o+x` on it, or set \
         ROADSTEAD_DATA_DIR to a folder elsewhere, such as /var/lib/roadstead",
        folder.display()
    )]
    Unreachable {
        /// The server's user.
        user: String,
        /// The folder in the way.
        folder: PathBuf,
    },
    /// The socket's path does not fit into a socket address.
    #[error("the socket folder {} is too long: a socket's path must stay under 107 bytes", folder.display())]
    SocketPathTooLong {
        /// The folder.
        folder: PathBuf,
    },
    /// The socket folder is not ours alone.
    #[error("the socket folder {} belongs to someone else or is open to others; remove it", folder.display())]
    SocketFolderNotPrivate {
        /// The folder.
        folder: PathBuf,
    },
    /// Another cluster listens in the socket folder.
    #[error("another PostgreSQL server (process {pid}) listens in the socket folder {}", folder.display())]
    SocketInUse {
        /// The folder.
        folder: PathBuf,
        /// The other server.
        pid: u32,
    },
    /// A file or folder of the cluster could not be used.
    #[error("could not {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of passwords is gone, and with it the way in.
    #[error(
        "the password file {} of an existing cluster is missing or damaged; put it back from a backup, or move {} away to begin anew",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    PasswordLost {
        /// The file.
        path: PathBuf,
    },
    /// A program could not be started.
    #[error("could not run {} as user {user}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The user.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// `initdb` ended with an error.
    #[error("initdb could not make the cluster: {output}")]
    Initialise {
        /// Its last lines.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended before it was ready; its last lines: {log}")]
    Ended {
        /// The last lines of its log.
        log: String,
    },
    /// The server did not become ready in time.
    #[error("PostgreSQL was not ready within {seconds} s; its last lines: {log}")]
    NotReady {
        /// The limit.
        seconds: u64,
        /// The last lines of its log.
        log: String,
        /// What the last attempt to connect said.
        source: Option<sqlx::Error>,
    },
    /// A server of this cluster runs but does not know our password.
    #[error("the PostgreSQL server in {} (process {pid}) refuses our password", cluster.display())]
    Refused {
        /// The cluster.
        cluster: PathBuf,
        /// The server.
        pid: u32,
        /// What it said.
        source: sqlx::Error,
    },
    /// Roles or the database could not be made.
    #[error("could not {action} in the private cluster")]
    Provision {
        /// What was attempted.
        action: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// The server's process could not be watched or signalled.
    #[error("could not {action} the PostgreSQL server (process {pid})")]
    Process {
        /// What was attempted.
        action: &'static str,
        /// The server.
        pid: u32,
        /// Why.
        source: io::Error,
    },
    /// The server did not end in time.
    #[error("the PostgreSQL server (process {pid}) did not end within {seconds} s")]
    StillRunning {
        /// The server.
        pid: u32,
        /// The limit.
        seconds: u64,
    },
}

/// Turns an I/O error into one that says what was attempted on which path.
pub(super) fn file_error(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> PostgresError {
    let path = path.into();
    move |source| PostgresError::File { action, path, source }
}
