//! Figures, and how they are shown.

use std::time::Duration;

use serde::Serialize;

pub mod packages;
mod peers;

pub use peers::{PeerFigure, relate_peers};

/// What one load found.
#[derive(Debug, Default)]
pub struct Load {
    latencies: Vec<Duration>,
    elapsed: Duration,
    shim_cpu: Duration,
    roadstead_cpu: Duration,
}

impl Load {
    pub fn new(latencies: Vec<Duration>, elapsed: Duration) -> Self {
        Self { latencies, elapsed, shim_cpu: Duration::ZERO, roadstead_cpu: Duration::ZERO }
    }

    pub fn with_cpu(mut self, shim: Duration, roadstead: Duration) -> Self {
        self.shim_cpu = shim;
        self.roadstead_cpu = roadstead;
        self
    }

    pub fn take_latencies(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies)
    }

    pub fn add(&mut self, mut other: Self) {
        self.latencies.append(&mut other.latencies);
        self.elapsed += other.elapsed;
        self.shim_cpu += other.shim_cpu;
        self.roadstead_cpu += other.roadstead_cpu;
    }
}

/// One line about calls.
#[derive(Debug, Serialize)]
pub struct CallFigure {
    pub target: String,
    pub in_flight: usize,
    pub one_core: bool,
    pub calls: usize,
    pub calls_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Processor time of our own processes for one call.
    pub shim_cpu_us: Option<f64>,
    pub roadstead_cpu_us: Option<f64>,
    /// Median latency as a multiple of that over raw pipes, and to the server's own HTTP.
    pub latency_to_pipes: f64,
    pub latency_to_http: f64,
    /// Throughput as a share of the server's own HTTP.
    pub throughput_to_http: f64,
}

impl CallFigure {
    pub fn new(target: &str, in_flight: usize, one_core: bool, mut load: Load, is_ours: bool) -> Self {
        let calls = load.latencies.len();
        let a_call = |cpu: Duration| is_ours.then(|| micros(cpu) / count(calls.max(1)));
        Self {
            target: target.to_owned(),
            in_flight,
            one_core,
            calls,
            calls_per_second: count(calls) / load.elapsed.as_secs_f64(),
            p50_us: micros(percentile(&mut load.latencies, 50)),
            p99_us: micros(percentile(&mut load.latencies, 99)),
            shim_cpu_us: a_call(load.shim_cpu),
            roadstead_cpu_us: a_call(load.roadstead_cpu),
            latency_to_pipes: f64::NAN,
            latency_to_http: f64::NAN,
            throughput_to_http: f64::NAN,
        }
    }
}

/// Sets the figures of one number in flight in relation to each other.
pub fn relate(figures: &mut [CallFigure], pipes: &str, http: &str) {
    let of = |name: &str| {
        figures
            .iter()
            .find(|figure| figure.target == name)
            .map(|figure| (figure.p50_us, figure.calls_per_second))
    };
    let nothing = (f64::NAN, f64::NAN);
    let (pipes, http) = (of(pipes).unwrap_or(nothing), of(http).unwrap_or(nothing));
    for figure in figures {
        figure.latency_to_pipes = figure.p50_us / pipes.0;
        figure.latency_to_http = figure.p50_us / http.0;
        figure.throughput_to_http = figure.calls_per_second / http.1;
    }
}

/// One line about payloads.
#[derive(Debug, Serialize)]
pub struct PayloadFigure {
    pub target: String,
    /// Bytes of text, there and back.
    pub bytes: usize,
    pub calls: usize,
    /// Megabytes of text a second, counted once.
    pub mb_per_second: f64,
    /// As a share of what pipes carry, and of what the same target carries at 1 MiB.
    pub to_pipes: f64,
    pub to_one_mib: f64,
}

impl PayloadFigure {
    pub fn new(target: &str, bytes: usize, calls: usize, elapsed: Duration) -> Self {
        let mb_per_second = count(bytes) * count(calls) / 1e6 / elapsed.as_secs_f64();
        let target = target.to_owned();
        Self { target, bytes, calls, mb_per_second, to_pipes: f64::NAN, to_one_mib: f64::NAN }
    }
}

