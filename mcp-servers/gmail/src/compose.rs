//! A message to be sent: addresses and head lines are checked, then it becomes MIME.

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::message_id::MessageId;
use mail_builder::mime::make_boundary;
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

/// Addresses of one message: Gmail's own limit.
const MOST_ADDRESSES: usize = 500;
/// Longest subject, in bytes: longer ones are cut by programs on the way.
const LONGEST_SUBJECT: usize = 900;
/// Longest address that mail can be sent to (RFC 5321).
const LONGEST_ADDRESS: usize = 254;
/// Longest name of a person or a file.
const LONGEST_NAME: usize = 200;
/// Attachments of one message.
const MOST_ATTACHMENTS: usize = 50;
/// The whole message in MIME: what Gmail takes in the JSON of a request.
pub const LARGEST_MESSAGE: usize = 5 * 1024 * 1024;
/// Ids that `References` keeps of a long conversation: the first and the last ones (RFC 5537).
const MOST_REFERENCES: usize = 50;
/// Where a message's own id is from. Gmail puts its own in the place when it sends.
const ID_DOMAIN: &str = "mail.gmail.com";

/// What a message is made of.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    /// Who gets it: one address each, `ann@example.org` or `Ann Smith <ann@example.org>`. May be left out of a reply,
    /// which then goes to the author.
    #[serde(default)]
    pub to: Vec<String>,
    /// Who gets a copy that everybody sees.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Who gets a copy that nobody else sees.
    #[serde(default)]
    pub bcc: Vec<String>,
    /// The address it is from, if not the account's own: one of its "Send mail as" addresses.
    #[serde(default)]
    pub from: Option<String>,
    /// Where answers shall go, if not to the sender.
    #[serde(default)]
    pub reply_to: Vec<String>,
    /// One line. A reply takes the original's, with `Re:`, if there is none here.
    #[serde(default)]
    pub subject: Option<String>,
    /// The body as plain text.
    #[serde(default)]
    pub text: Option<String>,
    /// The body as HTML. With `text` too, readers choose what they show.
    #[serde(default)]
    pub html: Option<String>,
    /// Files to go with it, together with the body at most 5 MiB.
    #[serde(default)]
    pub attachments: Vec<OutgoingFile>,
    /// The id of a message that this one answers: it goes into the same thread.
    #[serde(default)]
    pub in_reply_to_message_id: Option<String>,
    /// With `in_reply_to_message_id`: also to everybody whom the original went to.
    #[serde(default)]
    pub reply_all: bool,
}

/// One file to be sent. Exactly one of `text`, `base64` and `saved_file`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutgoingFile {
    /// Its name for the reader.
    pub name: String,
    /// Its media type, such as `text/csv`; `application/octet-stream`, or `text/plain` for `text`, if none is named.
    #[serde(default)]
    pub mime_type: Option<String>,
    /// What it holds, as text.
    #[serde(default)]
    pub text: Option<String>,
    /// What it holds, as base64.
    #[serde(default)]
    pub base64: Option<String>,
    /// The name of a file that `get_attachment` has saved in the server's folder.
    #[serde(default)]
    pub saved_file: Option<String>,
}

/// A file with its bytes at hand.
#[derive(Debug)]
pub struct File {
    pub name: String,
    pub mime_type: String,
    pub bytes: Vec<u8>,
}

/// What a reply takes from the message that it answers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Original {
    pub thread_id: String,
    pub message_id: Option<String>,
    pub references: Vec<String>,
    pub subject: String,
    pub reply_to: Vec<String>,
    pub everybody: Vec<String>,
}

/// Why a message is not made; for a model to read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// What is needed before a message may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Somebody to send it to.
    Sent,
    /// Nothing: a draft may be half done.
    Draft,
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(message.into()))
}

/// The message as MIME.
pub fn mime(
    outgoing: &Outgoing,
    files: &[File],
    original: Option<&Original>,
    readiness: Readiness,
) -> Result<Vec<u8>, Refused> {
    let to = recipients("to", &outgoing.to)?;
    let to = if to.is_empty() { reply_recipients(original) } else { to };
    let mut cc = recipients("cc", &outgoing.cc)?;
    let bcc = recipients("bcc", &outgoing.bcc)?;
    if let Some(original) = original.filter(|_| outgoing.reply_all) {
        let mut others = lenient(&original.everybody);
        others.retain(|other| !to.iter().chain(&cc).chain(&bcc).any(|known| known.is_same(other)));
        cc.extend(others);
    }
    let count = to.len() + cc.len() + bcc.len();
    if readiness == Readiness::Sent && count == 0 {
        return refuse("a message needs somebody in `to`, `cc` or `bcc`");
    }
    if count > MOST_ADDRESSES {
        return refuse(format!("a message goes to at most {MOST_ADDRESSES} addresses, and this has {count}"));
    }
    let mut builder = MessageBuilder::new();
    if let Some(from) = &outgoing.from {
        builder = builder.from(Mailbox::parse("from", from)?.into_address());
    }
    let reply_to = recipients("reply_to", &outgoing.reply_to)?;
    for (name, mailboxes) in [("To", to), ("Cc", cc), ("Bcc", bcc), ("Reply-To", reply_to)] {
        if !mailboxes.is_empty() {
            let addresses = mailboxes.into_iter().map(Mailbox::into_address).collect();
            builder = builder.header(name, Address::new_list(addresses));
        }
    }
    builder = builder
        .subject(subject(outgoing, original)?)
        .message_id(format!("{}@{ID_DOMAIN}", make_boundary(".")));
    if let Some(original) = original {
        builder = answer(builder, original);
    }
    write(builder, outgoing, files)
}

