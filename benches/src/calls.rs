//! Tool calls: over raw pipes, to a server's own HTTP, through the port, and through the gateway.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::try_join_all;
use std::io::{BufRead, BufReader};

use crate::api::Instance;
use crate::figures::{CallFigure, Load, relate};
use crate::http::{Connection, Endpoint};
use crate::mcp;
use crate::pipes::{self, PipeServer};
use crate::processes::{Ours, Pinned, cpu_of};

const PIPES: &str = "pipes";
const HTTP: &str = "own http";
const PORT: &str = "port";
const GATEWAY: &str = "gateway";

/// How many calls may be in flight, and whether everybody shares a processor then.
const LEVELS: &[(usize, bool)] = &[(1, true), (16, false), (64, false)];

/// Each load is applied in rounds, one target after the other, so that none has the good minute for itself.
const ROUNDS: u32 = 3;

/// Calls on each connection before the clock starts.
const WARM_UP: usize = 50;

/// Something that takes calls over HTTP.
pub struct Target {
    pub name: &'static str,
    pub endpoint: Endpoint,
    server: i32,
    ours: Ours,
}

/// A server that speaks HTTP itself; dropping it ends it.
pub struct HttpServer(Child);

/// Everything that is measured: the server over its pipes, and what takes calls over HTTP.
pub struct Targets {
    pub pipe_server: PipeServer,
    pub over_http: Vec<Target>,
    /// Ends when this is dropped.
    _http_server: HttpServer,
}

impl Targets {
    pub async fn begin(
        stdio: &Path,
        http: &Path,
        instance: Option<(&Instance, Option<i32>)>,
    ) -> anyhow::Result<Self> {
        let mut pipe_server = PipeServer::spawn(stdio)?;
        pipe_server.begin().await?;
        let (http_server, url) = HttpServer::spawn(http)?;
        let own = Endpoint::parse(&url, None)?;
        let mut over_http = vec![Target::begin(HTTP, own, http_server.pid(), Ours::default()).await?];
        if let Some((instance, roadstead)) = instance {
            let server = instance.process_id.context("the launch names no process")?;
            let mut ours = Ours::above(server);
            ours.roadstead = ours.roadstead.or(roadstead);
            if ours.shim.is_empty() {
                eprintln!("no shim was found above process {server}: our own processor time will be missing");
            }
            // One session for both ways in: it has one server process, the one whose pid we know.
            let token = Some(instance.access_token.as_str());
            let port = Endpoint::parse(&instance.port_url, token)?;
            let port = Target::begin(PORT, port, server, ours.clone()).await?;
            let gateway = Endpoint::parse(&instance.access_url, token)?;
            let gateway = Endpoint { headers: port.endpoint.headers.clone(), ..gateway };
            over_http.push(port);
            over_http.push(Target { name: GATEWAY, endpoint: gateway, server, ours });
        }
        Ok(Self { pipe_server, over_http, _http_server: http_server })
    }
}

/// Measures every target at every level.
pub async fn measure(targets: &mut Targets, seconds: f64) -> anyhow::Result<Vec<CallFigure>> {
    let mut figures = Vec::new();
    for (in_flight, one_core) in LEVELS {
        let Targets { pipe_server, over_http, .. } = targets;
        figures.extend(level(pipe_server, over_http, *in_flight, *one_core, seconds).await?);
    }
    Ok(figures)
}