/// Sets the figures in relation to those over pipes, and to those of the same target at a size.
pub fn relate_payloads(figures: &mut [PayloadFigure], pipes: &str, one: usize) {
    let rates: Vec<(String, usize, f64)> =
        figures.iter().map(|each| (each.target.clone(), each.bytes, each.mb_per_second)).collect();
    let of = |target: &str, bytes: usize| {
        let found = rates.iter().find(|(name, size, _)| name == target && *size == bytes);
        found.map_or(f64::NAN, |(_, _, rate)| *rate)
    };
    for figure in figures {
        figure.to_pipes = figure.mb_per_second / of(pipes, figure.bytes);
        figure.to_one_mib = figure.mb_per_second / of(&figure.target, one);
    }
}

/// One line about launches.
#[derive(Debug, Serialize)]
pub struct LaunchFigure {
    pub server: String,
    pub launches: usize,
    pub raw_p50_ms: f64,
    pub raw_p99_ms: f64,
    /// Until the launch was answered, and until the tool was.
    pub answered_p50_ms: Option<f64>,
    pub first_answer_p50_ms: Option<f64>,
    pub first_answer_p99_ms: Option<f64>,
    pub to_raw: Option<f64>,
}

impl LaunchFigure {
    pub fn new(server: &str, mut raw: Vec<Duration>, ours: Option<(Vec<Duration>, Vec<Duration>)>) -> Self {
        let raw_p50_ms = millis(percentile(&mut raw, 50));
        let mut figure = Self {
            server: server.to_owned(),
            launches: raw.len(),
            raw_p50_ms,
            raw_p99_ms: millis(percentile(&mut raw, 99)),
            answered_p50_ms: None,
            first_answer_p50_ms: None,
            first_answer_p99_ms: None,
            to_raw: None,
        };
        if let Some((mut answered, mut first)) = ours {
            let p50 = millis(percentile(&mut first, 50));
            figure.answered_p50_ms = Some(millis(percentile(&mut answered, 50)));
            figure.first_answer_p50_ms = Some(p50);
            figure.first_answer_p99_ms = Some(millis(percentile(&mut first, 99)));
            figure.to_raw = Some(p50 / raw_p50_ms);
        }
        figure
    }
}

/// Many launches at the same moment.
#[derive(Debug, Serialize)]
pub struct BurstFigure {
    pub server: String,
    pub launches: usize,
    /// Until the last one had called its tool.
    pub raw_ms: f64,
    /// Until the last launch was answered.
    pub answered_ms: Option<f64>,
    pub first_answers_ms: Option<f64>,
}

/// Everything of one run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<crate::idle::IdleFigure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<crate::confinement::ConfinementFigure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<crate::reads::ReadsFigure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<crate::data::DataFigure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<crate::audit::AuditFigure>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<packages::PackageFigure>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundled: Vec<packages::BundledFigure>,
    pub launch: Vec<LaunchFigure>,
    pub burst: Vec<BurstFigure>,
    pub calls: Vec<CallFigure>,
    pub payloads: Vec<PayloadFigure>,
    pub peers: Vec<PeerFigure>,
}

