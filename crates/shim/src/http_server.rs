//! A server that speaks HTTP itself: one process for the whole instance, and pipes onto it for the bridge.
//!
//! Its port is open to every process of the machine, without a token. Two things are therefore looked at before it
//! is told anything: that the one who answers on the port is our own server, and that no socket of its processes
//! takes connections from elsewhere.

mod reach;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use roadstead_bridge::{LaunchFailure, Opening, Purpose, ServerLauncher, ServerPipes};
use roadstead_control::{FailureCode, HttpTransport, Secret};
use roadstead_model::Era;
use roadstead_sandbox::{Listeners, tree};
use roadstead_upstream::{LoopbackDial, Transport, Upstream, UpstreamLimits};
use tokio::net::unix::pipe;

use crate::instance::Instance;
use crate::launcher::{Launcher, Opened};
use crate::mcp::NotAgain;
use crate::spawner::{End, Server, StartFailure};

/// Why the server is of no use; told as a launch's failure.
pub(crate) enum Unusable {
    /// Its process was not started.
    NotStarted(StartFailure),
    /// It ended before it answered.
    Ended(End),
    /// What it does is not allowed, or not what its type says.
    Refused(FailureCode, String),
}

/// The running server, as the bridge's launcher of conversations with it.
pub(crate) struct HttpServer {
    launcher: Rc<Launcher>,
    running: RefCell<Running>,
    upstream: Rc<Upstream>,
}

/// Its process, which is another one after a restart.
struct Running {
    server: Server,
    /// Kept open, because the end of its input means an order to leave for some servers.
    stdin: Option<pipe::Sender>,
    address: SocketAddr,
}

impl HttpServer {
    /// Starts the server and waits until it answers. Bounded by the caller.
    pub(crate) async fn start(
        instance: &Instance,
        launcher: Rc<Launcher>,
        plan: &roadstead_control::HttpServer,
        headers: Vec<(String, Secret)>,
    ) -> Result<Rc<Self>, Unusable> {
        let wrong = |message: String| Unusable::Refused(FailureCode::InvalidSpecification, message);
        let url: Uri = plan.url.parse().map_err(|_| wrong(format!("{:?} is no address", plan.url)))?;
        let headers = headers.iter().map(header).collect::<Result<_, _>>().map_err(wrong)?;
        let opened = launcher.open().await.map_err(Unusable::NotStarted)?;
        let running = running(instance, &launcher, plan, &url, opened).await?;
        let limits = UpstreamLimits {
            max_message: usize::try_from(instance.specification.bridge.limits.max_message_bytes)
                .unwrap_or(usize::MAX),
            ..UpstreamLimits::default()
        };
        let transport = match plan.transport {
            HttpTransport::StreamableHttp => Transport::StreamableHttp,
            HttpTransport::Sse => Transport::Sse,
        };
        let upstream = Rc::new(Upstream { transport, url, headers, limits });
        Ok(Rc::new(Self { launcher, running: RefCell::new(running), upstream }))
    }

    /// Starts its program again, on the same port, and waits until it answers. A process that does not is ended.
    pub(crate) async fn start_again(
        &self,
        instance: &Instance,
        patience: Duration,
    ) -> Result<Server, NotAgain> {
        // A server of HTTP has been started from a plan for one.
        let Some(plan) = &instance.specification.http else { return Ok(self.server()) };
        let opened = self.launcher.open().await.map_err(|fault| NotAgain::not_started(&fault))?;
        let server = opened.server.clone();
        let making = running(instance, &self.launcher, plan, &self.upstream.url, opened);
        let failure = match tokio::time::timeout(patience, making).await {
            Ok(Ok(running)) => {
                self.running.replace(running);
                return Ok(server);
            }
            Ok(Err(Unusable::Ended(end))) => return Err(NotAgain::ended(&server, end)),
            Ok(Err(Unusable::NotStarted(fault))) => return Err(NotAgain::not_started(&fault)),
            Ok(Err(Unusable::Refused(_, message))) => message,
            Err(_) => format!("it did not answer within {} ms", patience.as_millis()),
        };
        self.launcher.expect_end(&server);
        Rc::clone(&self.launcher).terminate(server.clone()).await;
        let why = format!("the server was started again, but is not ready: {failure}");
        Err(NotAgain { why, end: End::Lost, server: Some(server.number) })
    }

