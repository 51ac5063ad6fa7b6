//! Other processes: who is whose parent, how much processor time each took, and on which processor each may run.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Our own processes that take part in a call.
#[derive(Debug, Clone, Default)]
pub struct Ours {
    /// The shim and the parent of its servers.
    pub shim: Vec<i32>,
    /// The service.
    pub roadstead: Option<i32>,
}

impl Ours {
    /// Goes up from a server to the service.
    pub fn above(server: i32) -> Self {
        let mut ours = Self::default();
        let mut pid = server;
        while let Some(parent) = parent_of(pid).filter(|parent| *parent > 1) {
            match name_of(parent).as_deref() {
                Some("roadstead") => {
                    ours.roadstead = Some(parent);
                    break;
                }
                Some(name) if name.starts_with("roadstead-shim") || name == "roadstead-init" => {
                    ours.shim.push(parent);
                }
                _ => break,
            }
            pid = parent;
        }
        ours
    }

    pub fn all(&self) -> Vec<i32> {
        self.shim.iter().copied().chain(self.roadstead).collect()
    }
}

/// A process and everything below it, but for those of a name: the servers that it has started.
pub fn below(pid: i32, but: &str) -> Vec<i32> {
    let all = every();
    let is_below = |start: i32| {
        let mut each = start;
        loop {
            if each == pid {
                return true;
            }
            match parent_of(each) {
                Some(parent) if parent > 1 => each = parent,
                _ => return false,
            }
        }
    };
    all.into_iter().filter(|each| is_below(*each) && name_of(*each).as_deref() != Some(but)).collect()
}

/// The processor time that processes have taken so far, all their threads together.
pub fn cpu_of(pids: &[i32]) -> Duration {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

fn cpu(pid: i32) -> Duration {
    // In nanoseconds, where the kernel keeps them; else in ticks, which needs a long run to say anything.
    let exact: u64 = threads(pid)
        .into_iter()
        .filter_map(|thread| fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    if exact > 0 {
        return Duration::from_nanos(exact);
    }
    let ticks: u64 = stat(pid)
        .map_or(0, |fields| fields[11..13].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum());
    let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    Duration::from_micros(ticks * 1_000_000 / a_second.unwrap_or(100).max(1))
}

/// The memory of processes in KiB, each page shared out among those that have it; none where we may not look.
pub fn pss_kib(pids: &[i32]) -> Option<u64> {
    pids.iter().map(|pid| memory(*pid, "Pss:")).sum()
}

fn memory(pid: i32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// What a process was started with.
#[derive(Debug)]
pub struct StartedWith {
    /// The first is its program.
    pub line: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// Of a process that we may look into.
pub fn started_with(pid: i32) -> anyhow::Result<StartedWith> {
    let read = |what: &str| -> anyhow::Result<Vec<String>> {
        let bytes = fs::read(format!("/proc/{pid}/{what}"))
            .with_context(|| format!("could not read the {what} of process {pid}; that needs root"))?;
        let texts = bytes.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        Ok(texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    };
    let split = |pair: &String| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(StartedWith { line: read("cmdline")?, env: read("environ")?.iter().filter_map(split).collect() })
}

/// How much the machine has to do: processes that run or wait for a disk, over the last minute.
pub fn load() -> f64 {
    let line = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    line.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// Keeps processes on one processor; dropping it lets them run where they could before.
#[derive(Debug)]
#[must_use = "the processes run anywhere again as soon as this is dropped"]
pub struct Pinned(Vec<(Pid, CpuSet)>);

impl Pinned {
    /// This process and the given ones, on the last processor that we may use.
    pub fn together(others: &[i32]) -> anyhow::Result<Self> {
        let ours = sched_getaffinity(Pid::from_raw(0)).context("could not ask for our processors")?;
        let last = (0..CpuSet::count()).rev().find(|cpu| ours.is_set(*cpu).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(last.context("we may run on no processor")?)?;
        let own = i32::try_from(std::process::id()).context("a process id")?;
        let mut pinned = Self(Vec::new());
        for pid in others.iter().copied().chain([own]) {
            for thread in threads(pid) {
                let thread = Pid::from_raw(thread);
                let before = sched_getaffinity(thread).with_context(|| format!("could not ask for {pid}"))?;
                sched_setaffinity(thread, &one).with_context(|| format!("could not pin process {pid}"))?;
                pinned.0.push((thread, before));
            }
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for (thread, before) in &self.0 {
            // A thread that ended meanwhile needs nothing.
            let _ = sched_setaffinity(*thread, before);
        }
    }
}

/// Every process.
pub fn every() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The threads of a process that have a name.
pub fn threads_named(pid: i32, name: &str) -> Vec<i32> {
    let is_named = |thread: &i32| {
        fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm"))
            .is_ok_and(|comm| comm.trim_end() == name)
    };
    threads(pid).into_iter().filter(is_named).collect()
}

fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub fn parent_of(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

pub fn name_of(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// The fields after the name: state, parent, …
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn a_process_that_works_has_taken_time() {
        let before = cpu_of(&[own()]);
        let mut sum = 0_u64;
        while cpu_of(&[own()]) <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert_eq!(cpu_of(&[]), Duration::ZERO);
    }

    #[test]
    fn a_process_of_nobody_of_ours_has_none_of_ours_above() {
        assert!(Ours::above(own()).all().is_empty());
    }
}
