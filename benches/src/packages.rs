//! What it takes to start a server of a public registry: through Roadstead, by hand with the same program, arguments and
//! environment, and by the runner that its documentation names (`npx`, `uvx`). All in turn, so that none has the quiet
//! minute for itself.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::api::{Api, Instance, Prepared};
use crate::figures::packages::{PackageFigure, Spread};
use crate::http::{Connection, Endpoint};
use crate::mcp;
use crate::pipes::{PipeServer, Typed};
use crate::processes::{StartedWith, load, started_with};

/// A runner takes a second or two each time.
const MOST_RUNS: usize = 15;
/// By hand with the same words, through Roadstead, by hand as installed, by the runner.
const WAYS: usize = 4;
/// Before each start: what was ended before it is still being cleared away.
const REST: Duration = Duration::from_millis(250);
/// What an import puts in front of a program for Node.
const ADDED: &str = "--preserve-symlinks";
/// What a launch tells Node beside: where it finds what it compiled before. Nobody has that by hand.
const LENT: &str = "NODE_COMPILE_CACHE";

/// A package, and how people run it.
struct Subject {
    name: &'static str,
    source: &'static str,
    args: &'static [&'static str],
    /// The runner's words before the arguments.
    runner: &'static [&'static str],
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "server-everything",
        source: "npm:@modelcontextprotocol/server-everything@2026.8.31",
        args: &["stdio"],
        runner: &["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"],
    },
    Subject {
        name: "server-filesystem",
        source: "npm:@modelcontextprotocol/server-filesystem@2026.8.31",
        args: &["${dir}"],
        runner: &["npx", "-y", "@modelcontextprotocol/server-filesystem@2026.8.31"],
    },
    Subject {
        name: "mcp-server-time",
        source: "pypi:mcp-server-time@2026.10.19",
        args: &["--local-timezone", "Europe/Lisbon"],
        runner: &["uvx", "mcp-server-time@2026.10.19"],
    },
];

/// From nothing to each step, over several starts.
#[derive(Debug, Default)]
pub struct Starts {
    /// Until the launch was answered; by hand there is no such thing.
    pub answered: Vec<Duration>,
    pub initialize: Vec<Duration>,
    pub tools: Vec<Duration>,
}

impl Starts {
    fn spread(&mut self) -> Spread {
        Spread::of(&mut self.initialize, &mut self.tools, &mut self.answered)
    }
}

/// Measures each package. `uvx` is where that runner is, if it is not on the search path.
pub async fn measure(
    api: &mut Api,
    launches: usize,
    uvx: Option<&Path>,
    prepared: &mut Prepared,
) -> anyhow::Result<Vec<PackageFigure>> {
    let mut figures = Vec::with_capacity(SUBJECTS.len());
    for subject in SUBJECTS {
        figures.push(one(api, subject, launches, uvx, prepared).await.context(subject.name)?);
    }
    Ok(figures)
}

async fn one(
    api: &mut Api,
    subject: &Subject,
    launches: usize,
    uvx: Option<&Path>,
    prepared: &mut Prepared,
) -> anyhow::Result<PackageFigure> {
    let name = format!("{}-{}", subject.name, std::process::id());
    let body = json!({"source": subject.source, "name": name, "args": subject.args});
    api.import(&body, prepared).await?;
    api.look_at(&name).await?;
    let home = tempfile::tempdir()?;
    let by_hand = as_launched(api, &name, home.path()).await?;
    let plain = plain(&by_hand);
    let mut runner = runner(subject, uvx, home.path());
    if let Some(typed) = &runner {
        // It fetches what it needs once, and finds it again from then on.
        if start(typed, &mut Starts::default()).await.is_err() {
            runner = None;
        }
    }
    let load_before = load();
    let [mut raw, mut bare, mut ours, mut run] = std::array::from_fn(|_| Starts::default());
    // The first of each only warms the caches.
    for round in 0..=launches {
        for turn in 0..WAYS {
            tokio::time::sleep(REST).await;
            let mut warming = Starts::default();
            let is_warm = round > 0;
            // Each comes first as often as the others.
            match (round + turn) % WAYS {
                0 => start(&by_hand, if is_warm { &mut raw } else { &mut warming }).await?,
                1 => launch(api, &name, if is_warm { &mut ours } else { &mut warming }).await?,
                2 => {
                    if let Some(typed) = &plain {
                        start(typed, if is_warm { &mut bare } else { &mut warming }).await?;
                    }
                }
                _ => {
                    if let Some(typed) = runner.as_ref().filter(|_| (1..=MOST_RUNS).contains(&round)) {
                        start(typed, &mut run).await?;
                    }
                }
            }
        }
    }
    Ok(PackageFigure::new(
        subject.source,
        launches,
        (raw.spread(), plain.map(|_| bare.spread())),
        ours.spread(),
        runner.map(|_| (subject.runner[..subject.runner.len() - 1].join(" "), run.spread())),
        [load_before, load()],
    ))
}

