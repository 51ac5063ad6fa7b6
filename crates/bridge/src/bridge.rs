//! The bridge as a whole: which server processes there are, who they belong to, and when all of it ends.

mod attempt;
mod eras;
mod modern;
mod pause;
mod ready;
mod revive;
mod sessions;
mod versions;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;

use crate::config::{BridgeConfig, Era, SessionMode};
use crate::http::{BridgeBody, Via, serve};
use crate::launcher::{EndReason, Purpose, RandomBytes, ServerLauncher, ServerPipes};
use crate::observer::Observer;
use crate::requests::Use;
use crate::server::{Output, Server};
use crate::shared::{Counters, Shared};
use crate::shared_process::SharedProcess;
use crate::writer::Writer;
pub(crate) use attempt::Attempt;
use eras::Eras;
use modern::Modern;
pub(crate) use modern::NoModern;
use pause::Pause;
pub use ready::{Ready, ReadyFailure};
use sessions::Session;
pub(crate) use sessions::{NoRoom, Opened};

/// The MCP router of one instance. Clones are the same bridge.
#[derive(Clone)]
pub struct Bridge {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Rc<Shared>,
    launcher: Rc<dyn ServerLauncher>,
    pub(crate) eras: Eras,
    /// How long the first process took to say something, when that is known.
    startup: Cell<Option<Duration>>,
    /// The process of all legacy sessions, when they share one; it stands in front of the launcher then.
    shared_process: Option<SharedProcess>,
    random: RefCell<RandomBytes>,
    /// The process started at launch, until a session or the modern clients take it.
    first: RefCell<Option<Rc<Server>>>,
    sessions: RefCell<HashMap<Box<str>, Session>>,
    /// Sessions that exist or are being opened.
    taken: Rc<Cell<usize>>,
    modern: RefCell<Modern>,
    /// The versions a modern server named, as JSON.
    supported: RefCell<Option<Box<str>>>,
    /// Every server process that has not ended, whoever it belongs to.
    live: RefCell<Vec<Rc<Server>>>,
    numbers: Cell<u64>,
    /// Whether the last process was lost and another one will be given.
    pause: Pause,
    /// Whether a fresh process hears nothing before its first client.
    asks_nothing: Cell<bool>,
    draining: Cell<bool>,
    closed: Cell<bool>,
}

