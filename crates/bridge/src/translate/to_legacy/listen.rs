//! Subscriptions of modern clients at a legacy server (2026-07-28, Subscriptions).

use std::rc::Rc;

use tokio::task::spawn_local;

use super::backend::{Backend, Failure};
use super::request::Request;
use super::{At, Object, ToLegacy};
use crate::message::Id;
use crate::translate::SUBSCRIPTION;
use crate::translate::capabilities::Changes;
use crate::translate::json::{Writer, quoted};

pub(super) struct Listen {
    id: Id,
    changes: Changes,
    resources: Vec<String>,
    /// What came before the acknowledgement, which has to be the first message.
    held: Option<Vec<String>>,
}

impl Listen {
    fn wants(&self, method: &str, uri: Option<&str>) -> bool {
        match method {
            "notifications/tools/list_changed" => self.changes.tools,
            "notifications/prompts/list_changed" => self.changes.prompts,
            "notifications/resources/list_changed" => self.changes.resources,
            // A server may name a part of what was subscribed to.
            "notifications/resources/updated" => {
                uri.is_some_and(|uri| self.resources.iter().any(|own| uri.starts_with(own.as_str())))
            }
            _ => false,
        }
    }

    fn tagged(&self, method: &str, params: &Object<'_>) -> String {
        let mut meta = Object::of(params.get("_meta")).kept(|name| name != SUBSCRIPTION);
        meta.raw(SUBSCRIPTION, &self.id.to_json());
        let mut tagged = params.kept(|name| name != "_meta");
        tagged.raw("_meta", &meta.object());
        notification(method, &tagged.object())
    }
}

fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":{},"params":{params}}}"#, quoted(method))
}

impl ToLegacy {
    pub(super) async fn listen(self: &Rc<Self>, backend: &Rc<Backend>, request: &Request) {
        let Some(filter) = request.filter.as_deref().and_then(Object::read) else {
            return self.fail(&request.id, &Failure::invalid("notifications has to be an object"));
        };
        let uris: Result<Vec<String>, _> =
            filter.get("resourceSubscriptions").map_or(Ok(Vec::new()), |raw| serde_json::from_str(raw.get()));
        let Ok(uris) = uris else {
            let why = "resourceSubscriptions has to be a list of URIs";
            return self.fail(&request.id, &Failure::invalid(why));
        };
        let able = backend.hello.changes;
        let changes = Changes {
            tools: able.tools && filter.is_true("toolsListChanged"),
            prompts: able.prompts && filter.is_true("promptsListChanged"),
            resources: able.resources && filter.is_true("resourcesListChanged"),
            ..Changes::default()
        };
        let listen =
            Listen { id: request.id.clone(), changes, resources: Vec::new(), held: Some(Vec::new()) };
        backend.listens.borrow_mut().push(listen);
        if self.place(&request.id, At::Listen(Rc::clone(backend))).is_none() {
            return self.unlisten(backend, &request.id);
        }
        for uri in uris.iter().filter(|_| able.subscribe) {
            self.add_topic(backend, &request.id, uri).await;
        }
        self.acknowledge(backend, &request.id);
    }

    /// Subscribes at the server unless another client has already; a refusal leaves the resource out.
    async fn add_topic(self: &Rc<Self>, backend: &Rc<Backend>, id: &Id, uri: &str) {
        {
            let mut listens = backend.listens.borrow_mut();
            let Some(listen) = listens.iter_mut().find(|listen| listen.id == *id) else { return };
            if listen.resources.iter().any(|own| own == uri) {
                return;
            }
            listen.resources.push(uri.to_owned());
        }
        let first = {
            let mut topics = backend.topics.borrow_mut();
            let count = topics.entry(uri.to_owned()).or_insert(0);
            *count += 1;
            *count == 1
        };
        if first && backend.request("resources/subscribe", &uri_params(uri)).await.is_err() {
            let mut listens = backend.listens.borrow_mut();
            let Some(listen) = listens.iter_mut().find(|listen| listen.id == *id) else { return };
            listen.resources.retain(|own| own != uri);
            drop(listens);
            release(backend, uri);
        }
    }

    fn acknowledge(&self, backend: &Backend, id: &Id) {
        let mut listens = backend.listens.borrow_mut();
        let Some(listen) = listens.iter_mut().find(|listen| listen.id == *id) else { return };
        let mut params = Writer::default();
        let mut meta = Writer::default();
        meta.raw(SUBSCRIPTION, &id.to_json());
        params.raw("notifications", &listen.changes.filter(&listen.resources)).raw("_meta", &meta.object());
        self.outbox.say(notification("notifications/subscriptions/acknowledged", &params.object()));
        for line in listen.held.take().unwrap_or_default() {
            self.outbox.say(line);
        }
    }

    /// Something of the server has changed. Whether that is a kind of message for subscriptions.
    pub(super) fn changed(&self, backend: &Backend, method: &str, params: &Object<'_>) -> bool {
        let known = method == "notifications/resources/updated" || method.ends_with("/list_changed");
        let uri = params.text("uri");
        for listen in backend.listens.borrow_mut().iter_mut().filter(|_| known) {
            if !listen.wants(method, uri.as_deref()) {
                continue;
            }
            let line = listen.tagged(method, params);
            match &mut listen.held {
                Some(held) => held.push(line),
                None => self.outbox.say(line),
            }
        }
        known
    }

    #[expect(clippy::unused_self, reason = "a step of the translator like the others")]
    pub(super) fn unlisten(&self, backend: &Rc<Backend>, id: &Id) {
        let listen = {
            let mut listens = backend.listens.borrow_mut();
            let at = listens.iter().position(|listen| listen.id == *id);
            at.map(|at| listens.swap_remove(at))
        };
        backend.touch();
        for uri in listen.map(|listen| listen.resources).unwrap_or_default() {
            if release(backend, &uri) {
                let backend = Rc::clone(backend);
                spawn_local(async move {
                    // A server that refuses only goes on telling us what nobody gets.
                    let _ = backend.request("resources/unsubscribe", &uri_params(&uri)).await;
                });
            }
        }
    }

    /// The server is gone, and with it its subscriptions: clients may subscribe again.
    pub(super) fn end_listens(&self, backend: &Backend) {
        for listen in std::mem::take(&mut *backend.listens.borrow_mut()) {
            if self.fronts.borrow_mut().remove(&listen.id).is_some() {
                let params =
                    format!(r#"{{"requestId":{},"reason":"the server has ended"}}"#, listen.id.to_json());
                self.outbox.say(notification("notifications/cancelled", &params));
            }
        }
    }
}

/// One subscription less; whether it was the last for this resource.
fn release(backend: &Backend, uri: &str) -> bool {
    let mut topics = backend.topics.borrow_mut();
    let Some(count) = topics.get_mut(uri) else { return false };
    *count -= 1;
    if *count > 0 {
        return false;
    }
    topics.remove(uri);
    true
}

fn uri_params(uri: &str) -> String {
    let mut params = Writer::default();
    params.text("uri", uri);
    params.object()
}