    /// The server's process.
    pub(crate) fn server(&self) -> Server {
        self.running.borrow().server.clone()
    }

    /// The conversation that the bridge begins with.
    pub(crate) fn first(&self, era: Era) -> ServerPipes {
        self.pipes(if era == Era::Modern { Purpose::ModernShared } else { Purpose::LegacySession })
    }

    /// Closes its input and starts its ladder.
    pub(crate) fn stop(&self) {
        let server = self.server();
        self.launcher.expect_end(&server);
        self.running.borrow_mut().stdin.take();
        tokio::task::spawn_local(Rc::clone(&self.launcher).terminate(server));
    }

    fn pipes(&self, purpose: Purpose) -> ServerPipes {
        let (server, address) = (self.server(), self.running.borrow().address);
        let exited = Box::pin(async move { server.ended().await.to_string() });
        roadstead_upstream::open(Rc::clone(&self.upstream), Rc::new(LoopbackDial(address)), purpose, exited)
    }
}

impl ServerLauncher for HttpServer {
    fn open(&self, purpose: Purpose) -> Opening {
        let opened = if self.server().end.borrow().is_none() {
            Ok(self.pipes(purpose))
        } else {
            Err(LaunchFailure { message: "the server has ended".to_owned() })
        };
        Box::pin(std::future::ready(opened))
    }
}

/// Waits until a process that was started answers. Bounded by the caller.
async fn running(
    instance: &Instance,
    launcher: &Rc<Launcher>,
    plan: &roadstead_control::HttpServer,
    url: &Uri,
    opened: Opened,
) -> Result<Running, Unusable> {
    let wrong = |message: String| Unusable::Refused(FailureCode::InvalidSpecification, message);
    let candidates = reach::addresses(url).map_err(wrong)?;
    let Opened { server, stdin, stdout } = opened;
    launcher.log(stdout);
    let address = match reach::listening(&candidates, server.clone()).await {
        Ok(address) => address,
        Err(end) if reach::is_taken(&candidates) => return Err(lost_port(&plan.url, Some(end))),
        Err(end) => return Err(Unusable::Ended(end)),
    };
    look(instance, plan, address)?;
    reach::answering(address, url, plan.transport, server.clone()).await.map_err(Unusable::Ended)?;
    // Sockets that it opened while it made itself ready count as well.
    look(instance, plan, address)?;
    Ok(Running { server, stdin: Some(stdin), address })
}

/// Looks at every socket on which the server's processes take connections.
fn look(
    instance: &Instance,
    plan: &roadstead_control::HttpServer,
    address: SocketAddr,
) -> Result<(), Unusable> {
    let init = instance.init.pid;
    let processes: Vec<i32> =
        tree::descendants().into_iter().map(nix::unistd::Pid::as_raw).filter(|pid| *pid != init).collect();
    let user = instance.specification.user.map(|user| user.uid);
    let unknown = |what: String| Unusable::Refused(FailureCode::ConfinementFailed, what);
    let found = Listeners::of(&processes, user)
        .map_err(|error| unknown(format!("the sockets of the server could not be looked at: {error}")))?;
    if !found.unseen.is_empty() && !plan.allow_any_interface {
        let pids = found.unseen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(unknown(format!(
            "processes of the server do not let their sockets be looked at ({pids}), so nobody knows where they \
             listen; an admin may allow it with `allow_any_interface`"
        )));
    }
    if found.unseen.is_empty() && !found.serve(address) {
        return Err(lost_port(&plan.url, None));
    }
    let public: Vec<String> = found.public().map(ToString::to_string).collect();
    if public.is_empty() || plan.allow_any_interface {
        return Ok(());
    }
    let message = format!(
        "the server listens on {}, where others reach it without a token; have it listen on 127.0.0.1, or let an \
         admin set `allow_any_interface`",
        public.join(" and ")
    );
    Err(Unusable::Refused(FailureCode::ListensPublicly, message))
}

fn lost_port(url: &str, end: Option<End>) -> Unusable {
    let end = end.map(|end| format!(", and the server ended ({end})")).unwrap_or_default();
    Unusable::Refused(FailureCode::PortTaken, format!("something else took the port of {url}{end}"))
}

/// Errors name the header, never its value.
fn header((name, value): &(String, Secret)) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{name:?} is no header, or its value cannot be sent");
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_bytes(value.expose().as_bytes()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((parsed, value))
}
