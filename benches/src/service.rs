//! The service that is measured: one that runs already, or one of our own that is taken away afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::http::{Connection, Endpoint};
use crate::pipes;

/// The first start may fetch and set up a database.
const START_PATIENCE: Duration = Duration::from_mins(5);
const END_PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// Where a service is and what opens it.
#[derive(Debug)]
pub struct Service {
    pub url: String,
    pub key: String,
    own: Option<Own>,
}

/// A service of ours: dropping it ends it, and its data folder with it.
#[derive(Debug)]
struct Own {
    child: Child,
    data_dir: PathBuf,
}

impl Service {
    /// The service that a profile names.
    pub fn of_profile(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        let profile: Value = serde_json::from_slice(&text).context("the profile is no JSON")?;
        let field = |name: &str| {
            profile[name].as_str().map(str::to_owned).with_context(|| format!("the profile has no {name}"))
        };
        Ok(Self { url: field("url")?, key: field("api_key")?, own: None })
    }

    /// The service at a URL, opened by the key in a file.
    pub fn at(url: &str, key_file: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(key_file)
            .with_context(|| format!("could not read {}", key_file.display()))?;
        Ok(Self { url: url.to_owned(), key: key.trim().to_owned(), own: None })
    }

    /// Starts a service with a data folder of its own, and waits until it is ready.
    pub async fn start(program: &Path) -> anyhow::Result<Self> {
        ensure!(program.exists(), "{} is not there: build the whole workspace first", program.display());
        let listen = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let data_dir = std::env::temp_dir().join(format!("roadstead-bench-{}", std::process::id()));
        let child = pipes::program(program)
            .arg("up")
            .args(["--listen", &listen.to_string()])
            .env("ROADSTEAD_DATA_DIR", &data_dir)
            .env("ROADSTEAD_LOG", "warn")
            .env_remove("ROADSTEAD_PROFILE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let mut own = Own { child, data_dir };
        let profile = own.data_dir.join("profile.json");
        let began = Instant::now();
        loop {
            if let Some(status) = own.child.try_wait()? {
                bail!("the service ended with {status}");
            }
            ensure!(began.elapsed() < START_PATIENCE, "the service did not become ready");
            if let Ok(service) = Self::of_profile(&profile)
                && is_ready(&service.url).await
            {
                return Ok(Self { own: Some(own), ..service });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The data folder of a service that we started.
    pub fn data_dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.data_dir.as_path())
    }

    /// The process of a service that we started.
    pub fn pid(&self) -> Option<i32> {
        self.own.as_ref().and_then(|own| i32::try_from(own.child.id()).ok())
    }
}

async fn is_ready(url: &str) -> bool {
    let asked = async {
        let endpoint = Endpoint::parse(url, None)?.at("/readyz");
        let mut connection = Connection::open(&endpoint).await?;
        connection.exchange(&endpoint, "GET", b"").await
    };
    asked.await.is_ok_and(|answer: crate::http::Answer| answer.status == 200)
}

impl Drop for Own {
    fn drop(&mut self) {
        // What Ctrl-C does: instances and database end with it.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > END_PATIENCE {
                eprintln!(
                    "the service did not end by itself; its data is left in {}",
                    self.data_dir.display()
                );
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
        if let Err(error) = std::fs::remove_dir_all(&self.data_dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("could not remove {}: {error}", self.data_dir.display());
        }
    }
}
