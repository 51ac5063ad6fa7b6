//! A message from its source, as it came over the wire: for what Gmail's own reading of it leaves out.

use mail_parser::{Address, HeaderName, Message, MessageParser, MimeHeaders, PartType};

use crate::decode::{self, Wanted};

/// What is read of a source.
#[derive(Debug, Default)]
pub struct Source {
    pub subject: Option<String>,
    pub from: Vec<String>,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub body: Option<SourceBody>,
    pub files: Vec<SourceFile>,
}

/// The body, and whether it was HTML.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceBody {
    pub text: String,
    pub is_html: bool,
}

/// One attachment's description.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub name: Option<String>,
    pub mime_type: String,
    pub size: usize,
}

/// Reads a source; `None` if it is no mail at all.
pub fn read(bytes: &[u8], wanted: Wanted) -> Option<Source> {
    let message = MessageParser::new().parse(bytes)?;
    let files = message.attachments().map(|part| SourceFile {
        name: part.attachment_name().map(decode::words),
        mime_type: mime_type(part),
        size: part.contents().len(),
    });
    Some(Source {
        subject: message.subject().map(str::to_owned),
        from: addresses(message.from()),
        to: addresses(message.to()),
        cc: addresses(message.cc()),
        body: body(&message, wanted),
        files: files.collect(),
    })
}

/// The plain parts if they say anything, or the HTML parts.
fn body(message: &Message<'_>, wanted: Wanted) -> Option<SourceBody> {
    let plain: Vec<&str> = message
        .text_bodies()
        .filter_map(|part| match &part.body {
            PartType::Text(text) => Some(text.trim_end()),
            _ => None,
        })
        .filter(|text| !text.trim().is_empty())
        .collect();
    let html: Vec<&str> = message
        .html_bodies()
        .filter_map(|part| match &part.body {
            PartType::Html(html) => Some(&**html),
            _ => None,
        })
        .collect();
    let text = (!plain.is_empty()).then(|| SourceBody { text: plain.join("\n"), is_html: false });
    let html = (!html.is_empty()).then(|| SourceBody { text: html.join("\n"), is_html: true });
    match wanted {
        Wanted::Text => text.or(html),
        Wanted::Html => html.or(text),
    }
}

fn mime_type(part: &mail_parser::MessagePart<'_>) -> String {
    let Some(kind) = part.content_type() else {
        return if part.is_message() { "message/rfc822" } else { "application/octet-stream" }.to_owned();
    };
    kind.subtype().map_or_else(|| kind.ctype().to_owned(), |subtype| format!("{}/{subtype}", kind.ctype()))
}

fn addresses(found: Option<&Address<'_>>) -> Vec<String> {
    let each = found.into_iter().flat_map(Address::iter);
    each.map(|one| match (one.name(), one.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    })
    .filter(|text| !text.is_empty())
    .collect()
}

/// The addresses of a head line, one each, as they are written to.
pub fn mailboxes(value: &str) -> Vec<String> {
    let line = value.replace(['\r', '\n'], " ");
    let source = format!("To: {line}\r\n\r\n");
    let parsed = MessageParser::new().parse_headers(source.as_bytes());
    parsed
        .map(|message| addresses(message.header(HeaderName::To).and_then(|value| value.as_address())))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>\r\nTo: a@example.org, \"B, C\" <b@example.org>\r\n\
        Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n\
        Content-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsch=F6n=\r\ner\r\n\
        --inner\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+c2Now7ZuZXI8L3A+\r\n\
        --inner--\r\n--outer\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename*=utf-8''ma%C3%9F.pdf\r\n\r\nAAEC\r\n--outer--\r\n";

    #[test]
    fn alternatives_encodings_charsets_and_files_are_read() {
        let read = super::read(SOURCE.as_bytes(), Wanted::Text).unwrap();
        assert_eq!(read.subject.as_deref(), Some("Grüße"));
        assert_eq!(read.from, ["Jürgen <j@example.org>"]);
        assert_eq!(read.to, ["a@example.org", "B, C <b@example.org>"]);
        assert_eq!(read.body, Some(SourceBody { text: "schöner".to_owned(), is_html: false }));
        let file =
            SourceFile {
                name: Some("maß.pdf".to_owned()), mime_type: "application/pdf".to_owned(), size: 3
            };
        assert_eq!(read.files, [file]);
        let html = super::read(SOURCE.as_bytes(), Wanted::Html).unwrap();
        assert_eq!(html.body, Some(SourceBody { text: "<p>schöner</p>".to_owned(), is_html: true }));
    }

    #[test]
    fn a_head_line_of_addresses_is_taken_apart() {
        let read = mailboxes("Ann <ann@example.org>, bob@example.org,\r\n \"Last, First\" <c@example.org>");
        assert_eq!(read, ["Ann <ann@example.org>", "bob@example.org", "Last, First <c@example.org>"]);
        assert!(mailboxes("undisclosed-recipients:;").is_empty());
    }
}
