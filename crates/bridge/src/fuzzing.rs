//! Properties that hold for any bytes: each function takes some and ends in a panic when a property does not hold. The fuzz
//! targets call them with bytes that a fuzzer chose, and the tests below with random ones.

mod events;

use std::io::Cursor;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};

use crate::http::header::decoded;
use crate::http::params::number;
use crate::lines::{Line, Lines};
use crate::message::{Edit, Envelope, Kind, splice};
use crate::tools::schema;
pub use events::events;

/// Gives what it has in small pieces.
struct Pieces {
    rest: Cursor<Vec<u8>>,
    size: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut piece = [0; 256];
        let mut some = ReadBuf::new(&mut piece[..self.size.min(buffer.remaining())]);
        let read = Pin::new(&mut self.rest).poll_read(cx, &mut some);
        buffer.put_slice(some.filled());
        read
    }
}

/// The reader gives the lines that stand in the input, whatever pieces they come in.
pub fn lines(data: &[u8]) {
    let [size, limit, input @ ..] = data else { return };
    let (size, limit) = (usize::from(*size).max(1), usize::from(*limit) * 16);
    let mut expected = Vec::new();
    let mut parts: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    if parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    for part in parts {
        if part.len() > limit {
            expected.push(Line::TooLong(part.len() as u64));
        } else {
            let part = part.strip_suffix(b"\r").unwrap_or(part);
            let tidy: Vec<u8> = part.iter().map(|byte| if *byte == b'\r' { b' ' } else { *byte }).collect();
            expected.push(Line::Text(tidy.into()));
        }
    }
    let pieces = Pieces { rest: Cursor::new(input.to_vec()), size };
    let mut lines = Lines::new(Box::pin(pieces), limit);
    let mut came = Vec::new();
    loop {
        let Poll::Ready(line) = pin!(lines.next()).poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the reader waits for what is there");
        };
        match line.expect("reading memory does not fail") {
            Line::End => break,
            line => came.push(line),
        }
    }
    assert_eq!(came, expected);
}

/// The envelope says of a message what a whole parser says, and a new id replaces the old one and nothing else.
pub fn envelope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(envelope) = Envelope::read(text) else { return };
    let (_, _, _) = (envelope.error_code(), envelope.says_version_2(), envelope.result_head().is_some());
    let whole: Option<Value> = serde_json::from_str(text).ok();
    match envelope.kind() {
        Kind::Request { method, raw, .. } => {
            if let Some(whole) = &whole {
                assert_eq!(whole["method"], method);
                assert_eq!(whole["id"], serde_json::from_str::<Value>(raw).unwrap_or_default());
            }
            renamed(text, method, raw, &envelope);
        }
        Kind::Notification { method } => {
            if let Some(whole) = &whole {
                assert_eq!((&whole["method"], whole.get("id")), (&Value::from(method), None));
            }
        }
        Kind::Response { .. } => {
            if let Some(whole) = &whole {
                assert!(whole.get("result").is_some() || whole.get("error").is_some());
            }
        }
        Kind::Neither => {}
    }
}

fn renamed(text: &str, method: &str, raw: &str, envelope: &Envelope<'_>) {
    const NEW: &str = "\"a new id\"";
    let token = envelope.meta().and_then(|meta| meta.progress_token);
    let mut edits: Vec<Edit<'_>> = vec![(raw, NEW)];
    edits.extend(token.map(|token| (token.get(), "77")));
    let changed = String::from_utf8(splice(text, &mut edits, 0)).expect("text stays text");
    let again = Envelope::read(&changed).unwrap_or_else(|_| panic!("no message any more: {changed}"));
    let Kind::Request { method: same, raw: new, .. } = again.kind() else {
        panic!("no request any more: {changed}");
    };
    assert_eq!((same, new), (method, NEW));
    let token_again = again.meta().and_then(|meta| meta.progress_token);
    assert_eq!(token_again.map(serde_json::value::RawValue::get), token.map(|_| "77"));
    let mut back: Vec<Edit<'_>> = vec![(new, raw)];
    back.extend(token_again.zip(token).map(|(now, before)| (now.get(), before.get())));
    assert_eq!(splice(&changed, &mut back, 0), text.as_bytes(), "something else changed too");
}

