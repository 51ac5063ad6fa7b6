//! What an instance takes, as JSON.

use roadstead_orchestrator::{InstanceState, InstanceStats, STATS_INTERVAL, Sample, Use};
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
    /// How it stands with its limits; null when it does not live, or has not been looked at yet.
    limits: Option<LimitsUse>,
    /// What could not be known, and why.
    note: Option<&'static str>,
}

/// How an instance stands with its limits.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LimitsUse {
    /// Bytes of memory, without file pages that the kernel would give back. Refusals are the times that the limit was hit,
    /// also where giving back such pages was enough.
    memory: LimitUse,
    /// Thousandths of a processor, since the look before. Refusals are the periods in which it had to wait.
    cpu: LimitUse,
    /// Periods in which it ran at all; null without a control group.
    cpu_periods: Option<u64>,
    /// The time that it had to wait for having used up its share, in seconds; null without a control group.
    cpu_waited_seconds: Option<f64>,
    /// Processes and threads of its servers. Refusals are those that could not be started.
    processes: LimitUse,
    /// Bytes that its own folder takes of the disk.
    disk: LimitUse,
}

/// One limit, and what is used of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LimitUse {
    /// `enforced` by the kernel, `sampled` at each look, or `absent`.
    #[schema(example = "enforced")]
    held: &'static str,
    /// The limit; null for none.
    limit: Option<u64>,
    /// What was used at the last look; null when it is not known yet.
    used: Option<u64>,
    /// How often the kernel found it reached; null where it does not count that.
    refused: Option<u64>,
}

impl LimitsUse {
    fn new(sample: &Sample) -> Self {
        let pressure = &sample.figures.pressure;
        let limit = |it: &Use| LimitUse {
            held: it.held.as_str(),
            limit: it.limit,
            used: it.used,
            refused: it.refused,
        };
        Self {
            memory: limit(&pressure.memory),
            cpu: LimitUse { used: sample.cpu_percent.map(thousandths), ..limit(&pressure.cpu) },
            cpu_periods: pressure.throttled.map(|it| it.periods),
            cpu_waited_seconds: pressure.throttled.map(|it| it.time.as_secs_f64()),
            processes: limit(&pressure.processes),
            disk: limit(&pressure.disk),
        }
    }
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
            memory_limit_bytes: figures.and_then(|figures| figures.pressure.memory_in_group()),
            out_of_memory_kills: figures.and_then(|figures| figures.pressure.kills),
            limits: stats.sample.as_ref().map(LimitsUse::new),
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

/// Hundredths of a processor as thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a machine's processors is positive and small"
)]
fn thousandths(percent: f64) -> u64 {
    (percent * 10.0).round() as u64
}
