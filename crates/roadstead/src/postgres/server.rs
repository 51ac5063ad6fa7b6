//! Starting the server in a session of its own, waiting until it answers, and stopping it.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use secrecy::SecretString;
use sqlx::{ConnectOptions, PgConnection};
use tokio::process::Child;
use tokio::time::Instant;

use super::account::Account;
use super::cluster::Layout;
use super::error::{PostgresError, file_error};
use super::postmaster::{LockFile, Postmaster, clear_leftovers};
use super::programs::Programs;
use super::socket::{self, is_private};
use super::{StopMode, roles};

/// A server that says nothing for so long is not coming.
const START_LIMIT: Duration = Duration::from_mins(1);
/// One that says it is starting up replays its log after a crash; that has work to do.
const RECOVERY_LIMIT: Duration = Duration::from_mins(10);
/// One attempt to connect, over a local socket.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The pause between attempts grows from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// A last checkpoint writes all that is not on disk yet.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// What the server's log says of each file that it takes from an archive.
const RESTORED: &[u8] = b" restored log file ";

/// `cannot_connect_now`: starting up, recovering or shutting down.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// `invalid_password` and `invalid_authorization_specification`.
const REFUSALS: [&str; 2] = ["28P01", "28000"];

/// A server that was just started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) postmaster: Postmaster,
    /// Kept so that the server is waited for when it ends while we live; dropping it leaves the server running.
    pub(super) child: Child,
    /// Where its lines begin in the log.
    pub(super) log_begin: u64,
}

/// What one attempt to connect came to.
enum Attempt {
    Connected(PgConnection),
    /// The server answers, but is not ready.
    Recovering(sqlx::Error),
    NotYet(Option<sqlx::Error>),
    Refused(sqlx::Error),
}

/// Starts the server of a cluster that does not run.
pub(super) async fn launch(
    layout: &Layout,
    programs: &Programs,
    account: &Account,
    socket_folder: &Path,
    (settings, access): (&str, &str),
) -> Result<Started, PostgresError> {
    clear_leftovers(&layout.cluster).await?;
    socket::prepare(socket_folder, account)?;
    layout.write_settings(settings, access)?;
    let (log, log_begin) = layout.open_log()?;
    let for_errors = log.try_clone().map_err(file_error("open", layout.log_file()))?;
    let program = programs.postgres();
    let mut command = account.command(&program);
    command.arg("-D").arg(&layout.cluster);
    for (setting, value) in [
        ("config_file", layout.settings_file()),
        ("hba_file", layout.access_file()),
        ("ident_file", layout.cluster.join("pg_ident.conf")),
        ("unix_socket_directories", quoted(socket_folder).into()),
    ] {
        let mut pair = std::ffi::OsString::from(setting);
        pair.push("=");
        pair.push(value);
        command.arg("-c").arg(pair);
    }
    command.stdout(log).stderr(for_errors).kill_on_drop(false);
    own_session(&mut command);
    let failed = |source| PostgresError::Run { program, user: account.name().to_owned(), source };
    let child = command.spawn().map_err(failed)?;
    let pid = child.id().expect("a child that was not waited for has an id");
    let ended = || PostgresError::Ended { log: layout.log_tail(log_begin) };
    let postmaster = Postmaster::started(pid)?.ok_or_else(ended)?;
    Ok(Started { postmaster, child, log_begin })
}

/// Keeps the signals of our terminal, and its end, from the server.
#[expect(unsafe_code, reason = "std has no other way to call a function between fork and exec")]
fn own_session(command: &mut tokio::process::Command) {
    // SAFETY: the closure runs in the forked child before exec, where only async-signal-safe calls are sound:
    // setsid is one, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(|_| ()).map_err(std::io::Error::from));
    }
}

/// A list of folders has commas in it unless they are quoted.
fn quoted(folder: &Path) -> String {
    format!("\"{}\"", folder.display().to_string().replace('"', "\"\""))
}

