//! One conversation with the server: lines in, requests out, answers back as lines, and one end.
//!
//! ```text
//!  fresh ──(result of initialize)──► established ──► ended: open requests answered, streams closed, session deleted, pipes closed
//!    └─────────────────────────────────────────────────►┘
//! ```
//! Requests run side by side. A notification or an answer is sent when every request before it has left, and nothing after it is
//! sent before it was accepted: the order of the pipe holds, as far as HTTP lets us see it.

mod answer;
mod events;
mod legacy;
mod modern;
mod post;
mod table;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;
use roadstead_bridge::{Ender, Purpose, ServerPipes};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Gate};
use crate::dial::Dial;
use crate::lines::{Line, Lines};
use crate::message::{self, Envelope, Id, Kind};
use crate::params::Tools;
use crate::{Transport, Upstream};
use table::{Request, Table};

/// Messages on their way to the bridge; the next one waits, and with it the stream that it came on.
const MESSAGES_UNDER_WAY: usize = 4;
/// How long the last messages may take when the bridge does not read.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(crate) fn open(
    upstream: Rc<Upstream>,
    dial: Rc<dyn Dial>,
    purpose: Purpose,
    exited: Pin<Box<dyn Future<Output = String>>>,
) -> ServerPipes {
    let limits = &upstream.limits;
    let (theirs_in, ours_in) = tokio::io::duplex(limits.pipe);
    let (ours_out, theirs_out) = tokio::io::duplex(limits.pipe);
    let (out, lines) = mpsc::channel(MESSAGES_UNDER_WAY);
    let conversation = Rc::new(Conversation {
        client: Client::new(&upstream, dial),
        purpose,
        upstream,
        out: RefCell::new(Some(out)),
        table: RefCell::default(),
        session: RefCell::default(),
        closing: CancellationToken::new(),
        cause: RefCell::default(),
        skipped: Cell::new(0),
        leaving: RefCell::default(),
        tools: RefCell::default(),
    });
    let closing = conversation.closing.clone();
    let (done, ended) = oneshot::channel();
    let broken = closing.clone();
    tokio::task::spawn_local(async move {
        if write(ours_out, lines).await.is_err() {
            broken.cancel();
        }
    });
    tokio::task::spawn_local(async move {
        let detail = conversation.run(ours_in, exited).await;
        // Nobody has to be interested.
        let _ = done.send(detail);
    });
    ServerPipes {
        stdin: Box::pin(theirs_in),
        stdout: Box::pin(theirs_out),
        exited: Box::pin(async move { ended.await.unwrap_or_else(|_| "the adapter broke off".to_owned()) }),
        ender: Ender::new(move |_| closing.cancel()),
    }
}

/// Writes lines until nobody has any more; one at a time, because a message must not be cut.
async fn write(mut pipe: DuplexStream, mut lines: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(line) = lines.recv().await {
        pipe.write_all(&line).await?;
        pipe.write_all(b"\n").await?;
    }
    Ok(())
}

pub(crate) struct Conversation {
    client: Rc<Client>,
    upstream: Rc<Upstream>,
    purpose: Purpose,
    out: RefCell<Option<mpsc::Sender<Bytes>>>,
    table: RefCell<Table>,
    session: RefCell<Session>,
    /// Ends everything that goes on.
    closing: CancellationToken,
    /// Why it ends, when that is not somebody's wish.
    cause: RefCell<Option<String>>,
    /// Messages that were longer than the limit or unreadable, and are lost.
    skipped: Cell<u64>,
    /// The gates of requests that the server may not have read yet.
    leaving: RefCell<Vec<Rc<Gate>>>,
    tools: RefCell<Tools>,
}

/// What the server has told us about the session.
#[derive(Default)]
struct Session {
    /// Its id, from the answer to `initialize`.
    id: Option<HeaderValue>,
    /// The version that was negotiated.
    version: Option<HeaderValue>,
    /// Whether `initialize` was answered with a result.
    established: bool,
    /// Whether the stream for messages that belong to no request was asked for.
    listening: bool,
    /// Where messages are sent to (2024-11-05).
    endpoint: Option<PathAndQuery>,
}

impl Conversation {
    async fn run(
        self: Rc<Self>,
        input: DuplexStream,
        exited: Pin<Box<dyn Future<Output = String>>>,
    ) -> String {
        let (detail, server_is_there) = tokio::select! {
            biased;
            detail = exited => (detail, false),
            () = self.closing.cancelled() => match self.cause.take() {
                Some(cause) => (cause, false),
                None => ("the conversation was ended".to_owned(), true),
            },
            () = self.take_lines(input) => ("its input was closed".to_owned(), true),
        };
        self.finish(&detail, server_is_there).await;
        match self.skipped.get() {
            0 => detail,
            skipped => {
                format!("{detail}; messages that were too long or unreadable, and are lost: {skipped}")
            }
        }
    }

    async fn take_lines(self: &Rc<Self>, input: DuplexStream) {
        let mut lines = Lines::new(input, self.upstream.limits.max_message);
        loop {
            match lines.next().await {
                Ok(Line::Text(line)) => self.take(line).await,
                Ok(Line::TooLong) => self.skip(),
                Ok(Line::End) | Err(_) => return,
            }
        }
    }

    /// Takes one line of the bridge.
    async fn take(self: &Rc<Self>, line: Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(text) = std::str::from_utf8(&line) else { return self.skip() };
        let Some(envelope) = Envelope::read(text) else { return self.skip() };
        match envelope.kind() {
            Kind::Request { method, id, raw } => self.take_request(&line, &envelope, method, id, raw).await,
            Kind::Notification { method } => self.take_notification(&line, text, &envelope, method).await,
            Kind::Response { .. } => {
                self.send_in_order(line.clone(), None).await;
            }
            Kind::Neither => self.skip(),
        }
    }

