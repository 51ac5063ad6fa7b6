//! `roadstead-matrix`: servers and clients written by others, each against each through a Roadstead of its own, and
//! a page that says what works. A cell that is worse than the same client with the same server directly is a failure.

mod client;
mod judge;
mod run;
mod subject;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use roadstead_test_support::App;
use roadstead_test_support::app::programs;

use crate::client::{Client, Kind};
use crate::subject::{Installed, Shared};

/// Drives every server with every client, through port and gateway, and writes a page about it.
///
/// What is missing is installed first, at the locked versions. The exit status is 1 when a cell is worse than the same
/// client with the same server directly.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    /// Also the servers that speak HTTP themselves, and the client that speaks HTTP+SSE of 2024-11-05.
    #[arg(long)]
    http: bool,

    /// Only these servers, by their names in the table.
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,

    /// Only the clients whose names begin so.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,

    /// How many clients at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    jobs: u8,

    /// Install what is missing, and nothing else.
    #[arg(long)]
    install_only: bool,

    /// The page; a part of the table is printed only, unless this is given.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let begun = Instant::now();
    let installed = Installed::ready(&args.server);
    if args.install_only {
        return Ok(ExitCode::SUCCESS);
    }
    let shared = Shared::new(&installed.drivers)?;
    let mut subjects = subject::all(&installed, &shared, args.http);
    subjects.retain(|it| args.server.is_empty() || args.server.contains(&it.name));
    let wanted = |client: &Client| {
        (args.http || client.kind != Kind::PythonSse)
            && (args.client.is_empty()
                || args.client.iter().any(|name| client.name.starts_with(name.as_str())))
    };
    let clients: Vec<Client> = client::ALL.into_iter().filter(wanted).collect();
    anyhow::ensure!(!subjects.is_empty() && !clients.is_empty(), "no such server or client");

    let whole = args.server.is_empty() && args.client.is_empty();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let page = args.page.or(whole.then_some(docs));
    let json = programs().parent().context("a build lies in a target folder")?.join("compatibility.json");
    let app = App::start().await;
    let mut rows = Vec::new();
    for subject in subjects {
        eprintln!("{} ({})", subject.name, subject.source);
        rows.push(run::row(&app, &installed, subject, &clients, args.jobs.into()).await);
        // After each, so that a run that is ended has told what it saw.
        write(&json, &serde_json::to_string_pretty(&table::json(&rows, &clients))?)?;
        if let Some(page) = &page {
            write(page, &table::page(&rows, &clients))?;
        }
    }
    let (status, _folder) = app.interrupt().await;
    anyhow::ensure!(status.success(), "the service ended with {status}");
    if page.is_none() {
        println!("{}", table::page(&rows, &clients));
    }
    let count = table::count(&rows, &clients);
    eprintln!("{count:?} in {:.0} s; everything seen: {}", begun.elapsed().as_secs_f64(), json.display());
    Ok(if count.worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} could not be written", file.display()))
}
