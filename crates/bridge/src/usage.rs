//! What is told of a client's call once it is over: one fact for each call that was let in, however it ends.
//!
//! A call that is refused at the door (a limit, an id in use, a session that is gone) has reached no server and leaves no fact.
//! The fact belongs to the call as its client made it. What the bridge asks for itself, and what a translator or a shared process
//! makes of a call further on, carries none, so nothing is counted twice.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::http::header::{Said, said};
use crate::message::{Envelope, Id};
use crate::observer::Note;
use crate::shared::Shared;

/// Longest name that is kept, the longest a tool may have (2026-07-28, Tools, Tool Names); longer ones are cut.
const MAX_NAME_BYTES: usize = 128;
/// Longest id that is kept; a longer one is left out, since half an id names nothing.
const MAX_ID_BYTES: usize = 64;
const TRACEPARENT: &str = "traceparent";
const IS_ERROR: &[u8] = b"\"isError\"";

/// What became of a call, and what it cost. Nothing of what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What was asked for.
    pub method: Called,
    /// The tool's or the prompt's name. Of a resource only where it lives (`file://`, `https://example.com`): the rest of its
    /// address may be a person's own.
    pub name: Box<str>,
    /// The id the client gave the call, unless it is very long.
    pub request: Option<Request>,
    /// What the call was a part of, where the client says so.
    pub parent: Option<Parent>,
    /// Whether the client speaks the stateless revision.
    pub modern: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// From the moment it was let in to its end.
    pub latency: Duration,
    /// Length of the client's message.
    pub request_bytes: usize,
    /// Length of the answer; nothing when there was none.
    pub answer_bytes: usize,
}

/// Requests that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// `tools/call`
    Tool,
    /// `resources/read`
    Resource,
    /// `prompts/get`
    Prompt,
}

/// A request's id as its client chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A number.
    Number(i64),
    /// Any other id, as JSON.
    Other(Box<str>),
}

/// A caller's place in a trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The whole trace.
    pub trace: u128,
    /// The step of it that made the call.
    pub span: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// With a result.
    Success,
    /// With an error, the server's or ours, or with a tool's result that says of itself that it is an error.
    Error,
    /// Not in time.
    Timeout,
    /// Nobody wanted the answer any more.
    Cancelled,
}

impl Fact {
    /// What is known of a request when it comes; nothing when it is none that is counted.
    pub(crate) fn of(
        method: &str,
        envelope: &Envelope<'_>,
        bytes: usize,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let method = match method {
            "tools/call" => Called::Tool,
            "resources/read" => Called::Resource,
            "prompts/get" => Called::Prompt,
            _ => return None,
        };
        let params = envelope.params.as_ref();
        let name = match method {
            Called::Tool | Called::Prompt => text(params.and_then(|params| params.name)),
            Called::Resource => text(params.and_then(|params| params.uri)),
        };
        let name = name.unwrap_or_default();
        let name = if method == Called::Resource { home_of(&name) } else { cut(&name) };
        let traced = envelope.meta().and_then(|meta| text(meta.traceparent));
        let parent = match traced {
            Some(traced) => Parent::read(&traced),
            None => match said(headers, TRACEPARENT) {
                Said::Once(traced) => Parent::read(traced),
                Said::Nothing | Said::Unclear => None,
            },
        };
        Some(Self {
            method,
            name: name.into(),
            request: envelope.id.and_then(Id::read).and_then(Request::of),
            parent,
            modern: false,
            outcome: CallOutcome::Cancelled,
            latency: Duration::ZERO,
            request_bytes: bytes,
            answer_bytes: 0,
        })
    }
}

impl Request {
    fn of(id: Id) -> Option<Self> {
        match id {
            Id::Number(number) => Some(Self::Number(number)),
            Id::Other(text) if text.len() <= MAX_ID_BYTES => Some(Self::Other(text)),
            Id::Other(_) => None,
        }
    }
}

