//! The official conformance suite, at the version that `tests/conformance/` locks.
//!
//! Like the other test subjects it is installed once, on demand, below the build's own folder.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::app::programs;
use crate::subjects::{Subjects, command_open, step};

/// What decides about an installation; a change of either makes a new one.
const LOCKS: [(&str, &str); 2] = [
    ("package.json", include_str!("../../../tests/conformance/package.json")),
    ("package-lock.json", include_str!("../../../tests/conformance/package-lock.json")),
];

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
        let all = programs().parent().expect("a build lies in a target folder").join("test-subjects");
        let folder = all.join(format!("conformance-{}", fingerprint()));
        // Held until the installation is in its place: another test's process waits here.
        let lock = fs::File::create(all.join("conformance.lock")).expect("a lock file");
        lock.lock().expect("a lock of one's own file");
        if !folder.is_dir() {
            install(&node, &folder);
        }
        drop(lock);
        Self { node, script: folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js") }
    }
}

/// Installs beside the place, then moves there: a folder that exists is whole.
fn install(node: &Path, folder: &Path) {
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).expect("what an earlier installation has left can be removed");
    }
    fs::DirBuilder::new().mode(0o755).create(&partial).expect("a folder below test-subjects");
    for (name, text) in LOCKS {
        fs::write(partial.join(name), text).expect("a file of one's own folder");
    }
    let wheel = node.ancestors().nth(2).expect("a Node of a wheel lies in its bin folder");
    let npm = wheel.join("lib/node_modules/npm/bin/npm-cli.js");
    step(command_open(node).arg(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]), &partial);
    fs::rename(&partial, folder).expect("a folder moves beside itself");
}

fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for (_, text) in LOCKS {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..8])
}
