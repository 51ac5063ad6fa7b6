//! Gmail and Google's login as their documentation describes them, with a few messages in the mailbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use roadstead_server_stage::{Answer, Launch, Program, Seen, Service};
use serde_json::{Value, json};

/// Nobody may ever read these.
pub const CLIENT_SECRET: &str = "canary-client-secret-0123";
pub const REFRESH_TOKEN: &str = "1//canary-refresh-0123456789";
/// Each access token begins so; its number follows.
pub const ACCESS: &str = "ya29.canary-access-";

/// The mailbox's path on the service.
pub const BOX: &str = "/gmail/v1/users/me";

pub struct Google {
    pub service: Service,
    /// Access tokens up to this number are not taken any more.
    pub revoked: Arc<AtomicU64>,
}

impl Google {
    pub async fn start() -> Self {
        let given = AtomicU64::new(0);
        let revoked = Arc::new(AtomicU64::new(0));
        let refused = Arc::clone(&revoked);
        let service = Service::start(move |seen| match seen.line().as_str() {
            "POST /token" => token(seen, &given),
            _ => mailbox(seen, &refused),
        })
        .await;
        Self { service, revoked }
    }

    pub fn launch(&self, arguments: &[&str]) -> Launch {
        let mut all = vec![
            format!("--api-url={}", self.service.url(BOX)),
            format!("--token-url={}", self.service.url("/token")),
            "--retry-wait-ms=1".to_owned(),
        ];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let environment = [
            ("GMAIL_CLIENT_ID", "123-abc.apps.googleusercontent.com"),
            ("GMAIL_CLIENT_SECRET", CLIENT_SECRET),
            ("GMAIL_REFRESH_TOKEN", REFRESH_TOKEN),
        ];
        Launch {
            program: env!("CARGO_BIN_EXE_roadstead-gmail").into(),
            arguments: all,
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            folder: None,
        }
    }

    pub async fn program(&self, arguments: &[&str]) -> Program {
        Program::start(&self.launch(arguments)).await
    }

    /// How often a line was asked for since the last look; forgets everything.
    pub fn count(&self, line: &str) -> usize {
        self.service.take_seen().iter().filter(|seen| seen.line() == line).count()
    }
}

fn token(seen: &Seen, given: &AtomicU64) -> Answer {
    let form = seen.form();
    let field = |name: &str| form.get(name).map(String::as_str);
    if field("client_secret") != Some(CLIENT_SECRET) {
        let body = json!({ "error": "invalid_client", "error_description": "Unauthorized" });
        return Answer::json(401, &body);
    }
    if field("grant_type") != Some("refresh_token") || field("refresh_token") != Some(REFRESH_TOKEN) {
        let body =
            json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
        return Answer::json(400, &body);
    }
    let number = given.fetch_add(1, Ordering::SeqCst) + 1;
    Answer::json(
        200,
        &json!({
            "access_token": format!("{ACCESS}{number}"), "expires_in": 3599, "token_type": "Bearer",
            "scope": "https://www.googleapis.com/auth/gmail.modify",
        }),
    )
}

pub fn error(code: u16, reason: &str, message: &str) -> Value {
    json!({ "error": {
        "code": code, "message": message, "status": "X",
        "errors": [{ "message": message, "domain": "global", "reason": reason }],
    } })
}

fn mailbox(seen: &Seen, revoked: &AtomicU64) -> Answer {
    let bearer = seen.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let number: Option<u64> = bearer.and_then(|token| token.strip_prefix(ACCESS)?.parse().ok());
    if number.is_none_or(|number| number <= revoked.load(Ordering::SeqCst)) {
        return Answer::json(401, &error(401, "authError", "Invalid Credentials"));
    }
    let line = seen.line().replacen(BOX, "", 1);
    match reads(&line, seen).or_else(|| writes(&line, seen)) {
        Some(Value::Null) => Answer::Whole(204, Vec::new(), String::new()),
        Some(body) => Answer::json(200, &body),
        None => Answer::json(404, &error(404, "notFound", "Requested entity was not found.")),
    }
}

