//! How an instance is confined, in JSON.

use serde::Serialize;

/// How an instance's servers are confined.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Confinement {
    /// `none`, `basic`, `strong` or `full`.
    #[schema(example = "strong")]
    pub level: &'static str,
    /// What makes it so.
    pub mechanisms: Mechanisms,
    /// How its limits are held.
    pub limits: LimitsHeld,
}

/// What was put up around an instance's servers.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, whatever the others are")]
pub struct Mechanisms {
    /// No program that it starts gains rights.
    pub no_new_privileges: bool,
    /// System calls that no server needs are refused.
    pub seccomp: bool,
    /// The version of Landlock whose rules are in force; 0 for none.
    #[schema(example = 7)]
    pub landlock_abi: u8,
    /// A user that no other instance has.
    pub own_user: bool,
    /// PID and mount namespaces of its own, without other instances' processes and folders.
    pub namespace: bool,
    /// A control group for all its processes.
    pub cgroup: bool,
}

/// How each limit is held: `enforced` by the kernel, `sampled` every few seconds, or `absent`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LimitsHeld {
    /// Memory of all its processes.
    #[schema(example = "enforced")]
    pub memory: &'static str,
    /// Processor time of all its processes.
    pub cpu: &'static str,
    /// Its processes and threads.
    pub processes: &'static str,
    /// Open files of each process.
    pub open_files: &'static str,
    /// The size of each file written.
    pub file_size: &'static str,
    /// What its folder takes of the disk.
    pub disk: &'static str,
}

impl Confinement {
    pub(crate) fn new(it: &roadstead_model::Confinement) -> Self {
        let (mechanisms, limits) = (it.mechanisms, it.limits);
        Self {
            level: it.level.as_str(),
            mechanisms: Mechanisms {
                no_new_privileges: mechanisms.no_new_privileges,
                seccomp: mechanisms.seccomp,
                landlock_abi: mechanisms.landlock_abi,
                own_user: mechanisms.own_user,
                namespace: mechanisms.namespace,
                cgroup: mechanisms.cgroup,
            },
            limits: LimitsHeld {
                memory: limits.memory.as_str(),
                cpu: limits.cpu.as_str(),
                processes: limits.processes.as_str(),
                open_files: limits.open_files.as_str(),
                file_size: limits.file_size.as_str(),
                disk: limits.disk.as_str(),
            },
        }
    }
}