impl Parent {
    /// `00-<trace>-<span>-<flags>`; later versions may have more behind it.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, digits: usize| {
            part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !hex(version, 2) || version == "ff" || !hex(trace, 32) || !hex(span, 16) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        Some(Self { trace, span })
    }
}

/// The fact of a call that is not over. Dropping it tells the fact, so no way to lose a call is a way to lose its fact.
pub(crate) struct Tally {
    fact: Option<Fact>,
    began: Instant,
    /// Whom to tell, once the call was let in.
    shared: Option<Rc<Shared>>,
}

impl Tally {
    pub(crate) fn new(fact: Fact) -> Self {
        Self { fact: Some(fact), began: Instant::now(), shared: None }
    }

    /// The tool that is called, if one is.
    pub(crate) fn tool(&self) -> Option<&str> {
        self.fact.as_ref().filter(|fact| fact.method == Called::Tool).map(|fact| &*fact.name)
    }

    /// From now on the call counts. Unless something else is said of it, it will have been cancelled.
    pub(crate) fn let_in(&mut self, shared: &Rc<Shared>, modern: bool) {
        self.shared = Some(Rc::clone(shared));
        if let Some(fact) = &mut self.fact {
            fact.modern = modern;
        }
    }

    /// The call ended like this, with an answer of this length.
    pub(crate) fn ended(&mut self, outcome: CallOutcome, answer_bytes: usize) {
        if let Some(fact) = &mut self.fact {
            (fact.outcome, fact.answer_bytes) = (outcome, answer_bytes);
        }
    }

    /// The server has given this result.
    pub(crate) fn outcome_of(&self, result: Option<&RawValue>) -> CallOutcome {
        let tool = self.fact.as_ref().is_some_and(|fact| fact.method == Called::Tool);
        if tool && result.is_some_and(|result| says_error(result.get())) {
            CallOutcome::Error
        } else {
            CallOutcome::Success
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let (Some(shared), Some(mut fact)) = (self.shared.take(), self.fact.take()) {
            fact.latency = self.began.elapsed();
            shared.note(Note::CallOver(fact));
        }
    }
}

/// Whether a tool's result says of itself that it is an error (2025-11-25, Tools, Error Handling). Only a result in which
/// `"isError": true` stands anywhere is read once more: most are far too long for that.
fn says_error(result: &str) -> bool {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "isError", default)]
        is_error: bool,
    }
    let bytes = result.as_bytes();
    let suspicious = memmem::find_iter(bytes, IS_ERROR).any(|at| {
        let rest = bytes[at + IS_ERROR.len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"true"))
    });
    suspicious && serde_json::from_str::<Head>(result).is_ok_and(|head| head.is_error)
}

/// The text of a JSON string, copied only when it has escapes.
fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = raw?.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(json).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

