//! The envelope of a JSON-RPC message: what routing needs, borrowed from the bytes. The rest is checked to be JSON and not kept.

pub(crate) mod compose;
mod id;
mod splice;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use id::Id;
pub(crate) use splice::{Edit, splice};

/// Either side's message.
#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(default, borrow)]
    jsonrpc: Option<Text<'a>>,
    #[serde(default, borrow)]
    method: Option<Text<'a>>,
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "object")]
    pub(crate) params: Option<Params<'a>>,
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) result: Option<&'a RawValue>,
    /// Whatever it is: a server that puts text here has answered all the same.
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// The members of `params` that say where a message belongs.
#[derive(Deserialize, Default)]
pub(crate) struct Params<'a> {
    #[serde(rename = "_meta", default, borrow, deserialize_with = "object")]
    pub(crate) meta: Option<Meta<'a>>,
    #[serde(rename = "requestId", default, borrow)]
    pub(crate) request_id: Option<&'a RawValue>,
    #[serde(rename = "progressToken", default, borrow)]
    pub(crate) progress_token: Option<&'a RawValue>,
    #[serde(rename = "taskId", default, borrow)]
    pub(crate) task_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) uri: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) cursor: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// The members of `_meta` that say where a message belongs.
#[derive(Deserialize, Default)]
pub(crate) struct Meta<'a> {
    #[serde(rename = "progressToken", default, borrow)]
    pub(crate) progress_token: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", default, borrow)]
    pub(crate) protocol_version: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default, borrow)]
    pub(crate) client_capabilities: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/clientInfo", default, borrow)]
    pub(crate) client_info: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/logLevel", default, borrow)]
    pub(crate) log_level: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/subscriptionId", default, borrow)]
    pub(crate) subscription_id: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) traceparent: Option<&'a RawValue>,
    #[serde(rename = "io.modelcontextprotocol/related-task", default, borrow, deserialize_with = "object")]
    pub(crate) related_task: Option<RelatedTask<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct RelatedTask<'a> {
    #[serde(rename = "taskId", default, borrow)]
    pub(crate) task_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ErrorHead<'a> {
    #[serde(default, borrow)]
    code: Option<&'a RawValue>,
}

/// The members of a result that the bridge itself needs.
#[derive(Deserialize)]
pub(crate) struct ResultHead<'a> {
    #[serde(rename = "_meta", default, borrow, deserialize_with = "object")]
    pub(crate) meta: Option<Meta<'a>>,
    #[serde(rename = "protocolVersion", default, borrow)]
    pub(crate) protocol_version: Option<&'a RawValue>,
    #[serde(rename = "supportedVersions", default, borrow)]
    pub(crate) supported_versions: Option<&'a RawValue>,
}

/// What a message is.
pub(crate) enum Kind<'e> {
    Request {
        method: &'e str,
        id: Id,
        raw: &'e str,
    },
    Notification {
        method: &'e str,
    },
    Response {
        id: Id,
    },
    /// JSON, but not JSON-RPC.
    Neither,
}

/// Why bytes are no message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotJson,
    NotAMessage,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Unreadable> {
        let unreadable = |error: serde_json::Error| {
            if error.is_data() { Unreadable::NotAMessage } else { Unreadable::NotJson }
        };
        if text.trim_ascii_start().starts_with('[') {
            // Derived code alone would take the items of a list for members in order.
            return match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Err(Unreadable::NotAMessage),
                Err(error) => Err(unreadable(error)),
            };
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    pub(crate) fn kind(&self) -> Kind<'_> {
        match (&self.method, self.id) {
            (Some(method), Some(raw)) => match Id::read(raw) {
                Some(id) => Kind::Request { method: &method.0, id, raw: raw.get() },
                None => Kind::Neither,
            },
            (Some(method), None) => Kind::Notification { method: &method.0 },
            (None, Some(raw)) if self.result.is_some() || self.error.is_some() => {
                Id::read(raw).map_or(Kind::Neither, |id| Kind::Response { id })
            }
            _ => Kind::Neither,
        }
    }

    pub(crate) fn says_version_2(&self) -> bool {
        self.jsonrpc.as_ref().is_some_and(|version| version.0 == "2.0")
    }

    pub(crate) fn meta(&self) -> Option<&Meta<'a>> {
        self.params.as_ref()?.meta.as_ref()
    }

    /// The code, when this is an error.
    pub(crate) fn error_code(&self) -> Option<i64> {
        let head: Option<ErrorHead<'_>> = serde_json::from_str(self.error?.get()).ok();
        let code = head.and_then(|head| head.code?.get().parse().ok());
        Some(code.unwrap_or_default())
    }

    /// What the bridge itself needs of a result.
    pub(crate) fn result_head(&self) -> Option<ResultHead<'a>> {
        serde_json::from_str(self.result?.get()).ok()
    }
}

impl<'a> ResultHead<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        Envelope::read(text).ok()?.result_head()
    }
}

/// The text of a JSON string.
pub(crate) fn string(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Text that is borrowed when it has no escapes; `Option<Cow>` would always copy.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Keeps `null` apart from absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// An object's members. A list has none that we know; derived code alone would take its items for members in order.
fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Members<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Members(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_method_and_id() {
        let kind = |text: &str| match Envelope::read(text).unwrap().kind() {
            Kind::Request { method, raw, .. } => format!("request {method} {raw}"),
            Kind::Notification { method } => format!("notification {method}"),
            Kind::Response { id } => format!("response {id:?}"),
            Kind::Neither => "neither".to_owned(),
        };
        assert_eq!(kind(r#"{"id":"1","method":"a\/b"}"#), "request a/b \"1\"");
        assert_eq!(kind(r#"{"method":"n","params":null}"#), "notification n");
        assert_eq!(kind(r#"{"id":7,"result":null}"#), "response Number(7)");
        assert_eq!(kind(r#"{"id":7,"result":{},"error":null}"#), "response Number(7)");
        assert_eq!(kind(r#"{"id":7,"error":"broken"}"#), "response Number(7)");
        assert_eq!(kind(r#"{"id":7,"error":null}"#), "neither");
        assert_eq!(kind(r#"{"id":7}"#), "neither");
        assert_eq!(kind(r#"{"id":null,"method":"x"}"#), "neither");
    }

    #[test]
    fn a_list_as_params_is_not_taken_for_named_members() {
        let envelope = Envelope::read(r#"{"id":1,"method":"x","params":[{"progressToken":5},3]}"#).unwrap();
        assert!(envelope.meta().is_none());
    }

    #[test]
    fn a_list_is_no_message_whatever_it_holds() {
        assert_eq!(Envelope::read(r#" ["2.0","initialize",1]"#).err(), Some(Unreadable::NotAMessage));
        assert_eq!(Envelope::read("[\"2.0\"").err(), Some(Unreadable::NotJson));
    }

    #[test]
    fn what_is_not_json_and_what_is_not_a_message_differ() {
        assert_eq!(Envelope::read("{nope").err(), Some(Unreadable::NotJson));
        assert_eq!(Envelope::read("{\"method\":1}").err(), Some(Unreadable::NotAMessage));
        assert_eq!(Envelope::read("{\"method\":\"a\nb\"}").err(), Some(Unreadable::NotJson));
    }
}
