//! No form of a secret survives, however it arrives, and nothing else is changed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const MARK: &str = "[masked]";

fn masks(values: &[&str]) -> Masks {
    Masks::new(&values.iter().map(|v| Secret::new((*v).to_owned())).collect::<Vec<_>>())
}

/// What becomes of a stream that arrives in these pieces.
fn through(masks: &Masks, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut scrubber, mut out) = (Scrubber::default(), Vec::new());
    for piece in pieces {
        scrubber.feed(masks, piece, &mut out);
    }
    scrubber.flush(masks, &mut out);
    assert!(!scrubber.is_waiting());
    out
}

fn percent(value: &str, kept: &str, upper: bool, plus: bool) -> String {
    value.bytes().fold(String::new(), |text, byte| {
        let character = char::from(byte);
        text + &match (byte, upper) {
            (b' ', _) if plus => "+".to_owned(),
            _ if character.is_ascii_alphanumeric() || kept.contains(character) => character.to_string(),
            (_, true) => format!("%{byte:02X}"),
            (_, false) => format!("%{byte:02x}"),
        }
    })
}

fn json(value: &str, slash: bool, ascii: bool) -> String {
    let text = serde_json::to_string(value).unwrap();
    let text = if slash { text.replace('/', "\\/") } else { text };
    let escaped = |c: char| match c {
        _ if ascii && (!c.is_ascii() || "<>&'".contains(c)) => c
            .encode_utf16(&mut [0; 2])
            .iter()
            .fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}")),
        _ => c.to_string(),
    };
    text[1..text.len() - 1].chars().map(escaped).collect()
}

fn hexadecimal(value: &str) -> String {
    value.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Written here a second time, and otherwise than in the code: every form of a value, each with its name.
fn printed(value: &str) -> Vec<(&'static str, String)> {
    let all_escaped = value.encode_utf16().fold(String::new(), |text, unit| text + &format!("\\u{unit:04X}"));
    vec![
        ("plain", value.to_owned()),
        ("base64", STANDARD_NO_PAD.encode(value)),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(value)),
        ("base64 in a URL", percent(&STANDARD_NO_PAD.encode(value), "", true, false)),
        ("hexadecimal", hexadecimal(value)),
        ("upper hexadecimal", hexadecimal(value).to_uppercase()),
        ("URL", percent(value, "-._~", true, false)),
        ("lower URL", percent(value, "-._~", false, false)),
        ("form", percent(value, "*-._", true, true)),
        ("component", percent(value, "-._~!'()*", true, false)),
        ("path", percent(value, "-._~/:@", true, false)),
        ("JSON", json(value, false, false)),
        ("JSON with slashes", json(value, true, false)),
        ("JSON in ASCII", json(value, false, true)),
        ("JSON in ASCII with slashes", json(value, true, true)),
        ("all escaped", all_escaped),
    ]
}

#[test]
fn a_secret_is_masked_in_every_form_it_is_printed_in() {
    for value in
        ["s3cr\"t/+ value", "päss<wörd>&'x'/\u{1f600}~!*()", "plain0123456789", "50%25\\n\\u0041%", "a b+c%d"]
    {
        let masks = masks(&[value]);
        for (name, form) in printed(value) {
            let text = format!("token={form};");
            assert_eq!(masks.apply(text.clone()), format!("token={MARK};"), "{name}: {text}");
        }
    }
}

#[test]
fn base64_is_masked_in_every_phase_whatever_is_around_the_value() {
    let value = "ghp_0123456789?>?>";
    let masks = masks(&[value]);
    for before in ["", "u", "us", "user:", "Basic:"] {
        for after in ["", "@", "@h", "@host"] {
            let text = format!("{before}{value}{after}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                let told = masks.apply(format!("Basic {encoded}."));
                let (head, tail) = told.strip_prefix("Basic ").unwrap().split_once(MARK).expect("masked");
                // What is left holds the neighbours, and at most six bits of either end.
                let left = |bytes: usize| (bytes * 8).div_ceil(6);
                assert!(head.len() <= left(before.len()), "{told}");
                assert!(tail.trim_end_matches(['=', '.']).len() <= left(after.len()) + 1, "{told}");
            }
        }
    }
}

#[test]
fn the_longer_of_two_secrets_is_masked_whole() {
    let both = masks(&["abcd", "abcdefgh"]);
    assert_eq!(both.apply("x abcdefgh y abcd".into()), "x [masked] y [masked]");
    let overlapping = masks(&["abcdef", "efghij"]);
    assert_eq!(overlapping.apply("x abcdefghij y".into()), "x [masked] y");
}

