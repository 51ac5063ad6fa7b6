//! The one server process of all modern clients, and the question whether there can be one.
//!
//! ```text
//!  Idle ──► Opening ──► Up ──(it ends)──► Idle
//!              └──► LegacyOnly      (it did not answer `server/discover`, and nobody may translate)
//! ```
//! When the server speaks only older revisions, a translator takes the place of the process.

use std::rc::Rc;
use std::time::Duration;

use super::attempt::Attempt;
use super::ready::{Discovery, discover};
use super::{Bridge, Inner};
use crate::config::Era;
use crate::launcher::{EndReason, Purpose};
use crate::observer::Note;
use crate::server::Server;
use crate::translate::ToLegacy;
use crate::version;

/// A process may take this many times as long for its first answer as the first one of all took.
const SLOWER: u32 = 3;
/// But it is not waited for longer than this.
const LONGEST: Duration = Duration::from_mins(1);

pub(crate) enum Modern {
    Idle,
    Opening(Rc<Attempt<Result<Rc<Server>, NoModern>>>),
    Up(Rc<Server>),
    LegacyOnly,
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
    /// Whether modern clients have to be sent away.
    pub(crate) fn is_legacy_only(&self) -> bool {
        !self.shared.config.era_bridge
            && (self.eras.modern() == Some(false) && !self.eras.is_unproven()
                || matches!(&*self.modern.borrow(), Modern::LegacyOnly))
    }

    /// Whether legacy clients have to be sent away.
    pub(crate) fn is_modern_only(&self) -> bool {
        !self.shared.config.era_bridge && self.eras.legacy() == Some(false)
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
        self.until_resumed().await.map_err(NoModern::NoServer)?;
        if let Some(server) = self.running_modern_server() {
            return Ok(server);
        }
        let running = match &*self.modern.borrow() {
            Modern::Opening(attempt) => Some(Rc::clone(attempt)),
            _ => None,
        };
        let attempt = running.unwrap_or_else(|| self.begin_attempt());
        attempt.wait().await
    }

    fn begin_attempt(self: &Rc<Self>) -> Rc<Attempt<Result<Rc<Server>, NoModern>>> {
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
            running.settle(outcome);
        });
        attempt
    }

    async fn open_modern(self: &Rc<Self>) -> Result<Rc<Server>, NoModern> {
        if self.eras.modern() == Some(false) {
            return self.translated_modern();
        }
        let opened = self.launcher.open(Purpose::ModernShared).await;
        let pipes = opened.map_err(|failure| NoModern::NoServer(failure.message))?;
        let server = self.take_in(pipes, Purpose::ModernShared);
        if self.eras.modern() == Some(true) && !self.eras.is_unproven() {
            return Ok(server);
        }
        let (patience, is_sure) = self.probe_patience();
        let found = discover(&server, patience).await;
        if self.closed.get() {
            // What it said then means nothing.
            return Err(NoModern::NoServer("the bridge was closed".to_owned()));
        }
        if let Discovery::Modern(supported) = found {
            self.found_modern(supported);
            return Ok(server);
        }
        self.eras.learn_modern(false);
        if is_sure || !matches!(found, Discovery::Silent) {
            self.tell_era();
        }
        server.end(EndReason::NotModern, "it does not speak the modern revision");
        self.forget(&server);
        self.translated_modern()
    }

    /// How long a process may be silent to `server/discover`, and whether silence means anything beyond this bridge: a server
    /// whose first answer has never been timed may just be slow to start.
    fn probe_patience(&self) -> (Duration, bool) {
        let shortest = self.shared.config.discover_timeout;
        match self.startup.get() {
            Some(startup) => ((startup * SLOWER).clamp(shortest, LONGEST.max(shortest)), true),
            None => (shortest, false),
        }
    }

    pub(super) fn found_modern(&self, supported: Option<Box<str>>) {
        self.eras.learn_modern(true);
        if supported.as_deref().is_some_and(names_legacy) {
            self.eras.learn_legacy(true);
        }
        *self.supported.borrow_mut() = supported;
        self.tell_era();
    }

    /// A translator in the place of the shared process.
    fn translated_modern(self: &Rc<Self>) -> Result<Rc<Server>, NoModern> {
        if !self.shared.config.era_bridge {
            return Err(NoModern::LegacyOnly);
        }
        let (translator, pipes) = ToLegacy::open(self);
        let server = self.take_in(pipes, Purpose::ModernShared);
        translator.serves(&server);
        Ok(server)
    }

    pub(super) fn tell_era(&self) {
        if let Some(era) = self.eras.news() {
            self.shared.note(Note::EraFound { era });
        }
    }

    /// A fresh process did not take `initialize` although the server was thought to speak older revisions. When that was only
    /// remembered, the question is open again and the next modern request asks it.
    pub(crate) fn doubt_legacy(&self) {
        if self.eras.forget_unproven()
            && let Some(translator) = self.running_modern_server()
        {
            translator.end(EndReason::NotModern, "the server's era is not what was remembered");
            self.forget(&translator);
        }
    }

    /// After a process has refused `initialize`: whether the server speaks the modern revision alone, so that the session can be
    /// translated. Asks another process, because this one has met the other era.
    ///
    /// `has_answered` says that the process refused in words; one that just ended proves nothing about the next one.
    pub(crate) async fn is_modern_after_all(self: &Rc<Self>, has_answered: bool) -> bool {
        self.doubt_legacy();
        if !self.shared.config.era_bridge || self.eras.legacy() == Some(true) {
            return false;
        }
        if self.modern_server().await.is_err() || self.eras.modern() != Some(true) {
            return false;
        }
        if self.eras.legacy() == Some(true) {
            // It says that it speaks both, so the refusal was about something else.
            return false;
        }
        if has_answered {
            self.eras.learn_legacy(false);
            self.tell_era();
        }
        true
    }
}

impl Bridge {
    /// What is known of the server's era; `Auto` while it is not known.
    pub fn era(&self) -> Era {
        let eras = &self.inner.eras;
        match (eras.legacy(), eras.modern()) {
            (Some(true), Some(true)) => Era::Dual,
            (Some(true), Some(false)) => Era::Legacy,
            (Some(false), Some(true)) => Era::Modern,
            _ => Era::Auto,
        }
    }
}

/// Whether a list of versions names one with sessions.
fn names_legacy(supported: &str) -> bool {
    let versions: Vec<String> = serde_json::from_str(supported).unwrap_or_default();
    versions.iter().any(|version| version::is_known_legacy(version))
}
