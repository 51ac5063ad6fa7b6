//! Notifications of a legacy server: progress and logs belong to calls, changes to subscriptions.

use bytes::Bytes;

use super::backend::{Backend, Waiting};
use super::{Object, ToLegacy};
use crate::message::Id;
use crate::observer::Note;
use crate::translate::level::Level;

impl ToLegacy {
    pub(super) fn noticed(&self, backend: &Backend, method: &str, text: &str) {
        let message = Object::read(text).unwrap_or_default();
        let params = Object::of(message.get("params"));
        match method {
            "notifications/progress" => self.progress(backend, &message, &params),
            "notifications/message" => self.log(backend, text, &params),
            "notifications/cancelled" => {
                if let Some(id) = params.get("requestId").and_then(Id::read) {
                    Self::withdrawn(backend, &id);
                }
            }
            // The retry of a call tells a modern client what came of its visit to a page.
            "notifications/elicitation/complete" => {}
            _ if self.changed(backend, method, &params) => {}
            _ => {
                let server = backend.link.server.number;
                self.shared.note(Note::MessageDropped { server, method: method.to_owned() });
            }
        }
    }

    /// Progress of a call goes to whoever waits for it now, under that client's own token.
    fn progress(&self, backend: &Backend, message: &Object<'_>, params: &Object<'_>) {
        let Some(Id::Number(number)) = params.get("progressToken").and_then(Id::read) else { return };
        let works = backend.works.borrow();
        let token = works.get(&number).and_then(|work| work.front.as_ref()?.token.as_deref());
        if let Some(token) = token {
            let mut renamed = params.kept(|name| name != "progressToken");
            renamed.raw("progressToken", token);
            let mut out = message.kept(|name| name != "params");
            out.raw("params", &renamed.object());
            self.outbox.say(out.object());
        }
    }

    /// A log message names no call. It goes to the oldest call that has asked for messages of its level, if there is one.
    fn log(&self, backend: &Backend, text: &str, params: &Object<'_>) {
        let level = params.text("level").and_then(|name| Level::read(&name));
        let works = backend.works.borrow();
        let wants = |waiting: &&Waiting| match (waiting.level, level) {
            (Some(wanted), Some(level)) => level >= wanted,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let oldest = works.values().filter_map(|work| work.front.as_ref()).find(wants);
        let server = self.front.borrow().upgrade();
        if let (Some(waiting), Some(server)) = (oldest, server)
            && !server.tell(&waiting.id, Bytes::copy_from_slice(text.as_bytes()))
        {
            let server = backend.link.server.number;
            self.shared.note(Note::MessageDropped { server, method: "notifications/message".to_owned() });
        }
    }

    /// Lets the server speak up: as much as this call and those that run want to hear.
    pub(super) async fn set_level(&self, backend: &Backend, level: Level) {
        if !backend.hello.changes.logging {
            return;
        }
        let running = backend.works.borrow().values().filter_map(|work| work.front.as_ref()?.level).min();
        let wanted = running.map_or(level, |running| running.min(level));
        if backend.level.get() == Some(wanted) {
            return;
        }
        backend.level.set(Some(wanted));
        let params = format!(r#"{{"level":"{}"}}"#, wanted.name());
        if backend.request("logging/setLevel", &params).await.is_err() {
            backend.level.set(None);
        }
    }
}
