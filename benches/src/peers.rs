//! The same server behind bridges written by others, behind ours, and with its own HTTP: one run, one client.

mod bridge;
mod mixed;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::try_join_all;

use crate::api::Instance;
use crate::calls::HttpServer;
use crate::figures::{Load, PeerFigure, relate_peers};
use crate::http::{Connection, Endpoint};
use crate::mcp;
use crate::pipes::PipeServer;
use crate::processes::{Ours, below, cpu_of};
use bridge::{Bridge, KINDS};
pub use mixed::OUT_OF_ORDER;

/// How many calls may be in flight, over how many sessions.
const LEVELS: [(usize, usize); 5] = [(1, 1), (16, 1), (64, 1), (16, 16), (64, 16)];
const SESSIONS: usize = 16;
/// Calls on each connection before the clock starts.
const WARM_UP: usize = 20;
/// No connection makes more calls: ids do not meet.
const IDS_OF_ONE: u64 = 10_000_000;

/// Something that takes calls over HTTP, with its sessions.
struct Contender {
    name: String,
    sessions: Vec<Endpoint>,
    /// What stands between the client and the server.
    between: Vec<i32>,
    /// Why it is not measured, if so.
    missing: Option<String>,
}

/// Everything that the comparison needs.
pub struct Peers<'a> {
    /// Where the peers are installed.
    pub folder: &'a Path,
    pub stdio: &'a Path,
    pub http: &'a Path,
    /// Our instances: one whose server answers in turn, and one whose server does not.
    pub ours: Option<(&'a Instance, &'a Instance)>,
    pub seconds: f64,
}

/// Measures all of them.
pub async fn measure(peers: &Peers<'_>) -> anyhow::Result<Vec<PeerFigure>> {
    let mut figures = Vec::new();
    let mut pipe_server = PipeServer::spawn(peers.stdio)?;
    pipe_server.begin().await?;
    for (in_flight, sessions) in LEVELS.into_iter().filter(|(_, sessions)| *sessions == 1) {
        let load = pipe_server.load(in_flight, Duration::from_secs_f64(peers.seconds)).await?;
        figures.push(PeerFigure::new("pipes", in_flight, sessions, load, None));
    }
    drop(pipe_server);
    let (http_server, url) = HttpServer::spawn(peers.http)?;
    let own = Contender::begin("own http", &Endpoint::parse(&url, None)?, Vec::new()).await;
    own.measure(peers.seconds, &mut figures).await?;
    drop(http_server);
    if let Some((instance, mixed)) = peers.ours {
        let server = instance.process_id.context("the launch names no process")?;
        for (name, url, mixed) in [
            ("port", &instance.port_url, &mixed.port_url),
            ("gateway", &instance.access_url, &mixed.access_url),
        ] {
            let endpoint = |url: &str, token: &str| Endpoint::parse(url, Some(token));
            let ours =
                Contender::begin(name, &endpoint(url, &instance.access_token)?, Ours::above(server).all())
                    .await;
            ours.measure(peers.seconds, &mut figures).await?;
            ours.end().await;
            let token = peers.ours.map(|(_, mixed)| &mixed.access_token).context("ours")?;
            figures.push(mixed::count(name, &endpoint(mixed, token)?, SESSIONS).await);
        }
    }
    for kind in KINDS {
        let name = kind.name;
        match Bridge::start(kind, peers.folder, peers.stdio, &[]).await {
            Ok(bridge) => {
                let contender =
                    Contender::begin(name, &bridge.endpoint, below(bridge.pid(), "bench-stdio")).await;
                contender.measure(peers.seconds, &mut figures).await?;
            }
            Err(error) => figures.push(PeerFigure::missing(name, 1, 1, &format!("{error:#}"))),
        }
        if let Ok(bridge) = Bridge::start(kind, peers.folder, peers.stdio, &[OUT_OF_ORDER]).await {
            figures.push(mixed::count(name, &bridge.endpoint, SESSIONS).await);
        }
    }
    relate_peers(&mut figures);
    Ok(figures)
}

impl Contender {
    /// Opens its sessions.
    async fn begin(name: &str, endpoint: &Endpoint, between: Vec<i32>) -> Self {
        let mut opened = Vec::new();
        let mut missing = None;
        for _ in 0..SESSIONS {
            match session(endpoint).await {
                Ok(session) => opened.push(session),
                Err(error) => {
                    missing = Some(format!("{error:#}"));
                    break;
                }
            }
        }
        Self { name: name.to_owned(), sessions: opened, between, missing }
    }

    async fn end(&self) {
        for session in &self.sessions {
            if let Ok(mut connection) = Connection::open(session).await {
                // What is left of a session ends with its instance.
                let _ = connection.exchange(session, "DELETE", b"").await;
            }
        }
    }

    async fn measure(&self, seconds: f64, figures: &mut Vec<PeerFigure>) -> anyhow::Result<()> {
        for (in_flight, sessions) in LEVELS {
            if self.sessions.len() < sessions {
                let why = self.missing.as_deref().unwrap_or("it has too few sessions");
                figures.push(PeerFigure::missing(&self.name, in_flight, sessions, why));
                continue;
            }
            let lasting = Duration::from_secs_f64(seconds);
            figures.push(match self.load(in_flight, sessions, lasting).await {
                Ok((load, cpu)) => {
                    let cpu = (!self.between.is_empty()).then_some(cpu);
                    PeerFigure::new(&self.name, in_flight, sessions, load, cpu)
                }
                Err(error) => PeerFigure::missing(&self.name, in_flight, sessions, &format!("{error:#}")),
            });
        }
        Ok(())
    }

    async fn load(
        &self,
        in_flight: usize,
        sessions: usize,
        lasting: Duration,
    ) -> anyhow::Result<(Load, Duration)> {
        let warm = (0..in_flight).map(|number| async move {
            let session = &self.sessions[number % sessions];
            let mut connection = Connection::open(session).await?;
            let mut room = Vec::new();
            let first = mcp::FIRST_ID + IDS_OF_ONE * number as u64;
            for id in first..first + WARM_UP as u64 {
                mcp::call(&mut connection, session, id, &mut room).await?;
            }
            anyhow::Ok((connection, session, first + WARM_UP as u64))
        });
        let callers = try_join_all(warm).await?;
        let before = cpu_of(&self.between);
        let began = Instant::now();
        let calling = callers.into_iter().map(|(mut connection, session, first)| async move {
            let (mut latencies, mut room, mut sent, mut id) = (Vec::new(), Vec::new(), Instant::now(), first);
            while sent - began < lasting {
                mcp::call(&mut connection, session, id, &mut room).await?;
                let answered = Instant::now();
                latencies.push(answered - sent);
                (sent, id) = (answered, id + 1);
            }
            anyhow::Ok(latencies)
        });
        let latencies = try_join_all(calling).await?.concat();
        let elapsed = began.elapsed();
        Ok((Load::new(latencies, elapsed), cpu_of(&self.between).saturating_sub(before)))
    }
}

/// One session, ready for calls.
async fn session(endpoint: &Endpoint) -> anyhow::Result<Endpoint> {
    let mut connection = Connection::open(endpoint).await?;
    let session = mcp::begin(&mut connection, endpoint).await?;
    mcp::confirm(&mut connection, &session).await?;
    Ok(session)
}