fn reads(line: &str, seen: &Seen) -> Option<Value> {
    let labels = json!({ "labels": [
        { "id": "INBOX", "name": "INBOX", "type": "system" },
        { "id": "Label_7", "name": "Work/Invoices", "type": "user", "messageListVisibility": "show", "labelListVisibility": "labelShow" },
    ] });
    Some(match line {
        "GET /profile" => {
            json!({ "emailAddress": "me@example.org", "messagesTotal": 3, "threadsTotal": 2, "historyId": "900" })
        }
        "GET /messages" => json!({
            "messages": [{ "id": "m1", "threadId": "t1" }, { "id": "gone", "threadId": "t9" }, { "id": "m2", "threadId": "t1" }],
            "nextPageToken": "p2", "resultSizeEstimate": 201,
        }),
        "GET /messages/m1" if seen.parameter("format") == Some("raw") => {
            let mut message = head();
            message["raw"] = URL_SAFE.encode(SOURCE).into();
            message
        }
        "GET /messages/m1" => head(),
        "GET /messages/m2" => full("m2"),
        "GET /messages/m2/attachments/A-pdf" => {
            json!({ "size": 4, "data": URL_SAFE.encode([0xff, 0xfe, 0xfd, 0x00]) })
        }
        "GET /messages/m2/attachments/A-txt" => {
            json!({ "size": 6, "data": URL_SAFE_NO_PAD.encode(b"Gr\xfc\xdfe!") })
        }
        "GET /threads" => {
            json!({ "threads": [{ "id": "t1", "snippet": "See &amp; read", "historyId": "880" }], "nextPageToken": "p2", "resultSizeEstimate": 1 })
        }
        "GET /threads/t1" => json!({ "id": "t1", "historyId": "880", "messages": [head(), full("m2")] }),
        "GET /labels" => labels,
        "GET /labels/Label_7" => json!({
            "id": "Label_7", "name": "Work/Invoices", "type": "user", "messagesTotal": 5, "messagesUnread": 1, "threadsTotal": 4, "threadsUnread": 1,
            "color": { "textColor": "#ffffff", "backgroundColor": "#16a765" },
        }),
        "GET /drafts" => {
            json!({ "drafts": [{ "id": "r1", "message": { "id": "m1", "threadId": "t1" } }], "resultSizeEstimate": 1 })
        }
        "GET /drafts/r1" => json!({ "id": "r1", "message": full("m2") }),
        "GET /history" => json!({
            "history": [
                { "id": "901", "messages": [{ "id": "m3", "threadId": "t3" }], "messagesAdded": [{ "message": { "id": "m3", "threadId": "t3", "labelIds": ["INBOX"] } }] },
                { "id": "902", "messagesDeleted": [{ "message": { "id": "m4", "threadId": "t4" } }],
                  "labelsAdded": [{ "message": { "id": "m3", "threadId": "t3" }, "labelIds": ["STARRED"] }] },
            ],
            "nextPageToken": "p2", "historyId": "905",
        }),
        _ => return None,
    })
}

fn writes(line: &str, seen: &Seen) -> Option<Value> {
    Some(match line {
        "POST /messages/m1/modify" | "POST /messages/m1/trash" | "POST /messages/m1/untrash" => {
            json!({ "id": "m1", "threadId": "t1", "labelIds": ["STARRED", "Label_7"] })
        }
        "POST /threads/t1/modify" | "POST /threads/t1/trash" | "POST /threads/t1/untrash" => {
            json!({ "id": "t1", "messages": [{ "id": "m1", "labelIds": ["INBOX", "STARRED"] }, { "id": "m2", "labelIds": ["INBOX"] }] })
        }
        "POST /messages/batchModify" | "DELETE /labels/Label_7" | "DELETE /drafts/r1" => Value::Null,
        "POST /labels" => json!({ "id": "Label_8", "name": seen.json()["name"], "type": "user" }),
        "PATCH /labels/Label_7" => json!({ "id": "Label_7", "name": "Bills", "type": "user" }),
        "POST /messages/send" | "POST /drafts/send" => {
            json!({ "id": "s1", "threadId": seen.json()["threadId"].as_str().unwrap_or("t5"), "labelIds": ["SENT"] })
        }
        "POST /drafts" | "PUT /drafts/r1" => {
            json!({ "id": "r1", "message": { "id": "m9", "threadId": "t5", "labelIds": ["DRAFT"] } })
        }
        _ => return None,
    })
}

