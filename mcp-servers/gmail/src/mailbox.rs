//! What several tools do with the mailbox: fetch, read a message's text, find labels, look at many messages.

use futures_util::{StreamExt, stream};
use roadstead_server_kit::{Call, Client, Code, Failure, Request};
use serde::de::DeserializeOwned;

use crate::decode::{self, Wanted};
use crate::server::Gmail;
use crate::shown::{SUMMARY_HEADERS, Summary};
use crate::wire::{self, AttachmentBody, LabelList, MessageRef, Part};

/// Requests at the same time: Gmail counts those, too.
const AT_ONCE: usize = 5;
/// A message with its texts, or a thread of them: files are fetched apart.
pub const MESSAGE_BYTES: usize = 32 * 1024 * 1024;
/// A file in base64 within JSON: Gmail carries 25 MB, and a little more on the way in.
pub const FILE_BYTES: usize = 72 * 1024 * 1024;
/// Text that is its own request: longer ones are cut elsewhere anyway.
const TEXT_BYTES: usize = 16 * 1024 * 1024;

/// A message's text.
#[derive(Debug, Default)]
pub struct Reading {
    pub text: String,
    pub is_html: bool,
    pub from_html: bool,
}

/// An id as Gmail gives them, in the arguments of a call.
pub fn id<'a>(field: &str, text: &'a str) -> Result<&'a str, Failure> {
    let text = text.trim();
    let is_one = (1..=200).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_one {
        Ok(text)
    } else {
        Err(Failure::invalid(format!("`{field}` must be an id that another tool told: letters and digits.")))
    }
}

/// A number within bounds.
pub fn limit(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, Failure> {
    match asked {
        None => Ok(usual),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(_) => Err(Failure::invalid(format!("`limit` must be from 1 to {most}."))),
    }
}

impl Gmail {
    /// Sends a request and takes the answer as a value.
    pub async fn fetch<T: DeserializeOwned>(
        &self,
        call: &Call,
        make: impl Fn(&Client) -> Request + Send + Sync,
    ) -> Result<T, Failure> {
        self.session.send(call, make).await?.json()
    }

    /// A message with all its parts but the files.
    pub async fn message(&self, id: &str, call: &Call) -> Result<wire::Message, Failure> {
        let ask = |gmail: &Client| gmail.get(["messages", id]).query("format", "full").limit(MESSAGE_BYTES);
        self.fetch(call, ask).await
    }

    /// A file's bytes.
    pub async fn file(
        &self,
        message: &str,
        part: &Part,
        most: usize,
        call: &Call,
    ) -> Result<Vec<u8>, Failure> {
        let data = match (&part.body.data, &part.body.attachment_id) {
            (Some(data), _) => data.clone(),
            (None, Some(attachment)) => {
                let path = ["messages", message, "attachments", attachment.as_str()];
                let body: AttachmentBody = self.fetch(call, |gmail| gmail.get(path).limit(most)).await?;
                body.data
            }
            (None, None) => String::new(),
        };
        decode::base64url(&data).ok_or_else(|| {
            Failure::new(Code::UnexpectedAnswer, "Gmail gave a part that is not written in base64url.")
        })
    }

    /// A message's text, as far as it has one.
    pub async fn text(
        &self,
        message: &wire::Message,
        wanted: Wanted,
        call: &Call,
    ) -> Result<Option<Reading>, Failure> {
        let Some(payload) = &message.payload else { return Ok(None) };
        let parts = decode::body_parts(payload, wanted);
        if parts.is_empty() {
            return Ok(None);
        }
        let mut whole = Reading::default();
        for part in parts {
            let bytes = self.file(&message.id, part, TEXT_BYTES, call).await?;
            let text = decode::text(bytes, decode::charset(part));
            let is_html = part.mime_type.eq_ignore_ascii_case("text/html");
            let text = if is_html && wanted == Wanted::Text { render(text).await? } else { text };
            whole.is_html |= is_html && wanted == Wanted::Html;
            whole.from_html |= is_html && wanted == Wanted::Text;
            if !whole.text.is_empty() {
                whole.text.push('\n');
            }
            whole.text.push_str(&text);
        }
        Ok(Some(whole))
    }

    /// A line for each of many messages, in their order. Those that are gone meanwhile are left out.
    pub async fn summaries(&self, messages: &[MessageRef], call: &Call) -> Result<Vec<Summary>, Failure> {
        let total = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let mut asked = Vec::new();
        for message in messages {
            asked.push(async move {
                let summary = self.summary(&message.id, call).await;
                call.step_of(total, "looked at a message").await;
                summary
            });
        }
        let found: Vec<Result<Option<Summary>, Failure>> =
            stream::iter(asked).buffered(AT_ONCE).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    async fn summary(&self, id: &str, call: &Call) -> Result<Option<Summary>, Failure> {
        let ask = |gmail: &Client| {
            let request = gmail.get(["messages", id]).query("format", "metadata");
            SUMMARY_HEADERS.iter().fold(request, |request, name| request.query("metadataHeaders", name))
        };
        match self.fetch::<wire::Message>(call, ask).await {
            Ok(message) => Ok(Some(Summary::of(&message))),
            Err(failure) if failure.code() == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The ids of labels that are given by id or by name.
    pub async fn label_ids(&self, given: &[String], call: &Call) -> Result<Vec<String>, Failure> {
        if given.iter().any(|label| label.trim().is_empty() || label.contains(char::is_control)) {
            return Err(Failure::invalid("Each label must be the id or the name of one."));
        }
        if given.iter().all(|label| is_label_id(label)) {
            return Ok(given.to_vec());
        }
        let known: LabelList = self.fetch(call, |gmail| gmail.get(["labels"])).await?;
        let find = |label: &String| {
            let by_id = known.labels.iter().find(|known| known.id == *label);
            let found = by_id.or_else(|| known.labels.iter().find(|known| same(&known.name, label)));
            match found {
                Some(found) => Ok(found.id.clone()),
                None if is_label_id(label) => Ok(label.clone()),
                None => {
                    Err(Failure::new(Code::NotFound, format!("There is no label {label:?} in this account."))
                        .with_hint("list_labels tells those that there are; create_label makes a new one."))
                }
            }
        };
        given.iter().map(find).collect()
    }
}

/// HTML as text. A long one takes its time, in which other calls go on.
pub async fn render(html: String) -> Result<String, Failure> {
    let rendered = tokio::task::spawn_blocking(move || decode::html(&html)).await;
    rendered.map_err(|_| Failure::new(Code::UnexpectedAnswer, "The message's HTML could not be read."))
}

/// Gmail's own labels, whose names are their ids in every account.
const OWN_LABELS: &[&str] =
    &["INBOX", "SENT", "DRAFT", "UNREAD", "STARRED", "IMPORTANT", "SPAM", "TRASH", "CHAT"];

/// Whether it needs no looking up: one of Gmail's own, or the number of somebody's.
fn is_label_id(label: &str) -> bool {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    OWN_LABELS.contains(&label)
        || label.starts_with("CATEGORY_")
        || label.strip_prefix("Label_").is_some_and(is_number)
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.trim().to_lowercase()
}
