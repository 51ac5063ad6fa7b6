//! What confinement costs: the same server with walls and without, in turn.

use std::time::Duration;

use serde::Serialize;

use crate::api::Api;
use crate::calls::Target;
use crate::figures::{Load, micros, millis, percentile};
use crate::http::Endpoint;
use crate::launch::launch;
use crate::processes::Ours;

/// Calls are measured in rounds, one target after the other, so that neither has the good minute for itself.
const ROUNDS: u32 = 5;
/// Calls in flight.
const IN_FLIGHT: usize = 4;

/// The two ways that a server is run.
#[derive(Debug, Serialize)]
pub struct ConfinementFigure {
    /// The level that the walls made.
    pub level: String,
    pub launches: usize,
    /// From the request to the answer of the launch.
    pub confined_answered_p50_ms: f64,
    pub open_answered_p50_ms: f64,
    /// From the request to the first answer of a tool.
    pub confined_first_p50_ms: f64,
    pub open_first_p50_ms: f64,
    /// What the walls added to it.
    pub added_ms: f64,
    pub calls: usize,
    pub confined_call_p50_us: f64,
    pub open_call_p50_us: f64,
    /// The median call with walls as a multiple of that without.
    pub call_ratio: f64,
}

#[derive(Default)]
struct Launches {
    answered: Vec<Duration>,
    first: Vec<Duration>,
}

/// Launches and calls the type `confined` and the type `open` in turn.
pub async fn measure(
    api: &mut Api,
    [confined, open]: [&str; 2],
    launches: usize,
    seconds: f64,
) -> anyhow::Result<ConfinementFigure> {
    let mut took = [Launches::default(), Launches::default()];
    // The first of each only warms the caches.
    for round in 0..=launches {
        for (type_name, took) in [confined, open].into_iter().zip(&mut took) {
            let (answered, first) = launch(api, type_name).await?;
            if round > 0 {
                took.answered.push(answered);
                took.first.push(first);
            }
        }
    }
    let (level, mut loads) = calls(api, [confined, open], seconds).await?;
    let [mut with, mut without] = took;
    let [mut confined_calls, mut open_calls] = loads.each_mut().map(Load::take_latencies);
    let calls = confined_calls.len();
    let confined_first_p50_ms = millis(percentile(&mut with.first, 50));
    let open_first_p50_ms = millis(percentile(&mut without.first, 50));
    let confined_call_p50_us = micros(percentile(&mut confined_calls, 50));
    let open_call_p50_us = micros(percentile(&mut open_calls, 50));
    Ok(ConfinementFigure {
        level,
        launches,
        confined_answered_p50_ms: millis(percentile(&mut with.answered, 50)),
        open_answered_p50_ms: millis(percentile(&mut without.answered, 50)),
        confined_first_p50_ms,
        open_first_p50_ms,
        added_ms: confined_first_p50_ms - open_first_p50_ms,
        calls,
        confined_call_p50_us,
        open_call_p50_us,
        call_ratio: confined_call_p50_us / open_call_p50_us,
    })
}

/// Calls an instance of each type in turn.
async fn calls(api: &mut Api, types: [&str; 2], seconds: f64) -> anyhow::Result<(String, [Load; 2])> {
    let instances = [api.launch(types[0]).await?, api.launch(types[1]).await?];
    let level = api.confinement_of(&instances[0]).await?;
    let called = async {
        let mut targets = Vec::with_capacity(instances.len());
        for instance in &instances {
            let endpoint = Endpoint::parse(&instance.port_url, Some(&instance.access_token))?;
            let server = instance.process_id.unwrap_or_default();
            targets.push(Target::begin("port", endpoint, server, Ours::default()).await?);
        }
        let mut loads = [Load::default(), Load::default()];
        let lasting = Duration::from_secs_f64(seconds / f64::from(ROUNDS));
        for _ in 0..ROUNDS {
            for (target, load) in targets.iter().zip(&mut loads) {
                load.add(target.load(IN_FLIGHT, lasting).await?);
            }
        }
        anyhow::Ok(loads)
    }
    .await;
    // On a connection of its own: the old one may have been idle for too long.
    let mut api = api.again().await?;
    for instance in &instances {
        api.delete(instance).await?;
    }
    Ok((level, called?))
}

impl ConfinementFigure {
    pub fn print(&self) {
        println!(
            "\nconfinement ({}), {} launches and {} calls of each",
            self.level, self.launches, self.calls
        );
        println!("{:<34}{:>10}{:>10}", "", "confined", "open");
        let line = |what, confined, open| println!("{what:<34}{confined:>10.2}{open:>10.2}");
        line("launch answered, p50 ms", self.confined_answered_p50_ms, self.open_answered_p50_ms);
        line("first answer of a tool, p50 ms", self.confined_first_p50_ms, self.open_first_p50_ms);
        line("call, p50 µs", self.confined_call_p50_us, self.open_call_p50_us);
        println!(
            "added to a launch: {:.2} ms; a call takes {:.3} times as long",
            self.added_ms, self.call_ratio
        );
    }
}
