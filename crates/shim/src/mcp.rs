//! The bridge, with servers of ours behind it.

mod config;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use roadstead_bridge::{
    Bridge, BridgeBody, EndReason, Ender, LaunchFailure, Note, Observer, Opening, Purpose, ReadyFailure,
    ServerLauncher, ServerPipes, Use, Via,
};
use roadstead_control::Specification;
use roadstead_listener::Upload;
use roadstead_model::{Era, LogLevel, ToolsDiffer};
use tokio::sync::watch;

use crate::http_server::HttpServer;
use crate::instance::Instance;
use crate::launcher::{Launcher, Opened};
use crate::logs::Logs;
use crate::spawner::{End, Server, StartFailure};
use crate::usage::Usage;

/// How long the word of a server's end may take after its output has ended.
const END_NOTICE: Duration = Duration::from_secs(1);

/// The router of the instance, and the era that its type was given.
pub(crate) struct Mcp {
    bridge: Bridge,
    era: Era,
    /// The one process of a server that speaks HTTP, which outlives each conversation with it.
    http: Option<Rc<HttpServer>>,
}

/// What the bridge has to say, and to whom.
pub(crate) struct Heard {
    pub(crate) logs: Rc<Logs>,
    pub(crate) usage: Rc<Usage>,
    /// Told the era, once it was found out.
    pub(crate) era: watch::Sender<Option<Era>>,
    /// Told which tools are others than the approved ones, whenever there are more of them.
    pub(crate) tools_differ: watch::Sender<Option<ToolsDiffer>>,
}

/// Why a server that was started again is not ready.
pub(crate) struct NotAgain {
    /// For people: a clause.
    pub(crate) why: String,
    /// How it ended, if that was seen.
    pub(crate) end: End,
    /// Which it was, if its process was started.
    pub(crate) server: Option<u32>,
}

/// Why the first server is not ready.
pub(crate) enum NotReady {
    /// It has ended, or closed its output.
    Ended,
    /// It said nothing.
    Silent,
    /// It is not what its type says.
    Misbehaved(String),
}

impl Mcp {
    /// A router over servers on their standard streams, which has the first one already.
    pub(crate) fn over_pipes(
        launcher: Rc<Launcher>,
        opened: Opened,
        plan: &Specification,
        heard: Heard,
    ) -> Self {
        let pipes = launcher.pipes(opened);
        Self::new(Rc::new(Servers(launcher)), pipes, None, plan, heard)
    }

    /// A router over a server that speaks HTTP.
    pub(crate) fn over_http(server: Rc<HttpServer>, plan: &Specification, heard: Heard) -> Self {
        let pipes = server.first(plan.era);
        Self::new(Rc::clone(&server) as Rc<dyn ServerLauncher>, pipes, Some(server), plan, heard)
    }

    fn new(
        servers: Rc<dyn ServerLauncher>,
        first: ServerPipes,
        http: Option<Rc<HttpServer>>,
        plan: &Specification,
        heard: Heard,
    ) -> Self {
        let random = Box::new(|bytes: &mut [u8]| {
            for part in bytes.chunks_mut(32) {
                part.copy_from_slice(&roadstead_sandbox::privilege::random_bytes::<32>()[..part.len()]);
            }
        });
        let bridge = Bridge::new(config::config(plan), servers, random, Box::new(heard));
        bridge.adopt(first);
        Self { bridge, era: plan.era, http }
    }

    /// Waits until the first server answers, or is known to live without a word: then it is true.
    pub(crate) async fn ready(&self, patience: Duration) -> Result<bool, NotReady> {
        match self.bridge.ready(patience).await {
            Ok(ready) => Ok(matches!(ready, roadstead_bridge::Ready::SilentButAlive)),
            Err(ReadyFailure::Ended) => Err(NotReady::Ended),
            Err(ReadyFailure::Silent(_)) => Err(NotReady::Silent),
            Err(other @ (ReadyFailure::NotModern | ReadyFailure::NothingAdopted)) => {
                Err(NotReady::Misbehaved(other.to_string()))
            }
        }
    }

    /// From now on a fresh server hears nothing before its first client.
    pub(crate) fn ask_nothing(&self) {
        self.bridge.ask_nothing();
    }

    /// From now on what needs a server waits for one that is started again.
    pub(crate) fn pause(&self) {
        self.bridge.pause();
    }

    /// Starts a fresh first server and waits until it is ready, as at launch.
    pub(crate) async fn start_again(
        &self,
        instance: &Instance,
        launcher: &Rc<Launcher>,
        patience: Duration,
    ) -> Result<Server, NotAgain> {
        let (server, pipes) = if let Some(http) = &self.http {
            let server = http.start_again(instance, patience).await?;
            (server, http.first(self.era))
        } else {
            let opened = launcher.open().await.map_err(|fault| NotAgain::not_started(&fault))?;
            (opened.server.clone(), launcher.pipes(opened))
        };
        match self.bridge.start_again(pipes, patience).await {
            Ok(_) => Ok(server),
            Err(failure) => {
                let end = tokio::time::timeout(END_NOTICE, server.clone().ended()).await;
                if let (ReadyFailure::Ended, Ok(end)) = (&failure, end) {
                    return Err(NotAgain::ended(&server, end));
                }
                if let Some(http) = &self.http {
                    http.stop();
                }
                let why = format!("the server was started again, but is not ready: {failure}");
                Err(NotAgain { why, end: End::Lost, server: Some(server.number) })
            }
        }
    }

