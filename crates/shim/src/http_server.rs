//! A server that speaks HTTP itself: one process for the whole instance, and pipes onto it for the bridge.
//!
//! Its port is open to every process of the machine, without a token. Two things are therefore looked at before it
//! is told anything: that the one who answers on the port is our own server, and that no socket of its processes
//! takes connections from elsewhere.

mod reach;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, Uri};
use roadstead_bridge::{LaunchFailure, Opening, Purpose, ServerLauncher, ServerPipes};
use roadstead_control::{FailureCode, HttpTransport, Secret};
use roadstead_model::Era;
use roadstead_sandbox::{Listeners, tree};
use roadstead_upstream::{LoopbackDial, Transport, Upstream, UpstreamLimits};
use tokio::net::unix::pipe;

use crate::instance::Instance;
use crate::launcher::{Launcher, Opened};
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
    server: Server,
    /// Kept open, because the end of its input means an order to leave for some servers.
    stdin: RefCell<Option<pipe::Sender>>,
    upstream: Rc<Upstream>,
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
        let candidates = reach::addresses(&url).map_err(wrong)?;
        let headers = headers.iter().map(header).collect::<Result<_, _>>().map_err(wrong)?;
        let Opened { server, stdin, stdout } = launcher.open().await.map_err(Unusable::NotStarted)?;
        launcher.log(stdout);
        let address = match reach::listening(&candidates, server.clone()).await {
            Ok(address) => address,
            Err(end) if reach::is_taken(&candidates) => return Err(lost_port(&plan.url, Some(end))),
            Err(end) => return Err(Unusable::Ended(end)),
        };
        look(instance, plan, address)?;
        reach::answering(address, &url, plan.transport, server.clone()).await.map_err(Unusable::Ended)?;
        // Sockets that it opened while it made itself ready count as well.
        look(instance, plan, address)?;
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
        Ok(Rc::new(Self { launcher, server, stdin: RefCell::new(Some(stdin)), upstream, address }))
    }

    /// The server's process.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// The conversation that the bridge begins with.
    pub(crate) fn first(&self, era: Era) -> ServerPipes {
        self.pipes(if era == Era::Modern { Purpose::ModernShared } else { Purpose::LegacySession })
    }

    /// Closes its input and starts its ladder.
    pub(crate) fn stop(&self) {
        self.launcher.expect_end(&self.server);
        self.stdin.take();
        tokio::task::spawn_local(Rc::clone(&self.launcher).terminate(self.server.clone()));
    }

    fn pipes(&self, purpose: Purpose) -> ServerPipes {
        let server = self.server.clone();
        let exited = Box::pin(async move { server.ended().await.to_string() });
        roadstead_upstream::open(
            Rc::clone(&self.upstream),
            Rc::new(LoopbackDial(self.address)),
            purpose,
            exited,
        )
    }
}

impl ServerLauncher for HttpServer {
    fn open(&self, purpose: Purpose) -> Opening {
        let opened = if self.server.end.borrow().is_none() {
            Ok(self.pipes(purpose))
        } else {
            Err(LaunchFailure { message: "the server has ended".to_owned() })
        };
        Box::pin(std::future::ready(opened))
    }
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
