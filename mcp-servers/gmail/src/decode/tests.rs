//! Mail as people's programs write it.

use super::*;
use crate::wire::{Header, PartBody};

fn leaf(kind: &str, content_type: &str, data: &[u8]) -> Part {
    Part {
        mime_type: kind.to_owned(),
        headers: vec![Header { name: "Content-Type".to_owned(), value: content_type.to_owned() }],
        body: PartBody { size: data.len() as u64, data: Some(to_base64url(data)), ..PartBody::default() },
        ..Part::default()
    }
}

fn multi(kind: &str, parts: Vec<Part>) -> Part {
    Part { mime_type: format!("multipart/{kind}"), parts, ..Part::default() }
}

fn kinds<'a>(parts: &[&'a Part]) -> Vec<&'a str> {
    parts.iter().map(|part| part.mime_type.as_str()).collect()
}

#[test]
fn encoded_words_become_letters_and_folded_lines_one() {
    for (encoded, read) in [
        ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
        ("=?ISO-8859-1?Q?Caf=E9_au_lait?=", "Café au lait"),
        ("=?utf-8?q?one?= =?utf-8?q?two?= three", "onetwo three"),
        ("=?ISO-2022-JP?B?GyRCJEYkOSRIGyhC?=", "てすと"),
        ("plain\r\n folded", "plain folded"),
        ("a =? b", "a =? b"),
    ] {
        assert_eq!(words(encoded), read, "{encoded}");
    }
}

#[test]
fn bytes_are_read_in_their_charset() {
    assert_eq!(text("schön".as_bytes().to_vec(), Some("iso-8859-1")), "schön", "Gmail's own UTF-8");
    assert_eq!(text(b"sch\xf6n".to_vec(), Some("ISO-8859-1")), "schön");
    assert_eq!(text(b"\x93quoted\x94".to_vec(), Some("windows-1252")), "“quoted”");
    assert_eq!(text(b"\x1b$B$F$9$H\x1b(B".to_vec(), Some("iso-2022-jp")), "てすと");
    assert_eq!(text(vec![0xff, b'a'], Some("no-such-charset")), "\u{fffd}a");
    assert_eq!(text(vec![0xff, b'a'], None), "\u{fffd}a");
}

#[test]
fn a_charset_is_found_in_all_spellings() {
    for (content_type, found) in [
        ("text/plain; charset=\"UTF-8\"", Some("UTF-8")),
        ("text/plain; format=flowed; Charset = koi8-r", Some("koi8-r")),
        ("text/plain", None),
    ] {
        assert_eq!(charset(&leaf("text/plain", content_type, b"")), found, "{content_type}");
    }
}

#[test]
fn of_alternatives_the_wanted_one_is_read_and_files_are_not() {
    let plain = leaf("text/plain", "text/plain", b"plain");
    let html = leaf("text/html", "text/html", b"<p>html");
    let related = multi("related", vec![html.clone(), leaf("image/png", "image/png", b"png")]);
    let mut file = leaf("text/plain", "text/plain", b"file");
    file.filename = "notes.txt".to_owned();
    let root = multi("mixed", vec![multi("alternative", vec![plain, related]), file]);
    assert_eq!(kinds(&body_parts(&root, Wanted::Text)), ["text/plain"]);
    assert_eq!(kinds(&body_parts(&root, Wanted::Html)), ["text/html"]);
    assert_eq!(kinds(&attachments(&root)), ["image/png", "text/plain"]);
}

#[test]
fn an_empty_alternative_is_passed_over() {
    let root = multi(
        "alternative",
        vec![leaf("text/plain", "text/plain", b""), leaf("text/html", "text/html", b"<p>html")],
    );
    assert_eq!(kinds(&body_parts(&root, Wanted::Text)), ["text/html"]);
}

#[test]
fn parts_without_end_are_given_up() {
    let mut part = leaf("text/plain", "text/plain", b"deep");
    for _ in 0..DEEPEST + 2 {
        part = multi("mixed", vec![part]);
    }
    assert!(body_parts(&part, Wanted::Text).is_empty());
}

#[test]
fn html_becomes_text_with_its_links() {
    let read = html(
        "<html><head><style>p{}</style></head><body><p>Hello <b>you</b>&nbsp;&amp; me</p>\
         <table><tr><td>one</td><td><a href=\"https://example.org/a\">two</a></td></tr></table>",
    );
    assert!(read.contains("Hello **you**") && read.contains("& me") && read.contains("one"), "{read}");
    assert!(read.contains("https://example.org/a"), "{read}");
    assert!(!read.contains("p{}") && !read.contains('│'), "{read}");
    assert_eq!(snippet("it&#39;s &lt;here&gt;"), "it's <here>");
}

#[test]
fn html_that_is_made_to_take_hours_is_read_all_the_same() {
    for element in ["<div>", "<b>", "<table><tr><td>"] {
        let deep = element.repeat(100_000) + "end";
        assert!(html(&deep).contains("end"), "{element}");
    }
    let long = "<p>one<br>two</p><img src=x>".repeat(2_000);
    assert_eq!(depth(&long), 1);
    assert_eq!(depth("<div><p>a</p><p>b</p><br></div></div>1 < 2"), 2);
}

#[test]
fn base64url_is_read_with_and_without_padding() {
    for encoded in ["_-8", "_-8="] {
        assert_eq!(base64url(encoded).unwrap(), [0xff, 0xef]);
    }
    assert_eq!(base64url("not base64!"), None);
    assert_eq!(cut("schön", 4), "sch");
}
