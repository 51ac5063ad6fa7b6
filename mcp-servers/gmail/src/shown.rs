//! What tools say of messages.

use rmcp::schemars::{self, JsonSchema};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::wire::{self, Part};
use crate::{decode, source};

/// The head lines that a summary shows.
pub const SUMMARY_HEADERS: &[&str] = &["From", "To", "Cc", "Subject"];

/// A message in a line of a list.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Summary {
    pub id: String,
    pub thread_id: String,
    /// When Gmail got it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The first words of its text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub snippet: String,
    /// Its labels' ids, such as `INBOX`, `UNREAD`, `Label_12`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// A message.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "Gmail's own names")]
pub struct Message {
    #[serde(flatten)]
    pub summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<String>,
    /// Where answers shall go, if not to the sender.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<String>,
    /// The id that its program gave it, which answers name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The id of the message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// Where a mailing list is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_unsubscribe: Option<String>,
    /// Bytes, about.
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Files, for `get_attachment`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// A part of a message's text.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Body {
    pub text: String,
    /// Whether `text` is HTML.
    pub is_html: bool,
    /// Whether it was made from HTML, because there was no plain text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub from_html: bool,
    /// How many letters there are in all.
    pub total_chars: usize,
    /// Give it as `offset` for the next part. Nothing, if this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<usize>,
}

/// A file in a message.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Attachment {
    /// Names it within the message; the same each time.
    pub part_id: String,
    /// Its name; some have none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub mime_type: String,
    /// Bytes.
    pub size: u64,
    /// Whether it is shown within the text, like a picture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_inline: bool,
}

/// That something was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    /// What was done, in words.
    pub done: String,
}

impl Summary {
    /// From what Gmail says of a message.
    pub fn of(message: &wire::Message) -> Self {
        let header = |name: &str| header(message, name);
        Self {
            id: message.id.clone(),
            thread_id: message.thread_id.clone(),
            date: date(&message.internal_date),
            from: header("From"),
            to: mailboxes(message, "To"),
            cc: mailboxes(message, "Cc"),
            subject: header("Subject"),
            snippet: decode::snippet(&message.snippet),
            labels: message.label_ids.clone(),
        }
    }

    /// From the ids alone.
    pub fn of_ids(message: &wire::MessageRef) -> Self {
        Self { id: message.id.clone(), thread_id: message.thread_id.clone(), ..Self::default() }
    }
}

impl Message {
    /// From what Gmail says of a message; its text is read apart.
    pub fn of(message: &wire::Message) -> Self {
        let header = |name: &str| header(message, name);
        let files = message.payload.iter().flat_map(decode::attachments);
        Self {
            summary: Summary::of(message),
            bcc: mailboxes(message, "Bcc"),
            reply_to: mailboxes(message, "Reply-To"),
            message_id: header("Message-ID"),
            in_reply_to: header("In-Reply-To"),
            list_unsubscribe: header("List-Unsubscribe"),
            size: message.size_estimate,
            body: None,
            attachments: files.map(Attachment::of).collect(),
        }
    }
}

impl Body {
    /// A window of a text: so many letters from one on.
    pub fn window(text: &str, is_html: bool, from_html: bool, offset: usize, most: usize) -> Self {
        let total_chars = text.chars().count();
        let shown: String = text.chars().skip(offset).take(most).collect();
        let end = offset.saturating_add(most);
        let next_offset = (end < total_chars).then_some(end);
        Self { text: shown, is_html, from_html, total_chars, next_offset }
    }
}

impl Attachment {
    /// From the part that it is.
    pub fn of(part: &Part) -> Self {
        let disposition =
            part.header("Content-Disposition").unwrap_or_default().trim_start().to_ascii_lowercase();
        Self {
            part_id: part.part_id.clone(),
            name: decode::words(&part.filename),
            mime_type: part.mime_type.clone(),
            size: part.body.size,
            is_inline: disposition.starts_with("inline"),
        }
    }
}

fn header(message: &wire::Message, name: &str) -> Option<String> {
    message.payload.as_ref()?.header(name).map(decode::words)
}

fn mailboxes(message: &wire::Message, name: &str) -> Vec<String> {
    let value = message.payload.as_ref().and_then(|payload| payload.header(name));
    value.map(source::mailboxes).unwrap_or_default()
}

/// Gmail's milliseconds as a date that people read.
fn date(milliseconds: &str) -> Option<String> {
    let milliseconds: i128 = milliseconds.parse().ok()?;
    let date = OffsetDateTime::from_unix_timestamp_nanos(milliseconds.checked_mul(1_000_000)?).ok()?;
    date.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_make_up_the_text() {
        let text = "größer als das Fenster";
        let mut read = String::new();
        let mut offset = Some(0);
        while let Some(from) = offset {
            let body = Body::window(text, false, false, from, 5);
            assert_eq!(body.total_chars, 22);
            read.push_str(&body.text);
            offset = body.next_offset;
        }
        assert_eq!(read, text);
        assert_eq!(Body::window(text, false, false, usize::MAX, 5).next_offset, None);
    }

    #[test]
    fn a_date_is_one() {
        assert_eq!(date("1735689600000").as_deref(), Some("2025-01-01T00:00:00Z"));
        assert_eq!(date(""), None);
        assert_eq!(date("99999999999999999999999999999999999999"), None);
    }
}
