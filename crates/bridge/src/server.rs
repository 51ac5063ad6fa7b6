//! One server process: its pipes, its table of calls, its end.
//!
//! ```text
//!  alive ──► (client's DELETE, exit, close, …) ──► ended: every call answered, every stream closed, input closed, stop asked for
//! ```
//! After the end the output is still read, and thrown away, so that the server can leave without a broken pipe.

mod ask;
mod chores;
mod keep;
mod route;
mod table;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use crate::gate::NotCalled;
use crate::history::History;
use crate::launcher::{EndReason, Ender, Purpose};
use crate::lines::{Line, Lines};
use crate::message::{Id, compose};
use crate::observer::Note;
use crate::shared::Shared;
use crate::stream::{Item, Stream, Turn};
use crate::tools::Tools;
use crate::usage::CallOutcome;
use crate::version;
use crate::writer::{NotWritten, Writer};
use chores::{Chore, Chores};
pub(crate) use keep::{Hello, Resumed};
use table::Overdue;
use table::Table;
pub(crate) use table::{Call, CallKind, Token};

/// What may still be in the pipe when the exit of the process is known.
const AFTER_EXIT: std::time::Duration = std::time::Duration::from_millis(200);

pub(crate) struct Server {
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    shared: Rc<Shared>,
    writer: Writer,
    table: RefCell<Table>,
    chores: Chores,
    ender: RefCell<Option<Ender>>,
    /// The revision its session negotiated.
    version: RefCell<Option<Box<str>>>,
    /// What was sent on the streams of its session.
    history: RefCell<Rc<History>>,
    /// How its client began, where that may be needed again.
    hello: RefCell<Hello>,
    /// The one stream of a session that came as HTTP with SSE (2024-11-05).
    channel: RefCell<Option<Weak<Stream>>>,
    ended_as: Cell<Option<EndReason>>,
    /// Held while another process takes its place.
    successor: Rc<Mutex<()>>,
    last_used: Cell<Instant>,
    next_id: Cell<i64>,
    /// What is known of the tools of a modern server.
    pub(crate) tools: Tools,
}

/// Why a call was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another call with this id is not answered yet.
    IdInUse,
    /// There are too many.
    TooMany,
    /// The process has ended.
    Ended,
    /// The tool must not be called, or not now.
    Tool(NotCalled),
}

/// The reading half, given to [`Server::run`].
pub(crate) struct Output {
    pub(crate) lines: Lines,
    pub(crate) exited: Pin<Box<dyn Future<Output = String>>>,
}

impl Output {
    pub(crate) fn new(
        stdout: Pin<Box<dyn AsyncRead>>,
        exited: Pin<Box<dyn Future<Output = String>>>,
        limit: usize,
    ) -> Self {
        Self { lines: Lines::new(stdout, limit), exited }
    }
}

