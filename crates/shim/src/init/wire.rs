//! What the shim and its init say to each other.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use roadstead_control::{Grant, Limits, Secret, ServerEnd};
use roadstead_sandbox::handover;
use serde::{Deserialize, Serialize};

/// Sends all of it over a socket that blocks.
pub(crate) fn send_all(socket: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match handover::send(socket, bytes, &[]) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// From the shim. An order is a length-prefixed document; three streams are attached to a `Start`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Make the walls ready, before there is a secret. Answered together with `Prepare`, which follows.
    Wall(Wall),
    /// Make ready what every server gets, before the first one.
    Prepare(Prepare),
    /// Start a server.
    Start(Start),
    /// Signal a server's whole group.
    Signal { server: u32, signal: i32 },
}

/// The walls around every server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wall {
    pub(crate) plan: WallPlan,
    /// The folder for secrets in files, and whether it was mounted.
    pub(crate) secrets: PathBuf,
    pub(crate) is_mounted: bool,
}

/// What every server gets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// The walls, where they were not ordered before: what they let read is made by this order.
    pub(crate) wall: Option<Wall>,
    /// The folder for secrets in files, and whether it was mounted.
    pub(crate) secrets: PathBuf,
    pub(crate) is_mounted: bool,
    pub(crate) files: Vec<(String, Secret)>,
    pub(crate) descriptors: Vec<Secret>,
}

/// What stands around every server. The paths have no links in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WallPlan {
    pub(crate) execute: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) connect: Vec<u16>,
    pub(crate) bind: Vec<u16>,
    pub(crate) listen: bool,
}

/// A server to be started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) server: u32,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) environment: Vec<(String, Secret)>,
    pub(crate) folder: PathBuf,
    pub(crate) limits: Limits,
}

/// From init, one line each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// The walls will stand, and the secrets lie ready.
    Prepared { landlock_abi: u8, seccomp: bool },
    /// No server will be started.
    NotPrepared { fault: StartFault, message: String },
    /// Said by the server's own process before it becomes the server: the message's credentials carry its id.
    Here { server: u32 },
    /// It executes.
    Started { server: u32, started: u64 },
    /// It does not.
    NotStarted { server: u32, fault: StartFault, message: String },
    /// It ended, and its group with it.
    Ended { server: u32, end: ServerEnd },
}

/// Why a server was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartFault {
    NotFound,
    NotExecutable,
    Folder,
    NoWall,
    Grant,
    Other,
}
