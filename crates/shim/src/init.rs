//! Init: the parent of all servers of one instance.
//!
//! A small loop without an async runtime: orders come in over a socket, ended children are reaped, and when
//! the socket ends (the shim is gone, or is done) everything below is ended. As PID 1 of a namespace leaving
//! is enough, the kernel does the rest; otherwise init is a subreaper and walks its tree until it is empty.

mod walls;
pub(crate) mod wire;

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use roadstead_control::{Limits, ServerEnd, frame};
use roadstead_sandbox::{ServerCommand, ServerLimits, StartError, handover, namespace, server, tree};
use wire::{Notice, Order, Start, StartFault};

/// How long killed processes may take to go: only one stuck inside the kernel takes longer.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The whole life of init, in the child that was split off, with the socket to the shim as standard input.
pub(crate) fn run() -> u8 {
    match prepare() {
        Ok(mut init) => {
            let result = init.serve();
            init.end_everything();
            match result {
                Ok(()) => 0,
                Err(errno) => {
                    eprintln!("roadstead-shim init: the loop failed: {errno}");
                    1
                }
            }
        }
        Err(error) => {
            eprintln!("roadstead-shim init: {error}");
            1
        }
    }
}

struct Init {
    socket: OwnedFd,
    children: SignalFd,
    first_of_namespace: bool,
    servers: HashMap<Pid, u32>,
    /// The walls, until they are part of what is prepared, or why there are none.
    walled: Option<Result<walls::Walled, walls::Unprepared>>,
    prepared: walls::Prepared,
}

fn prepare() -> Result<Init, Box<dyn std::error::Error>> {
    let first_of_namespace = namespace::is_first_of_namespace();
    if !first_of_namespace {
        tree::adopt_orphans()?;
    }
    nix::sys::prctl::set_name(c"roadstead-init")?;
    // Everything but SIGKILL waits: an init that a stray signal ends would take its servers along.
    let every = SigSet::all();
    every.thread_block()?;
    let mut of_children = SigSet::empty();
    of_children.add(Signal::SIGCHLD);
    let children = SignalFd::with_flags(&of_children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // A parent that died before the signal was asked for shows as the end of the socket.
    let socket = handover::take_stdin()?;
    Ok(Init {
        socket,
        children,
        first_of_namespace,
        servers: HashMap::new(),
        walled: None,
        prepared: walls::Prepared::default(),
    })
}

impl Init {
    fn serve(&mut self) -> Result<(), Errno> {
        loop {
            let mut watched = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
            let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
            let (ordered, ended) = (ready(&watched[0]), ready(&watched[1]));
            if ended {
                while self.children.read_signal()?.is_some() {}
                self.reap()?;
            }
            if ordered && !self.obey()? {
                return Ok(());
            }
        }
    }

    /// Takes one order; false when the shim is gone.
    fn obey(&mut self) -> Result<bool, Errno> {
        let mut first = [0; 4];
        let received = handover::receive(self.socket.as_fd(), &mut first)?;
        if received.bytes == 0 {
            return Ok(false);
        }
        let rest = (&first[..received.bytes]).chain(Socket(&self.socket));
        match frame::read_document(rest) {
            Ok(Order::Wall(order)) => self.walled = Some(walls::Walled::new(&order)),
            Ok(Order::Prepare(order)) => self.prepare(&order)?,
            Ok(Order::Start(start)) => self.start(&start, received.descriptors)?,
            Ok(Order::Signal { server, signal }) => self.signal(server, signal),
            // Half an order: the shim died while it wrote.
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    fn prepare(&mut self, order: &wire::Prepare) -> Result<(), Errno> {
        let notice = match walls::Prepared::new(order, self.walled.take()) {
            Ok((prepared, notice)) => {
                self.prepared = prepared;
                notice
            }
            Err(unprepared) => unprepared.notice(),
        };
        self.tell(&notice)
    }

    fn start(&mut self, start: &Start, streams: Vec<OwnedFd>) -> Result<(), Errno> {
        let server = start.server;
        let notice = match <[OwnedFd; 3]>::try_from(streams) {
            Ok(streams) => match self.execute(start, streams) {
                Ok(pid) => {
                    self.servers.insert(Pid::from_raw(pid), server);
                    Notice::Started { server, started: tree::started(pid).unwrap_or_default() }
                }
                Err(error) => Notice::NotStarted { server, fault: fault(&error), message: chain(&error) },
            },
            Err(_) => Notice::NotStarted {
                server,
                fault: StartFault::Other,
                message: "three streams are needed".into(),
            },
        };
        self.tell(&notice)
    }

    fn execute(&mut self, start: &Start, streams: [OwnedFd; 3]) -> Result<i32, StartError> {
        let command = ServerCommand {
            program: &start.program,
            args: &start.args,
            environment: start.environment.iter().map(|(k, v)| (k.as_str(), v.expose())).collect(),
            folder: &start.folder,
        };
        let Limits { open_files, processes, file_size_bytes, .. } = start.limits;
        let limits = ServerLimits { open_files, processes, file_size_bytes };
        let here = frame::line(&Notice::Here { server: start.server });
        let (walls, kept) = (self.prepared.walls()?, self.prepared.descriptors()?);
        server::start(&command, streams, &kept, limits, walls, (self.socket.as_fd(), &here))
    }

    fn signal(&self, server: u32, signal: i32) {
        let group = self.servers.iter().find(|(_, number)| **number == server).map(|(pid, _)| *pid);
        if let (Some(group), Ok(signal)) = (group, Signal::try_from(signal)) {
            // A server is forgotten when it is reaped, so the group is still its own; gone is fine.
            let _ = killpg(group, signal);
        }
    }

    /// Reaps every child that has ended. A server takes its group along before its id is given back.
    fn reap(&mut self) -> Result<(), Errno> {
        loop {
            let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            let (pid, end) = match waitid(Id::All, look) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, ServerEnd::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, ServerEnd::Signal(signal as i32)),
                Ok(_) | Err(Errno::ECHILD) => return Ok(()),
                Err(errno) => return Err(errno),
            };
            let server = self.servers.remove(&pid);
            if server.is_some() {
                let _ = killpg(pid, Signal::SIGKILL);
            }
            waitpid(pid, None)?;
            if let Some(server) = server {
                self.tell(&Notice::Ended { server, end })?;
            }
        }
    }

    fn tell(&self, notice: &Notice) -> Result<(), Errno> {
        match wire::send_all(self.socket.as_fd(), &frame::line(notice)) {
            // The shim is gone; the next receive says so.
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            sent => sent,
        }
    }

    fn end_everything(&mut self) {
        if self.first_of_namespace {
            return;
        }
        let left = tree::end_descendants(END_PATIENCE);
        if left > 0 {
            eprintln!("roadstead-shim init: {left} processes did not go");
        }
    }
}

/// Blocking reads from the socket.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(nix::unistd::read(self.0, buffer)?)
    }
}

fn fault(error: &StartError) -> StartFault {
    match error {
        StartError::NotFound | StartError::InterpreterNotFound => StartFault::NotFound,
        StartError::NotAbsolute | StartError::NotExecutable { .. } | StartError::Walled(_) => {
            StartFault::NotExecutable
        }
        StartError::Folder { .. } => StartFault::Folder,
        StartError::Rules(_) | StartError::NoWall { .. } => StartFault::NoWall,
        StartError::Spawn(_) => StartFault::Other,
    }
}

fn chain(error: &StartError) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