impl Server {
    pub(crate) fn new(
        shared: &Rc<Shared>,
        number: u64,
        purpose: Purpose,
        writer: Writer,
        ender: Ender,
    ) -> Rc<Self> {
        shared.note(Note::ServerOpened { server: number, purpose });
        Rc::new(Self {
            number,
            purpose,
            shared: Rc::clone(shared),
            writer,
            table: RefCell::default(),
            chores: Chores::default(),
            ender: RefCell::new(Some(ender)),
            version: RefCell::new(None),
            history: RefCell::new(History::new(&shared.config)),
            hello: RefCell::default(),
            channel: RefCell::default(),
            ended_as: Cell::new(None),
            successor: Rc::default(),
            last_used: Cell::new(Instant::now()),
            next_id: Cell::new(0),
            tools: Tools::default(),
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.ender.borrow().is_some()
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.purpose == Purpose::ModernShared
    }

    pub(crate) fn version_is(&self, version: &str) -> bool {
        self.version.borrow().as_deref() == Some(version)
    }

    /// Whether its session has agreed on a revision.
    pub(crate) fn is_initialized(&self) -> bool {
        self.version.borrow().is_some()
    }

    /// When the time of the next call of this stream is over.
    pub(crate) fn next_deadline(&self, stream: &Rc<Stream>) -> Option<Instant> {
        self.table.borrow().next_deadline(stream)
    }

    /// Whether its client understands events without data.
    pub(crate) fn primes(&self) -> bool {
        self.version.borrow().as_deref().is_some_and(version::primes)
    }

    /// Whether nothing goes on, and since when.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let table = self.table.borrow();
        (table.len() == 0 && table.listener.is_none()).then(|| self.last_used.get())
    }

    /// Entries in all tables.
    pub(crate) fn tracked(&self) -> usize {
        self.table.borrow().tracked()
    }

    pub(crate) fn touch(&self) {
        self.last_used.set(Instant::now());
    }

    /// An id no other call of this process has.
    pub(crate) fn fresh_id(&self) -> i64 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// Writes what waits for the server, until its input is closed.
    pub(crate) async fn write(self: Rc<Self>) {
        self.writer.pump().await;
    }

    /// Reads until the server is gone, then ends.
    pub(crate) async fn run(self: &Rc<Self>, mut output: Output) {
        let mut leaving: Option<(String, Instant)> = None;
        let detail = loop {
            if let Some((detail, until)) = &leaving
                && *until <= Instant::now()
            {
                // Somebody else may go on writing for ever.
                break detail.clone();
            }
            let exited = async {
                match &leaving {
                    None => output.exited.as_mut().await,
                    Some((detail, until)) => {
                        sleep_until(*until).await;
                        detail.clone()
                    }
                }
            };
            let line = tokio::select! {
                biased;
                line = output.lines.next() => line,
                chore = self.chores.next() => {
                    self.work(chore);
                    continue;
                }
                detail = exited => match leaving {
                    None => {
                        leaving = Some((detail, Instant::now() + AFTER_EXIT));
                        continue;
                    }
                    Some(_) => break detail,
                },
            };
            match line {
                Ok(Line::Text(line)) => self.receive(&line),
                Ok(Line::TooLong(bytes)) => {
                    self.shared.note(Note::LineTooLong { server: self.number, bytes });
                }
                Ok(Line::End) => {
                    break leaving.map_or_else(|| "it closed its output".to_owned(), |(detail, _)| detail);
                }
                Err(error) => break format!("its output broke: {error}"),
            }
        };
        self.end(EndReason::Exited, &detail);
    }

    fn work(&self, chore: Chore) {
        match chore {
            Chore::Expire(stream) => {
                if let Some(stream) = stream.upgrade()
                    && let Some(next) = self.expire(&stream)
                {
                    self.chores.expire(next, &stream);
                }
            }
            Chore::Refuse(id) => {
                if self.table.borrow_mut().withdraw_everywhere(&id) {
                    self.refuse(&id, "no client came for this request");
                }
            }
            Chore::Forsake(id) => self.forsake(id),
            Chore::Sweep => {
                self.history().sweep();
                self.sweep_later();
            }
        }
    }

    /// Takes a call into the table. The message itself is sent afterwards, so that no answer can be faster than the table.
    pub(crate) fn register(&self, id: Id, mut call: Call) -> Result<(), Refused> {
        if !self.is_alive() {
            return Err(Refused::Ended);
        }
        let mut table = self.table.borrow_mut();
        if table.has(&id) {
            return Err(Refused::IdInUse);
        }
        if table.len() >= self.shared.config.max_calls {
            return Err(Refused::TooMany);
        }
        if let Some(tally) = &mut call.tally {
            if let Some(tool) = tally.tool() {
                self.shared.gate.admit(tool).map_err(Refused::Tool)?;
            }
            tally.let_in(&self.shared, self.is_modern());
        }
        let work = call.stream.is_of_session().then(|| self.shared.work());
        table.insert(id, call, work);
        self.shared.count(|counters| counters.calls += 1);
        Ok(())
    }

    /// Forgets a call that never reached the server.
    pub(crate) fn unregister(&self, id: &Id) {
        let call = self.table.borrow_mut().remove(id);
        if let Some(mut call) = call {
            call.ended(CallOutcome::Error, 0);
            call.stream.forgo();
        }
    }

    /// Forgets a call that failed on its way but leaves its stream waiting; whether it was known.
    pub(crate) fn forget_call(&self, id: &Id) -> bool {
        let call = self.table.borrow_mut().give_up(id);
        call.is_some_and(|mut call| {
            call.ended(CallOutcome::Error, 0);
            true
        })
    }

    /// Sends a message that ends with a newline; waits while others are before it, and as long as the limit allows while the
    /// server reads nothing at all. One that reads slowly has not stopped reading.
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), &'static str> {
        self.touch();
        let mut sending = pin!(self.writer.send(message.into()));
        loop {
            let before = self.writer.written();
            match timeout(self.shared.config.write_timeout, sending.as_mut()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(_)) => return Err("the server has closed its input"),
                Err(_) if self.writer.written() > before => {}
                Err(_) => {
                    self.shared.note(Note::InputStalled { server: self.number });
                    return Err("the server does not read its input");
                }
            }
        }
    }

    /// Sends a small message of our own without waiting.
    pub(crate) fn push(&self, message: Vec<u8>) {
        if self.writer.push(message) == Err(NotWritten::Full) {
            self.shared.note(Note::InputStalled { server: self.number });
        }
    }

    /// A client's wish to cancel; whether the server has to hear of it.
    pub(crate) fn cancel(&self, id: &Id) -> bool {
        let mut table = self.table.borrow_mut();
        match table.call(id) {
            None | Some(Call { kind: CallKind::Initialize, .. }) => return false,
            Some(_) => {}
        }
        let call = table.give_up(id);
        drop(table);
        if let Some(call) = call {
            call.stream.forgo();
        }
        true
    }

    /// A client's answer to a request of the server; whether the server waits for it.
    pub(crate) fn take_answer(&self, id: &Id) -> bool {
        self.chores.settle(id);
        self.table.borrow_mut().answered(id).is_some()
    }

    /// The client of these calls has left. For a modern client that is a cancellation; a legacy one only lost its connection,
    /// so its calls go on. What it did not get waits until it comes back for it, or is given to another stream.
    pub(crate) fn hang_up(&self, stream: &Rc<Stream>, turn: Turn) {
        let Some(missed) = stream.detach(turn) else { return };
        self.touch();
        if !self.is_modern() {
            self.reroute(missed);
            self.sweep_later();
        }
        if !stream.is_open() {
            return;
        }
        self.forsake_later(stream);
        if self.is_modern() {
            self.cancel_all(stream, "the client closed the connection");
            return;
        }
        let deadline = self.table.borrow().next_deadline(stream);
        if let Some(deadline) = deadline {
            self.chores.expire(deadline, stream);
        }
    }

    /// Gives up the calls of this stream that took too long; when to look again.
    pub(crate) fn expire(&self, stream: &Rc<Stream>) -> Option<Instant> {
        let overdue = self.table.borrow_mut().take_overdue(stream);
        for Overdue { id, mut call, after } in overdue {
            if call.kind != CallKind::Initialize {
                self.push(compose::cancelled(&id.to_json(), "the call took too long"));
            }
            self.shared.note(Note::CallTimedOut { server: self.number });
            let message = format!("the server did not answer within {} s", after.as_secs());
            let data = r#"{"code":"CALL_TIMED_OUT"}"#;
            let line = compose::error(Some(&call.raw), compose::INTERNAL, &message, Some(data));
            call.ended(CallOutcome::Timeout, line.len());
            stream.answer(line.into(), Some(compose::INTERNAL));
        }
        self.table.borrow().next_deadline(stream)
    }

    fn cancel_all(&self, stream: &Rc<Stream>, reason: &str) -> Vec<Call> {
        let ids = self.table.borrow().calls_of(stream);
        let mut calls = Vec::with_capacity(ids.len());
        for id in ids {
            let call = self.table.borrow_mut().give_up(&id);
            if let Some(call) = call {
                if call.kind != CallKind::Initialize {
                    self.push(compose::cancelled(&id.to_json(), reason));
                }
                calls.push(call);
            }
        }
        calls
    }

    /// Gives a message to the client of this call; whether there is one.
    pub(crate) fn tell(&self, id: &Id, line: Bytes) -> bool {
        let stream = self.table.borrow().call(id).map(|call| Rc::clone(&call.stream));
        stream.is_some_and(|stream| stream.offer(Item::Message { line, asks: None }).is_ok())
    }

    /// Ends the streams that last, because the bridge wants to become idle.
    pub(crate) fn end_listens(&self) {
        let ids = self.table.borrow().listens();
        for id in ids {
            let call = self.table.borrow_mut().give_up(&id);
            if let Some(call) = call {
                self.push(compose::cancelled(&id.to_json(), "the bridge is closing"));
                call.stream.close();
            }
        }
    }

    /// Makes this the GET stream; an older one is closed, because a client that comes again has usually lost it.
    pub(crate) fn listen(&self, stream: &Rc<Stream>) {
        let (old, waiting) = {
            let mut table = self.table.borrow_mut();
            (table.listener.replace(Rc::clone(stream)), table.take_waiting())
        };
        let mut items = VecDeque::new();
        if let Some(old) = old {
            old.close();
            items = old.detach(0).unwrap_or_default();
            self.forsake_later(&old);
        }
        items.extend(waiting);
        self.reroute(items);
    }

    /// The client of the GET stream has left.
    pub(crate) fn leave(&self, stream: &Rc<Stream>) {
        let missed = stream.detach(0).unwrap_or_default();
        {
            let mut table = self.table.borrow_mut();
            if table.listener.as_ref().is_some_and(|listener| Rc::ptr_eq(listener, stream)) {
                table.listener = None;
            }
        }
        self.touch();
        self.reroute(missed);
        self.forsake_later(stream);
    }

    /// Ends this process for the bridge; only the first time counts.
    pub(crate) fn end(&self, reason: EndReason, detail: &str) {
        let Some(ender) = self.ender.borrow_mut().take() else { return };
        self.ended_as.set(Some(reason));
        self.writer.close();
        let (calls, listener) = {
            let mut table = self.table.borrow_mut();
            table.take_waiting();
            table.forget_asked();
            (table.drain(), table.listener.take())
        };
        let message = match reason {
            EndReason::Exited => format!("the server ended before it answered: {detail}"),
            EndReason::SessionDeleted | EndReason::SessionReclaimed => "the session was ended".to_owned(),
            _ => "the server was stopped before it answered".to_owned(),
        };
        for mut call in calls {
            if call.kind == CallKind::Listen {
                call.stream.close();
                continue;
            }
            let line = Bytes::from(compose::error(Some(&call.raw), compose::INTERNAL, &message, None));
            if reason != EndReason::SessionDeleted {
                call.ended(CallOutcome::Error, line.len());
            }
            call.stream.answer(line, Some(compose::INTERNAL));
        }
        if let Some(listener) = listener {
            listener.close();
        }
        self.shared.note(Note::ServerEnded { server: self.number, reason, detail: detail.to_owned() });
        ender.end(reason);
    }

    fn dropped(&self, method: &str) {
        self.shared.note(Note::MessageDropped { server: self.number, method: method.to_owned() });
    }

    fn reroute(&self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            match item {
                Item::Message { line, asks } => self.redeliver(line, asks),
                Item::Response { .. } => self.dropped("response"),
            }
        }
    }
}
