//! What a legacy session is told without asking, from one subscription at the modern server that is always as wide as the session
//! wants. A wider or narrower one is opened before the old one ends, so nothing is missed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::{Object, Refusal, ToModern};
use crate::message::{Envelope, Kind};
use crate::server::{CallKind, Server};
use crate::stream::{Item, Stream};
use crate::translate::capabilities::Changes;
use crate::translate::json::{Writer, quoted};
use crate::translate::link::{self, NotSent, Outgoing};
use crate::translate::{OWN_REQUEST, SUBSCRIPTION};

/// Pause before a broken subscription is opened again; it doubles with every failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which only a change of the session's wishes leads to another attempt.
const MAX_FAILURES: u32 = 5;

#[derive(Default)]
pub(super) struct Listening {
    /// Whether the session has begun.
    begun: Cell<bool>,
    topics: RefCell<BTreeSet<String>>,
    /// Counts the changes of what is wanted.
    wanted: Cell<u64>,
    /// The change that has been brought to the server, successfully or not.
    settled: Cell<u64>,
    /// Resources that the server agreed to tell of.
    agreed: RefCell<Vec<String>>,
    current: RefCell<Option<Current>>,
    changed: Notify,
    done: Notify,
}

struct Current {
    server: Rc<Server>,
    number: i64,
    stream: Rc<Stream>,
}

impl Current {
    fn end(&self) {
        link::cancel(&self.server, self.number, true, "the subscription is not wanted any more");
        self.stream.close();
    }
}

impl ToModern {
    /// The session may be told things from now on.
    pub(super) fn start_listening(&self) {
        self.listening.begun.set(true);
        self.want_anew();
    }

    pub(super) fn stop_listening(&self) {
        if let Some(current) = self.listening.current.borrow_mut().take() {
            current.end();
        }
    }

    fn want_anew(&self) -> u64 {
        self.listening.wanted.set(self.listening.wanted.get() + 1);
        self.listening.changed.notify_one();
        self.listening.wanted.get()
    }

    pub(super) fn subscribe(self: &Rc<Self>, params: &Object<'_>, raw: &str) {
        let able = self.client.borrow().as_ref().is_some_and(|client| client.changes.subscribe);
        let Some(uri) = params.text("uri") else {
            return self.refuse(raw, &Refusal::invalid("uri has to be a text"));
        };
        if !able {
            let message = "the server has no subscriptions to resources".to_owned();
            let code = crate::message::compose::METHOD_NOT_FOUND;
            return self.refuse(raw, &Refusal { code, message });
        }
        self.listening.topics.borrow_mut().insert(uri.clone());
        // A client that subscribes has begun its session, whatever it forgot to say.
        self.listening.begun.set(true);
        let wish = self.want_anew();
        let (translator, raw) = (Rc::clone(self), raw.to_owned());
        spawn_local(async move {
            translator.until_settled(wish).await;
            let agreed = translator.listening.agreed.borrow().contains(&uri);
            if agreed || !translator.listening.topics.borrow().contains(&uri) {
                return translator.succeed(&raw, "{}".to_owned());
            }
            translator.listening.topics.borrow_mut().remove(&uri);
            translator.refuse(&raw, &Refusal::invalid("the server does not tell of this resource"));
        });
    }

    pub(super) fn unsubscribe(&self, params: &Object<'_>, raw: &str) {
        if let Some(uri) = params.text("uri")
            && self.listening.topics.borrow_mut().remove(&uri)
        {
            self.want_anew();
        }
        self.succeed(raw, "{}".to_owned());
    }

    async fn until_settled(&self, wish: u64) {
        loop {
            let done = self.listening.done.notified();
            if self.listening.settled.get() >= wish {
                return;
            }
            done.await;
        }
    }

    /// Keeps the subscription as the session wants it, as long as the session lasts.
    pub(super) async fn keep_listening(self: Rc<Self>) {
        let mut failures = 0;
        loop {
            let wish = self.listening.wanted.get();
            if wish != self.listening.settled.get() {
                failures = if self.renew().await { 0 } else { failures + 1 };
                self.listening.settled.set(wish);
                self.listening.done.notify_waiters();
                continue;
            }
            let current = self.listening.current.borrow().as_ref().map(|current| Rc::clone(&current.stream));
            let Some(stream) = current else {
                let again = failures > 0 && failures < MAX_FAILURES && self.wants_anything();
                tokio::select! {
                    () = self.listening.changed.notified() => {}
                    () = sleep(PAUSE * 2_u32.pow(failures.min(MAX_FAILURES))), if again => {
                        failures = if self.renew().await { 0 } else { failures + 1 };
                    }
                }
                continue;
            };
            tokio::select! {
                () = self.listening.changed.notified() => {}
                item = stream.next() => match item {
                    Some(Item::Message { line, .. }) => self.tell(&line),
                    Some(Item::Response { .. }) => {}
                    None => {
                        // Its server has ended, or the bridge becomes quiet.
                        self.listening.current.borrow_mut().take();
                        failures = 1;
                    }
                },
            }
        }
    }

