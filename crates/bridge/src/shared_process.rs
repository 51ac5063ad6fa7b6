//! One server process for all legacy sessions, for servers that keep nothing of a session.
//!
//! It stands where the launcher stands: whoever asks for the process of a session gets pipes in memory, and what passes through
//! them is told apart by ids of our own. So sessions, streams and calls know nothing of it.
//!
//! ```text
//!  session ── pipes ──►┐
//!  session ── pipes ──►┼── Process (ids rewritten) ──► stdin/stdout of the one server process
//!  session ── pipes ──►┘
//! ```
//!
//! | message | what happens |
//! |---|---|
//! | `initialize` | the first one is sent; later ones get the same result under their own id, whatever version they ask for |
//! | `notifications/initialized` | the first one is sent |
//! | request | sent under an id of ours, and under a progress token of ours |
//! | answer, progress | goes to the session whose call it is, as that session wrote id and token |
//! | cancellation | sent with our id; a session that ends cancels its calls |
//! | request of the server | goes to the session of the one call in flight; with none or several nobody could say whose client is meant, so the server gets an error; `ping` is answered at once |
//! | log message | goes to the session of the oldest call in flight, to every session when there is none |
//! | any other notification | goes to every session |
//!
//! The process stays when a session ends. When it exits, all sessions end, and the next one starts it anew.

mod outlet;
mod route;
mod table;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use crate::launcher::{EndReason, Ender, Opening, Purpose, ServerLauncher, ServerPipes};
use crate::lines::{Line, Lines};
use crate::message::compose;
use crate::observer::Note;
use crate::server::Output;
use crate::shared::Shared;
use crate::writer::Writer;
use outlet::{Outlet, OutletReader};
use table::{Seat, Table};

/// What may still be in the pipe when the exit of the process is known.
const AFTER_EXIT: Duration = Duration::from_millis(200);
/// Room in the pipe from a session, as large as that of a real one.
const PIPE: usize = 64 * 1024;
/// Its number in notes; those of the sessions start at 1.
const NUMBER: u64 = 0;

/// The process of all legacy sessions, started when the first one needs it. Clones are the same.
#[derive(Clone)]
pub(crate) struct SharedProcess(Rc<Inner>);

struct Inner {
    shared: Rc<Shared>,
    launcher: Rc<dyn ServerLauncher>,
    current: RefCell<Option<Rc<Process>>>,
    /// Held while a process is being started, so that there is one.
    opening: Mutex<()>,
    closed: Cell<bool>,
}

struct Process {
    shared: Rc<Shared>,
    writer: Writer,
    table: RefCell<Table>,
    ender: RefCell<Option<Ender>>,
}

impl SharedProcess {
    pub(crate) fn new(shared: &Rc<Shared>, launcher: Rc<dyn ServerLauncher>) -> Self {
        Self(Rc::new(Inner {
            shared: Rc::clone(shared),
            launcher,
            current: RefCell::default(),
            opening: Mutex::default(),
            closed: Cell::new(false),
        }))
    }

    /// Takes over a running process; the pipes of a first session on it.
    pub(crate) fn adopt(&self, pipes: ServerPipes) -> ServerPipes {
        let process = Process::start(&self.0.shared, pipes);
        *self.0.current.borrow_mut() = Some(Rc::clone(&process));
        process.join()
    }

    /// Stops the process; nothing is started afterwards.
    pub(crate) fn close(&self) {
        self.0.closed.set(true);
        let current = self.0.current.borrow_mut().take();
        if let Some(process) = current {
            process.end(EndReason::Closed, "the bridge was closed");
        }
    }

    /// Entries in its tables.
    pub(crate) fn tracked(&self) -> usize {
        self.0.current.borrow().as_ref().map_or(0, |process| process.table.borrow().tracked())
    }
}

impl ServerLauncher for SharedProcess {
    fn open(&self, purpose: Purpose) -> Opening {
        let inner = Rc::clone(&self.0);
        match purpose {
            Purpose::LegacySession => Box::pin(async move {
                let _turn = inner.opening.lock().await;
                if let Some(process) = inner.running() {
                    return Ok(process.join());
                }
                let pipes = inner.launcher.open(purpose).await?;
                let process = Process::start(&inner.shared, pipes);
                let session = process.join();
                if inner.closed.get() {
                    process.end(EndReason::Closed, "the bridge was closed");
                } else {
                    *inner.current.borrow_mut() = Some(process);
                }
                Ok(session)
            }),
            Purpose::ModernShared => inner.launcher.open(purpose),
        }
    }
}

