//! How near an instance is to its limits: what the kernel counts in its control group, in the words of either version, and
//! what a look finds where no group holds a limit.

mod watch;

use std::path::Path;
use std::time::Duration;

use roadstead_control::{IsolationLevel, Limits};
use roadstead_model::{Held, LimitsHeld};

use crate::cgroups::{Controller, GroupPart};

pub(crate) use watch::Watch;
pub use watch::{LimitName, Over, Reached, ReachedAt};

/// A limit of version 1 at or above this is none: the kernel shows the largest whole page.
const NO_LIMIT: u64 = 1 << 62;
/// From this many hundredths of the limit on, the file pages that the kernel gives back at once are looked up and left out.
const CLOSE_LOOK_PERCENT: u64 = 70;

/// One limit, and what is used of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Who holds it.
    pub held: Held,
    /// The limit.
    pub limit: Option<u64>,
    /// What was used at the last look.
    pub used: Option<u64>,
    /// How often the kernel found it reached so far; none where it does not count.
    pub refused: Option<u64>,
}

/// How an instance stands with its limits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes. The kernel counts each time the limit was hit, also where giving back file pages was enough.
    pub memory: Use,
    /// Thousandths of a processor; what is used is told by two looks.
    pub cpu: Use,
    /// How often the processor was taken away; none without a control group.
    pub throttled: Option<Throttled>,
    /// Processes and threads of its servers.
    pub processes: Use,
    /// Bytes of the disk that its own folder takes.
    pub disk: Use,
    /// Processes that the kernel ended for want of memory.
    pub kills: Option<u64>,
}

/// How often the processor was taken away from an instance that had used up its share.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// Periods in which it ran.
    pub periods: u64,
    /// Those of them in which it had to wait.
    pub waited: u64,
    /// The time that its processors waited, together.
    pub time: Duration,
}

/// What an instance was promised, and where it has nobody beside it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) limits: Option<Limits>,
    pub(crate) has_own_user: bool,
    pub(crate) isolation: Option<IsolationLevel>,
}

/// What the processes below init take.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Below {
    pub(crate) memory: u64,
    pub(crate) tasks: u64,
}

impl Plan {
    /// The kernel counts a user's processes: fair, and in force, where nobody else's are counted with them.
    fn counts_alone(&self) -> bool {
        self.has_own_user || self.isolation == Some(IsolationLevel::UserNamespace)
    }

    /// How its limits are held beside those groups.
    pub(crate) fn held(&self, groups: &[GroupPart]) -> LimitsHeld {
        let pressure = Pressure::of(self, groups, Below::default(), None);
        let enforced = |is_set| if is_set { Held::Enforced } else { Held::Absent };
        LimitsHeld {
            memory: pressure.memory.held,
            cpu: pressure.cpu.held,
            processes: pressure.processes.held,
            open_files: enforced(self.limits.is_some()),
            file_size: enforced(self.limits.is_some_and(|limits| limits.file_size_bytes.is_some())),
            disk: pressure.disk.held,
        }
    }
}

impl Pressure {
    /// Bytes of memory that a control group allows; none without one.
    pub fn memory_in_group(&self) -> Option<u64> {
        self.memory.limit.filter(|_| self.memory.held == Held::Enforced)
    }

    /// The kernel's counters where there are groups, else what a look found.
    pub(crate) fn of(plan: &Plan, groups: &[GroupPart], below: Below, disk: Option<u64>) -> Self {
        let mut counted = Self::default();
        for part in groups {
            counted.read(part);
        }
        let limits = plan.limits.unwrap_or(Limits { processes: None, ..Limits::default() });
        let sampled = |limit: Option<u64>, used: Option<u64>| match limit {
            Some(_) => Use { held: Held::Sampled, limit, used, refused: None },
            None => Use { used, ..Use::default() },
        };
        let or = |counted: Use, other: Use| if counted.held == Held::Enforced { counted } else { other };
        let mut alone = sampled(limits.processes, Some(below.tasks));
        if alone.limit.is_some() && plan.counts_alone() {
            alone.held = Held::Enforced;
        }
        let cpu = Use { limit: limits.cpu_millis.map(u64::from), ..Use::default() };
        Self {
            memory: or(counted.memory, sampled(limits.memory_bytes, Some(below.memory))),
            cpu: or(counted.cpu, cpu),
            processes: or(counted.processes, alone),
            disk: sampled(limits.disk_bytes, disk),
            ..counted
        }
    }