    /// How clients use the instance.
    pub(crate) fn usage(&self) -> Use {
        self.bridge.usage()
    }

    /// Resolves when no request of a client waits for an answer.
    pub(crate) async fn unused(&self) {
        self.bridge.unused().await;
    }

    pub(crate) async fn handle(&self, request: Request<Upload<Incoming>>, via: Via) -> Response<BridgeBody> {
        self.bridge.handle(request, via).await
    }

    /// Calls that wait for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.bridge.in_flight()
    }

    /// Takes no new calls; resolves when none is in flight.
    pub(crate) async fn drain(&self) {
        self.bridge.drain().await;
    }

    /// Closes every server's input and starts its ladder.
    pub(crate) fn close(&self) {
        self.bridge.close();
        if let Some(server) = &self.http {
            server.stop();
        }
    }
}

impl NotAgain {
    pub(crate) fn ended(server: &Server, end: End) -> Self {
        let why = format!("the server was started again and ended before it was ready: {end}");
        Self { why, end, server: Some(server.number) }
    }

    pub(crate) fn not_started(fault: &StartFailure) -> Self {
        let why = format!("the server could not be started again: {}", fault.message);
        Self { why, end: End::Lost, server: None }
    }
}

/// Starts servers when the bridge wants more.
struct Servers(Rc<Launcher>);

impl ServerLauncher for Servers {
    fn open(&self, _purpose: Purpose) -> Opening {
        let launcher = Rc::clone(&self.0);
        Box::pin(async move {
            match launcher.open().await {
                Ok(opened) => Ok(launcher.pipes(opened)),
                Err(failure) => Err(LaunchFailure { message: launcher.masked(failure.message) }),
            }
        })
    }

    fn effort(&self) -> Option<Duration> {
        Some(roadstead_sandbox::tree::effort())
    }
}

impl Launcher {
    fn pipes(self: &Rc<Self>, opened: Opened) -> ServerPipes {
        let Opened { server, stdin, stdout } = opened;
        let exit = server.clone();
        let launcher = Rc::clone(self);
        ServerPipes {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            exited: Box::pin(async move { exit.ended().await.to_string() }),
            ender: Ender::new(move |reason| {
                // What the server did by itself stays unasked, even if its output closed before it ended.
                if reason != EndReason::Exited {
                    launcher.expect_end(&server);
                }
                tokio::task::spawn_local(launcher.stop(server));
            }),
        }
    }
}

/// What the bridge notices becomes a log line where somebody should know.
impl Observer for Heard {
    fn note(&self, note: Note) {
        let (level, message) = match note {
            Note::NotAMessage { server, excerpt } => {
                (LogLevel::Warn, format!("server {server} wrote a line that is no message: {excerpt}"))
            }
            Note::LineTooLong { server, bytes } => {
                (LogLevel::Warn, format!("server {server} wrote a line of {bytes} bytes, which was skipped"))
            }
            Note::MessageDropped { server, method } => {
                (LogLevel::Warn, format!("a message of server {server} reached nobody: {method}"))
            }
            Note::CallTimedOut { server } => {
                (LogLevel::Warn, format!("server {server} did not answer a call in time"))
            }
            Note::InputStalled { server } => {
                (LogLevel::Warn, format!("server {server} does not read its input"))
            }
            Note::StrayAnswer { server } => (
                LogLevel::Warn,
                format!("server {server} answered a call that it was not given or had answered"),
            ),
            Note::WrongEra { server } => (
                LogLevel::Warn,
                format!("server {server} does not answer initialize like a server with sessions"),
            ),
            Note::ReplayIncomplete { server } => {
                (LogLevel::Warn, format!("a client of server {server} came back too late for some messages"))
            }
            Note::SessionRevived { server } => {
                (LogLevel::Info, format!("a session goes on with the fresh server {server}"))
            }
            Note::ServerEnded { server, reason, detail } => {
                (LogLevel::Info, format!("server {server} left: {reason:?}, {detail}"))
            }
            Note::CallOver(fact) => return self.usage.record(fact),
            Note::EraFound { era } => return self.found(era),
            Note::ToolsDiffer(tools) => return self.differ(tools),
            Note::ServerOpened { .. } => return,
        };
        self.logs.say(level, message);
    }
}

impl Heard {
    /// A name is whatever a server says, so it is masked like a line of its output.
    fn differ(&self, tools: ToolsDiffer) {
        let masked = |names: BTreeSet<String>| names.into_iter().map(|name| self.logs.masked(name)).collect();
        let tools = ToolsDiffer { added: masked(tools.added), changed: masked(tools.changed) };
        let message = format!(
            "tools are others than the approved ones: {} new, {} changed",
            tools.added.len(),
            tools.changed.len()
        );
        self.logs.say(LogLevel::Warn, message);
        self.tools_differ.send_replace(Some(tools));
    }

    fn found(&self, era: roadstead_bridge::Era) {
        self.era.send_replace(Some(match era {
            roadstead_bridge::Era::Auto => Era::Auto,
            roadstead_bridge::Era::Legacy => Era::Legacy,
            roadstead_bridge::Era::Modern => Era::Modern,
            roadstead_bridge::Era::Dual => Era::Dual,
        }));
    }
}