impl Inner {
    fn running(&self) -> Option<Rc<Process>> {
        self.current.borrow().as_ref().filter(|process| process.is_alive()).map(Rc::clone)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(process) = self.current.get_mut().take() {
            process.end(EndReason::Abandoned, "the bridge is gone");
        }
    }
}

impl Process {
    fn start(shared: &Rc<Shared>, pipes: ServerPipes) -> Rc<Self> {
        let ServerPipes { stdin, stdout, exited, ender } = pipes;
        let process = Rc::new(Self {
            shared: Rc::clone(shared),
            writer: Writer::new(stdin, shared.config.max_input_backlog),
            table: RefCell::default(),
            ender: RefCell::new(Some(ender)),
        });
        let output = Output::new(stdout, exited, shared.config.max_line);
        tokio::task::spawn_local(Self::read(Rc::downgrade(&process), output));
        let writing = Rc::clone(&process);
        tokio::task::spawn_local(async move { writing.writer.pump().await });
        process
    }

    fn is_alive(&self) -> bool {
        self.ender.borrow().is_some()
    }

    /// Reads until the process is gone. Holds on to nothing, so that dropping the bridge stops the process.
    async fn read(process: Weak<Self>, mut output: Output) {
        let detail = loop {
            let line = tokio::select! {
                biased;
                line = output.lines.next() => line,
                detail = output.exited.as_mut() => {
                    // Somebody else may hold its output open for ever.
                    let _ = timeout(AFTER_EXIT, Self::read_rest(&process, &mut output.lines)).await;
                    break detail;
                }
            };
            match line {
                Ok(Line::End) => break "it closed its output".to_owned(),
                Ok(line) => {
                    let Some(process) = process.upgrade() else { return };
                    process.take(line);
                }
                Err(error) => break format!("its output broke: {error}"),
            }
        };
        if let Some(process) = process.upgrade() {
            process.end(EndReason::Exited, &detail);
        }
    }

    async fn read_rest(process: &Weak<Self>, lines: &mut Lines) {
        while let (Ok(line), Some(process)) = (lines.next().await, process.upgrade()) {
            if line == Line::End {
                return;
            }
            process.take(line);
        }
    }

    fn take(&self, line: Line) {
        match line {
            Line::Text(line) => self.receive(&line),
            Line::TooLong(bytes) => self.shared.note(Note::LineTooLong { server: NUMBER, bytes }),
            Line::End => {}
        }
    }

    /// Pipes for one more session.
    fn join(self: &Rc<Self>) -> ServerPipes {
        let (input, stdin) = tokio::io::simplex(PIPE);
        let (exit, exited) = oneshot::channel();
        let outlet = Rc::new(Outlet::default());
        let session = self.table.borrow_mut().sit(Seat::new(Rc::clone(&outlet), exit));
        let lines = Lines::new(Box::pin(input), usize::MAX);
        tokio::task::spawn_local(Rc::clone(self).forward(session, lines));
        let (leaving, closing) = (Rc::clone(self), Rc::clone(&outlet));
        ServerPipes {
            stdin: Box::pin(stdin),
            stdout: Box::pin(OutletReader(outlet)),
            exited: Box::pin(async move {
                let Ok(detail) = exited.await else { return std::future::pending().await };
                // Only now, so that the reason is known before the end is seen.
                closing.close();
                detail
            }),
            ender: Ender::new(move |_reason| leaving.leave(session)),
        }
    }

    /// Passes on what a session says, until it has no more to say or the process no ears.
    async fn forward(self: Rc<Self>, session: u64, mut lines: Lines) {
        while let Ok(Line::Text(line)) = lines.next().await {
            let Ok(text) = std::str::from_utf8(&line) else { continue };
            if let Some(message) = self.outgoing(session, text)
                && self.writer.send(Bytes::from(message)).await.is_err()
            {
                return;
            }
        }
    }

    /// A session is over: its calls are cancelled, and what the server asked its client is refused.
    fn leave(&self, session: u64) {
        let (calls, asked) = self.table.borrow_mut().leave(session);
        for number in calls {
            self.push(compose::cancelled(&number.to_string(), "the session was ended"));
        }
        for id in asked {
            self.refuse(&id.to_json(), "the session of this request was ended");
        }
    }

    /// Ends the process and with it all sessions; only the first time counts.
    fn end(&self, reason: EndReason, detail: &str) {
        let Some(ender) = self.ender.borrow_mut().take() else { return };
        self.writer.close();
        let seats = self.table.borrow_mut().clear();
        for seat in seats {
            seat.exits(detail);
        }
        ender.end(reason);
    }
}
