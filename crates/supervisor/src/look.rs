//! Looks from outside that change nothing, whether or not a service runs: what would be limited, which ports are ours, and
//! what is left over.

use std::collections::HashMap;
use std::path::Path;

use procfs::process::Process;
use roadstead_control::{INSTANCE_MARK, STATE_FILE, ShimState};
use roadstead_model::InstanceId;

use crate::cgroups::{self, Controller};
use crate::owner::read;

/// The names of the processes that look after instances.
const OURS: [&str; 2] = ["roadstead-shim", "roadstead-init"];
/// The steps up to a process's oldest ancestor: more means a circle of numbers that were given away again.
const MOST_ANCESTORS: usize = 64;

/// A process of an instance that nobody looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The process.
    pub pid: i32,
    /// Its name.
    pub name: String,
    /// Whose it says it is.
    pub instance: InstanceId,
}

/// What no control group would limit for instances of this process, ours when none is named.
pub fn unlimited(process: Option<i32>) -> Vec<Controller> {
    cgroups::look(process)
}

/// The ports that living shims of a run folder hold.
pub fn ports_held(run_root: &Path) -> Vec<u16> {
    let Ok(entries) = std::fs::read_dir(run_root) else { return Vec::new() };
    let states = entries.flatten().filter_map(|entry| read::<ShimState>(&entry.path().join(STATE_FILE)));
    states.filter(|state| crate::is_alive(state.shim)).map(|state| state.listen.port()).collect()
}

/// Processes that carry an instance's mark and have neither shim nor init above them.
pub fn left_over() -> Vec<Left> {
    let Ok(every) = procfs::process::all_processes() else { return Vec::new() };
    let mut above: HashMap<i32, (i32, String)> = HashMap::new();
    let mut marked = Vec::new();
    for process in every.flatten() {
        let Ok(stat) = process.stat() else { continue };
        if stat.state != 'Z'
            && let Some(instance) = mark_of(&process)
        {
            marked.push(Left { pid: stat.pid, name: stat.comm.clone(), instance });
        }
        above.insert(stat.pid, (stat.ppid, stat.comm));
    }
    let is_looked_after = |pid: i32| {
        let chain = std::iter::successors(Some(pid), |pid| above.get(pid).map(|(parent, _)| *parent));
        chain
            .take(MOST_ANCESTORS)
            .any(|pid| above.get(&pid).is_some_and(|(_, name)| OURS.contains(&name.as_str())))
    };
    marked.retain(|left| !is_looked_after(left.pid));
    marked
}

fn mark_of(process: &Process) -> Option<InstanceId> {
    // What we may not read is not ours.
    process.environ().ok()?.get(std::ffi::OsStr::new(INSTANCE_MARK))?.to_str()?.parse().ok()
}
