//! What instances that nobody uses cost: memory and wake-ups of shims and inits, and what looking at them costs the service.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use crate::api::{Api, Instance};
use crate::processes::{cpu_of, every, name_of, parent_of, pss_kib, threads_named};

/// How long the processes get to come to rest after the last launch.
const SETTLE: Duration = Duration::from_secs(5);
/// How long they are watched.
const WATCH: Duration = Duration::from_secs(30);
/// The service's thread that looks at the instances.
const STATS_THREAD: &str = "stats";

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct IdleFigure {
    pub instances: usize,
    pub seconds: f64,
    pub shim: Kind,
    pub init: Kind,
    /// Processor time of the service, and of its thread that looks at the instances, in percent of one processor.
    pub service_cpu_percent: f64,
    pub stats_cpu_percent: f64,
}

/// What processes of one kind took.
#[derive(Debug, Default, Serialize)]
pub struct Kind {
    pub processes: usize,
    /// The mean and the largest, in KiB; none where we may not look.
    pub pss_mean_kib: Option<f64>,
    pub pss_max_kib: Option<f64>,
    /// Times that a process gave up its processor to wait, while it was watched.
    pub wakeups_mean: f64,
    pub wakeups_max: u64,
}

/// Launches, watches and deletes.
pub async fn measure(
    api: &mut Api,
    type_name: &str,
    instances: usize,
    service: i32,
) -> anyhow::Result<IdleFigure> {
    let mut launched: Vec<Instance> = Vec::new();
    let figure = async {
        for _ in 0..instances {
            launched.push(api.launch(type_name).await?);
        }
        tokio::time::sleep(SETTLE).await;
        watch(instances, service).await
    }
    .await;
    let mut api = api.again().await?;
    for instance in &launched {
        api.delete(instance).await?;
    }
    figure
}

async fn watch(instances: usize, service: i32) -> anyhow::Result<IdleFigure> {
    let (shims, inits) = ours(service);
    anyhow::ensure!(shims.len() >= instances, "only {} shims live", shims.len());
    let before: HashMap<i32, u64> = shims.iter().chain(&inits).map(|pid| (*pid, wakeups(*pid))).collect();
    let looking = threads_named(service, STATS_THREAD);
    let cpu =
        || (cpu_of(&[service]), looking.iter().map(|thread| thread_cpu(service, *thread)).sum::<Duration>());
    let (cpu_before, began) = (cpu(), Instant::now());
    tokio::time::sleep(WATCH).await;
    let (cpu_after, took) = (cpu(), began.elapsed());
    let percent = |after: Duration, before: Duration| {
        after.saturating_sub(before).as_secs_f64() / took.as_secs_f64() * 100.0
    };
    Ok(IdleFigure {
        instances,
        seconds: took.as_secs_f64(),
        shim: kind(&shims, &before),
        init: kind(&inits, &before),
        service_cpu_percent: percent(cpu_after.0, cpu_before.0),
        stats_cpu_percent: percent(cpu_after.1, cpu_before.1),
    })
}

/// The shims of a service, and the inits below them.
fn ours(service: i32) -> (Vec<i32>, Vec<i32>) {
    let all = every();
    let is_ours = |pid: &i32| name_of(*pid).is_some_and(|name| name.starts_with("roadstead-"));
    let below = |parents: &[i32]| -> Vec<i32> {
        let child = |pid: &&i32| parent_of(**pid).is_some_and(|parent| parents.contains(&parent));
        all.iter().filter(child).copied().filter(is_ours).collect()
    };
    let shims = below(&[service]);
    let is_init = |pid: &i32| name_of(*pid).is_some_and(|name| !name.starts_with("roadstead-echo"));
    let inits = below(&shims).into_iter().filter(is_init).collect();
    (shims, inits)
}

fn kind(pids: &[i32], before: &HashMap<i32, u64>) -> Kind {
    let woken: Vec<u64> = pids.iter().map(|pid| wakeups(*pid).saturating_sub(before[pid])).collect();
    let pss: Option<Vec<u64>> = pids.iter().map(|pid| pss_kib(&[*pid])).collect();
    let pss = pss.filter(|pss| !pss.is_empty());
    Kind {
        processes: pids.len(),
        pss_mean_kib: pss.as_deref().map(mean),
        pss_max_kib: pss.and_then(|pss| pss.into_iter().max()).map(|most| mean(&[most])),
        wakeups_mean: mean(&woken),
        wakeups_max: woken.into_iter().max().unwrap_or_default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums of kibibytes and wake-ups are exact in a double")]
fn mean(numbers: &[u64]) -> f64 {
    numbers.iter().sum::<u64>() as f64 / numbers.len().max(1) as f64
}

fn wakeups(pid: i32) -> u64 {
    number(&format!("/proc/{pid}/status"), "voluntary_ctxt_switches:").unwrap_or_default()
}

fn number(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn thread_cpu(pid: i32, thread: i32) -> Duration {
    let line = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(
        line.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default(),
    )
}

impl IdleFigure {
    pub fn print(&self) {
        println!("\n{} idle instances, watched for {:.0} s", self.instances, self.seconds);
        println!(
            "{:<8}{:>11}{:>14}{:>13}{:>15}{:>14}",
            "", "processes", "PSS mean KiB", "PSS max KiB", "wake-ups mean", "wake-ups max"
        );
        for (name, kind) in [("shim", &self.shim), ("init", &self.init)] {
            let shown =
                |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.0}"));
            println!(
                "{name:<8}{:>11}{:>14}{:>13}{:>15.2}{:>14}",
                kind.processes,
                shown(kind.pss_mean_kib),
                shown(kind.pss_max_kib),
                kind.wakeups_mean,
                kind.wakeups_max
            );
        }
        println!(
            "service: {:.2} % of a processor, of it {:.2} % for looking at instances",
            self.service_cpu_percent, self.stats_cpu_percent
        );
    }
}

/// The process of a service that we did not start.
pub fn need(service: Option<i32>) -> anyhow::Result<i32> {
    service.context("idle instances are measured with a service of our own: leave --profile and --url out")
}
