//! What the processes of each instance take: one walk over `/proc` for all instances together, a few files of their control
//! groups, and a part of their own folders. Blocks; called from a thread of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::process::{Process, Stat};
use roadstead_control::{IsolationLevel, LAUNCH_FILE, LaunchNote, ProcessId, STATE_FILE, ShimState};
use roadstead_model::{Held, InstallationId, InstanceId, LimitsHeld};

use crate::Supervisor;
use crate::disk::{DiskWalk, MOST_ENTRIES};
use crate::owner::read;
use crate::pressure::{Below, Over, Plan, Pressure, Reached, Watch};

/// How long a share of memory is taken for what it was while the process touched no new page: asking the kernel costs it a
/// walk over all pages.
const SHARE_KEPT: Duration = Duration::from_mins(1);
/// The steps from a process up to its shim: more means a circle of numbers that were given away again.
const MOST_ANCESTORS: usize = 64;
/// Entries of all folders together that are looked at in one look.
const MOST_ENTRIES_TOGETHER: usize = 40_000;

/// What the processes of one instance take, shim and init included.
#[derive(Debug, Default, Clone, Copy)]
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
    /// How it stands with its limits.
    pub pressure: Pressure,
    /// What its servers take.
    below: Below,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Look {
    /// What each instance takes that has a living shim.
    pub figures: HashMap<InstanceId, Figures>,
    /// What is worth telling of their limits, each once.
    pub reached: Vec<(InstanceId, Reached)>,
    /// Which have to end, because they are above a limit that nobody else holds. Found again until they have ended.
    pub over: Vec<(InstanceId, Over)>,
    /// Whether some are above such a limit for the first time: the next look should not be long in coming.
    pub is_suspect: bool,
}

/// How the limits of an instance are held, as far as its control group tells.
#[derive(Debug, Clone, Copy)]
pub struct HeldSoFar {
    held: LimitsHeld,
    plan: Plan,
}

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub struct Known {
    shares: HashMap<ProcessId, Share>,
    instances: HashMap<InstanceId, Remembered>,
    /// Whether there was a look before: what turns up later was launched since.
    has_looked: bool,
}

/// What is remembered of an instance.
#[derive(Debug)]
struct Remembered {
    shim: ProcessId,
    plan: Plan,
    watch: Watch,
    disk: DiskWalk,
}

#[derive(Debug, Clone, Copy)]
struct Share {
    pss: Option<u64>,
    /// Pages in use, and pages touched for the first time: while both stay, so does the share, nearly.
    pages: (u64, u64),
    at: Instant,
}

impl Supervisor {
    /// Looks at every instance that has a living shim. Their own folders are in `workplaces`.
    pub fn look(&self, installation: InstallationId, workplaces: &Path, known: &mut Known) -> Look {
        let shims = shims(&self.config.run_root);
        let every = every_process();
        let mut look = Look::default();
        let mut kept = HashMap::new();
        for (stat, process) in every.values() {
            let Some(shim) = shim_of(stat.pid, &every, &shims) else { continue };
            let id = ProcessId { pid: stat.pid, started: stat.starttime };
            let share = share(stat, process, known.shares.get(&id));
            kept.insert(id, share);
            let figures = look.figures.entry(shim.instance).or_default();
            figures.add(stat, share.pss, process.fd_count().ok());
            // The shim and its only child, init, are nobody's server.
            if stat.pid != shim.shim.pid && stat.ppid != shim.shim.pid {
                figures.add_below(stat, share.pss);
            }
        }
        // What has ended is forgotten.
        known.shares = kept;
        known.instances.retain(|instance, _| look.figures.contains_key(instance));
        let mut entries = MOST_ENTRIES_TOGETHER;
        for note in shims.values() {
            if let Some(figures) = look.figures.get_mut(&note.instance) {
                let remembered = known.of(note);
                let share = &mut entries.min(MOST_ENTRIES);
                let before = *share;
                remembered.disk.go_on(&workplaces.join(note.instance.to_string()), share);
                entries -= before - *share;
                self.add_pressure(installation, note.instance, remembered, figures);
            }
        }
        known.judge(&mut look);
        look
    }

    fn add_pressure(
        &self,
        installation: InstallationId,
        instance: InstanceId,
        remembered: &mut Remembered,
        figures: &mut Figures,
    ) {
        if remembered.plan.isolation.is_none() {
            remembered.plan.isolation = self.isolation(instance);
        }
        let groups = self.cgroups.of(installation, instance);
        figures.pressure = Pressure::of(&remembered.plan, &groups, figures.below, remembered.disk.used());
    }

