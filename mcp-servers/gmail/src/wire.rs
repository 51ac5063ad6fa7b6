//! What Gmail answers, as far as it is read here. Gmail leaves out what is empty, so everything has a default.

use serde::Deserialize;

/// An account.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    pub email_address: String,
    pub messages_total: u64,
    pub threads_total: u64,
    pub history_id: String,
}

/// A message, or as much of it as was asked for.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    pub id: String,
    pub thread_id: String,
    pub label_ids: Vec<String>,
    pub snippet: String,
    pub history_id: String,
    /// Milliseconds since 1970, in digits.
    pub internal_date: String,
    pub size_estimate: u64,
    pub payload: Option<Part>,
    /// The whole source in base64url, when it was asked for.
    pub raw: Option<String>,
}

/// One part of a message's tree.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Gmail's own names")]
pub struct Part {
    pub part_id: String,
    pub mime_type: String,
    pub filename: String,
    pub headers: Vec<Header>,
    pub body: PartBody,
    pub parts: Vec<Part>,
}

/// One line of a part's head.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// What a part holds: at once, or by an id of its own.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartBody {
    pub attachment_id: Option<String>,
    pub size: u64,
    pub data: Option<String>,
}

impl Part {
    /// The first head line of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.as_str())
    }

    /// Whether it is meant to be kept as a file instead of read.
    pub fn is_attachment(&self) -> bool {
        if self.mime_type.starts_with("multipart/") {
            return false;
        }
        let is_marked = self
            .header("Content-Disposition")
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("attachment"));
        !self.filename.is_empty() || is_marked || !self.mime_type.starts_with("text/")
    }
}

/// One page of messages: no more than their ids.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessagePage {
    pub messages: Vec<MessageRef>,
    pub next_page_token: Option<String>,
    pub result_size_estimate: u64,
}

/// A message by its ids.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageRef {
    pub id: String,
    pub thread_id: String,
    pub label_ids: Vec<String>,
}

/// One page of threads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThreadPage {
    pub threads: Vec<Thread>,
    pub next_page_token: Option<String>,
    pub result_size_estimate: u64,
}

/// A conversation; in a list without its messages.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Thread {
    pub id: String,
    pub snippet: String,
    pub history_id: String,
    pub messages: Vec<Message>,
}

/// All labels: Gmail does not page them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LabelList {
    pub labels: Vec<Label>,
}

/// One label.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Gmail's own names")]
pub struct Label {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub message_list_visibility: Option<String>,
    pub label_list_visibility: Option<String>,
    pub messages_total: Option<u64>,
    pub messages_unread: Option<u64>,
    pub threads_total: Option<u64>,
    pub threads_unread: Option<u64>,
    pub color: Option<Color>,
}

/// A label's colours.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Color {
    pub text_color: String,
    pub background_color: String,
}

/// One page of drafts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DraftPage {
    pub drafts: Vec<Draft>,
    pub next_page_token: Option<String>,
    pub result_size_estimate: u64,
}

/// A draft and its message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Draft {
    pub id: String,
    pub message: Message,
}

/// One attachment's bytes in base64url.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AttachmentBody {
    pub size: u64,
    pub data: String,
}

/// One page of what has changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryPage {
    pub history: Vec<History>,
    pub next_page_token: Option<String>,
    pub history_id: String,
}

/// One step of the mailbox.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    pub id: String,
    pub messages_added: Vec<Changed>,
    pub messages_deleted: Vec<Changed>,
    pub labels_added: Vec<Changed>,
    pub labels_removed: Vec<Changed>,
}

/// One message that a step changed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Changed {
    pub message: MessageRef,
    pub label_ids: Vec<String>,
}
