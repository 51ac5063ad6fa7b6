//! The official conformance suite, at the version that `tests/conformance/` locks.
//!
//! Like the other test subjects it is installed once, on demand, below the build's own folder.

use std::path::PathBuf;

use crate::subjects::Subjects;
use crate::subjects::install::{Locks, installed};

const LOCKS: Locks = Locks {
    package: include_str!("../../../tests/conformance/package.json"),
    package_lock: include_str!("../../../tests/conformance/package-lock.json"),
    requirements: "",
};

/// The installed suite.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The Node that runs it.
    pub node: PathBuf,
    /// Its script.
    pub script: PathBuf,
}

impl Suite {
    /// Installs what is not there yet; fails the test where that is impossible.
    pub fn ready() -> Self {
        let node = Subjects::ready().node;
        let folder = installed(&LOCKS, Some(&node)).unwrap_or_else(|problem| panic!("{problem}"));
        Self { node, script: folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js") }
    }
}
