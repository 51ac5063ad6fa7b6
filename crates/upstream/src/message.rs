//! The envelope of a JSON-RPC message, borrowed from its bytes, and the few messages we say ourselves.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The first stateless revision.
pub(crate) const MODERN: &str = "2026-07-28";

/// Our own trouble, or the server's.
pub(crate) const INTERNAL: i64 = -32603;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// A header is missing or contradicts the body (2026-07-28, Server Validation).
pub(crate) const HEADER_MISMATCH: i64 = -32020;

/// Either side's message.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(default, borrow)]
    method: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// The members of `params` that become headers or name another message.
#[derive(Deserialize, Default)]
pub(crate) struct Params<'a> {
    #[serde(rename = "_meta", default, borrow)]
    meta: Option<&'a RawValue>,
    #[serde(rename = "requestId", default, borrow)]
    pub(crate) request_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) uri: Option<&'a RawValue>,
    #[serde(rename = "taskId", default, borrow)]
    pub(crate) task_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", default, borrow)]
    protocol_version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct InitializeResult<'a> {
    #[serde(rename = "protocolVersion", default, borrow)]
    protocol_version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ErrorHead {
    #[serde(default)]
    code: Option<i64>,
}

/// Text that is borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Keeps `null` apart from absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What a message is.
pub(crate) enum Kind<'e> {
    Request { method: &'e str, id: Id, raw: &'e str },
    Notification { method: &'e str },
    Response { id: Option<Id> },
    Neither,
}

impl<'a> Envelope<'a> {
    /// Nothing when it is no JSON object with an envelope.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        object(text)
    }

    pub(crate) fn kind(&self) -> Kind<'_> {
        match (&self.method, self.id) {
            (Some(method), Some(raw)) => match Id::read(raw.get()) {
                Some(id) => Kind::Request { method: &method.0, id, raw: raw.get() },
                None => Kind::Neither,
            },
            (Some(method), None) => Kind::Notification { method: &method.0 },
            (None, raw) if self.result.is_some() || self.error.is_some() => {
                Kind::Response { id: raw.and_then(|raw| Id::read(raw.get())) }
            }
            _ => Kind::Neither,
        }
    }

    pub(crate) fn params(&self) -> Params<'a> {
        self.params.and_then(|params| object(params.get())).unwrap_or_default()
    }

    /// Whether this is an error, with its code.
    pub(crate) fn error_code(&self) -> Option<i64> {
        let error: ErrorHead = object(self.error?.get())?;
        Some(error.code.unwrap_or_default())
    }

    /// The version that a result of `initialize` names.
    pub(crate) fn negotiated(&self) -> Option<String> {
        let result: InitializeResult<'_> = object(self.result?.get())?;
        string(result.protocol_version)
    }
}

impl Params<'_> {
    /// The version that a modern message names in its `_meta`.
    pub(crate) fn version(&self) -> Option<String> {
        let meta: Meta<'_> = object(self.meta?.get())?;
        string(meta.protocol_version)
    }
}

/// Derived code takes the items of a list for members in order, so only an object is looked at.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The text of a JSON string.
pub(crate) fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// The id of a request as JSON: `1` and `"1"` differ, two spellings of one text do not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(Box<str>);

impl Id {
    /// Nothing when the value is neither a number nor a text.
    pub(crate) fn read(raw: &str) -> Option<Self> {
        match raw.as_bytes().first()? {
            b'"' if raw.contains('\\') => {
                let text: String = serde_json::from_str(raw).ok()?;
                Some(Self(serde_json::to_string(&text).ok()?.into()))
            }
            b'"' | b'-' | b'0'..=b'9' => Some(Self(raw.into())),
            _ => None,
        }
    }

    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    /// Whether a server that does not look at the type of an id takes the two for one.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.0.trim_matches('"') == other.0.trim_matches('"')
    }
}

/// The text with one part, a slice of it, replaced.
pub(crate) fn splice(text: &str, part: &str, replacement: &str) -> Bytes {
    let at = part.as_ptr().addr() - text.as_ptr().addr();
    let mut out = BytesMut::with_capacity(text.len() - part.len() + replacement.len());
    out.extend_from_slice(&text.as_bytes()[..at]);
    out.extend_from_slice(replacement.as_bytes());
    out.extend_from_slice(&text.as_bytes()[at + part.len()..]);
    out.freeze()
}

/// A message with this id, whatever it had.
pub(crate) fn with_id(text: &str, envelope: &Envelope<'_>, id: &str) -> Option<Bytes> {
    if let Some(raw) = envelope.id {
        return Some(splice(text, raw.get(), id));
    }
    let brace = text.find('{')?;
    let open = text.get(brace..=brace)?;
    Some(splice(text, open, &format!("{{\"id\":{id},")))
}

/// The message on one line. In JSON a line break can only be white space.
pub(crate) fn on_one_line(message: &Bytes) -> Bytes {
    let message = message.slice_ref(message.trim_ascii());
    if memchr::memchr2(b'\n', b'\r', &message).is_none() {
        return message;
    }
    let mut changed = BytesMut::from(message);
    while let Some(at) = memchr::memchr2(b'\n', b'\r', &changed) {
        changed[at] = b' ';
    }
    changed.freeze()
}

/// An error answer under this id, which is JSON.
pub(crate) fn error(id: &str, code: i64, message: &str) -> Bytes {
    let message = serde_json::to_string(message).expect("text is always JSON");
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#).into()
}

/// Tells that nothing more comes for this request, whose id is JSON.
pub(crate) fn cancelled(id: &str, reason: &str) -> Bytes {
    let reason = serde_json::to_string(reason).expect("text is always JSON");
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":{reason}}}}}"#)
        .into()
}

/// An empty result.
pub(crate) fn empty_result(id: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_between_the_parts_of_a_message_become_spaces() {
        let pretty = Bytes::from_static(b"\r\n{\n  \"a\": \"x\\n\"\r\n}\n");
        assert_eq!(on_one_line(&pretty), Bytes::from_static(b"{   \"a\": \"x\\n\"  }"));
    }

    #[test]
    fn an_id_is_replaced_or_added() {
        for (text, wanted) in [
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, r#"{"jsonrpc":"2.0","id":7,"error":{}}"#),
            (r#" {"jsonrpc":"2.0","error":{"code":1}}"#, r#" {"id":7,"jsonrpc":"2.0","error":{"code":1}}"#),
        ] {
            let envelope = Envelope::read(text).unwrap();
            assert_eq!(with_id(text, &envelope, "7").unwrap(), wanted.as_bytes());
        }
    }

    #[test]
    fn ids_keep_their_type_and_lose_their_spelling() {
        let id = |raw| Id::read(raw).unwrap();
        assert_ne!(id("1"), id("\"1\""));
        assert!(id("1").looks_like(&id("\"1\"")));
        assert_eq!(id(r#""\u0041""#), id("\"A\""));
        assert!(Id::read("null").is_none() && Id::read("{}").is_none());
    }

    #[test]
    fn a_list_is_not_taken_for_a_message() {
        assert!(Envelope::read(r#"["x",1]"#).is_none());
        let envelope =
            Envelope::read(r#"{"method":"x","params":[{"io.modelcontextprotocol/protocolVersion":"y"}]}"#);
        assert_eq!(envelope.unwrap().params().version(), None);
    }
}
