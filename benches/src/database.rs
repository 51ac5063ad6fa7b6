//! The database of a service of our own, through `psql` as the tables' owner: rows that are measured on, and what a plain
//! statement takes without a service before it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::pipes;

/// The line of a server's lock file that names the folder of its socket.
const SOCKET_LINE: usize = 4;
/// How psql tells what a statement took.
const TIME: &str = "Time: ";

/// A way in that row security does not hold back.
#[derive(Debug, Clone)]
pub struct Database {
    socket_folder: PathBuf,
    password: String,
}

impl Database {
    /// The private cluster in a data folder.
    pub fn of(data_dir: &Path) -> anyhow::Result<Self> {
        let folder = data_dir.join("postgres");
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
        };
        let lock = read(folder.join("cluster/postmaster.pid"))?;
        let socket_folder = lock.lines().nth(SOCKET_LINE).context("the database names no socket")?;
        let password = read(folder.join("owner.password"))?.trim().to_owned();
        Ok(Self { socket_folder: socket_folder.into(), password })
    }

    /// Runs statements, one after the other; what they answer is lines of columns with tabs between.
    pub async fn run(&self, statements: &str) -> anyhow::Result<String> {
        self.psql(&[], statements.to_owned()).await
    }

    /// What one statement takes on a connection that stays: each of so many times, its plan with it.
    pub async fn timed(&self, statement: &str, times: usize) -> anyhow::Result<Vec<Duration>> {
        // The first is not told: it only warms the caches.
        let again = format!("{statement};\n").repeat(times);
        let script = format!("\\o /dev/null\n{statement};\n\\timing on\n{again}");
        let told = self.psql(&[], script).await?;
        let millis = told.lines().filter_map(|line| line.strip_prefix(TIME)?.split(' ').next()?.parse().ok());
        Ok(millis.map(|millis: f64| Duration::from_secs_f64(millis / 1e3)).collect())
    }

    /// Has psql itself take the rows of a `copy … to stdout`, and throw them away.
    pub async fn copied(&self, copy: &str) -> anyhow::Result<()> {
        self.psql(&["--output=/dev/null"], format!("{copy};\n")).await.map(drop)
    }

    fn command(&self) -> Command {
        let mut command = pipes::program(Path::new("psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t"])
            .args([
                "--set=ON_ERROR_STOP=1",
                "--port=5432",
                "--username=roadstead_owner",
                "--dbname=roadstead",
            ])
            .arg(format!("--host={}", self.socket_folder.display()))
            // An environment is read by the same user alone; a command line by everybody.
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn psql(&self, more: &[&str], script: String) -> anyhow::Result<String> {
        let mut command = self.command();
        command.args(more);
        let output = tokio::task::spawn_blocking(move || told(command, &script)).await??;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn told(mut command: Command, script: &str) -> anyhow::Result<Output> {
    let mut psql = command
        .spawn()
        .context("rows are made by psql, which is not installed: apt install postgresql-client")?;
    let mut input = psql.stdin.take().context("its input is no pipe")?;
    std::thread::scope(|scope| {
        // It may tell more than a pipe holds before it has read all.
        let writing = scope.spawn(move || input.write_all(script.as_bytes()));
        let output = psql.wait_with_output()?;
        // Told to stop by an error, it reads no further; the error itself is in its output.
        let written = writing.join().unwrap_or(Ok(()));
        if output.status.success() {
            written?;
        }
        Ok(output)
    })
}
