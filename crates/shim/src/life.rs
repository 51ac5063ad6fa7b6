//! One instance from its binding to its end.
//!
//! ```text
//! bind ─► launch ─► ready ─► running ─┬─ deadline ──┐
//!   └──────┴─► failed         ▲   │   ├─ idle ──────┤
//!                             │   │   ├─ stop ──────┤─► grace ─► ladder ─► init ends the rest ─► record
//!                       again ┘   └───┴─ server lost ┘
//! ```
//! The record says what is about to happen before it happens, and again when it is complete.

mod again;
mod end;

use std::cell::{Cell, OnceCell};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use roadstead_control::{
    ControlSecret, Failure, FailureCode, Ready, Report, Secret, ServerEnd, StopReason, USAGE_FILE,
};
use roadstead_listener::Tidy;
use roadstead_model::{Era, LogLevel};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::events::Events;
use crate::folder::Folder;
use crate::http_server::{HttpServer, Unusable};
use crate::instance::{Instance, Phase};
use crate::launcher::Launcher;
use crate::logs::Logs;
use crate::mask::Masks;
use crate::mcp::{Heard, Mcp, NotReady};
use crate::memory_kills::MemoryKills;
use crate::spawner::{End, Ended, Server, Spawner, StartFailure};
use crate::start::{LaunchChannel, Prepared};
use crate::usage::Usage;
use crate::{control, http, walls};
use again::Again;

/// Ended servers whose owner has not looked yet: it looks all the time.
const ENDED_QUEUE: usize = 16;
/// How long the last words of a server that has ended may take to be read.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// Why the instance ends.
#[derive(Debug)]
pub(crate) enum Cause {
    Deadline,
    /// Nobody used it for so long.
    Idle(Duration),
    Stop {
        reason: StopReason,
        grace: Duration,
    },
    Lost(End),
    Failed(Failure),
    /// It ended too often to be started once more.
    CrashLoop(Failure),
}

/// Where the instance is reached.
struct Sockets {
    port: TcpListener,
    gateway: UnixListener,
    control: UnixListener,
}

/// Everything that lives as long as the instance.
pub(crate) struct Life {
    instance: Rc<Instance>,
    launcher: Rc<Launcher>,
    /// What every request to a server that speaks HTTP carries; taken when it is started.
    headers: Vec<(String, Secret)>,
    channel: Option<LaunchChannel>,
    init: OwnedFd,
    /// Its namespace shows what the specification wants; if not, why.
    shows_view: bool,
    refused: Option<String>,
    /// Whether init makes something ready, and will say so.
    is_walling: bool,
    ended: mpsc::Receiver<Option<Ended>>,
    again: Again,
    terminate: Signal,
    /// They end as soon as the instance does, and what is tidied for them.
    listeners: Vec<JoinHandle<()>>,
    closing: watch::Sender<bool>,
    control: Option<JoinHandle<()>>,
    control_open: watch::Sender<usize>,
}

