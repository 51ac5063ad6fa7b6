//! A program of ours that does one thing and ends: told on its standard input, heard on its standard output.

mod groups;
mod long;

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use roadstead_control::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

pub use groups::{ErrandGroup, ErrandGroups, ErrandLimits};
pub use long::run_long_errand;

/// Errands at one time; more wait.
const AT_ONCE: usize = 4;
/// The longest answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// How long an errand may take, with the wait for its turn. The program itself is to give up before that.
const PATIENCE: Duration = Duration::from_secs(20);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Why an errand came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ErrandError {
    /// The program could not be started, told or heard.
    #[error("could not run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended otherwise than well.
    #[error("{program} ended with {status}: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How.
        status: std::process::ExitStatus,
        /// What it said of it.
        said: String,
    },
    /// It took too long.
    #[error("{program} did not end in time")]
    Slow {
        /// The program.
        program: String,
    },
}

/// Runs a program with nothing of our environment, and answers with what it wrote. However this ends, the program has.
pub async fn run_errand(program: &Path, args: &[String], input: &Secret) -> Result<Vec<u8>, ErrandError> {
    let name = || program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |source| ErrandError::Run { program: name(), source };
    let work = async {
        let _turn = TURNS.acquire().await.map_err(|_| failed(io::ErrorKind::Interrupted.into()))?;
        let child = spawn(program, args).map_err(failed)?;
        let (answer, said, status) = converse(child, input.expose().as_bytes()).await.map_err(failed)?;
        if status.success() {
            Ok(answer)
        } else {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            Err(ErrandError::Failed { program: name(), status, said })
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(ErrandError::Slow { program: name() }))
}

/// Without hooks, as a shim is started. Dropped before its end, it is killed.
#[expect(clippy::disallowed_methods, reason = "the one place that starts programs which are no shims")]
fn spawn(program: &Path, args: &[String]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn()
}

async fn converse(
    mut child: Child,
    input: &[u8],
) -> io::Result<(Vec<u8>, Vec<u8>, std::process::ExitStatus)> {
    let (Some(mut to), Some(from), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let tell = async {
        // One that ended before it read everything says why by its status.
        let _ = to.write_all(input).await;
        drop(to);
        Ok::<_, io::Error>(())
    };
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let (mut from, mut errors) = (from.take(MAX_ANSWER_BYTES), errors.take(MAX_ANSWER_BYTES));
    tokio::try_join!(tell, from.read_to_end(&mut answer), errors.read_to_end(&mut said))?;
    let status = child.wait().await?;
    Ok((answer, said, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, input: &str) -> Result<Vec<u8>, ErrandError> {
        let args = ["-c".to_owned(), script.to_owned()];
        run_errand(Path::new("/bin/sh"), &args, &Secret::new(input.to_owned())).await
    }

    #[tokio::test]
    async fn what_it_is_told_and_what_it_says_go_by_pipes_and_it_knows_nothing_else() {
        let answer =
            shell("cat; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= || true", "s3cret\n").await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), "s3cret\n");
    }

    #[tokio::test]
    async fn one_that_fails_is_quoted() {
        let error = shell("echo why >&2; exit 3", "unread").await.unwrap_err();
        assert!(matches!(&error, ErrandError::Failed { said, .. } if said == "why"), "{error:?}");
        let missing = run_errand(Path::new("/nowhere"), &[], &Secret::default()).await.unwrap_err();
        assert!(matches!(missing, ErrandError::Run { .. }), "{missing:?}");
    }
}
