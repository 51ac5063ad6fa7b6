//! What is sent reads back as it was meant, and nobody smuggles a line into its head.

use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;

fn to(address: &str) -> Outgoing {
    Outgoing { to: vec![address.to_owned()], ..Outgoing::default() }
}

fn sent(outgoing: &Outgoing) -> Result<Vec<u8>, Refused> {
    mime(outgoing, &[], None, Readiness::Sent)
}

fn original() -> Original {
    Original {
        thread_id: "t1".to_owned(),
        message_id: Some("two@example.org".to_owned()),
        references: vec!["one@example.org".to_owned()],
        subject: "Lunch".to_owned(),
        reply_to: vec!["Ann <ann@example.org>".to_owned()],
        everybody: vec!["bob@example.org".to_owned(), "ANN@example.org".to_owned(), "odd".to_owned()],
    }
}

#[test]
fn a_message_reads_back_as_it_was_meant() {
    let outgoing = Outgoing {
        cc: vec!["\"Böse, Bob\" <bob@example.org>".to_owned()],
        bcc: vec!["hidden@example.org".to_owned()],
        from: Some("Me <me@example.org>".to_owned()),
        subject: Some("Grüße aus Köln".to_owned()),
        text: Some("Hallo Welt\n.\nEnde".to_owned()),
        html: Some("<p>Hallö</p>".to_owned()),
        ..to("ann@example.org")
    };
    let file =
        File { name: "maße.csv".to_owned(), mime_type: "text/csv".to_owned(), bytes: b"a,b\n".to_vec() };
    let written = mime(&outgoing, &[file], None, Readiness::Sent).unwrap();
    let read = MessageParser::new().parse(&written).unwrap();
    assert_eq!(read.subject(), Some("Grüße aus Köln"));
    assert_eq!(read.cc().unwrap().first().unwrap().name(), Some("Böse, Bob"));
    assert_eq!(read.bcc().unwrap().first().unwrap().address(), Some("hidden@example.org"));
    assert_eq!(read.from().unwrap().first().unwrap().address(), Some("me@example.org"));
    assert_eq!(read.body_text(0).unwrap().replace("\r\n", "\n"), "Hallo Welt\n.\nEnde");
    assert!(read.body_html(0).unwrap().contains("Hallö"));
    let file = read.attachment(0).unwrap();
    assert_eq!((file.attachment_name(), file.contents()), (Some("maße.csv"), &b"a,b\n"[..]));
    assert!(read.message_id().unwrap().ends_with("@mail.gmail.com"));
}

#[test]
fn a_reply_takes_recipients_subject_and_ids_from_the_original() {
    let outgoing = Outgoing { reply_all: true, text: Some("yes".to_owned()), ..Outgoing::default() };
    let written = mime(&outgoing, &[], Some(&original()), Readiness::Sent).unwrap();
    let read = MessageParser::new().parse(&written).unwrap();
    assert_eq!(read.subject(), Some("Re: Lunch"));
    assert_eq!(read.in_reply_to().as_text(), Some("two@example.org"));
    let references: Vec<&str> =
        read.references().as_text_list().unwrap().iter().map(|each| &**each).collect();
    assert_eq!(references, ["one@example.org", "two@example.org"]);
    assert_eq!(read.to().unwrap().first().unwrap().address(), Some("ann@example.org"));
    let cc: Vec<_> = read.cc().unwrap().iter().filter_map(|each| each.address()).collect();
    assert_eq!(cc, ["bob@example.org"], "nobody twice");
    assert_eq!(answered("RE: Lunch"), "RE: Lunch");
}

#[test]
fn a_long_conversation_keeps_its_first_and_its_last_references() {
    let mut long = original();
    long.references = (0..200).map(|number| format!("{number}@example.org")).collect();
    let written = mime(&Outgoing::default(), &[], Some(&long), Readiness::Draft).unwrap();
    let read = MessageParser::new().parse(&written).unwrap();
    let references = read.references().as_text_list().unwrap();
    assert_eq!(references.len(), MOST_REFERENCES);
    assert_eq!((&*references[0], &*references[MOST_REFERENCES - 1]), ("0@example.org", "two@example.org"));
    assert_eq!(&*references[MOST_REFERENCES - 2], "199@example.org");
}

