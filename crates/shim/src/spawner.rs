//! The shim's side of init: orders out, notices in.
//!
//! A server's process id is taken from the credentials of the line that its own process sends before it
//! executes: the kernel translates them, so the number is right on this side of the namespace.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::rc::Rc;

use roadstead_control::frame::{self, Decoder};
use roadstead_control::{FailureCode, ProcessId, ServerEnd};
use roadstead_sandbox::handover;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use crate::init::wire::{Notice, Order, Start, StartFault};
use crate::memory_kills::MemoryKills;
use crate::watched::watched;

/// Orders that may wait for init: it obeys each in well under a millisecond.
const ORDER_QUEUE: usize = 16;
/// Bytes taken from the socket at once; a notice has a few dozen.
const READ_BYTES: usize = 4096;
const KILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;

/// How a server process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Init saw it end.
    Seen(ServerEnd),
    /// Init itself is gone, and every server with it.
    Lost,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seen(end) => end.fmt(f),
            Self::Lost => f.write_str("its parent process was lost"),
        }
    }
}

/// A server that executes.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) number: u32,
    pub(crate) process: ProcessId,
    pub(crate) end: watch::Receiver<Option<End>>,
}

impl Server {
    /// Resolves when the process has ended.
    pub(crate) async fn ended(mut self) -> End {
        self.end.wait_for(Option::is_some).await.map_or(End::Lost, |end| end.unwrap_or(End::Lost))
    }
}

/// Why a server was not started.
#[derive(Debug, Clone)]
pub(crate) struct StartFailure {
    pub(crate) code: FailureCode,
    pub(crate) message: String,
}

/// A server that ended, as the owner of the instance is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) server: u32,
    pub(crate) end: End,
    /// Nobody had asked for it.
    pub(crate) unasked: bool,
    /// Servers that still live.
    pub(crate) left: usize,
}

type Outgoing = (Zeroizing<Vec<u8>>, Vec<OwnedFd>);
type Started = oneshot::Sender<Result<(ProcessId, watch::Receiver<Option<End>>), StartFailure>>;

type Standings = Result<Standing, StartFailure>;

/// The walls that stand around every server from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) landlock_abi: u8,
    pub(crate) seccomp: bool,
}

struct Entry {
    pid: Option<i32>,
    process: Option<ProcessId>,
    started: Option<Started>,
    asked: bool,
    end: watch::Sender<Option<End>>,
}

/// Starts and signals servers through init.
pub(crate) struct Spawner {
    orders: RefCell<Option<mpsc::Sender<Outgoing>>>,
    servers: Rc<RefCell<HashMap<u32, Entry>>>,
    living: watch::Sender<usize>,
    oldest: watch::Sender<Option<ProcessId>>,
    next: Cell<u32>,
    /// Where it is told what stands, and where that is heard.
    walling: RefCell<Option<oneshot::Sender<Standings>>>,
    walled: RefCell<Option<oneshot::Receiver<Standings>>>,
    memory_kills: MemoryKills,
}

