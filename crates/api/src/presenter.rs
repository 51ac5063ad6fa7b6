//! Who presents a key, as far as it was found out. The layers around a handler ask once its answer is known: one makes the fact
//! of the key's use, another the entry of a refusal.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use http::request::Parts;
use roadstead_access::Caller;
use roadstead_model::ApiKeyId;

/// What was found out of a request; in its extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presenter(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    key: OnceLock<KeyUse>,
    caller: OnceLock<Caller>,
}

/// A key that is known, whether it was let in or not.
#[derive(Debug)]
pub(crate) struct KeyUse {
    pub(crate) key: ApiKeyId,
    pub(crate) is_refused: bool,
    pub(crate) ip_address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
}

impl Presenter {
    /// The one of a request, for a layer around its handler.
    pub(crate) fn of(request: &mut Request) -> Self {
        request.extensions_mut().get_or_insert_default::<Self>().clone()
    }

    /// The one that a layer put there; what is told to any other, nobody hears.
    pub(crate) fn in_parts(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// The key is good, and its user is let in.
    pub(crate) fn let_in(&self, caller: &Caller) {
        let (ip_address, user_agent) = (caller.ip_address, caller.user_agent.clone());
        // Asked twice in one request, it is the same one.
        let _ = self.0.key.set(KeyUse { key: caller.key(), is_refused: false, ip_address, user_agent });
    }

    /// The key is known, and may not be used so.
    pub(crate) fn turned_away(&self, key: ApiKeyId, ip_address: Option<IpAddr>) {
        let _ = self.0.key.set(KeyUse { key, is_refused: true, ip_address, user_agent: None });
    }

    /// Who calls: the key's user, or whom they act for.
    pub(crate) fn calls(&self, caller: &Caller) {
        let _ = self.0.caller.set(caller.clone());
    }

    /// The key that was presented.
    pub(crate) fn key(&self) -> Option<&KeyUse> {
        self.0.key.get()
    }

    /// Who was found to call.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }
}
