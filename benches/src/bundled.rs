//! The bundled servers beside others for the same services, written for Node: how long each takes from nothing to the list of
//! its tools, and what memory its whole tree of processes has then. All are started by hand, in turn, with secrets that open
//! nothing; none asks its service before a tool is called.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::api::{Api, Prepared};
use crate::figures::packages::{BundledFigure, Spread};
use crate::figures::percentile_of;
use crate::pipes::{PipeServer, Typed};
use crate::processes::{below, load, pss_kib};

const KIB_IN_MIB: f64 = 1024.0;

/// A service: our server for it, and one of a public registry.
struct Service {
    name: &'static str,
    ours: &'static str,
    our_env: &'static [(&'static str, &'static str)],
    theirs: &'static str,
    their_args: &'static [&'static str],
    their_env: &'static [(&'static str, &'static str)],
}

const SERVICES: [Service; 3] = [
    Service {
        name: "github",
        ours: "roadstead-github",
        our_env: &[("GITHUB_TOKEN", "ghp_opensnothing00000000000000000000")],
        theirs: "npm:@modelcontextprotocol/server-github@2025.4.8",
        their_args: &[],
        their_env: &[("GITHUB_PERSONAL_ACCESS_TOKEN", "ghp_opensnothing00000000000000000000")],
    },
    Service {
        name: "figma",
        ours: "roadstead-figma",
        our_env: &[("FIGMA_TOKEN", "figd_opens-nothing")],
        theirs: "npm:figma-developer-mcp@0.13.2",
        their_args: &["--stdio"],
        their_env: &[("FIGMA_API_KEY", "figd_opens-nothing"), ("DO_NOT_TRACK", "1")],
    },
    Service {
        name: "gmail",
        ours: "roadstead-gmail",
        our_env: &[
            ("GMAIL_CLIENT_ID", "opens-nothing.apps.googleusercontent.com"),
            ("GMAIL_CLIENT_SECRET", "opens-nothing"),
            ("GMAIL_REFRESH_TOKEN", "opens-nothing"),
        ],
        theirs: "npm:@gongrzhe/server-gmail-autoauth-mcp@1.1.11",
        their_args: &[],
        their_env: &[],
    },
];

/// What was measured of one server.
#[derive(Default)]
struct Seen {
    initialize: Vec<Duration>,
    tools: Vec<Duration>,
    listed: usize,
    processes: usize,
    pss_kib: Vec<u64>,
}

/// Measures each service's two servers in turn. `programs` is the folder of ours.
pub async fn measure(
    api: &mut Api,
    programs: &Path,
    starts: usize,
    prepared: &mut Prepared,
) -> anyhow::Result<Vec<BundledFigure>> {
    let mut figures = Vec::with_capacity(2 * SERVICES.len());
    for service in &SERVICES {
        figures.extend(one(api, service, programs, starts, prepared).await.context(service.name)?);
    }
    Ok(figures)
}

async fn one(
    api: &mut Api,
    service: &Service,
    programs: &Path,
    starts: usize,
    prepared: &mut Prepared,
) -> anyhow::Result<[BundledFigure; 2]> {
    let home = tempfile::tempdir()?;
    log_in(home.path())?;
    let name = format!("bench-{}-{}", service.name, std::process::id());
    let made = api
        .import(&json!({"source": service.theirs, "name": name, "args": service.their_args}), prepared)
        .await?;
    let theirs = Typed {
        program: PathBuf::from(made["program"].as_str().context("a type was answered without its program")?),
        args: words(&made["args"]),
        env: environment(home.path(), service.their_env),
        inherits: false,
    };
    let ours = Typed {
        program: programs.join(service.ours),
        args: Vec::new(),
        env: environment(home.path(), service.our_env),
        inherits: false,
    };
    let load_before = load();
    let mut seen = [Seen::default(), Seen::default()];
    // The first of each only warms the caches.
    for round in 0..=starts {
        for (typed, seen) in [&ours, &theirs].into_iter().zip(&mut seen) {
            let mut warming = Seen::default();
            start(typed, if round > 0 { seen } else { &mut warming }).await?;
        }
    }
    let loads = [load_before, load()];
    let [ours, theirs] = seen;
    let mut ours = figure(service.name, service.ours, ours, loads);
    let mut theirs = figure(service.name, service.theirs, theirs, loads);
    let memory = ours.pss_p50_mib;
    let took = ours.took.tools_p50_ms;
    for figure in [&mut ours, &mut theirs] {
        figure.time_ratio = figure.took.tools_p50_ms / took;
        figure.memory_ratio = figure.pss_p50_mib.zip(memory).map(|(its, ours)| its / ours);
    }
    Ok([ours, theirs])
}

async fn start(typed: &Typed, seen: &mut Seen) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut server = PipeServer::typed(typed)?;
    server.initialize().await?;
    let initialized = began.elapsed();
    seen.listed = server.tools().await?;
    seen.tools.push(began.elapsed());
    seen.initialize.push(initialized);
    let tree = below(server.pid(), "");
    seen.processes = tree.len();
    seen.pss_kib.extend(pss_kib(&tree));
    Ok(())
}

fn figure(service: &str, server: &str, mut seen: Seen, load: [f64; 2]) -> BundledFigure {
    let mut mib = |percent| percentile_of(&mut seen.pss_kib, percent).map(|kib| kib / KIB_IN_MIB);
    let [pss_p50_mib, pss_p95_mib] = [50, 95].map(&mut mib);
    BundledFigure {
        service: service.to_owned(),
        server: server.to_owned(),
        starts: seen.tools.len(),
        tools: seen.listed,
        took: Spread::of(&mut seen.initialize, &mut seen.tools, &mut []),
        processes: seen.processes,
        pss_p50_mib,
        pss_p95_mib,
        time_ratio: f64::NAN,
        memory_ratio: None,
        load,
    }
}

/// What the server for Gmail wants to find in its home; nothing in it opens anything.
fn log_in(home: &Path) -> anyhow::Result<()> {
    let folder = home.join(".gmail-mcp");
    fs::create_dir(&folder)?;
    let keys = json!({"installed": {
        "client_id": "opens-nothing.apps.googleusercontent.com", "client_secret": "opens-nothing",
        "redirect_uris": ["http://localhost:3000/oauth2callback"],
    }});
    fs::write(folder.join("gcp-oauth.keys.json"), keys.to_string())?;
    Ok(())
}

fn environment(home: &Path, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let home = home.to_string_lossy();
    let every = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", &home),
        ("TMPDIR", &home),
        ("LANG", "C.UTF-8"),
        ("GMAIL_FILES_DIR", &home),
    ];
    every.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
