//! What leaves, and what must not.

use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders};
use roadstead_server_stage::{Answer, Seen};
use serde_json::{Value, json};

use crate::gmail::{BOX, Google, sent};

fn send(google: &Google) -> Seen {
    let line = format!("POST {BOX}/messages/send");
    let seen = google.service.take_seen();
    seen.into_iter().find(|seen| seen.line() == line).expect("a message was sent")
}

#[tokio::test]
async fn a_message_leaves_as_it_was_meant() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let arguments = json!({
        "to": ["Ann Böse <ann@example.org>", "bob@example.org"], "cc": ["c@example.org"], "bcc": ["hidden@example.org"],
        "from": "Me <me@example.org>", "reply_to": ["list@example.org"], "subject": "Grüße 🎉", "text": "Hallo", "html": "<p>Hallo</p>",
        "attachments": [
            { "name": "größe.csv", "mime_type": "text/csv", "text": "a,b" },
            { "name": "x.bin", "base64": "//79AA==" },
        ],
    });
    program.call("send_message", arguments).await.good();
    let seen = send(&google);
    assert_eq!(seen.json().get("threadId"), None);
    let source = sent(&seen, "/raw");
    let read = MessageParser::new().parse(&source).unwrap();
    assert_eq!(read.subject(), Some("Grüße 🎉"));
    let to: Vec<_> = read.to().unwrap().iter().map(|each| (each.name(), each.address())).collect();
    assert_eq!(to, [(Some("Ann Böse"), Some("ann@example.org")), (None, Some("bob@example.org"))]);
    assert_eq!(read.bcc().unwrap().first().unwrap().address(), Some("hidden@example.org"));
    assert_eq!((read.body_text(0).unwrap().trim(), read.attachment_count()), ("Hallo", 2));
    assert_eq!(read.attachment(0).unwrap().attachment_name(), Some("größe.csv"));
    assert_eq!(read.attachment(1).unwrap().contents(), [0xff, 0xfe, 0xfd, 0]);
    assert!(read.in_reply_to().as_text().is_none());
    program.end().await;
}

#[tokio::test]
async fn an_answer_goes_into_the_thread_and_to_everybody_but_oneself() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let arguments = json!({ "in_reply_to_message_id": "m1", "reply_all": true, "text": "Yes" });
    let outcome = program.call("send_message", arguments).await;
    assert_eq!(outcome.good()["thread_id"], "t1");
    let seen = send(&google);
    assert_eq!(seen.json()["threadId"], "t1");
    let source = sent(&seen, "/raw");
    let read = MessageParser::new().parse(&source).unwrap();
    assert_eq!(read.subject(), Some("Re: Lunch"));
    assert_eq!(read.in_reply_to().as_text(), Some("two@example.org"));
    assert_eq!(read.references().as_text_list().unwrap(), ["one@example.org", "two@example.org"]);
    assert_eq!(read.to().unwrap().first().unwrap().address(), Some("ann@example.org"));
    let cc: Vec<_> = read.cc().unwrap().iter().filter_map(|each| each.address()).collect();
    assert_eq!(cc, ["bob@example.org", "c@example.org"]);
    let outcome =
        program.call("send_message", json!({ "in_reply_to_message_id": "gone", "text": "x" })).await;
    assert_eq!(outcome.code(), "not_found");
    program.end().await;
}

#[tokio::test]
async fn a_draft_of_an_answer_goes_into_the_thread() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    program.call("create_draft", json!({ "in_reply_to_message_id": "m2", "text": "later" })).await.good();
    let line = format!("POST {BOX}/drafts");
    let seen = google.service.take_seen().into_iter().find(|seen| seen.line() == line).unwrap();
    assert_eq!(seen.json()["message"]["threadId"], "t1");
    let source = sent(&seen, "/message/raw");
    let read = MessageParser::new().parse(&source).unwrap();
    assert_eq!(read.to().unwrap().first().unwrap().address(), Some("list@example.org"), "Reply-To counts");
    assert_eq!(read.subject(), Some("Re: Grüße"));
    program.end().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anybody_is_asked() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let to = |more: Value| {
        let mut all = json!({ "to": ["ann@example.org"], "text": "x" });
        for (name, value) in more.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        all
    };
    let files = |file: Value| to(json!({ "attachments": [file] }));
    for (arguments, expected) in [
        (json!({ "text": "nobody" }), "`to`"),
        (json!({ "to": ["a@example.org, b@example.org"] }), "one address"),
        (json!({ "to": ["ann@example.org\r\nBcc: eve@example.org"] }), "one line"),
        (to(json!({ "subject": "a\nBcc: eve@example.org" })), "one line"),
        (to(json!({ "from": "me\n<me@example.org>" })), "one line"),
        (to(json!({ "reply_all": true })), "in_reply_to_message_id"),
        (to(json!({ "in_reply_to_message_id": "a/b" })), "in_reply_to_message_id"),
        (files(json!({ "name": "a" })), "exactly one"),
        (files(json!({ "name": "a", "text": "x", "base64": "eA==" })), "exactly one"),
        (files(json!({ "name": "a", "base64": "!" })), "is none"),
        (files(json!({ "name": "a\r\nX: y", "text": "x" })), "one line"),
        (files(json!({ "name": "a", "text": "x", "mime_type": "text/plain\r\nX: y" })), "media type"),
        (files(json!({ "name": "a", "saved_file": "a" })), "no folder"),
        (files(json!({ "name": "a", "text": "x".repeat(6 * 1024 * 1024) })), "5 MiB"),
    ] {
        let outcome = program.call("send_message", arguments).await;
        assert_eq!(outcome.code(), "invalid_input", "{}", outcome.text);
        assert!(outcome.text.contains(expected) && !outcome.text.contains("eve"), "{}", outcome.text);
    }
    assert_eq!(google.service.count(), 0);
    program.end().await;
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let google = Google::start().await;
    let program = google.program(&["--timeout-s", "1"]).await;
    program.call("get_profile", json!({})).await.good();
    let trouble = [
        Answer::json(503, &json!({})),
        Answer::json(500, &json!({})),
        Answer::Cut,
        Answer::Late(Duration::from_hours(1)),
    ];
    for trouble in trouble {
        for (tool, arguments, line) in [
            ("send_message", json!({ "to": ["a@example.org"], "text": "x" }), "/messages/send"),
            ("send_draft", json!({ "draft_id": "r1" }), "/drafts/send"),
        ] {
            google.service.take_seen();
            google.service.next(&format!("POST {BOX}{line}"), trouble.clone());
            let outcome = program.call(tool, arguments).await;
            assert!(["unavailable", "network", "timeout"].contains(&outcome.code()), "{}", outcome.text);
            assert!(outcome.text.contains("in:sent"), "{}", outcome.text);
            assert_eq!(google.count(&format!("POST {BOX}{line}")), 1, "{tool} after {trouble:?}");
        }
    }
    google.service.next(&format!("POST {BOX}/messages/send"), Answer::json(429, &json!({})));
    program.call("send_message", json!({ "to": ["a@example.org"], "text": "x" })).await.good();
    program.end().await;
}
