//! The walls around an instance's servers, as the shim is told to put them up.

use std::path::PathBuf;

use roadstead_model::ConfinementLevel;
use serde::{Deserialize, Serialize};

/// What the servers of an instance may reach beyond what every program needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The instance's own folder: what is in it may be changed and executed.
    pub own: PathBuf,
    /// Programs and scripts that the type itself names beside its program: what they were installed with may be read
    /// and executed, too. Never a path that came with a launch.
    pub programs: Vec<PathBuf>,
    /// Files and folders that they may read and execute from.
    pub read: Vec<PathBuf>,
    /// Files and folders that they may change, too.
    pub write: Vec<PathBuf>,
    /// Folders of people, below roots that an admin allowed.
    pub grants: Vec<Grant>,
    /// TCP ports that they may connect to, on any address.
    pub connect: Vec<u16>,
    /// TCP ports that they may listen on; that of a server which speaks HTTP itself need not be named.
    pub bind: Vec<u16>,
    /// Whether they may accept connections although they have no port to listen on: on unix sockets.
    pub listen: bool,
    /// Folders in which nothing but what is the instance's own exists for them, where they have a mount namespace.
    pub hide: Vec<PathBuf>,
    /// The level below which no server is started.
    pub min: ConfinementLevel,
}

/// A folder or file below a root that an admin allowed. It is opened without leaving the root: a link that leads
/// out is refused, and one that is put there later changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The allowed root, absolute.
    pub root: PathBuf,
    /// The path below it, relative; empty for the root itself.
    pub below: PathBuf,
    /// Whether it may be changed.
    pub write: bool,
}