fn write(builder: MessageBuilder<'_>, outgoing: &Outgoing, files: &[File]) -> Result<Vec<u8>, Refused> {
    let mut builder = match (&outgoing.text, &outgoing.html) {
        (None, None) => builder.text_body(""),
        (text, html) => {
            let builder = text.iter().fold(builder, |builder, text| builder.text_body(text.clone()));
            html.iter().fold(builder, |builder, html| builder.html_body(html.clone()))
        }
    };
    if files.len() > MOST_ATTACHMENTS {
        return refuse(format!("a message carries at most {MOST_ATTACHMENTS} attachments"));
    }
    for file in files {
        check_name("attachments.name", &file.name)?;
        check_mime_type(&file.mime_type)?;
        builder = builder.attachment(file.mime_type.clone(), file.name.clone(), file.bytes.clone());
    }
    let Ok(written) = builder.write_to_vec() else { return refuse("the message could not be written") };
    if written.len() > LARGEST_MESSAGE {
        let megabytes = LARGEST_MESSAGE / 1024 / 1024;
        return refuse(format!("the message is larger than {megabytes} MiB with its attachments"));
    }
    Ok(written)
}

fn answer<'a>(builder: MessageBuilder<'a>, original: &Original) -> MessageBuilder<'a> {
    let Some(answered) = &original.message_id else { return builder };
    let mut references = original.references.clone();
    references.retain(|reference| reference != answered);
    if references.len() >= MOST_REFERENCES {
        references.drain(1..references.len() + 2 - MOST_REFERENCES);
    }
    references.push(answered.clone());
    builder.in_reply_to(answered.clone()).references(MessageId::from(references))
}

fn subject(outgoing: &Outgoing, original: Option<&Original>) -> Result<String, Refused> {
    let subject = match (&outgoing.subject, original) {
        (Some(subject), _) => subject.clone(),
        (None, Some(original)) => answered(&original.subject),
        (None, None) => String::new(),
    };
    if subject.contains(char::is_control) {
        return refuse("`subject` must be one line without control characters");
    }
    if subject.len() > LONGEST_SUBJECT {
        return refuse(format!("`subject` must be at most {LONGEST_SUBJECT} bytes"));
    }
    Ok(subject)
}

fn answered(subject: &str) -> String {
    let subject: String = subject.chars().filter(|letter| !letter.is_control()).collect();
    let subject = crate::decode::cut(subject.trim(), LONGEST_SUBJECT - 4);
    if subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:")) {
        return subject.to_owned();
    }
    format!("Re: {subject}")
}

/// Ids of messages in a head line, without their brackets; what is none is left out.
pub fn message_ids(value: &str) -> Vec<String> {
    let ids = value.split(|letter: char| letter.is_whitespace() || letter == ',');
    let bare = ids.filter_map(|id| id.strip_prefix('<')?.strip_suffix('>'));
    bare.filter(|id| is_message_id(id)).map(str::to_owned).collect()
}

fn is_message_id(id: &str) -> bool {
    id.len() <= 900 && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<' && byte != b'>')
}

fn check_name(field: &str, name: &str) -> Result<(), Refused> {
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        return refuse(format!(
            "`{field}` must be one line of 1 to {LONGEST_NAME} bytes without control characters"
        ));
    }
    Ok(())
}

fn check_mime_type(mime_type: &str) -> Result<(), Refused> {
    let is_token = |text: &str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let is_one = mime_type.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if !is_one || mime_type.to_ascii_lowercase().starts_with("multipart/") {
        return refuse("`attachments.mime_type` must be a media type of a file, such as `application/pdf`");
    }
    Ok(())
}

fn recipients(field: &str, texts: &[String]) -> Result<Vec<Mailbox>, Refused> {
    texts.iter().map(|text| Mailbox::parse(field, text)).collect()
}

fn reply_recipients(original: Option<&Original>) -> Vec<Mailbox> {
    original.map(|original| lenient(&original.reply_to)).unwrap_or_default()
}

/// Somebody else's head lines may hold what cannot be written to; those are passed over.
fn lenient(texts: &[String]) -> Vec<Mailbox> {
    let mut known: Vec<Mailbox> = Vec::new();
    for mailbox in texts.iter().filter_map(|text| Mailbox::parse("to", text).ok()) {
        if !known.iter().any(|other| other.is_same(&mailbox)) {
            known.push(mailbox);
        }
    }
    known
}

/// An address and perhaps whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub email: String,
}

impl Mailbox {
    /// Reads `ann@example.org` or `Ann <ann@example.org>`.
    pub fn parse(field: &str, text: &str) -> Result<Self, Refused> {
        if text.contains(char::is_control) {
            return refuse(format!("`{field}` must hold addresses of one line without control characters"));
        }
        let trimmed = text.trim();
        let (name, email) = match trimmed.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, email)) => (name.trim(), email.trim()),
            None => ("", trimmed),
        };
        if !is_email(email) {
            return refuse(format!(
                "`{field}` must hold one address in each entry, such as `ann@example.org` or \
                 `Ann Smith <ann@example.org>`; a domain with other letters is written in its `xn--` form"
            ));
        }
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        let name = name.replace("\\\"", "\"").replace("\\\\", "\\");
        if name.len() > LONGEST_NAME {
            return refuse(format!("`{field}` has a name of more than {LONGEST_NAME} bytes"));
        }
        Ok(Self { name: Some(name).filter(|name| !name.is_empty()), email: email.to_owned() })
    }

    /// Whether mail to both goes to the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        self.email.eq_ignore_ascii_case(&other.email)
    }

    fn into_address(self) -> Address<'static> {
        Address::new_address(self.name, self.email)
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_local = (1..=64).contains(&local.len())
        && local.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>()[],;:\\\"@".contains(&byte));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    is_local && text.len() <= LONGEST_ADDRESS && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
