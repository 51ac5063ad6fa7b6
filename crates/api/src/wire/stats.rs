//! What an instance takes, as JSON.

use roadstead_orchestrator::{InstanceState, InstanceStats, STATS_INTERVAL};
use serde::Serialize;
use time::OffsetDateTime;

use super::rfc3339;

/// What an instance takes of the machine, shim and init included.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Stats {
    /// The instance.
    instance_id: String,
    /// Where it is in its life.
    status: &'static str,
    /// When it was looked at last; null when it does not live, or has not been yet.
    sampled_at: Option<String>,
    /// Seconds between two looks.
    interval_s: u64,
    /// Seconds since its server was ready.
    uptime_s: Option<i64>,
    /// Processor time so far, in seconds.
    cpu_seconds: Option<f64>,
    /// Processor time since the look before, in percent of one processor; null at the first look.
    cpu_percent: Option<f64>,
    /// Memory, shared pages counted by shares. Only of processes that may be looked into.
    pss_bytes: Option<u64>,
    /// Memory, shared pages counted once for each process.
    rss_bytes: Option<u64>,
    /// Processes.
    processes: Option<u32>,
    /// Their threads.
    threads: Option<u64>,
    /// Their open files. Only of processes that may be looked into.
    open_files: Option<u64>,
    /// Processes that may not be looked into, and whose share is missing above.
    unreadable_processes: Option<u32>,
    /// How often its server was started again, by its policy or by a person.
    restarts: u64,
    /// Bytes of memory that its control group allows; null without one.
    memory_limit_bytes: Option<u64>,
    /// Processes that the kernel ended because that was used up; null without a control group.
    out_of_memory_kills: Option<u64>,
    /// What could not be known, and why.
    note: Option<&'static str>,
}

impl Stats {
    pub(crate) fn new(stats: &InstanceStats, now: OffsetDateTime) -> Self {
        let figures = stats.sample.map(|sample| sample.figures);
        let started = match &stats.row.state {
            InstanceState::Running { started_at, .. } => Some(*started_at),
            _ => None,
        };
        let unreadable = figures.map(|figures| figures.unreadable);
        Self {
            instance_id: stats.row.id.to_string(),
            status: stats.row.standing(now).status().as_str(),
            sampled_at: stats.sample.map(|sample| rfc3339(sample.at)),
            interval_s: STATS_INTERVAL.as_secs(),
            uptime_s: started.map(|started| (now - started).whole_seconds().max(0)),
            cpu_seconds: figures.map(|figures| figures.cpu.as_secs_f64()),
            cpu_percent: stats.sample.and_then(|sample| sample.cpu_percent).map(tenths),
            pss_bytes: figures.and_then(|figures| figures.pss_bytes),
            rss_bytes: figures.map(|figures| figures.rss_bytes),
            processes: figures.map(|figures| figures.processes),
            threads: figures.map(|figures| figures.threads),
            open_files: figures.and_then(|figures| figures.open_files),
            unreadable_processes: unreadable,
            restarts: stats.restarts,
            memory_limit_bytes: figures.and_then(|figures| figures.memory_limit_bytes),
            out_of_memory_kills: figures.and_then(|figures| figures.memory_kills),
            note: match unreadable {
                Some(0) => None,
                Some(_) => Some(
                    "some processes, the shim among them, do not let the service's user look into them: their \
                     pss_bytes are not counted, nor their open_files where the kernel hides those",
                ),
                None if stats.row.status().is_live() => Some("it has not been looked at yet"),
                None => Some("it does not live"),
            },
        }
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
