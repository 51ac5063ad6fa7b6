//! A request of a modern client, taken apart into what a legacy server may see and what it must not.

use std::rc::Rc;

use super::backend::Failure;
use crate::message::{Id, compose};
use crate::translate::capabilities::{self, Can};
use crate::translate::json::{Object, Writer, canonical};
use crate::translate::level::Level;
use crate::translate::{
    CLIENT_CAPABILITIES, CLIENT_INFO, LOG_LEVEL, NOBODY, PROTOCOL_VERSION, may_need_input,
};

/// Requests of older revisions, and of the tasks extension, which has nothing in common with the tasks of a legacy server.
const UNKNOWN: [&str; 11] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/update",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "roots/list",
];

pub(super) struct Request {
    pub(super) id: Id,
    pub(super) method: Rc<str>,
    pub(super) identity: Identity,
    pub(super) level: Option<Level>,
    /// The client's progress token as JSON.
    pub(super) token: Option<Box<str>>,
    pub(super) state: Option<Box<str>>,
    /// The answers to what the server wanted to know, as JSON.
    pub(super) responses: Option<Box<str>>,
    /// What exactly is called, read or got.
    pub(super) subject: Option<Box<str>>,
    /// The filter of a subscription.
    pub(super) filter: Option<Box<str>>,
    params: Writer,
    meta: Writer,
}

/// Who a client is. Clients that say the same of themselves share a server process.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) key: Rc<str>,
    pub(super) info: Box<str>,
    /// For a legacy server.
    pub(super) capabilities: Box<str>,
    pub(super) can: Can,
}

impl Request {
    pub(super) fn read(text: &str, method: &str, id: Id, _raw: &str) -> Result<Self, Failure> {
        if UNKNOWN.contains(&method) {
            let message = format!("{method} is not known here");
            return Err(Failure { code: compose::METHOD_NOT_FOUND, message, data: None });
        }
        let message = Object::read(text).unwrap_or_default();
        let params = Object::of(message.get("params"));
        let meta = Object::of(params.get("_meta"));
        let level = match meta.get(LOG_LEVEL) {
            None => None,
            Some(_) => Some(
                meta.text(LOG_LEVEL)
                    .and_then(|name| Level::read(&name))
                    .ok_or_else(|| Failure::invalid("the log level is none of the eight that there are"))?,
            ),
        };
        let needs_input = may_need_input(method);
        let (state, responses) = if needs_input {
            (params.text("requestState"), params.get("inputResponses").map(|raw| raw.get().into()))
        } else {
            (None, None)
        };
        let subject = params.get("name").or_else(|| params.get("uri")).map(|raw| raw.get().into());
        Ok(Self {
            id,
            method: method.into(),
            identity: Identity::read(&meta),
            level,
            token: meta.get("progressToken").map(|raw| raw.get().into()),
            state: state.map(Into::into),
            responses,
            subject,
            filter: params.get("notifications").map(|raw| raw.get().into()),
            // `task` would make a legacy server answer with a task, which this client could not follow.
            params: params.kept(|name| {
                name != "_meta"
                    && !(needs_input && matches!(name, "inputResponses" | "requestState" | "task"))
            }),
            meta: meta.kept(|name| {
                !matches!(
                    name,
                    PROTOCOL_VERSION | CLIENT_INFO | CLIENT_CAPABILITIES | LOG_LEVEL | "progressToken"
                )
            }),
        })
    }

    /// The request for a legacy server, under a number of ours that is also the progress token.
    pub(super) fn line(&self, number: i64) -> String {
        let mut params = Writer::with_room(self.params.len() + self.meta.len() + 64);
        params.members_of(&self.params);
        let mut meta = self.meta.clone();
        if self.token.is_some() {
            meta.raw("progressToken", &number.to_string());
        }
        if !meta.is_empty() {
            params.raw("_meta", &meta.object());
        }
        line(number, &self.method, &params.object())
    }
}

/// A request of ours.
pub(super) fn line(number: i64, method: &str, params: &str) -> String {
    let method = crate::translate::json::quoted(method);
    format!(r#"{{"jsonrpc":"2.0","id":{number},"method":{method},"params":{params}}}"#)
}

impl Identity {
    fn read(meta: &Object<'_>) -> Self {
        let info = meta.get(CLIENT_INFO).map_or(NOBODY, |raw| raw.get());
        let theirs = meta.get(CLIENT_CAPABILITIES).map_or("{}", |raw| raw.get());
        let key =
            format!("{}\n{}", canonical(meta.get(CLIENT_INFO)), canonical(meta.get(CLIENT_CAPABILITIES)));
        Self {
            key: key.into(),
            info: info.into(),
            capabilities: capabilities::of_client(theirs).into(),
            can: Can::read(theirs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &str) -> Result<Request, Failure> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
        Request::read(&text, "tools/call", Id::Number(7), "7")
    }

    #[test]
    fn a_legacy_server_sees_nothing_of_the_modern_members() {
        let request = read(
            r#"{"name":"x","arguments":{"n":1.0e5},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"traceparent":"t","progressToken":"p"},"task":{}}"#,
        );
        let request = request.ok().unwrap();
        assert_eq!(
            request.line(3),
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"x","arguments":{"n":1.0e5},"_meta":{"traceparent":"t","progressToken":3}}}"#
        );
        let bare = read(r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#).ok().unwrap();
        assert!(bare.line(3).ends_with(r#""params":{}}"#));
    }

    #[test]
    fn unknown_levels_are_refused_and_answers_without_their_state_are_not_seen() {
        assert!(
            read(r#"{"inputResponses":{}}"#)
                .is_ok_and(|request| request.line(1).ends_with(r#""params":{}}"#))
        );
        assert!(read(r#"{"_meta":{"io.modelcontextprotocol/logLevel":"loud"}}"#).is_err());
    }
}
