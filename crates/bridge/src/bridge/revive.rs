//! Sessions that outlive their server process, where the type allows it: a fresh process hears the client's own handshake again.
//! Calls that were in flight have been answered with an error by then and are not repeated: nobody knows what they did.

use std::rc::Rc;

use super::Inner;
use crate::launcher::{EndReason, Purpose};
use crate::observer::Note;
use crate::server::{CallKind, Hello, Server};
use crate::translate::ToModern;

impl Inner {
    /// The server process that a session id stands for, a fresh one when it has ended and may be replaced. Nothing when there is
    /// no such session; an error when there is no process for it now.
    pub(crate) async fn session_or_revived(self: &Rc<Self>, id: &str) -> Result<Option<Rc<Server>>, String> {
        if let Some(server) = self.session(id) {
            return Ok(Some(server));
        }
        // The process that has ended is the same for all who need another one.
        let gate = self.sessions.borrow().get(id).map(|session| session.server().successor());
        let Some(gate) = gate else { return Ok(None) };
        let (inner, id) = (Rc::clone(self), Box::<str>::from(id));
        // A task of its own: a launch has to reach its end even when the client leaves in the middle of it.
        let revival = tokio::task::spawn_local(async move {
            let _one_at_a_time = gate.lock().await;
            inner.revive(&id).await
        });
        revival.await.unwrap_or_else(|_| Err("opening a server process broke off".to_owned()))
    }

    /// Lets go of a session whose process has ended; whether it was one.
    pub(crate) fn forget_ended_session(&self, id: &str) -> bool {
        let mut sessions = self.sessions.borrow_mut();
        let ended = sessions.get(id).is_some_and(|session| !session.server().is_alive());
        ended && sessions.remove(id).is_some()
    }

    async fn revive(self: &Rc<Self>, id: &str) -> Result<Option<Rc<Server>>, String> {
        if let Some(server) = self.session(id) {
            return Ok(Some(server));
        }
        let old = self
            .sessions
            .borrow()
            .get(id)
            .map(|session| (Rc::clone(session.server()), session.is_translated()));
        let Some((old, is_translated)) = old else { return Ok(None) };
        if self.is_draining() {
            return Err("the instance is shutting down".to_owned());
        }
        let server = if is_translated {
            self.take_in(ToModern::open(self), Purpose::LegacySession)
        } else {
            self.legacy_process().await?
        };
        let hello = server.inherit(&old);
        let greeted = self.greet(&server, hello).await;
        let mut sessions = self.sessions.borrow_mut();
        if let Some(session) = sessions.get_mut(id)
            && greeted
            && server.is_alive()
        {
            session.replace(Rc::clone(&server));
            drop(sessions);
            self.shared.note(Note::SessionRevived { server: server.number });
            return Ok(Some(server));
        }
        // A client that hears of no session begins anew, with a handshake that it can see fail.
        sessions.remove(id);
        drop(sessions);
        server.end(EndReason::NotInitialized, "its session could not go on");
        self.forget(&server);
        Ok(None)
    }

    /// Repeats a client's handshake; whether the server agreed.
    async fn greet(&self, server: &Rc<Server>, hello: Hello) -> bool {
        let Some((id, line)) = hello.initialize else { return false };
        let patience = self.shared.config.call_timeout;
        let answer = server.ask_line(id, CallKind::Initialize, line.to_vec(), patience).await;
        if !matches!(answer, Some((_, None))) {
            return false;
        }
        match hello.initialized {
            Some(line) => server.send(line.to_vec()).await.is_ok(),
            None => true,
        }
    }
}
