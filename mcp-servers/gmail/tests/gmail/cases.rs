//! Every tool, once as it should be and several times as it should not.

use roadstead_server_stage::{Case, hold_all};
use serde_json::{Value, json};

use crate::gmail::{BOX, Google};

type Says = Vec<(&'static str, Value)>;

/// A case; the request is told below the mailbox.
fn case(tool: &'static str, arguments: Value, asks: &str, sends: Value, says: Says, wrong: Value) -> Case {
    let (method, rest) = asks.split_once(' ').expect("a method and a path");
    let asks = Box::leak(format!("{method} {BOX}{rest}").into_boxed_str());
    Case { tool, arguments, asks, sends, says, wrong: Some(wrong).filter(|wrong| *wrong != Value::Null) }
}

fn reads(tool: &'static str, arguments: Value, asks: &str, says: Says, wrong: Value) -> Case {
    case(tool, arguments, asks, Value::Null, says, wrong)
}

fn of_messages() -> Vec<Case> {
    vec![
        reads(
            "get_profile",
            json!({}),
            "GET /profile",
            vec![("/email_address", json!("me@example.org")), ("/history_id", json!("900"))],
            Value::Null,
        ),
        reads(
            "search_messages",
            json!({ "query": "from:ann is:unread", "labels": ["work/invoices", "INBOX"], "limit": 3, "page_token": "p1", "include_spam_trash": true }),
            "GET /messages?maxResults=3&q=from:ann is:unread&labelIds=Label_7&labelIds=INBOX&pageToken=p1&includeSpamTrash=true",
            vec![
                ("/messages/0/from", json!("Jürgen <ann@example.org>")),
                ("/messages/0/snippet", json!("It's lunch")),
                ("/messages/0/date", json!("2025-01-01T00:00:00Z")),
                ("/messages/0/cc/0", json!("Last, First <c@example.org>")),
                ("/messages/1/id", json!("m2")),
                ("/messages/2", Value::Null),
                ("/next_page_token", json!("p2")),
            ],
            json!({ "limit": 101 }),
        ),
        reads(
            "get_message",
            json!({ "message_id": "m2", "max_chars": 5 }),
            "GET /messages/m2?format=full",
            vec![
                ("/subject", json!("Grüße")),
                ("/body/text", json!("Grüße")),
                ("/body/total_chars", json!(14)),
                ("/body/next_offset", json!(5)),
                ("/reply_to", json!(["list@example.org"])),
                ("/attachments/0/name", json!("invoice.pdf")),
                ("/attachments/1/part_id", json!("2")),
            ],
            json!({ "message_id": "../m2" }),
        ),
    ]
}

fn of_threads_and_files() -> Vec<Case> {
    vec![
        reads(
            "list_threads",
            json!({ "query": "lunch" }),
            "GET /threads?maxResults=20&q=lunch",
            vec![
                ("/threads/0/snippet", json!("See & read")),
                ("/threads/0/messages", json!(2)),
                ("/threads/0/subject", json!("Lunch")),
                ("/threads/0/from", json!(["Jürgen <ann@example.org>", "Ann <ann@example.org>"])),
                ("/threads/0/is_unread", json!(true)),
            ],
            json!({ "limit": 0 }),
        ),
        reads(
            "get_thread",
            json!({ "thread_id": "t1", "body": "html", "limit": 1 }),
            "GET /threads/t1?format=full",
            vec![
                ("/total", json!(2)),
                ("/messages/0/id", json!("m2")),
                ("/messages/0/body/text", json!("<p>Grüße aus <b>Köln</b></p>")),
                ("/messages/0/body/is_html", json!(true)),
                ("/next_skip", json!(1)),
            ],
            json!({ "thread_id": "t1", "max_chars": 0 }),
        ),
        reads(
            "list_attachments",
            json!({ "message_id": "m2" }),
            "GET /messages/m2?format=full",
            vec![("/attachments/0/mime_type", json!("application/pdf")), ("/attachments/0/size", json!(4))],
            json!({ "message_id": "" }),
        ),
        reads(
            "get_attachment",
            json!({ "message_id": "m2", "part_id": "1" }),
            "GET /messages/m2/attachments/A-pdf",
            vec![("/base64", json!("//79AA==")), ("/size", json!(4)), ("/text", Value::Null)],
            json!({ "message_id": "m2", "part_id": "1", "max_bytes": 0 }),
        ),
        reads(
            "save_attachment",
            json!({ "message_id": "m2", "part_id": "2" }),
            "GET /messages/m2/attachments/A-txt",
            vec![("/saved_file", json!("m2-2-notes.txt"))],
            json!({ "message_id": "m 2", "part_id": "1" }),
        ),
        reads(
            "list_history",
            json!({ "since_history_id": "900", "kinds": ["message_added", "labels_added"], "label": "INBOX", "limit": 5, "page_token": "p1" }),
            "GET /history?startHistoryId=900&maxResults=5&historyTypes=messageAdded&historyTypes=labelAdded&labelId=INBOX&pageToken=p1",
            vec![
                ("/changes/0/kind", json!("message_added")),
                ("/changes/0/labels", json!(["INBOX"])),
                ("/changes/1/kind", json!("message_deleted")),
                ("/changes/2/labels", json!(["STARRED"])),
                ("/history_id", json!("905")),
            ],
            json!({ "since_history_id": "yesterday" }),
        ),
    ]
}

fn of_labels() -> Vec<Case> {
    vec![
        reads(
            "list_labels",
            json!({ "own_only": true }),
            "GET /labels",
            vec![("/labels/0/id", json!("Label_7")), ("/labels/1", Value::Null)],
            Value::Null,
        ),
        reads(
            "get_label",
            json!({ "label": "WORK/invoices" }),
            "GET /labels/Label_7",
            vec![("/messages_unread", json!(1)), ("/color/background", json!("#16a765"))],
            json!({ "label": " " }),
        ),
        case(
            "create_label",
            json!({ "name": "Bills", "in_label_list": "if_unread", "in_message_list": false, "color": { "text": "#ffffff", "background": "#16a765" } }),
            "POST /labels",
            json!({ "name": "Bills", "labelListVisibility": "labelShowIfUnread", "messageListVisibility": "hide", "color": { "textColor": "#ffffff", "backgroundColor": "#16a765" } }),
            vec![("/id", json!("Label_8")), ("/is_system", json!(false))],
            json!({ "name": "" }),
        ),
        case(
            "update_label",
            json!({ "label": "Label_7", "name": "Bills" }),
            "PATCH /labels/Label_7",
            json!({ "name": "Bills" }),
            vec![("/name", json!("Bills"))],
            json!({ "label": "Label_7" }),
        ),
        reads(
            "delete_label",
            json!({ "label": "Label_7" }),
            "DELETE /labels/Label_7",
            vec![("/done", json!("The label Label_7 is deleted."))],
            json!({ "label": "a\nb" }),
        ),
        case(
            "modify_message_labels",
            json!({ "message_id": "m1", "add": ["STARRED", "Work/Invoices"], "remove": ["INBOX"] }),
            "POST /messages/m1/modify",
            json!({ "addLabelIds": ["STARRED", "Label_7"], "removeLabelIds": ["INBOX"] }),
            vec![("/labels", json!(["STARRED", "Label_7"]))],
            json!({ "message_id": "m1" }),
        ),
        case(
            "modify_thread_labels",
            json!({ "thread_id": "t1", "remove": ["UNREAD"] }),
            "POST /threads/t1/modify",
            json!({ "addLabelIds": [], "removeLabelIds": ["UNREAD"] }),
            vec![("/labels", json!(["INBOX", "STARRED"]))],
            json!({ "thread_id": "t1", "add": [] }),
        ),
        case(
            "batch_modify_messages",
            json!({ "message_ids": ["m1", "m2"], "add": ["STARRED"] }),
            "POST /messages/batchModify",
            json!({ "ids": ["m1", "m2"], "addLabelIds": ["STARRED"], "removeLabelIds": [] }),
            vec![("/done", json!("Changed the labels of 2 messages."))],
            json!({ "message_ids": vec!["m1"; 1001], "add": ["STARRED"] }),
        ),
    ]
}

fn of_trash() -> Vec<Case> {
    let mut cases = Vec::new();
    for (tool, kind, id, verb) in [
        ("trash_message", "messages", "m1", "trash"),
        ("untrash_message", "messages", "m1", "untrash"),
        ("trash_thread", "threads", "t1", "trash"),
        ("untrash_thread", "threads", "t1", "untrash"),
    ] {
        let name = if kind == "messages" { "message_id" } else { "thread_id" };
        let (arguments, wrong) = (json!({ name: id }), json!({ name: "a/b" }));
        cases.push(reads(tool, arguments, &format!("POST /{kind}/{id}/{verb}"), vec![], wrong));
    }
    cases
}

fn of_drafts() -> Vec<Case> {
    let message = json!({ "to": ["ann@example.org"], "subject": "Hi", "text": "Hello" });
    let smuggled = json!({ "to": ["ann@example.org"], "subject": "Hi\r\nBcc: eve@example.org" });
    vec![
        reads(
            "list_drafts",
            json!({ "query": "lunch", "limit": 5, "page_token": "p1" }),
            "GET /drafts?maxResults=5&q=lunch&pageToken=p1",
            vec![("/drafts/0/draft_id", json!("r1")), ("/drafts/0/message/subject", json!("Lunch"))],
            json!({ "limit": 0 }),
        ),
        reads(
            "get_draft",
            json!({ "draft_id": "r1" }),
            "GET /drafts/r1?format=full",
            vec![("/draft_id", json!("r1")), ("/message/body/text", json!("Grüße aus Köln"))],
            json!({ "draft_id": "r 1" }),
        ),
        reads(
            "create_draft",
            json!({ "text": "to be continued" }),
            "POST /drafts",
            vec![("/draft_id", json!("r1")), ("/message_id", json!("m9"))],
            smuggled.clone(),
        ),
        reads(
            "update_draft",
            json!({ "draft_id": "r1", "message": message }),
            "PUT /drafts/r1",
            vec![("/draft_id", json!("r1"))],
            json!({ "draft_id": "r1", "message": smuggled }),
        ),
        case(
            "send_draft",
            json!({ "draft_id": "r1" }),
            "POST /drafts/send",
            json!({ "id": "r1" }),
            vec![("/id", json!("s1")), ("/labels", json!(["SENT"]))],
            json!({ "draft_id": "" }),
        ),
        reads(
            "delete_draft",
            json!({ "draft_id": "r1" }),
            "DELETE /drafts/r1",
            vec![("/done", json!("The draft r1 is deleted."))],
            json!({ "draft_id": "?" }),
        ),
        reads("send_message", message, "POST /messages/send", vec![("/thread_id", json!("t5"))], smuggled),
    ]
}

#[tokio::test]
async fn every_tool_does_its_work_and_says_why_it_cannot() {
    let google = Google::start().await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("files");
    let program = google.program(&["--files-dir", folder.to_str().unwrap()]).await;
    let cases = [of_messages(), of_threads_and_files(), of_labels(), of_trash(), of_drafts()].concat();
    hold_all(&program, &google.service, &cases).await;
    let said = program.end().await;
    assert!(said.contains("failed with 404") && !said.contains("canary"), "{said}");
}

#[tokio::test]
async fn a_server_that_only_reads_offers_nothing_else() {
    let google = Google::start().await;
    let program = google.program(&["--read-only", "--files-dir", "/nowhere"]).await;
    let names: Vec<String> = program.tools().await.iter().map(|tool| tool.name.to_string()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    for forbidden in
        ["send_message", "create_draft", "save_attachment", "trash_message", "modify_message_labels"]
    {
        assert!(!names.iter().any(|name| name == forbidden));
        assert!(program.try_call(forbidden, json!({})).await.is_err());
    }
    program.end().await;
}