#[test]
fn lines_are_not_smuggled_in() {
    let smuggled = "a\r\nBcc: eve@example.org";
    for outgoing in [
        to("ann@example.org\r\nBcc: eve@example.org"),
        to("Ann\nBcc: eve@example.org <ann@example.org>"),
        Outgoing { cc: vec![format!("{smuggled} <b@example.org>")], ..to("ann@example.org") },
        Outgoing { bcc: vec![format!("{smuggled} <b@example.org>")], ..to("ann@example.org") },
        Outgoing { reply_to: vec![format!("{smuggled} <b@example.org>")], ..to("ann@example.org") },
        Outgoing { from: Some(format!("{smuggled} <b@example.org>")), ..to("ann@example.org") },
        Outgoing { subject: Some(smuggled.to_owned()), ..to("ann@example.org") },
        Outgoing { subject: Some("a\u{85}b".to_owned()), ..to("ann@example.org") },
    ] {
        let refused = sent(&outgoing).unwrap_err().to_string();
        assert!(refused.contains("one line"), "{refused}");
        assert!(!refused.contains("eve"), "{refused}");
    }
    for (name, mime_type) in
        [("a\r\nX: y", "text/plain"), ("a", "text/plain\r\nX: y"), ("a", "multipart/mixed")]
    {
        let file = File { name: name.to_owned(), mime_type: mime_type.to_owned(), bytes: Vec::new() };
        assert!(
            mime(&to("ann@example.org"), &[file], None, Readiness::Sent).is_err(),
            "{name:?} {mime_type:?}"
        );
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "ann",
        "ann@",
        "@example.org",
        "a@b@example.org",
        "a b@example.org",
        "ann@exa mple.org",
        "a@example.org, b@example.org",
        "ann@example..org",
        "änn@example.org",
        "<ann@example.org",
        "ann@[127.0.0.1]",
        "",
    ] {
        assert!(Mailbox::parse("to", text).is_err(), "{text}");
    }
    let long = format!("{}@example.org", "a".repeat(65));
    assert!(Mailbox::parse("to", &long).is_err());
    let read = Mailbox::parse("to", " \"Ann \\\"A\\\"\" <ann+x@sub.example.org> ").unwrap();
    assert_eq!((read.name.as_deref(), read.email.as_str()), (Some("Ann \"A\""), "ann+x@sub.example.org"));
}

#[test]
fn nobody_to_send_to_is_refused_and_a_draft_may_wait() {
    assert!(sent(&Outgoing::default()).unwrap_err().to_string().contains("`to`"));
    assert!(mime(&Outgoing::default(), &[], None, Readiness::Draft).is_ok());
    let many = Outgoing { to: vec!["a@example.org".to_owned(); MOST_ADDRESSES + 1], ..Outgoing::default() };
    assert!(sent(&many).unwrap_err().to_string().contains("at most 500"));
}

#[test]
fn a_message_that_is_too_large_is_refused() {
    let file = File {
        name: "big".to_owned(),
        mime_type: "application/octet-stream".to_owned(),
        bytes: vec![0; LARGEST_MESSAGE],
    };
    let refused = mime(&to("ann@example.org"), &[file], None, Readiness::Sent).unwrap_err();
    assert!(refused.to_string().contains("5 MiB"), "{refused}");
}

#[test]
fn ids_are_read_from_head_lines() {
    assert_eq!(message_ids("<a@b>\r\n <c@d> junk <e f>"), ["a@b", "c@d"]);
    assert!(message_ids("").is_empty());
}

proptest! {
    /// Whatever the texts are, a message has the head lines that it is meant to have.
    #[test]
    fn no_text_adds_a_head_line(subject in ".{0,60}", name in ".{0,40}", file in ".{1,40}", body in "(?s).{0,80}") {
        let outgoing = Outgoing {
            subject: Some(subject),
            text: Some(body),
            ..to(&format!("{name} <ann@example.org>"))
        };
        let file = File { name: file, mime_type: "text/plain".to_owned(), bytes: Vec::new() };
        if let Ok(written) = mime(&outgoing, &[file], None, Readiness::Sent) {
            let read = MessageParser::new().parse(&written).unwrap();
            let mut names: Vec<&str> = read.headers().iter().map(mail_parser::Header::name).collect();
            names.sort_unstable();
            prop_assert_eq!(names, ["Content-Type", "Date", "MIME-Version", "Message-ID", "Subject", "To"]);
            prop_assert_eq!(read.to().unwrap().iter().count(), 1);
        }
    }
}