/// Replacing parts is the same as building the text anew.
pub fn replaced(data: &[u8]) {
    let [cuts @ .., _, _] = data else { return };
    let text = String::from_utf8_lossy(data);
    let mut bounds: Vec<usize> =
        cuts.iter().take(8).map(|cut| text.floor_char_boundary(usize::from(*cut))).collect();
    bounds.sort_unstable();
    let (mut edits, mut expected, mut done) = (Vec::new(), String::new(), 0);
    for pair in bounds.chunks_exact(2) {
        let (from, to) = (pair[0].max(done), pair[1]);
        // Two parts without length at one place have no order.
        if from >= to {
            continue;
        }
        edits.push((&text[from..to], "<new>"));
        expected.push_str(&text[done..from]);
        expected.push_str("<new>");
        done = to;
    }
    expected.push_str(&text[done..]);
    edits.reverse();
    assert_eq!(splice(&text, &mut edits, 3), expected.as_bytes());
}

/// A header value means what was meant, and schemas and numbers of any kind are read without harm.
pub fn header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let hidden = format!("=?base64?{}?=", STANDARD.encode(text.as_bytes()));
    assert_eq!(decoded(&hidden).as_deref(), Some(&*text));
    match decoded(&text) {
        Some(clear) if clear == text => {}
        Some(clear) => assert_eq!(format!("=?base64?{}?=", STANDARD.encode(clear)), text, "two spellings"),
        None => assert!(text.starts_with("=?base64?") && text.ends_with("?=")),
    }
    let (one, other) = text.split_once(' ').unwrap_or((&text, &text));
    assert_eq!(number::is_same(one, other), number::is_same(other, one));
    if let (Ok(a), Ok(b)) = (one.parse::<i64>(), other.parse::<i64>())
        && [one, other].iter().all(|text| serde_json::from_str::<i64>(text).is_ok())
    {
        assert_eq!(number::is_same(one, other), a == b, "{one} {other}");
    }
    for param in schema::params_of(&text).iter().flat_map(|params| params.iter()) {
        assert!(!param.path.is_empty() && param.header.as_str().len() > "mcp-param-".len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// JSON of all kinds, also of kinds that no library writes.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1e400".to_owned()),
            Just(r#""\ud800\u2028\/\"""#.to_owned()),
            "-?[1-9][0-9]{0,30}(\\.[0-9]{1,5})?",
            any::<String>().prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let key = prop_oneof![
                4 => proptest::sample::select(vec![
                    "id", "method", "params", "_meta", "progressToken", "result", "error", "code", "name",
                    "properties", "type", "x-mcp-header", "arguments", "jsonrpc", "m\\u0065thod",
                ]),
                1 => Just("other"),
            ];
            let members = proptest::collection::vec((key, inner.clone()), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(" , "))),
                members.prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(key, value)| format!("\"{key}\" :{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    fn request() -> impl Strategy<Value = String> {
        (json(), json(), "\"[a-z1é]{0,3}\"|[0-9]{1,3}", "\"t{0,2}\"|[0-9]").prop_map(
            |(before, after, id, token)| {
                format!(
                    r#"{{"x":{before}, "id" : {id},"method":"m","params":{{"a":{after},"_meta":{{"progressToken":{token}}}}}}}"#
                )
            },
        )
    }

    proptest! {
        #[test]
        fn lines_are_read_whatever_pieces_they_come_in(
            size in 1..20_u8,
            limit in 0..4_u8,
            text in "[ab\r\n]{0,200}",
        ) {
            lines(&[&[size, limit], text.as_bytes()].concat());
        }

        #[test]
        fn envelopes_are_read_as_a_whole_parser_would(text in prop_oneof![json(), request()]) {
            envelope(text.as_bytes());
        }

        #[test]
        fn parts_are_replaced_as_if_the_text_were_built_anew(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            replaced(&data);
        }

        #[test]
        fn headers_mean_what_was_meant(text in prop_oneof![
            any::<String>(),
            json(),
            "=\\?base64\\?[A-Za-z0-9+/=]{0,12}\\?=",
            "-?[0-9]{1,3} -?[0-9]{1,3}",
        ]) {
            header(text.as_bytes());
        }

        #[test]
        fn what_a_server_says_comes_out_of_the_event_stream(
            messages in proptest::collection::vec(any::<String>(), 0..8),
        ) {
            events(messages.join("\n").as_bytes());
        }
    }
}