    async fn take_request(
        self: &Rc<Self>,
        line: &Bytes,
        envelope: &Envelope<'_>,
        method: &str,
        id: Id,
        raw: &str,
    ) {
        let established = self.session.borrow().established;
        let params = envelope.params();
        let modern = self.purpose == Purpose::ModernShared || (!established && params.version().is_some());
        if method == "ping" && !established && !modern {
            return self.probe(id, raw);
        }
        let registered = self.table.borrow_mut().register(
            id.clone(),
            raw,
            method,
            modern,
            &self.upstream.limits,
            &self.closing,
        );
        let request = match registered {
            Ok(request) => request,
            Err((code, why)) => return self.say(message::error(raw, code, why)).await,
        };
        if self.upstream.transport == Transport::Sse {
            if modern {
                let why = "this server speaks an older transport; start with initialize";
                return self.fail(&request, message::METHOD_NOT_FOUND, why).await;
            }
            if let Err(why) = self.find_endpoint().await {
                return self.fail(&request, message::INTERNAL, &why).await;
            }
        }
        let mut line = line.clone();
        if let (Some(wire), Some(theirs)) = (&request.renamed, envelope.id)
            && let Ok(text) = std::str::from_utf8(&line)
        {
            line = message::splice(text, theirs.get(), wire.as_json());
        }
        self.leaving.borrow_mut().retain(|gate| !gate.is_settled());
        self.leaving.borrow_mut().push(Rc::clone(&request.gate));
        let starts = method == "initialize" && !modern;
        let headers = if modern { self.modern_headers(method, &params) } else { self.legacy_headers(starts) };
        let (this, running) = (Rc::clone(self), request.clone());
        let task = tokio::task::spawn_local(async move {
            let work = this.carry_out(&running, headers, line);
            running.cancel.run_until_cancelled(work).await;
            running.gate.settle();
        });
        if starts {
            // Nothing can be sent before the session has a name. It cannot panic, and if it did, nothing is lost here.
            let _ = task.await;
        }
    }

    /// A ping before there is a session asks whether the server is there; over HTTP anything it answers says so.
    fn probe(self: &Rc<Self>, id: Id, raw: &str) {
        let (this, raw) = (Rc::clone(self), raw.to_owned());
        let registered =
            self.table.borrow_mut().register(id, &raw, "ping", true, &self.upstream.limits, &self.closing);
        let Ok(request) = registered else { return };
        tokio::task::spawn_local(async move {
            let probe = async {
                this.client.until_listening().await;
                if this.table.borrow_mut().remove(&request).is_some() {
                    this.say(message::empty_result(&raw)).await;
                }
            };
            request.cancel.run_until_cancelled(probe).await;
        });
    }

    async fn take_notification(
        self: &Rc<Self>,
        line: &Bytes,
        text: &str,
        envelope: &Envelope<'_>,
        method: &str,
    ) {
        let mut line = line.clone();
        if method == "notifications/cancelled" {
            let params = envelope.params();
            let Some(theirs) = params.request_id else { return };
            let request = Id::read(theirs.get()).and_then(|id| self.table.borrow().get(&id));
            match request {
                Some(request) if request.modern => return self.give_up(&request),
                Some(request) => {
                    if let Some(wire) = &request.renamed {
                        line = message::splice(text, theirs.get(), wire.as_json());
                    }
                    self.send_in_order(line, None).await;
                    return self.give_up_later(&request);
                }
                // It was answered meanwhile; a stateless server could not even know which one is meant.
                None if self.purpose == Purpose::ModernShared => return,
                None => {}
            }
        }
        let version = envelope.params().version();
        let modern = self.purpose == Purpose::ModernShared || version.is_some();
        let headers = modern.then(|| self.modern_headers(method, &envelope.params()));
        let accepted = self.send_in_order(line, headers).await;
        if accepted && method == "notifications/initialized" {
            self.listen_once();
        }
    }

    /// The client does not want the answer any more, and dropping the connection says so.
    fn give_up(&self, request: &Request) {
        self.table.borrow_mut().remove(request);
        request.cancel.cancel();
    }

    /// One line for the bridge.
    async fn say(&self, line: Bytes) {
        let out = self.out.borrow().clone();
        if let Some(out) = out {
            // The writer ends only when the bridge has let go of the pipe.
            let _ = out.send(line).await;
        }
    }

    /// An error answer, unless the request was answered or given up meanwhile.
    async fn fail(&self, request: &Request, code: i64, why: &str) {
        if self.table.borrow_mut().remove(request).is_some() {
            self.say(message::error(&request.raw, code, why)).await;
        }
    }

    fn skip(&self) {
        self.skipped.set(self.skipped.get() + 1);
    }

    /// Ends the conversation for a reason of the server's.
    fn end(&self, cause: &str) {
        self.cause.borrow_mut().get_or_insert_with(|| cause.to_owned());
        self.closing.cancel();
    }

    async fn finish(&self, detail: &str, server_is_there: bool) {
        self.closing.cancel();
        let open = self.table.borrow_mut().drain();
        let last_words = async {
            for request in &open {
                let line = if request.lasts {
                    message::cancelled(&request.raw, detail)
                } else {
                    message::error(&request.raw, message::INTERNAL, detail)
                };
                self.say(line).await;
            }
        };
        // A bridge that does not read has left.
        let _ = timeout(LAST_WORDS, last_words).await;
        self.out.take();
        if server_is_there {
            self.delete_session().await;
        }
    }
}
