//! What the processes of each instance take: one walk over `/proc` for all instances together, and a few files of their
//! control groups. Blocks; called from a thread of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::{Process, Stat};
use roadstead_control::{LAUNCH_FILE, LaunchNote, ProcessId};
use roadstead_model::{InstallationId, InstanceId};

use crate::Supervisor;
use crate::owner::read;

/// How long a share of memory is taken for what it was while the process touched no new page: asking the kernel costs it a
/// walk over all pages.
const SHARE_KEPT: Duration = Duration::from_mins(1);
/// The steps from a process up to its shim: more means a circle of numbers that were given away again.
const MOST_ANCESTORS: usize = 64;
/// A limit of version 1 at or above this is none: the kernel shows the largest whole page.
const NO_LIMIT: u64 = 1 << 62;

/// What the processes of one instance take, shim and init included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Processor time of all that live, and of their descendants that have ended.
    pub cpu: Duration,
    /// Memory in use, shared pages counted once for each process.
    pub rss_bytes: u64,
    /// Memory in use, shared pages counted by shares; of those processes that let us look.
    pub pss_bytes: Option<u64>,
    /// Processes.
    pub processes: u32,
    /// Their threads.
    pub threads: u64,
    /// Their open descriptors, of those processes that let us look.
    pub open_files: Option<u64>,
    /// Processes that do not let us look: they hide their memory, or are another user's.
    pub unreadable: u32,
    /// Bytes of memory that the control group allows.
    pub memory_limit_bytes: Option<u64>,
    /// Processes that the kernel ended for want of memory; none without a control group.
    pub memory_kills: Option<u64>,
}

/// What is remembered between two walks.
#[derive(Debug, Default)]
pub struct Known(HashMap<ProcessId, Share>);

#[derive(Debug, Clone, Copy)]
struct Share {
    pss: Option<u64>,
    /// Pages in use, and pages touched for the first time: while both stay, so does the share, nearly.
    pages: (u64, u64),
    at: Instant,
}

impl Supervisor {
    /// The figures of every instance that has a living shim.
    pub fn figures(&self, installation: InstallationId, known: &mut Known) -> HashMap<InstanceId, Figures> {
        let shims = shims(&self.config.run_root);
        let every = every_process();
        let mut figures: HashMap<InstanceId, Figures> = HashMap::new();
        let mut kept = HashMap::new();
        for (stat, process) in every.values() {
            let Some(instance) = instance_of(stat.pid, &every, &shims) else { continue };
            let id = ProcessId { pid: stat.pid, started: stat.starttime };
            let share = share(stat, process, known.0.get(&id));
            kept.insert(id, share);
            figures.entry(instance).or_default().add(stat, share.pss, process.fd_count().ok());
        }
        // What has ended is forgotten.
        known.0 = kept;
        for (instance, figures) in &mut figures {
            self.add_limits(installation, *instance, figures);
        }
        figures
    }

    fn add_limits(&self, installation: InstallationId, instance: InstanceId, figures: &mut Figures) {
        for folder in self.cgroups.of(installation, instance) {
            let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
            let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"));
            figures.memory_limit_bytes =
                limit.filter(|limit| *limit < NO_LIMIT).or(figures.memory_limit_bytes);
            let kills =
                kills(&folder.join("memory.events")).or_else(|| kills(&folder.join("memory.oom_control")));
            figures.memory_kills = kills.or(figures.memory_kills);
        }
    }
}

impl Figures {
    fn add(&mut self, stat: &Stat, pss: Option<u64>, open_files: Option<usize>) {
        let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
        let ticks = stat.utime + stat.stime + ended;
        self.cpu += Duration::from_millis(ticks * 1000 / procfs::ticks_per_second().max(1));
        self.rss_bytes += stat.rss * procfs::page_size();
        self.processes += 1;
        self.threads += u64::try_from(stat.num_threads).unwrap_or_default();
        let open_files = open_files.and_then(|count| u64::try_from(count).ok());
        self.unreadable += u32::from(pss.is_none() || open_files.is_none());
        self.pss_bytes = sum(self.pss_bytes, pss);
        self.open_files = sum(self.open_files, open_files);
    }
}

/// What is known of both; nothing only when nothing is known of either.
fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or_default() + other.unwrap_or_default()),
    }
}

/// The shims of a run folder, by their process id. One that has gone is found by nobody's chain of parents.
fn shims(run_root: &Path) -> HashMap<i32, (u64, InstanceId)> {
    let Ok(entries) = std::fs::read_dir(run_root) else { return HashMap::new() };
    let notes = entries.flatten().filter_map(|entry| read::<LaunchNote>(&entry.path().join(LAUNCH_FILE)));
    notes.map(|note| (note.shim.pid, (note.shim.started, note.instance))).collect()
}

fn every_process() -> HashMap<i32, (Stat, Process)> {
    let Ok(every) = procfs::process::all_processes() else { return HashMap::new() };
    let alive = every.flatten().filter_map(|process| {
        let stat = process.stat().ok().filter(|stat| stat.state != 'Z')?;
        Some((stat.pid, (stat, process)))
    });
    alive.collect()
}

fn instance_of(
    pid: i32,
    every: &HashMap<i32, (Stat, Process)>,
    shims: &HashMap<i32, (u64, InstanceId)>,
) -> Option<InstanceId> {
    let mut pid = pid;
    for _ in 0..MOST_ANCESTORS {
        let (stat, _) = every.get(&pid)?;
        match shims.get(&pid) {
            Some((started, instance)) if *started == stat.starttime => return Some(*instance),
            _ => pid = stat.ppid,
        }
    }
    None
}

fn share(stat: &Stat, process: &Process, known: Option<&Share>) -> Share {
    let pages = (stat.rss, stat.minflt);
    match known {
        Some(share) if share.pages == pages && share.at.elapsed() < SHARE_KEPT => *share,
        _ => Share { pss: pss(process), pages, at: Instant::now() },
    }
}

fn pss(process: &Process) -> Option<u64> {
    let maps = process.smaps_rollup().ok()?.memory_map_rollup;
    maps.iter().next()?.extension.map.get("Pss").copied()
}

fn kills(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_has_figures_like_any_other() {
        let every = every_process();
        let own = i32::try_from(std::process::id()).expect("it fits");
        let (stat, process) = &every[&own];
        let first = share(stat, process, None);
        assert!(first.pss.is_some_and(|pss| pss > 100 * 1024), "{first:?}");
        let mut figures = Figures::default();
        figures.add(stat, first.pss, process.fd_count().ok());
        assert!(figures.rss_bytes >= figures.pss_bytes.expect("readable"), "{figures:?}");
        assert_eq!((figures.processes, figures.unreadable), (1, 0));
        figures.add(stat, None, None);
        assert_eq!((figures.processes, figures.unreadable, figures.pss_bytes), (2, 1, first.pss));
    }

    #[test]
    fn a_process_belongs_to_the_shim_above_it_and_to_no_later_owner_of_its_number() {
        let every = every_process();
        let own = i32::try_from(std::process::id()).expect("it fits");
        let (parent, _) = &every[&every[&own].0.ppid];
        let instance: InstanceId =
            InstanceId::from_uuid("01980000-0000-7000-8000-000000000001".parse().expect("an id"));
        let shims = |started| HashMap::from([(parent.pid, (started, instance))]);
        assert_eq!(instance_of(own, &every, &shims(parent.starttime)), Some(instance));
        assert_eq!(instance_of(own, &every, &shims(parent.starttime + 1)), None);
    }
}
