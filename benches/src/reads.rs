//! Reads of the REST API at many connections by a load tool that others wrote, and what they do to launches.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::api::Api;
use crate::figures::{millis, percentile};
use crate::launch::launch;
use crate::pipes;

/// Connections that read at once.
const CONNECTIONS: u32 = 64;
/// The reads a second that launches are measured beside, apart from as many as there can be.
const PACE: u32 = 2_500;
/// What a read takes about, which its connection does not rest in addition.
const READ_MS: u32 = 4;
/// Instances that a list shows.
const LISTED: usize = 20;
/// Launches beside the reads and without them are measured in rounds, in turn.
const ROUNDS: u32 = 4;
/// Launches of one round.
const LAUNCHES: usize = 10;

/// What reads cost.
#[derive(Debug, Serialize)]
pub struct ReadsFigure {
    pub connections: u32,
    pub one: ReadFigure,
    pub list: ReadFigure,
    pub launch_alone_p50_ms: f64,
    /// While others read as often as they can.
    pub launch_beside_p50_ms: f64,
    /// That as a multiple of one without.
    pub launch_ratio: f64,
    /// Reads a second, when each connection rests between its own.
    pub paced_per_second: f64,
    /// While others read at that pace.
    pub launch_paced_p50_ms: f64,
    /// That as a multiple of one without.
    pub paced_ratio: f64,
}

/// One path under load, as the load tool tells it.
#[derive(Debug, Default, Clone, Serialize)]
pub struct ReadFigure {
    pub per_second: f64,
    pub p50: String,
    pub p99: String,
    /// Answers that were no 2xx or 3xx, and sockets that failed.
    pub failures: String,
}

impl ReadsFigure {
    pub fn print(&self) {
        println!("\nreads at {} connections, by wrk, while instances are launched", self.connections);
        println!("{:<24}{:>12}{:>12}{:>12}{:>24}", "path", "reads/s", "p50", "p99", "failures");
        for (path, figure) in [("/instances/{id}", &self.one), ("/instances?limit=20", &self.list)] {
            println!(
                "{path:<24}{:>12.0}{:>12}{:>12}{:>24}",
                figure.per_second, figure.p50, figure.p99, figure.failures
            );
        }
        println!(
            "launch answered, p50 in ms: alone {:.1}, beside {:.0} reads of one instance a second {:.1}: {:.2} times, beside as many \
             as there can be {:.1}: {:.2} times",
            self.launch_alone_p50_ms,
            self.paced_per_second,
            self.launch_paced_p50_ms,
            self.paced_ratio,
            self.launch_beside_p50_ms,
            self.launch_ratio
        );
    }
}

/// Reads one instance and a list, and launches beside it.
pub async fn measure(api: &mut Api, type_name: &str, seconds: f64) -> anyhow::Result<ReadsFigure> {
    let mut listed = Vec::new();
    for _ in 0..LISTED {
        listed.push(api.launch(type_name).await?);
    }
    let figures = run(api, type_name, &listed[0].id, seconds).await;
    for instance in &listed {
        api.delete(instance).await?;
    }
    figures
}

async fn run(api: &mut Api, type_name: &str, id: &str, seconds: f64) -> anyhow::Result<ReadsFigure> {
    let [script, paced] =
        [script(api.headers(), 0)?, script(api.headers(), CONNECTIONS * 1000 / PACE - READ_MS)?];
    let [one, list] = [format!("/api/v1/instances/{id}"), "/api/v1/instances?limit=20".to_owned()];
    let whole = seconds.max(1.0).ceil();
    let [one, list] = [one, list].map(|path| format!("{}{path}", api.base()));
    let list = finished(wrk(&list, script.path(), whole)?).await?;
    let one_alone = finished(wrk(&one, script.path(), whole)?).await?;
    let (mut alone, mut beside, mut beside_paced, mut rate) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        launches(api, type_name, &mut alone).await?;
        let load = wrk(&one, paced.path(), whole)?;
        launches(api, type_name, &mut beside_paced).await?;
        rate += finished(load).await?.per_second / f64::from(ROUNDS);
        let load = wrk(&one, script.path(), whole)?;
        launches(api, type_name, &mut beside).await?;
        finished(load).await?;
    }
    let [alone, beside, beside_paced] =
        [&mut alone, &mut beside, &mut beside_paced].map(|took| millis(percentile(took, 50)));
    Ok(ReadsFigure {
        connections: CONNECTIONS,
        one: one_alone,
        list,
        launch_alone_p50_ms: alone,
        launch_beside_p50_ms: beside,
        launch_ratio: beside / alone,
        paced_per_second: rate,
        launch_paced_p50_ms: beside_paced,
        paced_ratio: beside_paced / alone,
    })
}

async fn launches(api: &mut Api, type_name: &str, took: &mut Vec<Duration>) -> anyhow::Result<()> {
    for _ in 0..LAUNCHES {
        took.push(launch(api, type_name).await?.0);
    }
    Ok(())
}

/// The key is in a file that only we may read: a command line is everybody's. With a rest, each connection waits so many
/// milliseconds before each read.
fn script(headers: &str, rest_ms: u32) -> anyhow::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("roadstead-bench-").suffix(".lua").tempfile()?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    for (name, value) in headers.lines().filter_map(|line| line.split_once(": ")) {
        writeln!(file, "wrk.headers[{name:?}] = {value:?}")?;
    }
    if rest_ms > 0 {
        writeln!(file, "function delay() return {rest_ms} end")?;
    }
    Ok(file)
}

fn wrk(url: &str, script: &Path, seconds: f64) -> anyhow::Result<Child> {
    pipes::program(Path::new("wrk"))
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency", "-s"])
        .arg(script)
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("the reads are made by wrk, which is not installed: apt install wrk")
}

async fn finished(load: Child) -> anyhow::Result<ReadFigure> {
    let output = tokio::task::spawn_blocking(move || load.wait_with_output()).await??;
    if !output.status.success() {
        bail!("wrk ended with {}", output.status);
    }
    read(&String::from_utf8_lossy(&output.stdout))
}

/// The figures in what wrk prints.
fn read(text: &str) -> anyhow::Result<ReadFigure> {
    let after = |word: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(word));
        line.map(|line| line[word.len()..].trim().to_owned())
    };
    let per_second = after("Requests/sec:").context("wrk told no rate")?.parse()?;
    let failures = [after("Non-2xx or 3xx responses:"), after("Socket errors:")];
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    Ok(ReadFigure {
        per_second,
        p50: after("50%").unwrap_or_default(),
        p99: after("99%").unwrap_or_default(),
        failures: if failures.is_empty() { "none".to_owned() } else { failures.join(", ") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_load_tool_prints_is_read() {
        let text = "Running 1s test\n  Latency Distribution\n     50%    2.10ms\n     99%   12.00ms\n  2500 requests in 1.00s\n  \
            Non-2xx or 3xx responses: 3\nRequests/sec:   2500.40\n";
        let figure = read(text).unwrap();
        assert!((figure.per_second - 2500.4).abs() < 0.01);
        assert_eq!(
            (figure.p50.as_str(), figure.p99.as_str(), figure.failures.as_str()),
            ("2.10ms", "12.00ms", "3")
        );
    }
}