/// Lives until nothing is left.
pub(crate) async fn live(prepared: Prepared) -> ExitCode {
    let secret = Rc::new(prepared.secrets.control.clone());
    let mut life = match Life::new(prepared) {
        Ok(life) => life,
        Err(error) => {
            // Dropping the socket has ended init. Without timers and descriptors there is no more to do.
            eprintln!("roadstead-shim: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let cause = match life.launch(secret).await {
        Ok(()) => life.interrupted().await,
        Err(cause) => cause,
    };
    life.end(cause).await
}

impl Life {
    fn new(prepared: Prepared) -> std::io::Result<Self> {
        let Prepared { specification, secrets, channel, clock, init, shim, limits, is_walling } = prepared;
        let folder = Folder::new(&specification.run_folder);
        let logs = Logs::new(Rc::clone(&clock), Masks::new(&secrets.masks), folder.spool());
        let events = Events::new(Rc::clone(&clock), &specification.run_folder);
        let again = Again::new(specification.restart);
        let usage = Usage::new(Rc::clone(&clock), specification.run_folder.join(USAGE_FILE));
        let (ends, ended) = mpsc::channel(ENDED_QUEUE);
        let spawner = Spawner::new(init.socket, ends, MemoryKills::new(&specification.cgroups))?;
        let launcher =
            Launcher::new(Rc::clone(&spawner), Rc::clone(&logs), &specification, secrets.environment, limits);
        let instance = Instance {
            clock,
            folder,
            token: Cell::new(secrets.token_sha256),
            generation: Cell::new(specification.generation),
            deadline: Deadline::new(Duration::from_millis(specification.remaining_ms))?,
            logs,
            events,
            usage,
            spawner,
            tidy: Tidy::default(),
            bridge: OnceCell::new(),
            phase: Cell::new(Phase::Pending),
            ready: watch::Sender::new(None),
            began: Instant::now(),
            ready_at: Cell::new(None),
            era: watch::Sender::new(None),
            tools_differ: watch::Sender::new(None),
            shim,
            init: init.process,
            isolation: init.isolation,
            mechanisms: Cell::new(None),
            stop: watch::Sender::new(None),
            exit: watch::Sender::new(None),
            specification,
        };
        Ok(Self {
            instance: Rc::new(instance),
            launcher,
            headers: secrets.headers,
            channel: Some(channel),
            init: init.pidfd,
            shows_view: init.shows_view,
            refused: init.refused,
            is_walling,
            ended,
            again,
            terminate: signal(SignalKind::terminate())?,
            listeners: Vec::new(),
            closing: watch::Sender::new(false),
            control: None,
            control_open: watch::Sender::new(0),
        })
    }

    async fn launch(&mut self, secret: Rc<ControlSecret>) -> Result<(), Cause> {
        let refused = |(code, message)| failed(code, message);
        // While init builds the walls.
        let sockets = self.bind().map_err(refused)?;
        self.wall_in().await.map_err(refused)?;
        self.listen(sockets, secret).map_err(refused)?;
        self.say(&Report::Bound { shim: self.instance.shim });
        let instance = Rc::clone(&self.instance);
        let launcher = Rc::clone(&self.launcher);
        let headers = std::mem::take(&mut self.headers);
        let ready = tokio::select! {
            biased;
            ready = start_server(&instance, launcher, headers) => ready.map_err(Cause::Failed),
            cause = self.interrupted() => Err(cause),
        };
        let ready = match ready {
            // Before it was ready, a server that is lost is a launch that failed.
            Err(Cause::Lost(end)) => Err(Cause::Failed(exited(end))),
            other => other,
        }?;
        let now = instance.began.elapsed();
        instance.ready_at.set(Some(now));
        self.again.ready(now);
        instance.phase.set(Phase::Running);
        instance.ready.send_replace(Some(ready.clone()));
        self.say(&Report::Ready(ready));
        // Nothing more is reported there: roadstead reads to the end.
        self.channel = None;
        Ok(())
    }

    /// Waits until the walls are ready, and looks whether they are enough.
    async fn wall_in(&mut self) -> Result<(), (FailureCode, String)> {
        let plan = &self.instance.specification;
        let standing = if self.is_walling {
            let budget = Duration::from_millis(plan.ready_timeout_ms);
            let standing = tokio::time::timeout(budget, self.instance.spawner.walled()).await;
            let late = || (FailureCode::ReadyTimeout, "the walls were not ready in time".to_owned());
            Some(standing.map_err(|_| late())?.map_err(|refused| (refused.code, refused.message))?)
        } else {
            None
        };
        let mechanisms = walls::mechanisms(plan, self.shows_view, standing);
        self.instance.mechanisms.set(Some(mechanisms));
        let weak = plan
            .confinement
            .as_ref()
            .and_then(|policy| walls::too_weak(policy, mechanisms, self.refused.as_deref()));
        weak.map_or(Ok(()), Err)
    }

    /// Takes the port and the sockets.
    fn bind(&self) -> Result<Sockets, (FailureCode, String)> {
        let instance = &self.instance;
        let address = instance.specification.listen;
        let port = std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        let port = port.map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::AddrInUse => FailureCode::PortTaken,
                _ => FailureCode::Internal,
            };
            (code, format!("could not listen on {address}: {error}"))
        })?;
        let socket = |path: std::path::PathBuf| {
            UnixListener::bind(&path).map_err(|error| {
                (FailureCode::Internal, format!("could not listen on {}: {error}", path.display()))
            })
        };
        let gateway = socket(instance.folder.http_socket())?;
        let control = socket(instance.folder.control_socket())?;
        Ok(Sockets { port, gateway, control })
    }

    /// Starts to listen, when everything is known that is answered.
    fn listen(&mut self, sockets: Sockets, secret: Rc<ControlSecret>) -> Result<(), (FailureCode, String)> {
        let instance = &self.instance;
        let Sockets { port, gateway, control } = sockets;
        instance
            .save_state()
            .map_err(|error| (FailureCode::Internal, format!("could not write the state: {error}")))?;
        let closing = || self.closing.subscribe();
        let tidy = instance.tidy.clone();
        self.listeners = vec![
            tokio::task::spawn_local(async move {
                match tidy.run(roadstead_sandbox::memory::give_back_now).await {}
            }),
            tokio::task::spawn_local(http::serve_port(port, Rc::clone(instance), closing())),
            tokio::task::spawn_local(http::serve_gateway(gateway, Rc::clone(instance), closing())),
        ];
        let open = self.control_open.clone();
        self.control =
            Some(tokio::task::spawn_local(control::serve(control, Rc::clone(instance), secret, open)));
        Ok(())
    }

    /// Resolves when something ends the instance.
    async fn interrupted(&mut self) -> Cause {
        let mut stop = self.instance.stop.subscribe();
        loop {
            tokio::select! {
                biased;
                ended = self.ended.recv() => match ended.flatten() {
                    None => return Cause::Lost(End::Lost),
                    Some(last @ Ended { unasked: true, left: 0, .. }) => {
                        if let Some(cause) = self.lost(last) {
                            return cause;
                        }
                    }
                    Some(Ended { unasked: true, end, .. }) => {
                        self.instance.logs.say(LogLevel::Warn, format!("one of several servers ended: {end}"));
                    }
                    Some(_) => {}
                },
                next = self.again.next() => if let Some(cause) = self.go_on(next) {
                    return cause;
                },
                () = self.instance.deadline.due() => return Cause::Deadline,
                Ok(wanted) = stop.wait_for(Option::is_some) => {
                    if let Some(stop) = *wanted {
                        return Cause::Stop { reason: stop.reason, grace: stop.grace };
                    }
                }
                limit = self.instance.idle() => return Cause::Idle(limit),
                _ = self.terminate.recv() => {
                    let grace = Duration::from_millis(self.instance.specification.grace_ms);
                    return Cause::Stop { reason: StopReason::Shutdown, grace };
                }
            }
        }
    }

    fn say(&mut self, report: &Report) {
        if let Some(channel) = &mut self.channel {
            channel.say(report);
        }
    }
}