    fn changes(&self) -> Changes {
        let client = self.client.borrow();
        let able = client.as_ref().map(|client| client.changes).unwrap_or_default();
        if self.listening.begun.get() { able } else { Changes::default() }
    }

    fn wants_anything(&self) -> bool {
        self.changes().any_list() || !self.listening.topics.borrow().is_empty()
    }

    /// Opens the subscription that is wanted now and ends the one before; whether that worked.
    async fn renew(self: &Rc<Self>) -> bool {
        if !self.wants_anything() {
            self.listening.agreed.borrow_mut().clear();
            self.stop_listening();
            return true;
        }
        match timeout(OWN_REQUEST, self.open_listen()).await {
            Ok(Ok((current, agreed))) => {
                *self.listening.agreed.borrow_mut() = agreed;
                let old = self.listening.current.borrow_mut().replace(current);
                if let Some(old) = old {
                    // What it has brought so far came before the new one was acknowledged.
                    while let Ok(Some(item)) = timeout(Duration::ZERO, old.stream.next()).await {
                        if let Item::Message { line, .. } = item {
                            self.tell(&line);
                        }
                    }
                    old.end();
                }
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    async fn open_listen(&self) -> Result<(Current, Vec<String>), Refusal> {
        let inner = self.inner.upgrade().ok_or_else(|| Refusal::internal("the bridge is gone"))?;
        if inner.is_draining() {
            return Err(Refusal::internal("the bridge is closing"));
        }
        let server = inner.modern_server().await.map_err(Refusal::from)?;
        let client = self.client.borrow().clone();
        let client = client.ok_or_else(|| Refusal::internal("the session has not begun"))?;
        let mut meta = Writer::default();
        client.add_to(&mut meta, None);
        let topics: Vec<_> = self.listening.topics.borrow().iter().cloned().collect();
        let mut params = Writer::default();
        params.raw("notifications", &self.changes().filter(&topics)).raw("_meta", &meta.object());
        let number = server.fresh_id();
        let stream = Stream::lasting(&self.shared);
        let outgoing = Outgoing {
            number,
            raw: number.to_string().into(),
            kind: CallKind::Listen,
            token: None,
            logs: false,
            line: format!(
                r#"{{"jsonrpc":"2.0","id":{number},"method":"subscriptions/listen","params":{}}}"#,
                params.object()
            ),
            stream: &stream,
        };
        let mut opening =
            Opening(Some(Current { server: Rc::clone(&server), number, stream: Rc::clone(&stream) }));
        outgoing.send(&server).await.map_err(|NotSent(why)| Refusal::internal(why))?;
        while let Some(item) = stream.next().await {
            let Item::Message { line, .. } = item else { break };
            if let Some(agreed) = acknowledged(&line)
                && let Some(current) = opening.0.take()
            {
                return Ok((current, agreed));
            }
        }
        Err(Refusal::internal("the server did not acknowledge the subscription"))
    }

    /// Passes on what a subscription brought, without the tag that says which one it was.
    fn tell(&self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Ok(envelope) = Envelope::read(text) else { return };
        let Kind::Notification { method } = envelope.kind() else { return };
        if method == "notifications/subscriptions/acknowledged" {
            return;
        }
        let message = Object::read(text).unwrap_or_default();
        let params = Object::of(message.get("params"));
        let meta = Object::of(params.get("_meta")).kept(|name| name != SUBSCRIPTION);
        let mut kept = params.kept(|name| name != "_meta");
        if !meta.is_empty() {
            kept.raw("_meta", &meta.object());
        }
        let params = if kept.is_empty() { String::new() } else { format!(",\"params\":{}", kept.object()) };
        self.outbox.say(format!(r#"{{"jsonrpc":"2.0","method":{}{params}}}"#, quoted(method)));
    }
}

/// A subscription that is not acknowledged yet; given up when dropped.
struct Opening(Option<Current>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(current) = self.0.take() {
            current.end();
        }
    }
}

/// The resources of an acknowledgement; nothing when this is none.
fn acknowledged(line: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(line).ok()?;
    let envelope = Envelope::read(text).ok()?;
    let Kind::Notification { method: "notifications/subscriptions/acknowledged" } = envelope.kind() else {
        return None;
    };
    let message = Object::read(text)?;
    let filter = Object::of(Object::of(message.get("params")).get("notifications"));
    let list = filter.get("resourceSubscriptions");
    Some(list.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default())
}