/// A message's head, as `format=metadata` gives it.
fn head() -> Value {
    json!({
        "id": "m1", "threadId": "t1", "labelIds": ["INBOX", "UNREAD"], "snippet": "It&#39;s lunch", "sizeEstimate": 2000,
        "historyId": "880", "internalDate": "1735689600000",
        "payload": { "partId": "", "mimeType": "text/plain", "filename": "", "body": { "size": 0 }, "headers": [
            { "name": "From", "value": "=?utf-8?Q?J=C3=BCrgen?= <ann@example.org>" },
            { "name": "To", "value": "me@example.org, Bob <bob@example.org>" },
            { "name": "Cc", "value": "\"Last, First\" <c@example.org>" },
            { "name": "Subject", "value": "Lunch" },
            { "name": "Message-ID", "value": "<two@example.org>" },
            { "name": "References", "value": "<one@example.org>" },
        ] },
    })
}

fn text_part(id: &str, kind: &str, charset: &str, bytes: &[u8]) -> Value {
    json!({
        "partId": id, "mimeType": kind, "filename": "",
        "headers": [{ "name": "Content-Type", "value": format!("{kind}; charset={charset}") }, { "name": "Content-Transfer-Encoding", "value": "quoted-printable" }],
        "body": { "size": bytes.len(), "data": URL_SAFE.encode(bytes) },
    })
}

fn file_part(id: &str, kind: &str, name: &str, attachment: &str, size: u64) -> Value {
    json!({
        "partId": id, "mimeType": kind, "filename": name,
        "headers": [
            { "name": "Content-Type", "value": format!("{kind}; charset=iso-8859-1; name=\"x\"") },
            { "name": "Content-Disposition", "value": "attachment; filename=\"x\"" },
        ],
        "body": { "size": size, "attachmentId": attachment },
    })
}

/// A message with alternatives and files, as `format=full` gives it.
pub fn full(id: &str) -> Value {
    json!({
        "id": id, "threadId": "t1", "labelIds": ["INBOX"], "snippet": "See attached", "sizeEstimate": 5000, "historyId": "881",
        "internalDate": "1735693200000",
        "payload": {
            "partId": "", "mimeType": "multipart/mixed", "filename": "", "body": { "size": 0 },
            "headers": [
                { "name": "From", "value": "Ann <ann@example.org>" }, { "name": "To", "value": "me@example.org" },
                { "name": "Reply-To", "value": "list@example.org" }, { "name": "Subject", "value": "=?iso-8859-1?Q?Gr=FC=DFe?=" },
                { "name": "Message-Id", "value": "<three@example.org>" }, { "name": "List-Unsubscribe", "value": "<https://example.org/leave>" },
            ],
            "parts": [
                { "partId": "0", "mimeType": "multipart/alternative", "filename": "", "headers": [], "body": { "size": 0 }, "parts": [
                    text_part("0.0", "text/plain", "iso-8859-1", b"Gr\xfc\xdfe aus K\xf6ln"),
                    text_part("0.1", "text/html", "utf-8", "<p>Grüße aus <b>Köln</b></p>".as_bytes()),
                ] },
                file_part("1", "application/pdf", "invoice.pdf", "A-pdf", 4),
                file_part("2", "text/plain", "../notes.txt", "A-txt", 6),
            ],
        },
    })
}

/// A message as it came over the wire.
pub const SOURCE: &str = "From: Ann <ann@example.org>\r\nTo: me@example.org\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
    Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>sch=F6n</p>\r\n--b\r\n\
    Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--b--\r\n";

/// The message that was sent, as it would arrive.
pub fn sent(seen: &Seen, place: &str) -> Vec<u8> {
    let body = seen.json();
    let raw = body.pointer(place).and_then(Value::as_str).expect("a raw message");
    URL_SAFE_NO_PAD.decode(raw).expect("base64url without padding")
}