/// The scheme of an address, and its authority without who asks there.
fn home_of(uri: &str) -> &str {
    let Some((scheme, rest)) = uri.split_once(':') else { return "" };
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if scheme.is_empty() || !scheme.bytes().all(word) {
        return "";
    }
    let bare = &uri[..=scheme.len()];
    let Some(rest) = rest.strip_prefix("//") else { return cut(bare) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') { cut(bare) } else { cut(&uri[..scheme.len() + 3 + authority.len()]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(body: &str, headers: &HeaderMap) -> Option<Fact> {
        let envelope = Envelope::read(body).unwrap();
        let crate::message::Kind::Request { method, .. } = envelope.kind() else { panic!("a request") };
        Fact::of(method, &envelope, body.len(), headers)
    }

    fn named(method: &str, params: &str) -> String {
        let body = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        of(&body, &HeaderMap::new()).unwrap().name.into()
    }

    #[test]
    fn only_calls_reads_and_gets_are_counted() {
        for method in ["tools/list", "ping", "initialize", "completion/complete", "tasks/get"] {
            let body = format!(r#"{{"id":1,"method":"{method}","params":{{"name":"x"}}}}"#);
            assert_eq!(of(&body, &HeaderMap::new()), None, "{method}");
        }
    }

    #[test]
    fn of_a_request_its_name_is_kept_and_nothing_else_it_says() {
        assert_eq!(named("tools/call", r#"{"name":"add","arguments":{"name":"Ada"}}"#), "add");
        assert_eq!(named("prompts/get", r#"{"name":"a\u0064d"}"#), "add");
        assert_eq!(named("tools/call", "{}"), "");
        assert_eq!(named("tools/call", r#"{"name":{"a":1}}"#), "");
        let long = "é".repeat(100);
        assert_eq!(named("tools/call", &format!(r#"{{"name":"{long}"}}"#)), "é".repeat(64));
    }

    #[test]
    fn of_an_address_only_where_it_lives_is_kept() {
        for (uri, home) in [
            ("file:///home/ada/diary.txt", "file://"),
            ("https://example.com/search?q=secret", "https://example.com"),
            ("https://example.com?q=secret", "https://example.com"),
            ("https://ada:secret@example.com/x", "https:"),
            ("mailto:ada@example.com", "mailto:"),
            ("no address at all", ""),
            ("ada's notes: secret", ""),
            ("", ""),
        ] {
            assert_eq!(named("resources/read", &format!(r#"{{"uri":"{uri}"}}"#)), home, "{uri}");
        }
    }

    #[test]
    fn an_id_is_kept_unless_it_is_very_long() {
        let request = |id: &str| {
            let body = format!(r#"{{"id":{id},"method":"tools/call"}}"#);
            of(&body, &HeaderMap::new()).unwrap().request
        };
        assert_eq!(request("-7"), Some(Request::Number(-7)));
        assert_eq!(request("\"a\""), Some(Request::Other("\"a\"".into())));
        assert_eq!(request(&format!("\"{}\"", "a".repeat(100))), None);
    }

    #[test]
    fn the_place_in_a_trace_comes_from_the_message_else_from_the_header() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let known = Parent { trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, span: 0x00f0_67aa_0ba9_02b7 };
        let whole = format!("00-{trace}-{span}-01");
        let mut headers = HeaderMap::new();
        let bare = r#"{"id":1,"method":"tools/call"}"#;
        assert_eq!(of(bare, &headers).unwrap().parent, None);
        headers.insert(TRACEPARENT, HeaderValue::from_str(&whole).unwrap());
        assert_eq!(of(bare, &headers).unwrap().parent, Some(known));
        let meta = |value: &str| {
            let body = format!(
                r#"{{"id":1,"method":"tools/call","params":{{"_meta":{{"traceparent":"{value}"}}}}}}"#
            );
            of(&body, &headers).unwrap().parent
        };
        assert_eq!(meta(&whole), Some(known));
        assert_eq!(meta(&format!("01-{trace}-{span}-01-more")), Some(known));
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            format!("ff-{trace}-{span}-01"),
            format!("00-{zeros}-{span}-01"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-+{}-{span}-01", &trace[1..]),
        ] {
            assert_eq!(meta(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_result_is_an_error_only_where_it_says_so_of_itself() {
        for (result, error) in [
            (r#"{"content":[],"isError":true}"#, true),
            ("{\"isError\" :\n true,\"content\":[]}", true),
            (r#"{"content":[],"isError":false}"#, false),
            (r#"{"content":[]}"#, false),
            (r#"{"structuredContent":{"isError":true}}"#, false),
            (r#"{"structuredContent":{"isError":true},"isError":false}"#, false),
            (r#"{"content":[{"text":"\"isError\": true"}]}"#, false),
            (r#"[{"isError":true}]"#, false),
            ("\"isError\":true", false),
        ] {
            assert_eq!(says_error(result), error, "{result}");
        }
    }
}