impl Spawner {
    /// Takes over the socket to init. `ended` hears of every server that ends, and of `None` when init is lost.
    pub(crate) fn new(
        socket: OwnedFd,
        ended: mpsc::Sender<Option<Ended>>,
        memory_kills: MemoryKills,
    ) -> io::Result<Rc<Self>> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let socket = Rc::new(watched(socket, Interest::READABLE | Interest::WRITABLE)?);
        let (orders, queue) = mpsc::channel(ORDER_QUEUE);
        let (walling, walled) = oneshot::channel();
        let spawner = Rc::new(Self {
            orders: RefCell::new(Some(orders)),
            servers: Rc::default(),
            living: watch::Sender::new(0),
            oldest: watch::Sender::new(None),
            next: Cell::new(1),
            walling: RefCell::new(Some(walling)),
            walled: RefCell::new(Some(walled)),
            memory_kills,
        });
        tokio::task::spawn_local(write_orders(Rc::clone(&socket), queue));
        tokio::task::spawn_local(read_notices(socket, Rc::clone(&spawner), ended));
        Ok(spawner)
    }

    /// Waits once until everything is ready that servers get, as init was ordered before there was a runtime.
    pub(crate) async fn walled(&self) -> Result<Standing, StartFailure> {
        let walled = self.walled.take().ok_or_else(lost)?;
        walled.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Starts a server on three streams; `number` in the order is filled in here.
    pub(crate) async fn start(
        &self,
        mut start: Start,
        streams: [OwnedFd; 3],
    ) -> Result<Server, StartFailure> {
        let number = self.next.replace(self.next.get() + 1);
        start.server = number;
        let (told, answer) = oneshot::channel();
        let entry = Entry {
            pid: None,
            process: None,
            started: Some(told),
            asked: false,
            end: watch::Sender::new(None),
        };
        self.servers.borrow_mut().insert(number, entry);
        let result = match self.order(&Order::Start(start), streams.into()).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(lost())),
            Err(failure) => Err(failure),
        };
        if result.is_err() {
            self.servers.borrow_mut().remove(&number);
        }
        result.map(|(process, end)| Server { number, process, end })
    }

    /// Signals a server's group; a server that is gone already is no error.
    pub(crate) async fn signal(&self, server: u32, signal: nix::sys::signal::Signal) {
        let order = Order::Signal { server, signal: signal as i32 };
        // Without init there is no server either.
        let _ = self.order(&order, Vec::new()).await;
    }

    /// From now on this server's end is what somebody wanted.
    pub(crate) fn expect_end(&self, server: u32) {
        if let Some(entry) = self.servers.borrow_mut().get_mut(&server) {
            entry.asked = true;
        }
    }

    /// Server processes that live.
    pub(crate) fn living(&self) -> usize {
        *self.living.borrow()
    }

    /// The oldest server that lives, or the last one that did.
    pub(crate) fn oldest(&self) -> watch::Receiver<Option<ProcessId>> {
        self.oldest.subscribe()
    }

    /// Resolves when no server lives.
    pub(crate) async fn all_ended(&self) {
        // The sender is our own: it cannot be gone.
        let _ = self.living.subscribe().wait_for(|living| *living == 0).await;
    }

    /// Lets init go: it ends everything below it first. Resolves to nothing more to order.
    pub(crate) fn dismiss(&self) {
        self.orders.take();
    }

    async fn order(&self, order: &Order, streams: Vec<OwnedFd>) -> Result<(), StartFailure> {
        let bytes = frame::document(order).map_err(|e| StartFailure {
            code: FailureCode::InvalidSpecification,
            message: format!("the server's arguments and environment are too large: {e}"),
        })?;
        let orders = self.orders.borrow().clone().ok_or_else(lost)?;
        orders.send((bytes, streams)).await.map_err(|_| lost())
    }

    fn hear(&self, notice: Notice, sender: Option<i32>) -> Option<Ended> {
        let mut servers = self.servers.borrow_mut();
        match notice {
            Notice::Prepared { landlock_abi, seccomp } => {
                let _ = self.walling.take()?.send(Ok(Standing { landlock_abi, seccomp }));
            }
            Notice::NotPrepared { fault, message } => {
                let _ = self.walling.take()?.send(Err(StartFailure { code: code(fault), message }));
            }
            Notice::Here { server } => servers.get_mut(&server)?.pid = sender,
            Notice::Started { server, started } => {
                let entry = servers.get_mut(&server)?;
                let pid = entry.pid.unwrap_or_default();
                let process = ProcessId { pid, started };
                entry.process = Some(process);
                if let Some(waiting) = entry.started.take() {
                    let _ = waiting.send(Ok((process, entry.end.subscribe())));
                }
                self.name_oldest(&servers);
                self.living.send_modify(|living| *living += 1);
            }
            Notice::NotStarted { server, fault, message } => {
                let waiting = servers.get_mut(&server)?.started.take()?;
                let _ = waiting.send(Err(StartFailure { code: code(fault), message }));
            }
            Notice::Ended { server, end } => {
                let entry = servers.remove(&server)?;
                let end = match end {
                    ServerEnd::Signal(KILL) if self.memory_kills.is_new() => ServerEnd::OutOfMemory,
                    end => end,
                };
                entry.end.send_replace(Some(End::Seen(end)));
                self.living.send_modify(|living| *living -= 1);
                self.name_oldest(&servers);
                let left = self.living();
                return Some(Ended { server, end: End::Seen(end), unasked: !entry.asked, left });
            }
        }
        None
    }

    fn name_oldest(&self, servers: &HashMap<u32, Entry>) {
        let living = servers.iter().filter_map(|(number, entry)| Some((number, entry.process?)));
        let oldest = living.min_by_key(|(number, _)| **number).map(|(_, process)| process);
        self.oldest.send_if_modified(|known| {
            let changed = oldest.is_some() && oldest != *known;
            *known = oldest.or(*known);
            changed
        });
    }

    fn lose_all(&self) {
        self.walling.take();
        for (_, entry) in self.servers.borrow_mut().drain() {
            entry.end.send_replace(Some(End::Lost));
        }
        self.living.send_replace(0);
    }
}

async fn write_orders(socket: Rc<AsyncFd<OwnedFd>>, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some((bytes, mut streams)) = queue.recv().await {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let sent = socket
                .async_io(Interest::WRITABLE, |fd| Ok(handover::send(fd.as_fd(), rest, &streams)?))
                .await;
            // A broken socket is the reader's business.
            let Ok(sent) = sent else { return };
            rest = &rest[sent..];
            streams.clear();
        }
    }
    // No more orders will come: init reads the end of the socket, and still may write to it.
    let _ = nix::sys::socket::shutdown(socket.get_ref().as_raw_fd(), nix::sys::socket::Shutdown::Write);
}

async fn read_notices(
    socket: Rc<AsyncFd<OwnedFd>>,
    spawner: Rc<Spawner>,
    ended: mpsc::Sender<Option<Ended>>,
) {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let received =
            socket.async_io(Interest::READABLE, |fd| Ok(handover::receive(fd.as_fd(), &mut buffer)?)).await;
        let Ok(received) = received else { break };
        if received.bytes == 0 {
            break;
        }
        decoder.push(&buffer[..received.bytes]);
        loop {
            match decoder.message() {
                Ok(Some(notice)) => {
                    if let Some(end) = spawner.hear(notice, received.sender) {
                        let _ = ended.send(Some(end)).await;
                    }
                }
                Ok(None) => break,
                // Only a process of ours writes here; one that writes nonsense is as good as lost.
                Err(_) => {
                    spawner.lose_all();
                    let _ = ended.send(None).await;
                    return;
                }
            }
        }
    }
    spawner.lose_all();
    let _ = ended.send(None).await;
}

fn code(fault: StartFault) -> FailureCode {
    match fault {
        StartFault::NotFound => FailureCode::ProgramNotFound,
        StartFault::NotExecutable => FailureCode::ProgramNotExecutable,
        StartFault::Folder => FailureCode::WorkingFolderUnusable,
        StartFault::NoWall => FailureCode::ConfinementFailed,
        StartFault::Grant => FailureCode::InvalidSpecification,
        StartFault::Other => FailureCode::Internal,
    }
}

fn lost() -> StartFailure {
    StartFailure { code: FailureCode::Internal, message: "the process that starts servers is gone".into() }
}
