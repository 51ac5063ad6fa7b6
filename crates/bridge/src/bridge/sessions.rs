//! Legacy sessions: room for them, their ids, their server processes.

use std::cell::Cell;
use std::rc::Rc;

use super::Inner;
use crate::launcher::{EndReason, Purpose};
use crate::server::Server;
use crate::translate::ToModern;

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
    /// Whether a translator serves it and not a process of its own.
    is_translated: bool,
    _slot: Slot,
}

impl Session {
    pub(super) fn is_translated(&self) -> bool {
        self.is_translated
    }

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

impl Opened {
    /// Whether a process of its own serves the session.
    pub(crate) fn is_native(&self) -> bool {
        self.0.as_ref().is_some_and(|session| !session.is_translated)
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
        if self.eras.legacy() == Some(false) && self.shared.config.era_bridge {
            return Ok(self.translated(slot));
        }
        let (server, slot) = self.process_for(slot).await.map_err(NoRoom::NoServer)?;
        Ok(Opened(Some(Session { server, is_translated: false, _slot: slot })))
    }

    /// A session on the modern process.
    pub(crate) fn open_translated_session(self: &Rc<Self>) -> Result<Opened, NoRoom> {
        if self.taken.get() >= self.shared.config.max_sessions {
            self.reclaim()?;
        }
        Ok(self.translated(Slot::take(&self.taken)))
    }

    fn translated(self: &Rc<Self>, slot: Slot) -> Opened {
        let server = self.take_in(ToModern::open(self), Purpose::LegacySession);
        Opened(Some(Session { server, is_translated: true, _slot: slot }))
    }

    /// A process that has not been initialized: the one started at launch, or one more.
    pub(crate) async fn legacy_process(self: &Rc<Self>) -> Result<Rc<Server>, String> {
        Ok(self.process_for(()).await?.0)
    }

    /// Such a process, and what has to be held until there is one.
    async fn process_for<T: 'static>(self: &Rc<Self>, held: T) -> Result<(Rc<Server>, T), String> {
        self.until_resumed().await?;
        let first = self.first.borrow_mut().take();
        if let Some(server) = first.filter(|server| server.is_alive()) {
            return Ok((server, held));
        }
        let opening = self.launcher.open(Purpose::LegacySession);
        // A task of its own: a launch has to reach its end even when the client leaves in the middle of it.
        let launch = tokio::task::spawn_local(async move { opening.await.map(|pipes| (pipes, held)) });
        match launch.await {
            Ok(Ok((pipes, held))) => Ok((self.take_in(pipes, Purpose::LegacySession), held)),
            Ok(Err(failure)) => Err(failure.message),
            Err(_) => Err("opening a server process broke off".to_owned()),
        }
    }

    /// Gives the session an id and keeps it.
    pub(crate) fn keep_session(&self, mut opened: Opened) -> Box<str> {
        let id = self.unguessable();
        if let Some(session) = opened.0.take()
            && session.server.is_alive()
        {
            if !session.is_translated {
                self.eras.learn_legacy(true);
                self.tell_era();
            }
            self.sessions.borrow_mut().insert(id.clone(), session);
        }
        id
    }

    /// A name that nobody can guess.
    pub(crate) fn unguessable(&self) -> Box<str> {
        let mut bytes = [0_u8; ID_LENGTH];
        (self.random.borrow_mut())(&mut bytes);
        let id: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
        id.into()
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
