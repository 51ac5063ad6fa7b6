//! Lists, filters, tails and searches of the REST API over large tables, beside the plain statement that finds the same rows.

mod fill;
mod requests;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::api::Api;
use crate::database::Database;
use crate::figures::{millis, percentile};
use crate::http::{Connection, Endpoint};
use fill::Callers;
use requests::{Reach, Request};

/// What was asked for is asked for in rounds, each of everything, so that a busy moment of the machine meets all alike.
const ROUNDS: usize = 3;
/// What nine in ten and more are to be answered within.
const AIM_MS: f64 = 20.0;
/// Before a round, a connection prepares its statements.
const WARM: usize = 6;

/// What the API takes over large tables.
#[derive(Debug, Serialize)]
pub struct DataFigure {
    pub instances: u32,
    pub log_lines: u32,
    pub requests: usize,
    /// The machine's own word: processes that ran or waited, over the last minute, before and after.
    pub load: [String; 2],
    pub lines: Vec<DataLine>,
}

/// One kind of request by one caller.
#[derive(Debug, Serialize)]
pub struct DataLine {
    pub reach: &'static str,
    pub request: &'static str,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    /// The plain statement, by psql as the tables' owner.
    pub statement_p50_ms: f64,
    /// The median as a multiple of the statement's.
    pub to_statement: f64,
}

impl DataFigure {
    pub fn print(&self) {
        println!(
            "\n{} log lines and {} instances, {} requests each, one at a time; in ms (load {} before, {} after)",
            self.log_lines, self.instances, self.requests, self.load[0], self.load[1]
        );
        println!(
            "{:<14}{:<30}{:>8}{:>8}{:>8}{:>12}{:>14}",
            "sees", "request", "p50", "p95", "p99", "statement", "to statement"
        );
        for line in &self.lines {
            println!(
                "{:<14}{:<30}{:>8.2}{:>8.2}{:>8.2}{:>12.2}{:>14.2}{}",
                line.reach,
                line.request,
                line.p50_ms,
                line.p95_ms,
                line.p99_ms,
                line.statement_p50_ms,
                line.to_statement,
                if line.p95_ms > AIM_MS { "   above the aim" } else { "" },
            );
        }
        let above = self.lines.iter().filter(|line| line.p95_ms > AIM_MS).count();
        println!("{above} of {} have a 95th percentile above {AIM_MS} ms", self.lines.len());
    }
}

/// One kind of request while it is measured.
struct Asked {
    request: Request,
    endpoint: Endpoint,
    took: Vec<Duration>,
    statement: Vec<Duration>,
}

/// Fills the tables, and asks.
pub async fn measure(
    api: &mut Api,
    database: &Database,
    type_name: &str,
    requests: usize,
) -> anyhow::Result<DataFigure> {
    let callers = fill::fill(api, database, type_name).await?;
    let before = load();
    let mut lines = Vec::new();
    for reach in Reach::EACH {
        lines.extend(of_caller(api, database, &callers, reach, requests).await?);
    }
    Ok(DataFigure {
        instances: fill::INSTANCES,
        log_lines: fill::LINES,
        requests,
        load: [before, load()],
        lines,
    })
}

pub fn load() -> String {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split(' ').next().unwrap_or("unknown").to_owned()
}

async fn of_caller(
    api: &Api,
    database: &Database,
    callers: &Callers,
    reach: Reach,
    requests: usize,
) -> anyhow::Result<Vec<DataLine>> {
    let base = match reach {
        Reach::Own => Endpoint::parse(&api.base(), Some(&callers.member))?,
        Reach::Organization => Endpoint::parse(&api.base(), Some(&callers.manager))?,
        Reach::All => Endpoint { headers: api.headers().to_owned(), ..Endpoint::parse(&api.base(), None)? },
    };
    let mut connection = Connection::open(&base).await?;
    let (since, until) = (moment(database, "5 hours").await?, moment(database, "4 hours").await?);
    let mut all = Vec::new();
    for request in requests::of(reach, callers, &since, &until) {
        let endpoint = page_of(&mut connection, &base, &request).await?;
        all.push(Asked { request, endpoint, took: Vec::new(), statement: Vec::new() });
    }
    let times = requests.div_ceil(ROUNDS);
    for _ in 0..ROUNDS {
        for asked in &mut all {
            for number in 0..WARM + times {
                let began = Instant::now();
                let answer = connection.exchange(&asked.endpoint, "GET", b"").await?;
                let took = began.elapsed();
                ensure!(answer.status == 200, "{} was answered with {}", asked.request.path, answer.status);
                if number >= WARM {
                    asked.took.push(took);
                }
            }
            asked.statement.extend(database.timed(&asked.request.statement, times.div_ceil(3)).await?);
        }
    }
    Ok(all.into_iter().map(|asked| line(reach, asked)).collect())
}

fn line(reach: Reach, mut asked: Asked) -> DataLine {
    let p50_ms = millis(percentile(&mut asked.took, 50));
    let statement_p50_ms = millis(percentile(&mut asked.statement, 50));
    DataLine {
        reach: reach.as_str(),
        request: asked.request.name,
        p50_ms,
        p95_ms: millis(percentile(&mut asked.took, 95)),
        p99_ms: millis(percentile(&mut asked.took, 99)),
        statement_p50_ms,
        to_statement: p50_ms / statement_p50_ms,
    }
}

async fn moment(database: &Database, ago: &str) -> anyhow::Result<String> {
    let ask = format!(
        "select to_char((now() - interval '{ago}') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    );
    database.run(&ask).await
}

/// Goes from page to page until the one that is asked for.
async fn page_of(
    connection: &mut Connection,
    base: &Endpoint,
    request: &Request,
) -> anyhow::Result<Endpoint> {
    let mut endpoint = base.at(&format!("/api/v1{}", request.path));
    for _ in 0..request.pages {
        let (status, page): (u16, Value) = connection.json(&endpoint, "GET", None).await?;
        ensure!(status == 200, "{} was answered with {status}: {page}", request.path);
        let cursor =
            page["next_cursor"].as_str().with_context(|| format!("{} has no more pages", request.path))?;
        endpoint = base.at(&format!("/api/v1{}&cursor={cursor}", request.path));
    }
    Ok(endpoint)
}
