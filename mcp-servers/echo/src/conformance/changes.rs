//! Telling clients that something has changed: legacy sessions, and the listens of modern clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rmcp::RoleServer;
use rmcp::model::{ResourceUpdatedNotification, ResourceUpdatedNotificationParam};
use rmcp::service::{Peer, SubscriptionSink};

/// Everybody who wants to know.
#[derive(Debug, Default)]
pub struct Changes {
    sessions: Mutex<BTreeMap<u64, Session>>,
    listens: Arc<Mutex<Listens>>,
}

#[derive(Debug)]
struct Session {
    peer: Peer<RoleServer>,
    watched: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Listens {
    next: u64,
    open: BTreeMap<u64, SubscriptionSink>,
}

/// An open listen; dropping it ends what is sent to it.
#[derive(Debug)]
pub struct Listening {
    number: u64,
    listens: Arc<Mutex<Listens>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Ok(mut listens) = self.listens.lock() {
            listens.open.remove(&self.number);
        }
    }
}

/// A list that can change.
#[derive(Debug, Clone, Copy)]
pub enum List {
    Tools,
    Prompts,
    Resources,
}

impl Changes {
    /// A legacy session has begun.
    pub fn begin_session(&self, session: u64, peer: Peer<RoleServer>) {
        let mut sessions = self.sessions.lock().expect("no holder panics");
        sessions.retain(|_, session| !session.peer.is_transport_closed());
        sessions.entry(session).or_insert(Session { peer, watched: BTreeSet::new() });
    }

    /// `resources/subscribe`
    pub fn watch(&self, session: u64, peer: Peer<RoleServer>, uri: String) {
        self.begin_session(session, peer);
        if let Some(session) = self.sessions.lock().expect("no holder panics").get_mut(&session) {
            session.watched.insert(uri);
        }
    }

    /// `resources/unsubscribe`
    pub fn unwatch(&self, session: u64, uri: &str) {
        if let Some(session) = self.sessions.lock().expect("no holder panics").get_mut(&session) {
            session.watched.remove(uri);
        }
    }

    /// `subscriptions/listen`
    pub fn listen(&self, sink: SubscriptionSink) -> Listening {
        let mut listens = self.listens.lock().expect("no holder panics");
        let number = listens.next;
        listens.next += 1;
        listens.open.insert(number, sink);
        Listening { number, listens: self.listens.clone() }
    }

    /// Says that a list has changed. Whoever has gone or did not ask for it is passed over.
    pub async fn list_changed(&self, list: List) {
        for (peer, _) in self.sessions() {
            let _ = match list {
                List::Tools => peer.notify_tool_list_changed().await,
                List::Prompts => peer.notify_prompt_list_changed().await,
                List::Resources => peer.notify_resource_list_changed().await,
            };
        }
        for sink in self.sinks() {
            let _ = match list {
                List::Tools => sink.notify_tool_list_changed().await,
                List::Prompts => sink.notify_prompt_list_changed().await,
                List::Resources => sink.notify_resource_list_changed().await,
            };
        }
    }

    /// Says that a resource has changed, to those who watch it.
    pub async fn resource_changed(&self, uri: &str) {
        for (peer, watched) in self.sessions() {
            if watched.contains(uri) {
                let _ = peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await;
            }
        }
        for sink in self.sinks() {
            let update = ResourceUpdatedNotification::new(ResourceUpdatedNotificationParam::new(uri));
            let _ = sink.send(update.into()).await;
        }
    }

    fn sessions(&self) -> Vec<(Peer<RoleServer>, BTreeSet<String>)> {
        let sessions = self.sessions.lock().expect("no holder panics");
        sessions.values().map(|session| (session.peer.clone(), session.watched.clone())).collect()
    }

    fn sinks(&self) -> Vec<SubscriptionSink> {
        self.listens.lock().expect("no holder panics").open.values().cloned().collect()
    }
}