#[test]
fn each_line_of_a_secret_of_several_lines_is_masked() {
    let masks = masks(&["-----BEGIN\r\nMIIEabcd\r\nQw==\r\n-----END\r\n"]);
    assert_eq!(masks.apply("  MIIEabcd".into()), "  [masked]");
    assert_eq!(masks.apply("Qw==".into()), "Qw==", "too little to tell");
    assert_eq!(
        masks.apply("-----BEGIN\nMIIEabcd\nQw==\n-----END".into()),
        "[masked]\n[masked]\n[masked]\n[masked]"
    );
    assert_eq!(
        masks.apply(r#"{"k":"-----BEGIN\nMIIEabcd\nQw==\n-----END\n"}"#.into()),
        r#"{"k":"[masked]\n"}"#
    );
}

#[test]
fn lines_that_are_wrapped_by_who_prints_hide_nothing() {
    let value = "a-secret-of-many-characters-that-is-wrapped";
    let masks = masks(&[value]);
    for (name, form) in printed(value) {
        let wrapped: Vec<String> =
            form.as_bytes().chunks(7).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        let told = masks.apply(format!("<{}>", wrapped.join("\r\n")));
        let expected = vec![MARK; wrapped.len()].join("\r\n");
        assert_eq!(told, format!("<{expected}>"), "{name}");
    }
}

#[test]
fn what_comes_after_a_silence_is_masked_too() {
    let masks = masks(&["canary-value"]);
    for (first, told_first, told_rest) in [("canary-", "canary-", MARK), ("canary-v", MARK, MARK)] {
        let (mut scrubber, mut out) = (Scrubber::default(), Vec::new());
        scrubber.feed(&masks, format!("x {first}").as_bytes(), &mut out);
        assert!(scrubber.is_waiting());
        scrubber.flush(&masks, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), format!("x {told_first}"));
        assert!(!scrubber.is_waiting());
        out.clear();
        scrubber.feed(&masks, format!("{} y", &"canary-value"[first.len()..]).as_bytes(), &mut out);
        let expected = if told_first == MARK { " y".to_owned() } else { format!("{told_rest} y") };
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

#[test]
fn a_short_value_does_not_blot_out_the_log() {
    assert_eq!(masks(&["", "a", "abc"]).apply("a banana abc".into()), "a banana abc");
}

#[test]
fn a_stream_of_line_breaks_is_not_kept() {
    let masks = masks(&["canary"]);
    let (mut scrubber, mut out) = (Scrubber::default(), Vec::new());
    scrubber.feed(&masks, b"c", &mut out);
    for _ in 0..100 {
        scrubber.feed(&masks, &[b'\n'; 1000], &mut out);
        assert!(scrubber.breaks.len() <= MAX_HELD_BREAKS);
    }
    assert!(out.len() > 90_000);
}

/// A value as people have them: no line breaks at its ends, at least eight bytes.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{8,40}",
        "[ -~]{8,40}".prop_filter("not blank", |text| text.trim().len() == text.len()),
        "[a-z/+\\\\\"%é€😀]{8,20}".prop_filter("not small", |text| text.len() >= 8),
        "([A-Za-z0-9+/]{16}\n){1,4}[A-Za-z0-9+/]{8}",
    ]
}

/// Cuts bytes at these places.
fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut from, end)..end]).collect()
}

/// Breaks the text into lines at these places.
fn wrapped(text: &str, places: &[prop::sample::Index]) -> String {
    let pieces = cut(text.as_bytes(), places);
    String::from_utf8_lossy(&pieces.join(&b"\n"[..])).into_owned()
}

fn without_breaks(text: &str) -> String {
    text.replace(['\r', '\n'], "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Around the form is what no form begins or goes on with, so that exactly the form has to go.
    #[test]
    fn no_form_survives_in_whatever_pieces_it_comes(
        value in value(),
        form in any::<prop::sample::Index>(),
        before in "[\u{400}-\u{4ff} \n]{0,20}",
        after in "[\u{400}-\u{4ff} \n]{0,20}",
        breaks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let forms = printed(&value);
        let (name, form) = &forms[form.index(forms.len())];
        let form = if form.is_ascii() { wrapped(form, &breaks) } else { form.clone() };
        let (before, after) = (format!("{before}\u{400}"), format!("\u{400}{after}"));
        let text = format!("{before}{form}{after}");
        let told = through(&masks(&[&value]), &cut(text.as_bytes(), &places));
        let told = String::from_utf8(told).expect("whole characters");
        let masked: Vec<&str> = form.split('\n').map(|line| if line.is_empty() { "" } else { MARK }).collect();
        prop_assert_eq!(told, format!("{}{}{}", before, masked.join("\n"), after), "{}", name);
    }

    /// Whatever the pieces, the same comes out; and what holds no form comes out as it was.
    #[test]
    fn nothing_else_is_changed(
        values in prop::collection::vec(value(), 1..4),
        parts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,12}\n?"), 0..8),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        // Pieces of forms beside each other: beginnings, ends, halves.
        let mut text = String::new();
        for (form, end, between) in &parts {
            let forms = printed(&values[0]);
            let form: Vec<char> = forms[form.index(forms.len())].1.chars().collect();
            text.extend(&form[..end.index(form.len() + 1)]);
            text.push_str(between);
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let masks = masks(&values);
        let whole = through(&masks, &[text.as_bytes()]);
        prop_assert_eq!(&whole, &through(&masks, &cut(text.as_bytes(), &places)));
        let told = String::from_utf8_lossy(&whole).into_owned();
        let is_there = |text: &str| values.iter().any(|value| {
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).map(str::to_owned);
            let forms = lines.chain(printed(value).into_iter().map(|(_, form)| form));
            forms.map(|form| without_breaks(&form)).any(|form| without_breaks(text).contains(&form))
        });
        let rest = told.replace(MARK, "\u{0}");
        prop_assert!(!is_there(&rest), "{}", rest);
        let head = masks.forms.iter().any(|form| {
            let text = without_breaks(&text);
            (0..text.len()).any(|at| form.look(&text.as_bytes()[at..]) != Look::default())
        });
        prop_assert!(head || told == text);
    }
}