/// Waits until the server answers to our password, or has ended, or the time is up.
pub(super) async fn wait_ready(
    layout: &Layout,
    postmaster: &Postmaster,
    password: &SecretString,
    log_begin: u64,
) -> Result<PgConnection, PostgresError> {
    let begun = Instant::now();
    let mut limit = START_LIMIT;
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = tokio::select! {
            biased;
            () = postmaster.ended() => return Err(PostgresError::Ended { log: layout.log_tail(log_begin) }),
            attempt = attempt(layout, password) => attempt?,
        };
        let source = match attempt {
            Attempt::Connected(connection) => return Ok(connection),
            Attempt::Recovering(error) => {
                limit = RECOVERY_LIMIT;
                Some(error)
            }
            Attempt::NotYet(error) => error,
            Attempt::Refused(source) => {
                let cluster = layout.cluster.clone();
                return Err(PostgresError::Refused { cluster, pid: postmaster.pid(), source });
            }
        };
        if begun.elapsed() > limit {
            let log = layout.log_tail(log_begin);
            return Err(PostgresError::NotReady { seconds: limit.as_secs(), log, source });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Waits until a server has gone through the log that it is given, for as long as it comes on. `passed` hears how many files it has.
pub(super) async fn wait_recovered(
    layout: &Layout,
    started: &Started,
    password: &SecretString,
    mut passed: impl FnMut(usize),
) -> Result<PgConnection, PostgresError> {
    let mut heard = (Instant::now(), 0);
    loop {
        let attempt = tokio::select! {
            biased;
            () = started.postmaster.ended() => {
                return Err(PostgresError::Ended { log: layout.log_tail(started.log_begin) });
            }
            attempt = attempt(layout, password) => attempt?,
        };
        let source = match attempt {
            Attempt::Connected(connection) => return Ok(connection),
            Attempt::Recovering(error) | Attempt::Refused(error) => Some(error),
            Attempt::NotYet(error) => error,
        };
        let files = layout.log_count(started.log_begin, RESTORED)?;
        if files > heard.1 {
            heard = (Instant::now(), files);
            passed(files);
        }
        if heard.0.elapsed() > RECOVERY_LIMIT {
            let log = layout.log_tail(started.log_begin);
            return Err(PostgresError::NotReady { seconds: RECOVERY_LIMIT.as_secs(), log, source });
        }
        tokio::time::sleep(LAST_PAUSE).await;
    }
}

async fn attempt(layout: &Layout, password: &SecretString) -> Result<Attempt, PostgresError> {
    let Some(folder) = listening_in(&layout.cluster)? else { return Ok(Attempt::NotYet(None)) };
    let options = roles::options(&folder, roles::ADMIN, password, "postgres");
    let connected = tokio::time::timeout(CONNECT_LIMIT, options.connect()).await;
    Ok(match connected {
        Err(_) => Attempt::NotYet(None),
        Ok(Ok(connection)) => Attempt::Connected(connection),
        Ok(Err(error)) => {
            let code =
                error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
            match &*code {
                CANNOT_CONNECT_NOW => Attempt::Recovering(error),
                code if REFUSALS.contains(&code) => Attempt::Refused(error),
                _ => Attempt::NotYet(Some(error)),
            }
        }
    })
}

/// Where the server says that it listens: a running one may have been started with another folder than we would use.
pub(super) fn listening_in(cluster: &Path) -> Result<Option<std::path::PathBuf>, PostgresError> {
    let folder = LockFile::of_cluster(cluster)?.and_then(|lock| lock.socket_folder);
    Ok(folder.filter(|folder| folder.metadata().is_ok_and(|found| is_private(&found))))
}

/// Asks the server to end and waits until it has.
pub(super) async fn stop(postmaster: &Postmaster, mode: StopMode) -> Result<(), PostgresError> {
    postmaster.signal(match mode {
        StopMode::Fast => Signal::INT,
        StopMode::Immediate => Signal::QUIT,
    })?;
    tokio::time::timeout(STOP_LIMIT, postmaster.ended())
        .await
        .map_err(|_| PostgresError::StillRunning { pid: postmaster.pid(), seconds: STOP_LIMIT.as_secs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_comma_or_a_quote_is_one_folder() {
        assert_eq!(quoted(Path::new("/run/a,b")), "\"/run/a,b\"");
        assert_eq!(quoted(Path::new("/run/a\"b")), "\"/run/a\"\"b\"");
    }
}