/// Starts the first server and waits until it answers, as long as it may take.
async fn start_server(
    instance: &Instance,
    launcher: Rc<Launcher>,
    headers: Vec<(String, Secret)>,
) -> Result<Ready, Failure> {
    let budget = Duration::from_millis(instance.specification.ready_timeout_ms);
    let waited = budget.as_millis();
    let silence =
        || failure(FailureCode::ReadyTimeout, format!("the server did not answer within {waited} ms"));
    let ready = async {
        let (mcp, server) = first_server(instance, Rc::clone(&launcher), headers).await?;
        let bridge = instance.bridge.get_or_init(|| mcp);
        let (server, silent) = match bridge.ready(budget).await {
            Ok(silent) => (server, silent),
            // Its end is told apart from its silence by init, which is about to say it.
            Err(NotReady::Ended) => {
                let end = server.ended().await;
                if !ended_for_a_question(instance, &launcher, end).await {
                    return Err(exited(end));
                }
                (started_unasked(instance, bridge, &launcher, end, budget).await?, true)
            }
            Err(NotReady::Misbehaved(message)) => {
                return Err(failure(FailureCode::ServerMisbehaved, message));
            }
            Err(NotReady::Silent) => return Err(silence()),
        };
        // It ended as soon as it had answered: the word of it may have been passed over as one of the start's.
        let end = *server.end.borrow();
        if let Some(end) = end {
            return Err(exited(end));
        }
        Ok(Ready {
            server: server.process,
            era: instance.specification.era,
            isolation: instance.isolation,
            silent,
            mechanisms: instance.mechanisms.get(),
        })
    };
    tokio::time::timeout(budget, ready).await.unwrap_or_else(|_| Err(silence()))
}

