//! Files of messages: told, saved, sent on.

use std::os::unix::fs::PermissionsExt;

use mail_parser::{MessageParser, MimeHeaders};
use roadstead_server_stage::Answer;
use serde_json::json;

use crate::gmail::{BOX, Google, full, sent};

#[tokio::test]
async fn a_text_is_told_as_text_in_its_charset_and_cut() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let outcome = program.call("get_attachment", json!({ "message_id": "m2", "part_id": "2" })).await;
    let told = outcome.good();
    assert_eq!(
        (&told["text"], &told["name"], &told["size"]),
        (&json!("Grüße!"), &json!("../notes.txt"), &json!(6))
    );
    let outcome =
        program.call("get_attachment", json!({ "message_id": "m2", "part_id": "2", "max_bytes": 3 })).await;
    assert_eq!((&outcome.good()["text"], &outcome.good()["is_cut"]), (&json!("Gr"), &json!(true)));
    program.end().await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_even_fetched() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    let outcome =
        program.call("get_attachment", json!({ "message_id": "m2", "part_id": "1", "max_bytes": 3 })).await;
    assert_eq!(outcome.code(), "too_large");
    assert!(google.service.take_seen().iter().all(|seen| !seen.path.contains("attachments")));
    let outcome = program.call("get_attachment", json!({ "message_id": "m2", "part_id": "0.0" })).await;
    assert!(outcome.code() == "not_found" && outcome.text.contains("list_attachments"), "{}", outcome.text);
    program.end().await;
}

#[tokio::test]
async fn a_file_is_saved_for_its_owner_alone_and_can_be_sent_on() {
    let google = Google::start().await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("files");
    let program = google.program(&["--files-dir", folder.to_str().unwrap()]).await;
    for _ in 0..2 {
        let outcome = program.call("save_attachment", json!({ "message_id": "m2", "part_id": "1" })).await;
        let told = outcome.good();
        assert_eq!(told["saved_file"], "m2-1-invoice.pdf");
        assert_eq!(told["path"].as_str(), folder.join("m2-1-invoice.pdf").to_str());
    }
    let saved = folder.join("m2-1-invoice.pdf");
    assert_eq!(std::fs::read(&saved).unwrap(), [0xff, 0xfe, 0xfd, 0]);
    assert_eq!(std::fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let attachment =
        json!({ "name": "invoice.pdf", "saved_file": "m2-1-invoice.pdf", "mime_type": "application/pdf" });
    google.service.take_seen();
    program
        .call("send_message", json!({ "to": ["a@example.org"], "attachments": [attachment] }))
        .await
        .good();
    let source = sent(&google.service.take_seen()[0], "/raw");
    let read = MessageParser::new().parse(&source).unwrap();
    assert_eq!(read.attachment(0).unwrap().contents(), [0xff, 0xfe, 0xfd, 0]);
    assert_eq!(read.attachment(0).unwrap().attachment_name(), Some("invoice.pdf"));
    for (name, code) in [("../secret", "invalid_input"), ("nothing", "not_found")] {
        let attachment = json!({ "name": "a", "saved_file": name });
        let outcome = program
            .call("send_message", json!({ "to": ["a@example.org"], "attachments": [attachment] }))
            .await;
        assert_eq!(outcome.code(), code);
    }
    program.end().await;
}

#[tokio::test]
async fn a_name_leads_nowhere_else() {
    let google = Google::start().await;
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("files");
    let program = google.program(&["--files-dir", folder.to_str().unwrap()]).await;
    for name in ["../../evil", "/etc/evil", "a\\..\\evil", "..", "\u{0}evil"] {
        let mut message = full("m2");
        message["payload"]["parts"][1]["filename"] = name.into();
        google.service.next(&format!("GET {BOX}/messages/m2"), Answer::json(200, &message));
        program.call("save_attachment", json!({ "message_id": "m2", "part_id": "1" })).await.good();
    }
    let outside: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["files"]);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("m2-1-") && !name.contains(".."), "{name}");
    }
    program.end().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_a_failure() {
    let google = Google::start().await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let program = google.program(&["--files-dir", file.to_str().unwrap()]).await;
    let outcome = program.call("save_attachment", json!({ "message_id": "m2", "part_id": "1" })).await;
    assert_eq!(outcome.code(), "refused");
    program.end().await;
}

#[tokio::test]
async fn without_a_folder_nothing_is_saved() {
    let google = Google::start().await;
    let program = google.program(&[]).await;
    assert!(program.tools().await.iter().all(|tool| tool.name != "save_attachment"));
    program.end().await;
}
