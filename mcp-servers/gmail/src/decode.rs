//! Mail as text: encoded words, charsets, base64url, HTML, and which parts of a message are its body.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_parser::MessageParser;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;

use crate::wire::Part;

/// Columns of the text that HTML becomes: wide enough for prose, narrow enough for rules and quotes.
const COLUMNS: usize = 100;
/// HTML beyond this is cut before it is rendered: newsletters stay far below it, and rendering takes memory.
const LONGEST_HTML: usize = 2 * 1024 * 1024;
/// HTML that is nested deeper is not rendered but read letter by letter: the renderer's time grows with the square of
/// it, and anybody can send a message that is made to take hours.
const DEEPEST_HTML: usize = 400;
/// Elements that hold nothing, and so do not nest.
const VOID_ELEMENTS: &[&[u8]] =
    &[b"br", b"hr", b"img", b"input", b"meta", b"link", b"col", b"area", b"base", b"wbr"];
/// Parts within parts: more is no mail that anybody reads.
const DEEPEST: usize = 32;

/// Gmail pads its base64url sometimes.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of Gmail's base64url; `None` if it is none.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// Bytes as base64url without padding.
pub fn to_base64url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A head line's words: RFC 2047's are decoded, everything is on one line.
pub fn words(value: &str) -> String {
    let line = value
        .split(['\r', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if !line.contains("=?") {
        return line;
    }
    let source = format!("Subject: {line}\r\n\r\n");
    let parsed = MessageParser::new().parse_headers(source.as_bytes());
    parsed.and_then(|message| message.subject().map(str::to_owned)).unwrap_or(line)
}

/// Bytes as text. Gmail mostly gives UTF-8 whatever the part says of itself, so that is tried first; not so for
/// charsets that hide other letters in ASCII.
pub fn text(bytes: Vec<u8>, charset: Option<&str>) -> String {
    let charset = charset.map(str::to_ascii_lowercase);
    let is_shifted = charset.as_deref().is_some_and(|name| {
        name.starts_with("iso-2022") || name.starts_with("hz-") || name.starts_with("utf-7") || name == "utf7"
    });
    let bytes = if is_shifted {
        bytes
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => return text,
            Err(error) => error.into_bytes(),
        }
    };
    let decoder = charset.as_deref().and_then(|name| charset_decoder(name.as_bytes()));
    match decoder {
        Some(decode) => decode(&bytes),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The charset that a part says it is in.
pub fn charset(part: &Part) -> Option<&str> {
    let value = part.header("Content-Type")?;
    let named = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    Some(named.trim().trim_matches('"'))
}

/// HTML as text; its links are listed at the end.
pub fn html(source: &str) -> String {
    let cut = cut(source, LONGEST_HTML);
    if depth(cut) > DEEPEST_HTML {
        return html_to_text(cut);
    }
    html2text::config::plain()
        .raw_mode(true)
        .no_link_wrapping()
        .link_footnotes(true)
        .allow_width_overflow()
        .string_from_read(cut.as_bytes(), COLUMNS)
        .map_or_else(|_| html_to_text(cut), |text| text.trim().to_owned())
}

/// How deep HTML is nested at most, by the look of its tags: an element that is never closed counts to the end.
fn depth(html: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for tag in html.as_bytes().split(|byte| *byte == b'<').skip(1) {
        if tag.first() == Some(&b'/') {
            depth = depth.saturating_sub(1);
        } else if tag.first().is_some_and(u8::is_ascii_alphabetic) {
            let end = tag.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(tag.len());
            if !VOID_ELEMENTS.iter().any(|void| void.eq_ignore_ascii_case(&tag[..end])) {
                depth += 1;
                deepest = deepest.max(depth);
            }
        }
    }
    deepest
}

/// A snippet's entities as letters.
pub fn snippet(source: &str) -> String {
    if source.contains('&') { html_to_text(source) } else { source.to_owned() }
}

/// The start of a text, at most so many bytes and never half a letter.
pub fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    &text[..end]
}

/// What a reader wants of a message with alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Plain text, else HTML.
    Text,
    /// HTML, else plain text.
    Html,
}

/// The parts that are a message's body, in order.
pub fn body_parts(root: &Part, wanted: Wanted) -> Vec<&Part> {
    let mut chosen = Vec::new();
    choose(root, wanted, 0, &mut chosen);
    chosen
}

fn choose<'a>(part: &'a Part, wanted: Wanted, depth: usize, chosen: &mut Vec<&'a Part>) {
    if depth > DEEPEST || part.is_attachment() {
        return;
    }
    if part.mime_type.eq_ignore_ascii_case("multipart/alternative") {
        let kind = if wanted == Wanted::Text { "text/plain" } else { "text/html" };
        // The last is the richest (RFC 2046).
        let best = part.parts.iter().rev().find(|each| holds(each, kind, depth));
        if let Some(best) = best.or_else(|| part.parts.iter().rev().find(|each| holds(each, "text/", depth)))
        {
            choose(best, wanted, depth + 1, chosen);
        }
    } else if part.mime_type.starts_with("multipart/") {
        for each in &part.parts {
            choose(each, wanted, depth + 1, chosen);
        }
    } else {
        chosen.push(part);
    }
}

/// Whether a part is, or has within, something to read of a kind that is not empty.
fn holds(part: &Part, kind: &str, depth: usize) -> bool {
    if depth > DEEPEST || part.is_attachment() {
        return false;
    }
    let is_it = part.mime_type.to_ascii_lowercase().starts_with(kind) && part.body.size > 0;
    is_it || part.parts.iter().any(|each| holds(each, kind, depth + 1))
}

/// The parts that are files, in order.
pub fn attachments(root: &Part) -> Vec<&Part> {
    let mut found = Vec::new();
    gather(root, 0, &mut found);
    found
}

fn gather<'a>(part: &'a Part, depth: usize, found: &mut Vec<&'a Part>) {
    if depth > DEEPEST {
        return;
    }
    if part.is_attachment() {
        // What a forwarded message holds is inside its own file.
        found.push(part);
    } else {
        part.parts.iter().for_each(|each| gather(each, depth + 1, found));
    }
}

#[cfg(test)]
mod tests;