async fn level(
    pipe_server: &mut PipeServer,
    targets: &[Target],
    in_flight: usize,
    one_core: bool,
    seconds: f64,
) -> anyhow::Result<Vec<CallFigure>> {
    let lasting = Duration::from_secs_f64(seconds / f64::from(ROUNDS));
    let mut raw = Load::default();
    let mut loads: Vec<Load> = targets.iter().map(|_| Load::default()).collect();
    for _ in 0..ROUNDS {
        let pinned = one_core.then(|| Pinned::together(&[pipe_server.pid()])).transpose()?;
        raw.add(pipe_server.load(in_flight, lasting).await?);
        drop(pinned);
        for (target, load) in targets.iter().zip(&mut loads) {
            let mut processes = target.ours.all();
            processes.push(target.server);
            let pinned = one_core.then(|| Pinned::together(&processes)).transpose()?;
            load.add(target.load(in_flight, lasting).await?);
            drop(pinned);
        }
    }
    let mut figures = vec![CallFigure::new(PIPES, in_flight, one_core, raw, false)];
    figures.extend(targets.iter().zip(loads).map(|(target, load)| {
        CallFigure::new(target.name, in_flight, one_core, load, !target.ours.shim.is_empty())
    }));
    relate(&mut figures, PIPES, HTTP);
    Ok(figures)
}

impl Target {
    pub async fn begin(
        name: &'static str,
        endpoint: Endpoint,
        server: i32,
        ours: Ours,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(&endpoint).await?;
        let endpoint = mcp::begin(&mut connection, &endpoint).await?;
        mcp::confirm(&mut connection, &endpoint).await?;
        Ok(Self { name, endpoint, server, ours })
    }

    /// Keeps one call in flight on each of so many connections.
    pub async fn load(&self, in_flight: usize, lasting: Duration) -> anyhow::Result<Load> {
        let warm = (0..in_flight).map(|number| async move {
            let mut caller = Caller::new(Connection::open(&self.endpoint).await?, number);
            for _ in 0..WARM_UP {
                caller.call(&self.endpoint).await?;
            }
            anyhow::Ok(caller)
        });
        let callers = try_join_all(warm).await.with_context(|| format!("{} did not warm up", self.name))?;
        let (shim, roadstead) = self.cpu();
        let began = Instant::now();
        let calling = callers.into_iter().map(|mut caller| async move {
            let mut latencies = Vec::new();
            let mut sent = Instant::now();
            while sent - began < lasting {
                caller.call(&self.endpoint).await?;
                let answered = Instant::now();
                latencies.push(answered - sent);
                sent = answered;
            }
            anyhow::Ok(latencies)
        });
        let latencies = try_join_all(calling).await.with_context(|| format!("{} failed", self.name))?;
        let elapsed = began.elapsed();
        let (shim_after, roadstead_after) = self.cpu();
        Ok(Load::new(latencies.concat(), elapsed)
            .with_cpu(shim_after.saturating_sub(shim), roadstead_after.saturating_sub(roadstead)))
    }

    fn cpu(&self) -> (Duration, Duration) {
        let roadstead: Vec<i32> = self.ours.roadstead.into_iter().collect();
        (cpu_of(&self.ours.shim), cpu_of(&roadstead))
    }
}

/// One connection with ids of its own: no two requests of a session may share one.
struct Caller {
    connection: Connection,
    next_id: u64,
    room: Vec<u8>,
}

impl Caller {
    /// More calls than one connection makes in any run.
    const IDS: u64 = 10_000_000;

    fn new(connection: Connection, number: usize) -> Self {
        Self { connection, next_id: mcp::FIRST_ID + Self::IDS * number as u64, room: Vec::new() }
    }

    async fn call(&mut self, endpoint: &Endpoint) -> anyhow::Result<()> {
        self.next_id += 1;
        mcp::call(&mut self.connection, endpoint, self.next_id, &mut self.room).await
    }
}

impl HttpServer {
    pub fn spawn(path: &Path) -> anyhow::Result<(Self, String)> {
        let mut child = pipes::program(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", path.display()))?;
        let output = child.stdout.take().context("its output is no pipe")?;
        let server = Self(child);
        let mut port = String::new();
        BufReader::new(output).read_line(&mut port).context("the server names no port")?;
        Ok((server, format!("http://127.0.0.1:{}/mcp", port.trim())))
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id fits")
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Gone already: what we wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
