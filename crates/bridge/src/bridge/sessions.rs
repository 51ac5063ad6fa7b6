//! Legacy sessions: room for them, their ids, their server processes.

use std::cell::Cell;
use std::rc::Rc;

use super::Inner;
use crate::launcher::{EndReason, Purpose};
use crate::server::Server;

/// 6 bits a character: 192 bits in all, far beyond guessing.
const ID_LENGTH: usize = 32;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why no session was opened.
#[derive(Debug)]
pub(crate) enum NoRoom {
    /// All are in use.
    Exhausted,
    /// There is no server process for it.
    NoServer(String),
}

/// A place among the sessions.
#[must_use = "the place is free again as soon as it is dropped"]
struct Slot(Rc<Cell<usize>>);

impl Slot {
    fn take(taken: &Rc<Cell<usize>>) -> Self {
        taken.set(taken.get() + 1);
        Self(Rc::clone(taken))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A session with an id.
pub(crate) struct Session {
    server: Rc<Server>,
    _slot: Slot,
}

impl Session {
    pub(crate) fn server(&self) -> &Rc<Server> {
        &self.server
    }

    pub(super) fn replace(&mut self, server: Rc<Server>) {
        self.server = server;
    }
}

/// A session without an id yet. Nobody could name it, so dropping it ends its server process.
#[must_use = "the server process is ended when this is dropped"]
pub(crate) struct Opened(Option<Session>);

impl Opened {
    pub(crate) fn server(&self) -> &Rc<Server> {
        self.0.as_ref().expect("only keeping a session takes it").server()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.server.end(EndReason::NotInitialized, "its session was never established");
        }
    }
}

impl Inner {
    /// The server process that a session id stands for.
    pub(crate) fn session(&self, id: &str) -> Option<Rc<Server>> {
        let sessions = self.sessions.borrow();
        sessions.get(id).map(|session| Rc::clone(session.server())).filter(|server| server.is_alive())
    }

    /// A server process for a new session: the one started at launch, or one more.
    pub(crate) async fn open_session(self: &Rc<Self>) -> Result<Opened, NoRoom> {
        if self.taken.get() >= self.shared.config.max_sessions {
            self.reclaim()?;
        }
        let slot = Slot::take(&self.taken);
        let first = self.first.borrow_mut().take();
        if let Some(server) = first.filter(|server| server.is_alive()) {
            return Ok(Opened(Some(Session { server, _slot: slot })));
        }
        let opening = self.launcher.open(Purpose::LegacySession);
        // A task of its own: a launch has to reach its end even when the client leaves in the middle of it.
        let launch = tokio::task::spawn_local(async move { opening.await.map(|pipes| (pipes, slot)) });
        let (pipes, slot) = match launch.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(failure)) => return Err(NoRoom::NoServer(failure.message)),
            Err(_) => return Err(NoRoom::NoServer("opening a server process broke off".to_owned())),
        };
        let server = self.take_in(pipes, Purpose::LegacySession);
        Ok(Opened(Some(Session { server, _slot: slot })))
    }

    /// Gives the session an id and keeps it.
    pub(crate) fn keep_session(&self, mut opened: Opened) -> Box<str> {
        let mut bytes = [0_u8; ID_LENGTH];
        (self.random.borrow_mut())(&mut bytes);
        let id: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
        let id = Box::<str>::from(id);
        if let Some(session) = opened.0.take()
            && session.server.is_alive()
        {
            self.sessions.borrow_mut().insert(id.clone(), session);
        }
        id
    }

    /// Ends the session that has been quiet for the longest time, if that is long enough.
    fn reclaim(&self) -> Result<(), NoRoom> {
        let quietest = {
            let sessions = self.sessions.borrow();
            let quiet = sessions.values().filter_map(|session| {
                let since = session.server.quiet_since()?;
                (since.elapsed() >= self.shared.config.session_reclaim_after)
                    .then(|| (since, Rc::clone(&session.server)))
            });
            quiet.min_by_key(|(since, _)| *since)
        };
        let (_, server) = quietest.ok_or(NoRoom::Exhausted)?;
        server.end(EndReason::SessionReclaimed, "it was idle and a new session needed the room");
        self.forget(&server);
        self.sessions.borrow_mut().retain(|_, session| !Rc::ptr_eq(session.server(), &server));
        Ok(())
    }
}