    /// Looks how the limits of an instance are held, as soon as its shim was started.
    pub fn limits_held(&self, installation: InstallationId, instance: InstanceId) -> HeldSoFar {
        let note: Option<LaunchNote> = read(&self.run_folder(instance).join(LAUNCH_FILE));
        let plan = note.as_ref().map(plan_of).unwrap_or_default();
        HeldSoFar { held: plan.held(&self.cgroups.of(installation, instance)), plan }
    }

    /// What keeps an instance's processes together, once its shim has said so.
    fn isolation(&self, instance: InstanceId) -> Option<IsolationLevel> {
        let state: ShimState = read(&self.run_folder(instance).join(STATE_FILE))?;
        Some(state.isolation)
    }
}

impl HeldSoFar {
    /// The same, once it is known what keeps the instance's processes together.
    pub fn kept_by(mut self, isolation: IsolationLevel) -> LimitsHeld {
        if self.held.processes != Held::Enforced {
            // No group counts them, but the kernel may count them alone.
            self.held.processes = Plan { isolation: Some(isolation), ..self.plan }.held(&[]).processes;
        }
        self.held
    }
}

impl Known {
    /// What is remembered of an instance; nothing of what an earlier shim of it did.
    fn of(&mut self, note: &LaunchNote) -> &mut Remembered {
        let is_new = self.has_looked;
        let fresh = || Remembered {
            shim: note.shim,
            plan: plan_of(note),
            watch: Watch::new(is_new),
            disk: DiskWalk::default(),
        };
        let remembered = self.instances.entry(note.instance).or_insert_with(fresh);
        if remembered.shim != note.shim {
            *remembered = fresh();
        }
        remembered
    }

    /// Holds what was found against what was found before.
    fn judge(&mut self, look: &mut Look) {
        let now = Instant::now();
        self.has_looked = true;
        for (instance, figures) in &look.figures {
            let Some(remembered) = self.instances.get_mut(instance) else { continue };
            let (reached, over) = remembered.watch.look(now, &figures.pressure, figures.cpu);
            look.is_suspect |= over.is_none() && remembered.watch.is_suspect();
            look.reached.extend(reached.into_iter().map(|each| (*instance, each)));
            look.over.extend(over.map(|each| (*instance, each)));
        }
    }
}

fn plan_of(note: &LaunchNote) -> Plan {
    Plan { limits: note.limits, has_own_user: note.has_own_user, isolation: None }
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

    fn add_below(&mut self, stat: &Stat, pss: Option<u64>) {
        // A process that hides its memory is counted in full.
        self.below.memory += pss.unwrap_or(stat.rss * procfs::page_size());
        self.below.tasks += u64::try_from(stat.num_threads).unwrap_or_default();
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
fn shims(run_root: &Path) -> HashMap<i32, LaunchNote> {
    let Ok(entries) = std::fs::read_dir(run_root) else { return HashMap::new() };
    let notes = entries.flatten().filter_map(|entry| read::<LaunchNote>(&entry.path().join(LAUNCH_FILE)));
    notes.map(|note| (note.shim.pid, note)).collect()
}

fn every_process() -> HashMap<i32, (Stat, Process)> {
    let Ok(every) = procfs::process::all_processes() else { return HashMap::new() };
    let alive = every.flatten().filter_map(|process| {
        let stat = process.stat().ok().filter(|stat| stat.state != 'Z')?;
        Some((stat.pid, (stat, process)))
    });
    alive.collect()
}

fn shim_of<'a>(
    pid: i32,
    every: &HashMap<i32, (Stat, Process)>,
    shims: &'a HashMap<i32, LaunchNote>,
) -> Option<&'a LaunchNote> {
    let mut pid = pid;
    for _ in 0..MOST_ANCESTORS {
        let (stat, _) = every.get(&pid)?;
        match shims.get(&pid) {
            Some(note) if note.shim.started == stat.starttime => return Some(note),
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
        let shims = |started| {
            let text = serde_json::json!({
                "installation": "01980000-0000-7000-8000-000000000002",
                "instance": instance,
                "boot": "01980000-0000-7000-8000-000000000003",
                "shim": {"pid": parent.pid, "started": started},
            });
            let note: LaunchNote = serde_json::from_value(text).expect("a note of the first version");
            HashMap::from([(parent.pid, note)])
        };
        let found = |shims| shim_of(own, &every, &shims).map(|note| note.instance);
        assert_eq!(found(shims(parent.starttime)), Some(instance));
        assert_eq!(found(shims(parent.starttime + 1)), None);
    }
}