impl Bridge {
    /// A bridge without any server process yet.
    pub fn new(
        config: BridgeConfig,
        launcher: Rc<dyn ServerLauncher>,
        random: RandomBytes,
        observer: Box<dyn Observer>,
    ) -> Self {
        let shared = Shared::new(config, observer);
        let shared_process = (shared.config.session_mode == SessionMode::Shared)
            .then(|| SharedProcess::new(&shared, Rc::clone(&launcher)));
        let launcher = shared_process.clone().map_or(launcher, |process| Rc::new(process));
        let inner = Inner {
            eras: Eras::new(shared.config.era, shared.config.era_is_remembered),
            startup: Cell::new(None),
            shared,
            launcher,
            shared_process,
            random: RefCell::new(random),
            first: RefCell::default(),
            sessions: RefCell::default(),
            taken: Rc::default(),
            modern: RefCell::new(Modern::Idle),
            supported: RefCell::default(),
            live: RefCell::default(),
            numbers: Cell::new(0),
            pause: Pause::default(),
            asks_nothing: Cell::new(false),
            draining: Cell::new(false),
            closed: Cell::new(false),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Takes over the process that was started at launch. For a modern server it becomes the shared one, otherwise the first
    /// session gets it.
    pub fn adopt(&self, pipes: ServerPipes) {
        self.inner.adopt(pipes);
    }

    /// Answers one request to `/mcp`, or to `/sse` or `/messages` (HTTP with SSE, 2024-11-05). The caller's token has been checked
    /// before.
    pub async fn handle<B>(&self, request: Request<B>, via: Via) -> Response<BridgeBody>
    where
        B: Body,
    {
        serve(&self.inner, request, via).await
    }

    /// Calls that have not been answered, or whose answer is still on its way out.
    pub fn in_flight(&self) -> usize {
        self.inner.shared.in_flight()
    }

    /// Legacy sessions that exist or are being opened.
    pub fn sessions(&self) -> usize {
        self.inner.taken.get()
    }

    /// Entries in all tables of all servers: calls, progress tokens, requests of servers, waiting messages.
    pub fn tracked(&self) -> usize {
        let shared = self.inner.shared_process.as_ref().map_or(0, SharedProcess::tracked);
        shared + self.inner.servers().iter().map(|server| server.tracked()).sum::<usize>()
    }

    /// Open event streams and answers that are waited for.
    pub fn streams(&self) -> usize {
        self.inner.shared.streams.taken()
    }

    /// Bytes kept for clients that lose their connection, all sessions together.
    pub fn stored_bytes(&self) -> usize {
        self.inner.servers().iter().map(|server| server.history().bytes()).sum()
    }

    /// How clients use the instance: their requests, without pings, streams and our own.
    pub fn usage(&self) -> Use {
        self.inner.shared.requests.seen()
    }

    /// Resolves when no request of a client waits for an answer.
    pub async fn unused(&self) {
        self.inner.shared.requests.over().await;
    }

    /// When a client or a server last said something. Keep-alive comments do not count.
    pub fn last_activity(&self) -> Instant {
        self.inner.shared.last_activity()
    }

    /// Numbers since the bridge was made.
    pub fn counters(&self) -> Counters {
        self.inner.shared.counters()
    }

    /// Refuses new calls, ends subscriptions, and waits until nothing is in flight. Answers and notifications still pass,
    /// because the calls in flight may need them.
    pub async fn drain(&self) {
        self.inner.draining.set(true);
        for server in self.inner.servers() {
            server.end_listens();
        }
        self.inner.shared.until_idle().await;
    }

    /// Ends every server process and answers every call that is left with an error. Nothing is opened afterwards.
    pub fn close(&self) {
        self.inner.draining.set(true);
        self.inner.closed.set(true);
        self.inner.pause.end();
        for server in self.inner.servers() {
            server.end(EndReason::Closed, "the bridge was closed");
            self.inner.forget(&server);
        }
        self.inner.sessions.borrow_mut().clear();
        if let Some(process) = &self.inner.shared_process {
            process.close();
        }
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("sessions", &self.sessions())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn adopt(self: &Rc<Self>, pipes: ServerPipes) -> Rc<Server> {
        if self.shared.config.era == Era::Modern {
            let server = self.take_in(pipes, Purpose::ModernShared);
            *self.modern.borrow_mut() = Modern::Up(Rc::clone(&server));
            return server;
        }
        let pipes = match &self.shared_process {
            Some(process) => process.adopt(pipes),
            None => pipes,
        };
        let server = self.take_in(pipes, Purpose::LegacySession);
        *self.first.borrow_mut() = Some(Rc::clone(&server));
        server
    }

    /// Makes a server of pipes and starts moving its messages.
    fn take_in(self: &Rc<Self>, pipes: ServerPipes, purpose: Purpose) -> Rc<Server> {
        let config = &self.shared.config;
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        let ServerPipes { stdin, stdout, exited, ender } = pipes;
        let writer = Writer::new(stdin, config.max_input_backlog);
        let output = Output::new(stdout, exited, config.max_line);
        let server = Server::new(&self.shared, number, purpose, writer, ender);
        self.live.borrow_mut().push(Rc::clone(&server));
        tokio::task::spawn_local(Rc::clone(&server).write());
        let (reading, inner) = (Rc::clone(&server), Rc::downgrade(self));
        tokio::task::spawn_local(async move {
            reading.run(output).await;
            if let Some(inner) = inner.upgrade() {
                inner.forget(&reading);
            }
        });
        if self.closed.get() {
            server.end(EndReason::Closed, "the bridge was closed");
            self.forget(&server);
        }
        server
    }

    /// Lets go of a server process that has ended.
    pub(crate) fn forget(&self, gone: &Rc<Server>) {
        let is_it = |server: &Rc<Server>| Rc::ptr_eq(server, gone);
        self.live.borrow_mut().retain(|server| !is_it(server));
        let goes_on = gone.may_be_replaced() && !self.closed.get();
        self.sessions.borrow_mut().retain(|_, session| goes_on || !is_it(session.server()));
        self.first.borrow_mut().take_if(|first| is_it(first));
        let mut modern = self.modern.borrow_mut();
        if matches!(&*modern, Modern::Up(server) if is_it(server)) {
            *modern = Modern::Idle;
        }
    }

    fn servers(&self) -> Vec<Rc<Server>> {
        self.live.borrow().clone()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for server in self.servers() {
            server.end(EndReason::Abandoned, "the bridge is gone");
        }
    }
}
