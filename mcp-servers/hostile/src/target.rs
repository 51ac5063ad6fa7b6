//! What is attacked: whoever runs the attempts knows it, and tells.

use std::path::PathBuf;

use serde::Deserialize;

/// The targets. An attempt looks at those that it needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// Another instance's server.
    pub neighbour: i32,
    /// A program of the neighbour's user that is no instance.
    pub bystander: i32,
    /// The own shim and its init.
    pub keepers: Vec<i32>,
    /// The service.
    pub service: i32,
    /// What is sent where a signal is: one that kills, or one that does no harm.
    pub signal: i32,
    /// The neighbour's folder; files in it that are there to be attacked are named below.
    pub folder: PathBuf,
    /// A socket file of the bystander's.
    pub path_socket: PathBuf,
    /// The name of an abstract socket of the bystander's.
    pub abstract_socket: String,
    /// The neighbour's control socket.
    pub control_socket: PathBuf,
    /// The neighbour's socket for the gateway.
    pub gateway_socket: PathBuf,
    /// The database's socket.
    pub database_socket: PathBuf,
    /// The service's port.
    pub api_port: u16,
    /// The neighbour's port.
    pub pool_port: u16,
    /// A port of the pool that nobody has.
    pub free_port: u16,
    /// A port on which the bystander listens.
    pub other_port: u16,
    /// One more, which the own type allows.
    pub allowed_port: u16,
    /// A UDP port of the bystander's.
    pub udp_port: u16,
    /// The neighbour's file in the machine's `/tmp`.
    pub tmp_file: PathBuf,
    /// The neighbour's file in the machine's `/dev/shm`.
    pub shm_file: PathBuf,
    /// A private key in somebody's home.
    pub private_key: PathBuf,
    /// A socket file there.
    pub home_socket: PathBuf,
    /// The folder that the own program was installed in.
    pub package: PathBuf,
    /// A copy of id(1) there, owned by root and marked to run as its owner.
    pub setuid: PathBuf,
    /// The service's own files with secrets.
    pub secrets: Vec<PathBuf>,
    /// A folder that was granted, to be changed.
    pub project: PathBuf,
    /// A folder that was granted, to be read.
    pub reading: PathBuf,
    /// A file `secret` lies in it; nobody granted it.
    pub outside: PathBuf,
    /// The key of the bystander's shared memory.
    pub key: i32,
    /// The name of the bystander's message queue.
    pub queue: String,
    /// How much a limit's attempt takes at most.
    pub most: u64,
    /// What whoever outlives the instance is called.
    pub name: String,
}
