//! From what a caller says to a message in Gmail's words: what it answers is looked up, files are gathered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roadstead_server_kit::{Call, Client, Code, Failure};
use serde_json::{Value, json};

use crate::compose::{self, File, LARGEST_MESSAGE, Original, Outgoing, OutgoingFile, Readiness, message_ids};
use crate::mailbox::id;
use crate::server::Gmail;
use crate::{decode, source, wire};

/// The head lines of a message that an answer needs.
const NEEDED_HEADERS: &[&str] = &["Message-ID", "References", "Subject", "From", "Reply-To", "To", "Cc"];

impl Gmail {
    /// A message as Gmail takes it: its source in base64url, and the thread that it goes into.
    pub(super) async fn raw(
        &self,
        outgoing: &Outgoing,
        readiness: Readiness,
        call: &Call,
    ) -> Result<Value, Failure> {
        let files: Result<Vec<File>, Failure> =
            outgoing.attachments.iter().map(|file| self.bytes(file)).collect();
        let files = files?;
        let answered = outgoing.in_reply_to_message_id.as_deref();
        if answered.is_none() && outgoing.reply_all {
            return Err(Failure::invalid("`reply_all` needs `in_reply_to_message_id`."));
        }
        let original = match answered {
            None => None,
            Some(answered) => {
                Some(self.original(id("in_reply_to_message_id", answered)?, outgoing, call).await?)
            }
        };
        let mime = compose::mime(outgoing, &files, original.as_ref(), readiness)
            .map_err(|refused| Failure::invalid(format!("The message cannot be made: {refused}.")))?;
        let mut raw = json!({ "raw": decode::to_base64url(&mime) });
        if let Some(original) = original {
            raw["threadId"] = original.thread_id.into();
        }
        Ok(raw)
    }

    fn bytes(&self, file: &OutgoingFile) -> Result<File, Failure> {
        let (bytes, usual) = match (&file.text, &file.base64, &file.saved_file) {
            (Some(text), None, None) => (text.clone().into_bytes(), "text/plain"),
            (None, Some(base64), None) => {
                let bytes = STANDARD.decode(base64.trim()).map_err(|_| {
                    Failure::invalid(format!("The `base64` of the attachment {:?} is none.", file.name))
                })?;
                (bytes, "application/octet-stream")
            }
            (None, None, Some(saved)) => {
                let Some(folder) = &self.folder else {
                    return Err(Failure::invalid("This server has no folder with saved files."));
                };
                (folder.read(saved, LARGEST_MESSAGE)?, "application/octet-stream")
            }
            _ => {
                let message = "Each attachment needs exactly one of `text`, `base64` and `saved_file`.";
                return Err(Failure::invalid(message));
            }
        };
        let mime_type = file.mime_type.clone().unwrap_or_else(|| usual.to_owned());
        Ok(File { name: file.name.clone(), mime_type, bytes })
    }

    async fn original(&self, id: &str, outgoing: &Outgoing, call: &Call) -> Result<Original, Failure> {
        let ask = |gmail: &Client| {
            let request = gmail.get(["messages", id]).query("format", "metadata");
            NEEDED_HEADERS.iter().fold(request, |request, name| request.query("metadataHeaders", name))
        };
        let message: wire::Message = self.fetch(call, ask).await?;
        let Some(payload) = &message.payload else {
            return Err(Failure::new(
                Code::UnexpectedAnswer,
                "Gmail told nothing of the message to be answered.",
            ));
        };
        let mailboxes = |name: &str| payload.header(name).map(source::mailboxes).unwrap_or_default();
        let mut reply_to = mailboxes("Reply-To");
        if reply_to.is_empty() {
            reply_to = mailboxes("From");
        }
        let mut everybody = Vec::new();
        if outgoing.reply_all {
            let profile: wire::Profile = self.fetch(call, |gmail| gmail.get(["profile"])).await?;
            let own = compose::Mailbox { name: None, email: profile.email_address };
            everybody = [mailboxes("To"), mailboxes("Cc")].concat();
            let is_own =
                |text: &String| compose::Mailbox::parse("to", text).is_ok_and(|each| each.is_same(&own));
            everybody.retain(|text| !is_own(text));
        }
        Ok(Original {
            thread_id: message.thread_id.clone(),
            message_id: payload.header("Message-ID").and_then(|value| message_ids(value).into_iter().next()),
            references: payload.header("References").map(message_ids).unwrap_or_default(),
            subject: payload.header("Subject").map(decode::words).unwrap_or_default(),
            reply_to,
            everybody,
        })
    }
}
