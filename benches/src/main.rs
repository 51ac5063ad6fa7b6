//! `roadstead-benches`: what Roadstead costs, against the same without it, as ratios of one run.

mod api;
mod audit;
mod bundled;
mod calls;
mod confinement;
mod data;
mod database;
mod figures;
mod http;
mod idle;
mod launch;
mod mcp;
mod packages;
mod payloads;
mod peers;
mod pipes;
mod processes;
mod reads;
mod service;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, ValueEnum};

use crate::api::{Api, Prepared};
use crate::calls::Targets;
use crate::database::Database;
use crate::figures::{PeerFigure, Report};
use crate::launch::Subject;
use crate::service::Service;

/// Measures launches and tool calls against the same without Roadstead, in one run.
///
/// Without --profile or --url it starts a service of its own and takes it away afterwards.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    /// What to measure.
    #[arg(value_enum)]
    what: What,

    /// Measure the service that this profile names; its key has to be an administrator's.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "raw_only"])]
    profile: Option<PathBuf>,

    /// Measure the service at this URL.
    #[arg(long, requires = "key_file", conflicts_with = "raw_only")]
    url: Option<String>,

    /// The file with that service's API key.
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,

    /// Only what the rest is compared with: needs no service.
    #[arg(long)]
    raw_only: bool,

    /// How many launches, one after the other, of each server.
    #[arg(long, default_value_t = 30)]
    launches: usize,

    /// How many launches at once.
    #[arg(long, default_value_t = 50)]
    burst: usize,

    /// How many idle instances.
    #[arg(long, default_value_t = 50)]
    instances: usize,

    /// How often each kind of request is made over large tables.
    #[arg(long, default_value_t = 300)]
    requests: usize,

    /// How many entries the audit log has that is verified and exported.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u32,

    /// How long each target is called at each level.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// Where the bridges written by others are installed [default: target/bench-peers]
    #[arg(long, value_name = "FOLDER")]
    peers: Option<PathBuf>,

    /// Where uvx is [default: on the search path]
    #[arg(long, value_name = "FILE")]
    uvx: Option<PathBuf>,

    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Launch to first tool answer, and many launches at once.
    Launch,
    /// Tool calls at 1, 16 and 64 in flight.
    Calls,
    /// Megabytes a second, from 1 B to 32 MiB there and back.
    Payloads,
    /// Memory and wake-ups of instances that nobody uses. Not part of `all`.
    Idle,
    /// Launches and calls of a server with walls around it and without. Not part of `all`.
    Confinement,
    /// Reads of the REST API at 64 connections, by wrk, and launches beside them. Not part of `all`.
    Reads,
    /// Lists, filters, tails and searches over a million log lines and 100,000 instances. Not part of `all`.
    Data,
    /// Verifying and exporting an audit log of a million entries. Not part of `all`.
    Audit,
    /// Servers of public registries: through Roadstead, by hand, and by npx or uvx. Not part of `all`.
    Packages,
    /// The bundled servers beside others for the same services. Not part of `all`.
    Bundled,
    /// Bridges written by others: needs what tools/install-bench-peers.sh installs. Not part of `all`.
    Peers,
    /// All of these.
    All,
}

/// The programs beside this one.
struct Programs {
    stdio: PathBuf,
    http: PathBuf,
    echo: PathBuf,
    roadstead: PathBuf,
}

impl Programs {
    fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("could not find this program")?;
        let folder = own.parent().unwrap_or(Path::new("/"));
        let beside = |name: &str| folder.join(name);
        Ok(Self {
            stdio: beside("bench-stdio"),
            http: beside("bench-http"),
            echo: beside("roadstead-echo"),
            roadstead: beside("roadstead"),
        })
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(&args))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

async fn run(args: &Args) -> anyhow::Result<Report> {
    let programs = Programs::find()?;
    let service = match (&args.profile, &args.url, &args.key_file) {
        _ if args.raw_only => return measure(args, &programs, None, None).await,
        (Some(profile), _, _) => Service::of_profile(profile)?,
        (None, Some(url), Some(key_file)) => Service::at(url, key_file)?,
        _ => Service::start(&programs.roadstead).await?,
    };
    let mut api = Api::open(&service.url, &service.key).await?;
    let mut prepared = Prepared::default();
    let report = async {
        api.raise_limits(&mut prepared).await?;
        for subject in subjects(&programs) {
            api.create_type(&subject.type_name, subject.program, &[], &mut prepared).await?;
        }
        if args.what == What::Confinement {
            let open = serde_json::json!({ "confinement": { "off": true } });
            api.create_type_with(&open_type(), &programs.stdio, &[], &open, &mut prepared).await?;
        }
        if args.what == What::Peers {
            api.create_type(&mixed_type(), &programs.stdio, &[peers::OUT_OF_ORDER], &mut prepared).await?;
        }
        if args.what == What::Packages {
            let uvx = args.uvx.as_deref();
            let packages = packages::measure(&mut api, args.launches, uvx, &mut prepared).await?;
            return Ok(Report { packages, ..Report::default() });
        }
        if args.what == What::Bundled {
            let folder = programs.stdio.parent().unwrap_or(Path::new("/"));
            let bundled = bundled::measure(&mut api, folder, args.launches, &mut prepared).await?;
            return Ok(Report { bundled, ..Report::default() });
        }
        if matches!(args.what, What::Data | What::Audit) {
            return over_large_tables(args, &programs, &mut api, &service).await;
        }
        measure(args, &programs, Some(&mut api), service.pid()).await
    }
    .await;
    // On a connection of its own: the old one may be in the middle of what failed.
    let put_back = api.again().await?.put_back(prepared).await;
    let report = report?;
    put_back.context("could not put back what was changed for the run")?;
    Ok(report)
}