    fn read(&mut self, part: &GroupPart) {
        for controller in part.controllers {
            let folder = &part.folder;
            match controller {
                Controller::Memory if part.is_v2 => self.read_memory(folder, &VERSION_2),
                Controller::Memory => self.read_memory(folder, &VERSION_1),
                Controller::Cpu => self.read_cpu(folder, part.is_v2),
                Controller::Pids => self.read_pids(folder),
            }
        }
    }

    fn read_memory(&mut self, folder: &Path, names: &MemoryNames) {
        let limit = number(folder, names.limit).filter(|limit| *limit < NO_LIMIT);
        let mut used = number(folder, names.usage);
        if let (Some(limit), Some(bytes)) = (limit, &mut used)
            && *bytes >= limit / 100 * CLOSE_LOOK_PERCENT
        {
            let free = word(&text(folder, "memory.stat"), names.given_back);
            *bytes = bytes.saturating_sub(free.unwrap_or_default());
        }
        let events = text(folder, names.events);
        let hits = names.hits_word.map_or_else(|| number(folder, "memory.failcnt"), |max| word(&events, max));
        self.kills = word(&events, "oom_kill");
        self.memory = kept(Use { limit, used, refused: hits, ..Use::default() });
    }

    fn read_cpu(&mut self, folder: &Path, is_v2: bool) {
        let (quota, period) = if is_v2 {
            let line = text(folder, "cpu.max");
            let mut words = line.split_whitespace().map(|word| word.parse::<u64>().ok());
            (words.next().flatten(), words.next().flatten())
        } else {
            // No limit is written as -1.
            (number(folder, "cpu.cfs_quota_us"), number(folder, "cpu.cfs_period_us"))
        };
        let limit = quota.zip(period).map(|(quota, period)| quota * 1000 / period.max(1));
        let stat = text(folder, "cpu.stat");
        let micros = word(&stat, "throttled_usec").map(Duration::from_micros);
        let time = micros.or_else(|| word(&stat, "throttled_time").map(Duration::from_nanos));
        self.throttled = word(&stat, "nr_periods")
            .zip(word(&stat, "nr_throttled"))
            .map(|(periods, waited)| Throttled { periods, waited, time: time.unwrap_or_default() });
        self.cpu = kept(Use { limit, refused: self.throttled.map(|it| it.waited), ..Use::default() });
    }

    fn read_pids(&mut self, folder: &Path) {
        // Init is counted there too, and is nobody's server.
        let less_init = |count: Option<u64>| count.map(|count| count.saturating_sub(1));
        self.processes = kept(Use {
            limit: less_init(number(folder, "pids.max")),
            used: less_init(number(folder, "pids.current")),
            refused: word(&text(folder, "pids.events"), "max"),
            ..Use::default()
        });
    }
}

/// A group in which no limit was set holds nothing.
fn kept(counted: Use) -> Use {
    let held = if counted.limit.is_some() { Held::Enforced } else { Held::Absent };
    Use { held, ..counted }
}

/// What the versions call the same.
struct MemoryNames {
    limit: &'static str,
    usage: &'static str,
    events: &'static str,
    /// In `events`, how often the limit was hit; version 1 has a file for it.
    hits_word: Option<&'static str>,
    /// In `memory.stat`, bytes of files that were not read lately.
    given_back: &'static str,
}

const VERSION_2: MemoryNames = MemoryNames {
    limit: "memory.max",
    usage: "memory.current",
    events: "memory.events",
    hits_word: Some("max"),
    given_back: "inactive_file",
};

const VERSION_1: MemoryNames = MemoryNames {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    events: "memory.oom_control",
    hits_word: None,
    given_back: "total_inactive_file",
};

/// A file of the kernel's; empty where it is missing.
fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn number(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name).trim().parse().ok()
}

/// The number behind a word at the begin of a line.
fn word(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests;
