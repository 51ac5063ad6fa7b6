//! What is passed on is passed on as it came, whatever it holds.

use http::StatusCode;
use roadstead_bridge::Era;
use serde_json::json;

use crate::rig::{MODERN, Rig, in_session, local, post, settle, with};

/// What a library that reads and writes JSON would change: order, spaces, numbers, repeated names, escapes.
const ODD: &str = r#"{ "z":1, "a":[1.0,-0,1E5,1e400,123456789012345678901234567890,0.10000000000000000001], "a":2, "uni":"é\u00e9\/\u2028 \ud83d\ude00😀", "lone":["\ud800","\udfff x"], "name":"n\u0061", "":null, "unknown":{"jsonrpc":[ ]} }"#;

fn deep(levels: usize) -> String {
    format!("{}{}", r#"{"d":["#.repeat(levels), "]}".repeat(levels))
}

/// The messages of an event stream. Only a line feed ends a line of it here.
fn messages(stream: &str) -> Vec<&str> {
    stream
        .split('\n')
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| !data.is_empty())
        .collect()
}

fn payloads() -> Vec<String> {
    vec![
        ODD.to_owned(),
        deep(200),
        deep(50_000),
        format!("{{\"s\":\"{}\"}}", "x\u{2028}\u{2029}\u{7f}".repeat(1000)),
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_changes_between_a_legacy_client_and_its_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, "2025-11-25").await;
        for odd in payloads() {
            let sent = format!(r#"{{"x":{odd},"method":"tools/call","params":{{"arguments":{odd},"_meta":{{"o":{odd}}}}},"id":"i\u0041","jsonrpc":"2.0"}}"#);
            let reply = rig.start(in_session(&session, sent.clone()));
            assert!(peer.hears_raw().await == sent, "a request");
            let log = format!(r#"{{"method":"notifications/message","params":{{"data":{odd}}},"jsonrpc":"2.0","y":{odd}}}"#);
            peer.says(&log).await;
            let asks = format!(r#"{{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{odd}}}"#);
            peer.says(&asks).await;
            let answer = format!(r#"{{"jsonrpc":"2.0","result":{odd},"id":"iA","w":{odd}}}"#);
            peer.says(&answer).await;
            let expected = [&log, &asks, &answer].map(String::as_str);
            let came = reply.await.unwrap().text().await;
            assert!(messages(&came) == expected, "what the server said");
            let result = format!(r#"{{"result":{odd},"jsonrpc":"2.0","id":9}}"#);
            assert_eq!(rig.send(in_session(&session, result.clone())).await.status(), StatusCode::ACCEPTED);
            assert!(peer.hears_raw().await == result, "an answer");
            let note = format!(r#"{{"jsonrpc":"2.0","method":"notifications/any","params":{odd}}}"#);
            assert_eq!(rig.send(in_session(&session, note.clone())).await.status(), StatusCode::ACCEPTED);
            assert!(peer.hears_raw().await == note, "a notification");
        }
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_ids_and_tokens_change_between_a_modern_client_and_its_server() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Modern);
        for odd in payloads() {
            let sent = |id: &str, token: &str| {
                format!(r#"{{"x":{odd},"method":"resources/list","params":{{"arguments":{odd},"_meta":{{"progressToken":{token},"o":{odd},"io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/protocolVersion":"{MODERN}"}}}},"id":{id},"jsonrpc":"2.0"}}"#)
            };
            let headers = [("mcp-protocol-version", MODERN), ("mcp-method", "resources/list")];
            let reply = rig.start(with(post(sent(r#""i\u0041""#, "1.50")), &headers));
            let heard = peer.hears_raw().await;
            let number = heard.strip_suffix(r#","jsonrpc":"2.0"}"#).unwrap().rsplit(':').next().unwrap().to_owned();
            assert!(heard == sent(&number, &number), "a request");
            let progress = |token: &str| format!(r#"{{"method":"notifications/progress","params":{{"o":{odd},"progressToken":{token}}},"jsonrpc":"2.0"}}"#);
            peer.says(progress(&number)).await;
            let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","result":{odd},"id":{id},"w":{odd}}}"#);
            peer.says(answer(&number)).await;
            let expected = [progress("1.50"), answer(r#""i\u0041""#)];
            assert!(messages(&reply.await.unwrap().text().await) == expected, "what the server said");
        }
        assert_eq!(rig.bridge.tracked(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_error_is_no_object_is_an_answer() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, "2025-11-25").await;
        let reply = rig.start(in_session(&session, r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#));
        peer.hears().await;
        peer.says(r#"{"jsonrpc":"2.0","id":1,"error":"broken"}"#).await;
        assert_eq!(reply.await.unwrap().json().await["error"], "broken");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_says_what_it_is_twice_is_refused() {
    local(async {
        let (rig, mut peer) = Rig::new(Era::Legacy);
        let session = rig.open_session(&mut peer, "2025-11-25").await;
        for twice in [
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","m\u0065thod":"y"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"progressToken":1,"progressToken":2}}}"#,
        ] {
            let mut refused = rig.send(in_session(&session, twice)).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{twice}");
            assert_eq!(refused.json().await["error"]["code"], json!(-32600), "{twice}");
        }
        settle().await;
        assert_eq!((rig.bridge.in_flight(), rig.bridge.tracked()), (0, 0));
    })
    .await;
}
