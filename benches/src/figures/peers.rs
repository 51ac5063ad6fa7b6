//! The comparison with bridges written by others.

use std::time::Duration;

use serde::Serialize;

use super::{Load, count, maybe, micros, percentile};

/// What we are called in the comparison.
const OURS: [&str; 2] = ["port", "gateway"];
/// What is no bridge.
const DIRECT: [&str; 2] = ["pipes", "own http"];

/// One line of the comparison.
#[derive(Debug, Default, Serialize)]
pub struct PeerFigure {
    pub target: String,
    pub in_flight: usize,
    pub sessions: usize,
    pub calls: usize,
    pub calls_per_second: Option<f64>,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    /// Processor time of the bridge for one call.
    pub cpu_us: Option<f64>,
    /// Answers that were wrong or did not come, of calls with equal ids answered out of order.
    pub wrong: Option<usize>,
    /// Throughput as a share of the server's own HTTP, and as a multiple of the best bridge of others.
    pub to_http: Option<f64>,
    pub to_best_peer: Option<f64>,
    /// Why there is no figure.
    pub missing: Option<String>,
}

impl PeerFigure {
    pub fn new(
        target: &str,
        in_flight: usize,
        sessions: usize,
        mut load: Load,
        cpu: Option<Duration>,
    ) -> Self {
        let calls = load.latencies.len();
        Self {
            target: target.to_owned(),
            in_flight,
            sessions,
            calls,
            calls_per_second: Some(count(calls) / load.elapsed.as_secs_f64()),
            p50_us: Some(micros(percentile(&mut load.latencies, 50))),
            p99_us: Some(micros(percentile(&mut load.latencies, 99))),
            cpu_us: cpu.map(|cpu| micros(cpu) / count(calls.max(1))),
            ..Self::default()
        }
    }

    pub fn missing(target: &str, in_flight: usize, sessions: usize, why: &str) -> Self {
        let target = target.to_owned();
        Self { target, in_flight, sessions, missing: Some(why.to_owned()), ..Self::default() }
    }

    pub fn mixed(target: &str, in_flight: usize, sessions: usize, calls: usize, wrong: usize) -> Self {
        let target = target.to_owned();
        Self { target, in_flight, sessions, calls, wrong: Some(wrong), ..Self::default() }
    }
}

/// Sets the figures of one level in relation to each other.
pub fn relate_peers(figures: &mut [PeerFigure]) {
    let rates: Vec<(String, usize, usize, f64)> = figures
        .iter()
        .filter_map(|each| Some((each.target.clone(), each.in_flight, each.sessions, each.calls_per_second?)))
        .collect();
    for figure in figures {
        let at_level = || {
            rates
                .iter()
                .filter(|(_, calls, sessions, _)| (*calls, *sessions) == (figure.in_flight, figure.sessions))
        };
        let http = at_level().find(|(name, ..)| name == "own http").map(|(.., rate)| *rate);
        let is_peer = |name: &str| !OURS.contains(&name) && !DIRECT.contains(&name);
        let best = at_level().filter(|(name, ..)| is_peer(name)).map(|(.., rate)| *rate).reduce(f64::max);
        figure.to_http = figure.calls_per_second.zip(http).map(|(rate, http)| rate / http);
        figure.to_best_peer = figure.calls_per_second.zip(best).map(|(rate, best)| rate / best);
    }
}

pub(super) fn print(figures: &[PeerFigure]) {
    if figures.is_empty() {
        return;
    }
    println!("\nthe same server behind bridges written by others; latencies and processor time in µs");
    println!(
        "{:<18}{:>10}{:>9}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}",
        "target", "in flight", "sessions", "calls/s", "p50", "p99", "cpu", "to http", "to best"
    );
    for figure in figures {
        let start = format!("{:<18}{:>10}{:>9}", figure.target, figure.in_flight, figure.sessions);
        if let Some(why) = &figure.missing {
            println!("{start}  not measured: {why}");
        } else if let Some(wrong) = figure.wrong {
            println!("{start}  equal ids, out of order: {wrong} of {} answers wrong or lost", figure.calls);
        } else {
            println!(
                "{start}{:>10.0}{:>10.1}{:>10.1}{:>9}{:>9}{:>9}",
                figure.calls_per_second.unwrap_or_default(),
                figure.p50_us.unwrap_or_default(),
                figure.p99_us.unwrap_or_default(),
                maybe(figure.cpu_us),
                maybe(figure.to_http),
                maybe(figure.to_best_peer),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_best_of_the_others_at_the_same_level() {
        let figure = |name: &str, in_flight, calls| {
            let load = Load::new(vec![Duration::from_micros(10); calls], Duration::from_secs(1));
            PeerFigure::new(name, in_flight, 1, load, None)
        };
        let mut figures = vec![
            figure("pipes", 1, 1000),
            figure("own http", 1, 100),
            figure("port", 1, 50),
            figure("a", 1, 5),
            figure("b", 1, 10),
            figure("b", 2, 40),
        ];
        relate_peers(&mut figures);
        let near = |value: Option<f64>, wanted: f64| value.is_some_and(|value| (value - wanted).abs() < 1e-9);
        assert!(near(figures[2].to_best_peer, 5.0) && near(figures[2].to_http, 0.5));
        assert!(near(figures[3].to_best_peer, 0.5) && figures[5].to_http.is_none());
    }
}