async fn over_large_tables(
    args: &Args,
    programs: &Programs,
    api: &mut Api,
    service: &Service,
) -> anyhow::Result<Report> {
    let (Some(folder), Some(pid)) = (service.data_dir(), service.pid()) else {
        anyhow::bail!("tables are filled in a service of one's own only: leave --profile and --url out");
    };
    let database = Database::of(folder)?;
    let mut report = Report::default();
    if args.what == What::Data {
        let [subject, _] = subjects(programs);
        report.data = Some(data::measure(api, &database, &subject.type_name, args.requests).await?);
    } else {
        report.audit = Some(audit::measure(api, &database, pid, args.entries).await?);
    }
    Ok(report)
}

fn subjects(programs: &Programs) -> [Subject<'_>; 2] {
    [("bench-stdio", &programs.stdio), ("roadstead-echo", &programs.echo)].map(|(name, program)| Subject {
        name,
        program,
        type_name: format!("{name}-{}", std::process::id()),
    })
}

async fn measure(
    args: &Args,
    programs: &Programs,
    mut api: Option<&mut Api>,
    roadstead: Option<i32>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let subjects = subjects(programs);
    if matches!(args.what, What::Launch | What::All) {
        for subject in &subjects {
            report.launch.push(launch::one_by_one(subject, api.as_deref_mut(), args.launches).await?);
            report.burst.push(launch::burst(subject, api.as_deref_mut(), args.burst).await?);
        }
    }
    if args.what == What::Idle {
        let api = api.context("idle instances need a service")?;
        let echo = &subjects[1].type_name;
        report.idle = Some(idle::measure(api, echo, args.instances, idle::need(roadstead)?).await?);
        return Ok(report);
    }
    if args.what == What::Confinement {
        let api = api.context("confinement needs a service")?;
        let types = [subjects[0].type_name.as_str(), &open_type()];
        let figure = confinement::measure(api, types, args.launches, args.seconds).await?;
        report.confinement = Some(figure);
        return Ok(report);
    }
    if args.what == What::Reads {
        let api = api.context("reads need a service")?;
        report.reads = Some(reads::measure(api, &subjects[0].type_name, args.seconds).await?);
        return Ok(report);
    }
    if args.what == What::Peers {
        report.peers = compare(args, programs, api).await?;
        return Ok(report);
    }
    if args.what != What::Launch {
        let [subject, _] = &subjects;
        let instance = match api.as_deref_mut() {
            Some(api) => Some(api.launch(&subject.type_name).await?),
            None => None,
        };
        let target = instance.as_ref().map(|instance| (instance, roadstead));
        let figures = async {
            let mut targets = Targets::begin(&programs.stdio, &programs.http, target).await?;
            if matches!(args.what, What::Calls | What::All) {
                report.calls = calls::measure(&mut targets, args.seconds).await?;
            }
            if matches!(args.what, What::Payloads | What::All) {
                let Targets { pipe_server, over_http, .. } = &mut targets;
                report.payloads = payloads::measure(pipe_server, over_http, args.seconds).await?;
            }
            anyhow::Ok(())
        }
        .await;
        if let (Some(api), Some(instance)) = (api, &instance) {
            api.delete(instance).await?;
        }
        figures?;
    }
    Ok(report)
}

/// The type whose server has no walls around it.
fn open_type() -> String {
    format!("bench-open-{}", std::process::id())
}

/// The type whose server answers out of order.
fn mixed_type() -> String {
    format!("bench-mixed-{}", std::process::id())
}

async fn compare(
    args: &Args,
    programs: &Programs,
    mut api: Option<&mut Api>,
) -> anyhow::Result<Vec<PeerFigure>> {
    let [subject, _] = &subjects(programs);
    let instances = match api.as_deref_mut() {
        Some(api) => Some((api.launch(&subject.type_name).await?, api.launch(&mixed_type()).await?)),
        None => None,
    };
    let beside = programs.stdio.ancestors().nth(2).unwrap_or(Path::new("/")).join("bench-peers");
    let peers = peers::Peers {
        folder: args.peers.as_deref().unwrap_or(&beside),
        stdio: &programs.stdio,
        http: &programs.http,
        ours: instances.as_ref().map(|(plain, mixed)| (plain, mixed)),
        seconds: args.seconds,
    };
    let figures = peers::measure(&peers).await;
    if let (Some(api), Some((plain, mixed))) = (api, &instances) {
        // On a connection of its own: the old one has been idle for long.
        let mut api = api.again().await?;
        api.delete(plain).await?;
        api.delete(mixed).await?;
    }
    figures
}
