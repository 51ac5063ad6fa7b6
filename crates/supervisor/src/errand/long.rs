//! A program of ours that works for minutes and tells how far it is, a line at a time.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::ErrandError;

/// The longest line; what comes after it is no answer any more.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// What is kept of its words on standard error.
const MAX_SAID_BYTES: u64 = 8 * 1024;

/// Ends a whole process group when it is dropped: what a program started goes with it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left is what is wanted.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a program with nothing of our environment, tells it `input`, and hands each line of its answer to `hear`. Its input stays
/// open until it has ended: the end of that tells it that we were killed. However this ends, the program and what it started
/// have, but for what left its group.
pub async fn run_long_errand(
    program: &Path,
    input: &[u8],
    patience: Duration,
    mut hear: impl FnMut(&[u8]) + Send,
) -> Result<(), ErrandError> {
    let name = || program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |source| ErrandError::Run { program: name(), source };
    let mut child = spawn(program).map_err(failed)?;
    let group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
    let work = async {
        let (said, status) = converse(&mut child, input, &mut hear).await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(ErrandError::Failed { program: name(), status, said })
    };
    let outcome = tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(|_| Err(ErrandError::Slow { program: name() }));
    drop(group);
    if outcome.is_err() {
        // Killed with its group; only its row in the process table is left.
        let _ = child.wait().await;
    }
    outcome
}

/// Without hooks, as a shim is started, and in a group of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "beside short errands, the one place that starts programs which are no shims"
)]
fn spawn(program: &Path) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.env_clear().process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

async fn converse(
    child: &mut Child,
    input: &[u8],
    hear: &mut (impl FnMut(&[u8]) + Send),
) -> io::Result<(Vec<u8>, std::process::ExitStatus)> {
    let (Some(mut to), Some(from), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let tell = async {
        // One that ended before it read everything says why by its status.
        let _ = to.write_all(input).await;
        Ok::<_, io::Error>(())
    };
    let listen = async {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut from).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            hear(line.trim_ascii_end());
        }
    };
    let mut said = Vec::new();
    let mut errors = errors.take(MAX_SAID_BYTES);
    tokio::try_join!(tell, listen, errors.read_to_end(&mut said))?;
    let status = child.wait().await?;
    drop(to);
    Ok((said, status))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn lines_are_heard_as_they_come() {
        let (_folder, program) = script("read word; echo one $word; echo two\n");
        let mut heard = Vec::new();
        run_long_errand(&program, b"told\n", LONG, |line| {
            heard.push(String::from_utf8_lossy(line).into_owned());
        })
        .await
        .unwrap();
        assert_eq!(heard, ["one told", "two"]);
    }

    #[tokio::test]
    async fn one_that_fails_is_quoted() {
        let (_folder, program) = script("echo why >&2; exit 3\n");
        let error = run_long_errand(&program, b"", LONG, |_| {}).await.unwrap_err();
        assert!(matches!(&error, ErrandError::Failed { said, .. } if said == "why"), "{error:?}");
    }

    #[tokio::test]
    async fn one_that_takes_too_long_is_ended_with_what_it_started() {
        let (_folder, program) = script("sleep 1000 & echo $!; wait\n");
        let mut heard = Vec::new();
        let patience = Duration::from_secs(2);
        let error = run_long_errand(&program, b"", patience, |line| heard = line.to_vec()).await.unwrap_err();
        assert!(matches!(error, ErrandError::Slow { .. }), "{error:?}");
        let pid = String::from_utf8(heard).unwrap().parse().unwrap();
        for _ in 0..1000 {
            if crate::started(pid).is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("what it started lives");
    }
}