/// What a launch executes, read from a server that runs, in a folder that stays.
async fn as_launched(api: &mut Api, type_name: &str, home: &Path) -> anyhow::Result<Typed> {
    let instance = api.launch(type_name).await?;
    let read = instance.process_id.context("no process").and_then(started_with);
    api.delete(&instance).await?;
    let StartedWith { line, env } = read?;
    let own = env.iter().find(|(name, _)| name == "HOME").context("a server has a HOME")?.1.clone();
    let home = home.to_string_lossy();
    let moved = |text: &String| text.replace(&own, &home);
    let (program, args) = line.split_first().context("a process has a program")?;
    Ok(Typed {
        program: PathBuf::from(program),
        args: args.iter().map(moved).collect(),
        env: env
            .iter()
            .filter(|(name, _)| name != LENT)
            .map(|(name, value)| (name.clone(), moved(value)))
            .collect(),
        inherits: false,
    })
}

/// The same without what an import adds for a quicker start; none if it adds nothing.
fn plain(by_hand: &Typed) -> Option<Typed> {
    let kept = by_hand.args.iter().filter(|arg| *arg != ADDED).cloned().collect();
    (by_hand.args.iter().any(|arg| arg == ADDED)).then(|| Typed { args: kept, ..by_hand.clone() })
}

/// What people type, with a home of its own; none if there is no such runner.
fn runner(subject: &Subject, uvx: Option<&Path>, home: &Path) -> Option<Typed> {
    let (program, words) = subject.runner.split_first()?;
    let program = uvx.filter(|_| *program == "uvx").unwrap_or(Path::new(program)).to_owned();
    let home = home.to_string_lossy().into_owned();
    let args = words.iter().chain(subject.args).map(|word| word.replace("${dir}", &home)).collect();
    Some(Typed { program, args, env: vec![("HOME".to_owned(), home)], inherits: true })
}

async fn start(typed: &Typed, starts: &mut Starts) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut server = PipeServer::typed(typed)?;
    server.initialize().await?;
    let initialized = began.elapsed();
    server.tools().await?;
    starts.tools.push(began.elapsed());
    starts.initialize.push(initialized);
    Ok(())
}

async fn launch(api: &mut Api, type_name: &str, starts: &mut Starts) -> anyhow::Result<()> {
    let began = Instant::now();
    let instance = api.launch(type_name).await?;
    let answered = began.elapsed();
    let spoken = first_words(&instance, began).await;
    api.delete(&instance).await?;
    let (initialized, listed) = spoken?;
    starts.answered.push(answered);
    starts.initialize.push(initialized);
    starts.tools.push(listed);
    Ok(())
}

/// What a client says first, on the instance's own port.
async fn first_words(instance: &Instance, began: Instant) -> anyhow::Result<(Duration, Duration)> {
    let endpoint = Endpoint::parse(&instance.port_url, Some(&instance.access_token))?;
    let mut connection = Connection::open(&endpoint).await?;
    let endpoint = mcp::begin(&mut connection, &endpoint).await?;
    let initialized = began.elapsed();
    mcp::confirm(&mut connection, &endpoint).await?;
    mcp::list(&mut connection, &endpoint).await?;
    Ok((initialized, began.elapsed()))
}
