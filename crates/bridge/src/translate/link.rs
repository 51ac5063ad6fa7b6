//! A server as a client of our own sees it: calls go out, and all it says comes back in one stream and in order.
//!
//! Between a translator and a process there is the same [`Server`] as between a client and a process, so the limits, the table
//! of calls and what happens at the end of a process are the same too.

use std::rc::Rc;

use crate::launcher::EndReason;
use crate::message::{Id, compose};
use crate::server::{Call, CallKind, Refused, Server, Token};
use crate::shared::Shared;
use crate::stream::Stream;

/// Why a call did not reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotSent(pub(super) String);

/// One call to a server.
pub(super) struct Outgoing<'l> {
    pub(super) number: i64,
    /// What the server's answer is to carry as its id; the number itself for a legacy server.
    pub(super) raw: Box<str>,
    pub(super) kind: CallKind,
    pub(super) token: Option<Token>,
    pub(super) logs: bool,
    pub(super) line: String,
    pub(super) stream: &'l Rc<Stream>,
}

impl Outgoing<'_> {
    /// Takes the call into the server's table and sends it.
    pub(super) async fn send(self, server: &Server) -> Result<(), NotSent> {
        let id = Id::Number(self.number);
        let call = Call {
            stream: Rc::clone(self.stream),
            raw: self.raw,
            kind: self.kind,
            token: self.token,
            logs: self.logs,
            deadline: None,
            counted: None,
            tally: None,
        };
        server.register(id.clone(), call).map_err(|refused| NotSent(text_of(&refused).to_owned()))?;
        let sent = say(server, self.line).await;
        if sent.is_err() {
            server.forget_call(&id);
        }
        sent
    }
}

fn text_of(refused: &Refused) -> &'static str {
    match refused {
        Refused::IdInUse => "a request with this id is not answered yet",
        Refused::TooMany => "too many calls at one time",
        Refused::Ended => "the server has ended",
        // Clients' calls alone are judged, before they come here.
        Refused::Tool(_) => "the tool must not be called",
    }
}

/// Sends a message that needs no answer.
pub(super) async fn say(server: &Server, line: String) -> Result<(), NotSent> {
    let mut line = line.into_bytes();
    line.push(b'\n');
    server.send(line).await.map_err(|why| NotSent(why.to_owned()))
}

/// Gives up a call. `sent` says whether the server knows of it.
pub(super) fn cancel(server: &Server, number: i64, sent: bool, reason: &str) {
    let id = Id::Number(number);
    if server.cancel(&id) && sent {
        server.push(compose::cancelled(&id.to_json(), reason));
    }
}

/// Refuses a request of the server.
pub(super) fn refuse(server: &Server, id: &Id, code: i64, why: &str) {
    if server.take_answer(id) {
        let line = compose::error(Some(&id.to_json()), code, why, None) + "\n";
        server.push(line.into_bytes());
    }
}

/// A legacy server process of our own, with one stream for all it says.
pub(super) struct Link {
    pub(super) server: Rc<Server>,
    pub(super) stream: Rc<Stream>,
}

impl Link {
    pub(super) fn new(shared: &Rc<Shared>, server: Rc<Server>) -> Self {
        let stream = Stream::of_session(shared);
        server.listen(&stream);
        Self { server, stream }
    }

    /// A call whose answer comes in the stream under this number.
    pub(super) async fn call(&self, number: i64, kind: CallKind, line: String) -> Result<(), NotSent> {
        let outgoing = Outgoing {
            number,
            raw: number.to_string().into(),
            kind,
            token: Some(Token::Kept(Id::Number(number))),
            logs: true,
            line,
            stream: &self.stream,
        };
        outgoing.send(&self.server).await
    }

    pub(super) fn end(&self, reason: EndReason, detail: &str) {
        self.server.end(reason, detail);
    }
}
