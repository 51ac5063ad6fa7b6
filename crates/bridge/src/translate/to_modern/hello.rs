//! The handshake of a legacy client, answered from what a modern server says of itself.

use std::rc::Rc;

use tokio::task::spawn_local;

use super::{Object, Refusal, ToModern};
use crate::bridge::NoModern;
use crate::translate::capabilities::{self, Can, Changes};
use crate::translate::json::Writer;
use crate::translate::level::Level;
use crate::translate::{
    CLIENT_CAPABILITIES, CLIENT_INFO, HANDSHAKE, LOG_LEVEL, NEWEST_LEGACY, NOBODY, PROTOCOL_VERSION,
    SERVER_INFO,
};
use crate::version;

/// What the client said of itself, for every request to come.
pub(super) struct Client {
    info: Box<str>,
    capabilities: Box<str>,
    pub(super) can: Can,
    /// What the server tells of by itself.
    pub(super) changes: Changes,
}

impl Client {
    /// Adds what every modern request says (2026-07-28, Base Protocol, Per-Request Protocol Fields) to the client's own `_meta`.
    pub(super) fn add_to(&self, meta: &mut Writer, level: Option<Level>) {
        meta.text(PROTOCOL_VERSION, version::MODERN)
            .raw(CLIENT_INFO, &self.info)
            .raw(CLIENT_CAPABILITIES, &self.capabilities);
        if let Some(level) = level.filter(|_| self.changes.logging) {
            meta.text(LOG_LEVEL, level.name());
        }
    }
}

impl ToModern {
    pub(super) fn initialize(self: &Rc<Self>, params: &Object<'_>, raw: &str) {
        let theirs = params.get("capabilities").map_or("{}", |raw| raw.get());
        let client = Client {
            info: params.get("clientInfo").map_or(NOBODY, |raw| raw.get()).into(),
            capabilities: capabilities::of_client(theirs).into(),
            can: Can::read(theirs),
            changes: Changes::default(),
        };
        let wanted = params.text("protocolVersion");
        let version = wanted.filter(|version| version::is_known_legacy(version));
        let version = version.unwrap_or_else(|| NEWEST_LEGACY.to_owned());
        let (translator, raw) = (Rc::clone(self), raw.to_owned());
        spawn_local(async move {
            match translator.greet(client, &version).await {
                Ok(result) => translator.succeed(&raw, result),
                Err(refusal) => translator.refuse(&raw, &refusal),
            }
        });
    }

    async fn greet(&self, mut client: Client, version: &str) -> Result<String, Refusal> {
        let inner = self.inner.upgrade().ok_or_else(|| Refusal::internal("the bridge is gone"))?;
        let server = inner.modern_server().await.map_err(Refusal::from)?;
        let mut meta = Writer::default();
        client.add_to(&mut meta, None);
        let params = format!(r#"{{"_meta":{}}}"#, meta.object());
        let answer = server.ask("server/discover", &params, HANDSHAKE).await;
        let text = match &answer {
            Some((line, None)) => std::str::from_utf8(line).unwrap_or_default(),
            Some(_) => return Err(Refusal::internal("the server refused server/discover")),
            None => return Err(Refusal::internal("the server did not answer server/discover")),
        };
        let message = Object::read(text).unwrap_or_default();
        let found = Object::of(message.get("result"));
        let theirs = found.get("capabilities").map_or("{}", |raw| raw.get());
        client.changes = Changes::read(theirs);
        let meta = Object::of(found.get("_meta"));
        let mut result = Writer::default();
        result
            .text("protocolVersion", version)
            .raw("capabilities", &capabilities::of_server(theirs))
            .raw("serverInfo", meta.get(SERVER_INFO).map_or(NOBODY, |raw| raw.get()));
        if let Some(instructions) = found.get("instructions") {
            result.raw("instructions", instructions.get());
        }
        *self.client.borrow_mut() = Some(Rc::new(client));
        Ok(result.object())
    }
}

impl From<NoModern> for Refusal {
    fn from(why: NoModern) -> Self {
        match why {
            NoModern::NoServer(why) => Self::internal(why),
            NoModern::LegacyOnly => Self::internal("the server does not speak the modern revision any more"),
        }
    }
}