/// Whether a server ended because it was asked something before its handshake, as its last words tell. A ping may come before
/// (basic/lifecycle, initialization); libraries were in use that take nothing but `initialize` for a first message.
async fn ended_for_a_question(instance: &Instance, launcher: &Launcher, end: End) -> bool {
    let plan = &instance.specification;
    let by_itself = matches!(end, End::Seen(ServerEnd::Code(_)));
    if !by_itself || plan.http.is_some() || plan.era == Era::Modern {
        return false;
    }
    // What a child of its still holds open would never be read to its end.
    let _ = tokio::time::timeout(LAST_WORDS_PATIENCE, launcher.all_read()).await;
    instance.logs.tail().iter().any(|line| line.to_ascii_lowercase().contains("initialize"))
}

/// Starts a server that ends when it is asked once more, and asks nothing.
async fn started_unasked(
    instance: &Instance,
    bridge: &Mcp,
    launcher: &Rc<Launcher>,
    end: End,
    budget: Duration,
) -> Result<Server, Failure> {
    let message = format!(
        "the server ended when it was asked before its handshake ({end}): it is started again and asked nothing"
    );
    instance.logs.say(LogLevel::Warn, message);
    bridge.ask_nothing();
    let started = bridge.start_again(instance, launcher, budget).await;
    started.map_err(|failed| Failure {
        server_end: again::seen(failed.end),
        ..failure(FailureCode::ServerExited, failed.why)
    })
}

/// The first server's process, and the router over it.
async fn first_server(
    instance: &Instance,
    launcher: Rc<Launcher>,
    headers: Vec<(String, Secret)>,
) -> Result<(Mcp, Server), Failure> {
    let plan = &instance.specification;
    let heard = Heard {
        logs: Rc::clone(&instance.logs),
        usage: Rc::clone(&instance.usage),
        era: instance.era.clone(),
        tools_differ: instance.tools_differ.clone(),
    };
    let Some(http) = &plan.http else {
        let opened = launcher.open().await.map_err(|fault| not_started(instance, &fault))?;
        let server = opened.server.clone();
        return Ok((Mcp::over_pipes(launcher, opened, plan, heard), server));
    };
    let started = HttpServer::start(instance, launcher, http, headers).await;
    let http = started.map_err(|unusable| match unusable {
        Unusable::NotStarted(fault) => not_started(instance, &fault),
        Unusable::Ended(end) => exited(end),
        Unusable::Refused(code, message) => failure(code, message),
    })?;
    let server = http.server();
    Ok((Mcp::over_http(http, plan, heard), server))
}

fn not_started(instance: &Instance, fault: &StartFailure) -> Failure {
    let plan = &instance.specification;
    let message = match fault.code {
        FailureCode::WorkingFolderUnusable => {
            format!("working folder {}: {}", plan.working_folder.display(), fault.message)
        }
        _ => format!("program {}: {}", plan.program.display(), fault.message),
    };
    failure(fault.code, message)
}

fn exited(end: End) -> Failure {
    Failure {
        server_end: again::seen(end),
        ..failure(FailureCode::ServerExited, format!("the server ended before it was ready: {end}"))
    }
}

fn failure(code: FailureCode, message: String) -> Failure {
    Failure { code, message, server_end: None::<ServerEnd>, stderr_tail: Vec::new() }
}

fn failed(code: FailureCode, message: String) -> Cause {
    Cause::Failed(failure(code, message))
}
