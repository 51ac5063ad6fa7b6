//! Bridges written by others: how each is started, and that it ends with everything it has started.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::session;
use crate::http::Endpoint;
use crate::pipes;

/// The slowest needs some seconds.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);

/// One of the bridges: which file of the installation it is, and what it is told.
pub struct Kind {
    pub name: &'static str,
    /// Whether the file is a program for Node.
    node: bool,
    file: &'static str,
    arguments: fn(port: &str, server: &[String]) -> Vec<String>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub const KINDS: &[Kind] = &[
    Kind {
        name: "supergateway",
        node: true,
        file: "node_modules/supergateway/dist/index.js",
        arguments: |port, server| {
            let mut all = words(&["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"]);
            all.extend(words(&["--port", port, "--stdio", &server.join(" ")]));
            all
        },
    },
    Kind {
        name: "mcp-proxy (npm)",
        node: true,
        file: "node_modules/.bin/mcp-proxy",
        arguments: |port, server| {
            [words(&["--host", "127.0.0.1", "--server", "stream", "--port", port, "--"]), server.to_vec()]
                .concat()
        },
    },
    Kind {
        name: "mcp-proxy (PyPI)",
        node: false,
        file: "mcp-proxy/bin/mcp-proxy",
        arguments: |port, server| {
            [words(&["--host", "127.0.0.1", "--port", port, "--"]), server.to_vec()].concat()
        },
    },
    Kind {
        name: "fastmcp",
        node: false,
        file: "fastmcp/bin/python",
        arguments: |port, server| [words(&["fastmcp_proxy.py", port]), server.to_vec()].concat(),
    },
];

/// A running bridge; dropping it ends it and its servers.
pub struct Bridge {
    child: Child,
    pub endpoint: Endpoint,
}

impl Bridge {
    /// Starts one on a free port and waits until it opens a session.
    pub async fn start(kind: &Kind, folder: &Path, stdio: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let file = folder.join(kind.file);
        ensure!(file.exists(), "{} is missing; run tools/install-bench-peers.sh", file.display());
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server: Vec<String> = std::iter::once(stdio.display().to_string()).chain(words(flags)).collect();
        let node: PathBuf = folder.join("node");
        let mut command = pipes::program(if kind.node { &node } else { &file });
        if kind.node {
            command.arg(&file);
        }
        let child = command
            .args((kind.arguments)(&port.to_string(), &server))
            .current_dir(folder)
            .env("FASTMCP_CHECK_FOR_UPDATES", "off")
            .env("FASTMCP_SHOW_SERVER_BANNER", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", file.display()))?;
        let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/mcp"), None)?;
        let mut bridge = Self { child, endpoint };
        let began = Instant::now();
        loop {
            if let Some(status) = bridge.child.try_wait()? {
                bail!("{} ended with {status}", kind.name);
            }
            match session(&bridge.endpoint).await {
                Ok(_) => return Ok(bridge),
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(error.context(format!("{} opens no session", kind.name)));
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // Gone already: what we wanted.
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
