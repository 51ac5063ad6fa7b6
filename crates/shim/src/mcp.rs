//! The bridge, with servers of ours behind it.

use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use roadstead_bridge::{
    Bridge, BridgeBody, BridgeConfig, EndReason, Ender, LaunchFailure, Note, Observer, Opening, Purpose,
    ReadyFailure, ServerLauncher, ServerPipes, Via,
};
use roadstead_control::Specification;
use roadstead_model::{Era, LogLevel};

use crate::launcher::{Launcher, Opened};
use crate::logs::Logs;

/// The router of the instance, and the era that its type was given.
pub(crate) struct Mcp {
    bridge: Bridge,
    era: Era,
}

/// The first server answers, or lives.
pub(crate) struct ReadyServer {
    pub(crate) era: Era,
    pub(crate) silent: bool,
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
    /// A router that has the first server already.
    pub(crate) fn new(launcher: Rc<Launcher>, opened: Opened, plan: &Specification, logs: Rc<Logs>) -> Self {
        let mut config = BridgeConfig::new(match plan.era {
            Era::Auto => roadstead_bridge::Era::Auto,
            Era::Legacy => roadstead_bridge::Era::Legacy,
            Era::Modern => roadstead_bridge::Era::Modern,
            Era::Dual => roadstead_bridge::Era::Dual,
        });
        config.allowed_origins.clone_from(&plan.allowed_origins);
        let random = Box::new(|bytes: &mut [u8]| {
            for part in bytes.chunks_mut(32) {
                part.copy_from_slice(&roadstead_sandbox::privilege::random_bytes::<32>()[..part.len()]);
            }
        });
        let pipes = launcher.pipes(opened);
        let bridge = Bridge::new(config, Rc::new(Servers(launcher)), random, Box::new(Notes(logs)));
        bridge.adopt(pipes);
        Self { bridge, era: plan.era }
    }

    /// Waits until the first server answers, or is known to live without a word.
    pub(crate) async fn ready(&self, patience: Duration) -> Result<ReadyServer, NotReady> {
        match self.bridge.ready(patience).await {
            Ok(ready) => Ok(ReadyServer {
                era: self.era,
                silent: matches!(ready, roadstead_bridge::Ready::SilentButAlive),
            }),
            Err(ReadyFailure::Ended) => Err(NotReady::Ended),
            Err(ReadyFailure::Silent(_)) => Err(NotReady::Silent),
            Err(other @ (ReadyFailure::NotModern | ReadyFailure::NothingAdopted)) => {
                Err(NotReady::Misbehaved(other.to_string()))
            }
        }
    }

    pub(crate) async fn handle(&self, request: Request<Incoming>, via: Via) -> Response<BridgeBody> {
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
                Err(failure) => Err(LaunchFailure { message: failure.message }),
            }
        })
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
struct Notes(Rc<Logs>);

impl Observer for Notes {
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
            Note::ServerOpened { .. } | Note::EraFound { .. } => return,
        };
        self.0.say(level, message);
    }
}