impl Report {
    pub fn print(&self) {
        if !self.launch.is_empty() {
            println!("launch to the first tool answer, in ms");
            println!(
                "{:<16}{:>9}{:>9}{:>11}{:>11}{:>9}{:>9}",
                "server", "raw p50", "p99", "answered", "first p50", "p99", "to raw"
            );
        }
        for figure in &self.launch {
            println!(
                "{:<16}{:>9.2}{:>9.2}{:>11}{:>11}{:>9}{:>9}",
                figure.server,
                figure.raw_p50_ms,
                figure.raw_p99_ms,
                maybe(figure.answered_p50_ms),
                maybe(figure.first_answer_p50_ms),
                maybe(figure.first_answer_p99_ms),
                maybe(figure.to_raw),
            );
        }
        for figure in &self.burst {
            println!(
                "{} of {} at once, in ms: raw {:.0}, launches answered {}, first answers {}",
                figure.launches,
                figure.server,
                figure.raw_ms,
                maybe(figure.answered_ms),
                maybe(figure.first_answers_ms),
            );
        }
        if !self.calls.is_empty() {
            println!("\ntool calls; latencies and processor time in µs");
            println!(
                "{:<10}{:>10}{:>10}{:>9}{:>9}{:>9}{:>11}{:>10}{:>9}{:>12}",
                "target",
                "in flight",
                "calls/s",
                "p50",
                "p99",
                "shim",
                "roadstead",
                "to pipes",
                "to http",
                "throughput"
            );
        }
        for figure in &self.calls {
            println!(
                "{:<10}{:>10}{:>10.0}{:>9.1}{:>9.1}{:>9}{:>11}{:>10.2}{:>9.2}{:>12.2}",
                figure.target,
                format!("{}{}", figure.in_flight, if figure.one_core { " (1 cpu)" } else { "" }),
                figure.calls_per_second,
                figure.p50_us,
                figure.p99_us,
                maybe(figure.shim_cpu_us),
                maybe(figure.roadstead_cpu_us),
                figure.latency_to_pipes,
                figure.latency_to_http,
                figure.throughput_to_http,
            );
        }
        self.print_payloads();
        self.print_others();
        if let Some(idle) = &self.idle {
            idle.print();
        }
        peers::print(&self.peers);
    }

    fn print_others(&self) {
        self.packages.iter().for_each(packages::PackageFigure::print);
        packages::print_bundled(&self.bundled);
        if let Some(confinement) = &self.confinement {
            confinement.print();
        }
        if let Some(reads) = &self.reads {
            reads.print();
        }
        if let Some(data) = &self.data {
            data.print();
        }
        if let Some(audit) = &self.audit {
            audit.print();
        }
    }

    fn print_payloads(&self) {
        if !self.payloads.is_empty() {
            println!("\npayloads there and back");
            let head = ("target", "bytes", "calls", "MB/s", "to pipes", "to 1 MiB");
            println!("{:<10}{:>10}{:>8}{:>12}{:>10}{:>10}", head.0, head.1, head.2, head.3, head.4, head.5);
        }
        for figure in &self.payloads {
            println!(
                "{:<10}{:>10}{:>8}{:>12.4}{:>10.2}{:>10.2}",
                figure.target,
                figure.bytes,
                figure.calls,
                figure.mb_per_second,
                figure.to_pipes,
                figure.to_one_mib,
            );
        }
    }
}

fn maybe(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.2}"))
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "no run makes more calls than a double counts exactly")]
fn count(number: usize) -> f64 {
    number as f64
}

pub fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    if durations.is_empty() {
        return Duration::ZERO;
    }
    let at = (durations.len() - 1) * percent / 100;
    *durations.select_nth_unstable(at).1
}

/// The same of whole numbers; none of none.
pub fn percentile_of(numbers: &mut [u64], percent: usize) -> Option<f64> {
    let last = numbers.len().checked_sub(1)?;
    let number = *numbers.select_nth_unstable(last * percent / 100).1;
    Some(u32::try_from(number).map_or(f64::INFINITY, f64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<Duration> = (1..=101).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 50), Duration::from_millis(51));
        assert_eq!(percentile(&mut values, 99), Duration::from_millis(100));
        assert_eq!(percentile(&mut [], 50), Duration::ZERO);
        assert_eq!(percentile_of(&mut [9, 1, 5], 50), Some(5.0));
        assert_eq!(percentile_of(&mut [], 50), None);
    }

    #[test]
    fn ratios_are_to_the_target_named() {
        let load = |micros, seconds| {
            let calls = vec![Duration::from_micros(micros); 10];
            Load::new(calls, Duration::from_secs(seconds))
        };
        let mut figures = vec![
            CallFigure::new("pipes", 1, true, load(10, 1), false),
            CallFigure::new("http", 1, true, load(20, 2), false),
            CallFigure::new("port", 1, true, load(30, 4), true),
        ];
        relate(&mut figures, "pipes", "http");
        let port = &figures[2];
        assert!((port.latency_to_pipes - 3.0).abs() < 1e-9 && (port.latency_to_http - 1.5).abs() < 1e-9);
        assert!((port.throughput_to_http - 0.5).abs() < 1e-9);
    }
}
