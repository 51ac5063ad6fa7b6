//! The one server process of all modern clients, and the question whether there can be one.
//!
//! ```text
//!  Idle ──► Opening ──► Up ──(it ends)──► Idle
//!              └──► LegacyOnly      (it did not answer `server/discover`)
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Inner;
use super::ready::{Discovery, discover};
use crate::config::Era;
use crate::launcher::{EndReason, Purpose};
use crate::observer::Note;
use crate::server::Server;
use crate::version;

pub(crate) enum Modern {
    Idle,
    Opening(Rc<Attempt>),
    Up(Rc<Server>),
    LegacyOnly,
}

/// One opening that all who need it wait for.
#[derive(Default)]
pub(crate) struct Attempt {
    outcome: RefCell<Option<Result<Rc<Server>, NoModern>>>,
    done: Notify,
}

/// Why there is no server for modern clients.
#[derive(Debug, Clone)]
pub(crate) enum NoModern {
    /// The server does not speak their revision.
    LegacyOnly,
    /// There is no server process.
    NoServer(String),
}

impl Inner {
    pub(crate) fn is_legacy_only(&self) -> bool {
        self.shared.config.era == Era::Legacy || matches!(&*self.modern.borrow(), Modern::LegacyOnly)
    }

    pub(crate) fn running_modern_server(&self) -> Option<Rc<Server>> {
        match &*self.modern.borrow() {
            Modern::Up(server) if server.is_alive() => Some(Rc::clone(server)),
            _ => None,
        }
    }

    /// The versions a modern server named, as a JSON list.
    pub(crate) fn supported_versions(&self) -> String {
        let supported = self.supported.borrow();
        supported.as_deref().map_or_else(|| format!("[\"{}\"]", version::MODERN), ToOwned::to_owned)
    }

    /// The shared server process, opened when there is none.
    pub(crate) async fn modern_server(self: &Rc<Self>) -> Result<Rc<Server>, NoModern> {
        if self.is_legacy_only() {
            return Err(NoModern::LegacyOnly);
        }
        if let Some(server) = self.running_modern_server() {
            return Ok(server);
        }
        let running = match &*self.modern.borrow() {
            Modern::Opening(attempt) => Some(Rc::clone(attempt)),
            _ => None,
        };
        let attempt = running.unwrap_or_else(|| self.begin_attempt());
        loop {
            let done = attempt.done.notified();
            if let Some(outcome) = attempt.outcome.borrow().clone() {
                return outcome;
            }
            done.await;
        }
    }

    fn begin_attempt(self: &Rc<Self>) -> Rc<Attempt> {
        let attempt = Rc::new(Attempt::default());
        *self.modern.borrow_mut() = Modern::Opening(Rc::clone(&attempt));
        let (inner, running) = (Rc::clone(self), Rc::clone(&attempt));
        // A task of its own, because all clients wait for it and the one that began may leave.
        tokio::task::spawn_local(async move {
            let outcome = inner.open_modern().await;
            *inner.modern.borrow_mut() = match &outcome {
                Ok(server) if server.is_alive() => Modern::Up(Rc::clone(server)),
                Ok(_) | Err(NoModern::NoServer(_)) => Modern::Idle,
                Err(NoModern::LegacyOnly) => Modern::LegacyOnly,
            };
            *running.outcome.borrow_mut() = Some(outcome);
            running.done.notify_waiters();
        });
        attempt
    }

    async fn open_modern(self: &Rc<Self>) -> Result<Rc<Server>, NoModern> {
        let opened = self.launcher.open(Purpose::ModernShared).await;
        let pipes = opened.map_err(|failure| NoModern::NoServer(failure.message))?;
        let server = self.take_in(pipes, Purpose::ModernShared);
        if self.shared.config.era != Era::Auto {
            return Ok(server);
        }
        let modern = match discover(&self.shared, &server, self.shared.config.discover_timeout).await {
            Discovery::Modern(supported) => {
                *self.supported.borrow_mut() = supported;
                true
            }
            Discovery::NotModern | Discovery::Silent | Discovery::Ended => false,
        };
        if self.closed.get() {
            // What it said then means nothing.
            return Err(NoModern::NoServer("the bridge was closed".to_owned()));
        }
        self.shared.note(Note::EraFound { modern });
        if modern {
            return Ok(server);
        }
        server.end(EndReason::NotModern, "it does not speak the modern revision");
        self.forget(&server);
        Err(NoModern::LegacyOnly)
    }
}
