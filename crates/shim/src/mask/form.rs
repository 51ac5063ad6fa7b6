//! The forms in which one value is printed, and how one is recognised.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Look, SHORTEST_LINE, SHORTEST_MASKED};

/// The longest spelling of one character: four bytes as `\xXX`.
const SPELLING_BYTES: usize = 16;
const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// One form of one value. Line breaks never count in a form that is compared as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// These bytes.
    Exact(Vec<u8>),
    /// These characters, each as it is or escaped in one of these ways: who prints decides which of them need it.
    Spelt(String, Escapes),
}

/// Which marks begin an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Escapes {
    percent: bool,
    backslash: bool,
}

impl Escapes {
    const ALL: Self = Self { percent: true, backslash: true };

    const fn begin_with(self, byte: u8) -> bool {
        match byte {
            b'%' | b'+' => self.percent,
            b'\\' => self.backslash,
            _ => false,
        }
    }
}

/// Every form of every value.
pub(super) fn all<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Form> {
    let mut forms = Vec::new();
    for value in values {
        let unix = Zeroizing::new(value.replace("\r\n", "\n"));
        for text in [value, value.trim(), unix.as_str(), unix.trim()] {
            if text.len() >= SHORTEST_MASKED {
                plain(text, &mut forms);
                encoded(text.as_bytes(), &mut forms);
            }
        }
        for line in value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE) {
            plain(line, &mut forms);
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn plain(text: &str, forms: &mut Vec<Form>) {
    let text = text.trim_matches(['\r', '\n']);
    if text.contains(['%', '\\']) {
        // Where such a character stands for itself, it must not be read as the beginning of an escape.
        for (percent, backslash) in [(true, false), (false, true), (false, false)] {
            forms.push(Form::Spelt(text.to_owned(), Escapes { percent, backslash }));
        }
    } else {
        forms.push(Form::Spelt(text.to_owned(), Escapes::ALL));
    }
}

fn encoded(bytes: &[u8], forms: &mut Vec<Form>) {
    forms.push(Form::Exact(hex(bytes, LOWER)));
    forms.push(Form::Exact(hex(bytes, UPPER)));
    for before in 0..3 {
        let padded = Zeroizing::new([&[0; 2][..before], bytes].concat());
        for mut text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            // The first characters hold bits of what was before the value …
            let head = Zeroizing::new(text.drain(..(before * 8).div_ceil(6)).collect::<String>());
            drop(head);
            push_base64(text.clone(), forms);
            // … and the last one, if something follows, bits of that.
            if !(padded.len() * 8).is_multiple_of(6) {
                text.pop();
                push_base64(text, forms);
            }
        }
    }
}

fn push_base64(mut text: String, forms: &mut Vec<Form>) {
    if text.len() < SHORTEST_MASKED {
        text.zeroize();
    } else if text.contains(['+', '/']) {
        forms.push(Form::Spelt(text, Escapes::ALL));
    } else {
        forms.push(Form::Exact(text.into_bytes()));
    }
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| hex_byte(*byte, digits)).collect()
}

const fn hex_byte(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [digits[(byte >> 4) as usize], digits[(byte & 15) as usize]]
}

impl Form {
    /// The pairs of bytes with which it can begin.
    pub(super) fn pairs(&self) -> Vec<u16> {
        let (text, escapes) = match self {
            Self::Exact(bytes) => {
                return bytes.first_chunk().map(|pair| u16::from_be_bytes(*pair)).into_iter().collect();
            }
            Self::Spelt(text, escapes) => (text, *escapes),
        };
        let mut pairs = Vec::new();
        let mut rest = text.chars();
        let Some(first) = rest.next() else { return pairs };
        let seconds: Vec<u8> = {
            let mut seconds = Vec::new();
            for character in rest {
                each_spelling(character, escapes, |bytes| seconds.push(bytes[0]));
                if !is_break(character) {
                    break;
                }
            }
            seconds
        };
        each_spelling(first, escapes, |bytes| match bytes {
            [only] => pairs.extend(seconds.iter().map(|second| u16::from_be_bytes([*only, *second]))),
            [first, second, ..] => pairs.push(u16::from_be_bytes([*first, *second])),
            [] => {}
        });
        pairs
    }

    /// Whether it is what the text begins with.
    pub(super) fn look(&self, text: &[u8]) -> Look {
        match self {
            Self::Exact(form) if text.starts_with(form) => Look { length: form.len(), undecided: false },
            Self::Exact(form) => Look { length: 0, undecided: form.starts_with(text) },
            Self::Spelt(form, escapes) => look_for_spelt(form, *escapes, text),
        }
    }
}

fn look_for_spelt(form: &str, escapes: Escapes, text: &[u8]) -> Look {
    let (mut rest, mut length) = (form, 0);
    loop {
        // Nearly always a form is there as it is, or not at all.
        let same = |(ours, theirs): &(u8, &u8)| ours == *theirs && !escapes.begin_with(*ours);
        let plain = rest.bytes().zip(&text[length..]).take_while(same).count();
        let plain = rest.floor_char_boundary(plain);
        (rest, length) = (&rest[plain..], length + plain);
        let Some(character) = rest.chars().next() else {
            return Look { length, undecided: false };
        };
        match step(character, escapes, &text[length..]) {
            Step::Is(more) => length += more,
            Step::IsNot if is_break(character) => {}
            Step::IsNot => return Look::default(),
            Step::Undecided => return Look { length: 0, undecided: true },
        }
        rest = &rest[character.len_utf8()..];
    }
}

/// What a text begins with, as far as one character is concerned.
enum Step {
    Is(usize),
    IsNot,
    Undecided,
}

fn step(character: char, escapes: Escapes, text: &[u8]) -> Step {
    let Some(first) = text.first() else {
        return Step::Undecided;
    };
    if !escapes.begin_with(*first) {
        let mut buffer = [0; 4];
        let plain = character.encode_utf8(&mut buffer).as_bytes();
        return if text.starts_with(plain) {
            Step::Is(plain.len())
        } else if plain.starts_with(text) {
            Step::Undecided
        } else {
            Step::IsNot
        };
    }
    let (mut longest, mut undecided) = (0, false);
    each_spelling(character, escapes, |bytes| {
        if text.starts_with(bytes) {
            longest = longest.max(bytes.len());
        } else {
            undecided |= bytes.starts_with(text);
        }
    });
    match (undecided, longest) {
        (true, _) => Step::Undecided,
        (false, 0) => Step::IsNot,
        (false, length) => Step::Is(length),
    }
}

/// Every way in which a character is written: as it is, in URLs, and in the strings of JSON and of programming languages.
fn each_spelling(character: char, escapes: Escapes, mut told: impl FnMut(&[u8])) {
    let mut buffer = [0; 4];
    let plain = character.encode_utf8(&mut buffer).as_bytes();
    if !is_break(character) {
        told(plain);
    }
    for digits in [LOWER, UPPER] {
        if escapes.percent {
            told(plain.iter().fold(Spelling::default(), |s, byte| s.with(b"%", *byte, digits)).bytes());
        }
        if escapes.backslash {
            told(plain.iter().fold(Spelling::default(), |s, byte| s.with(b"\\x", *byte, digits)).bytes());
            let mut spelling = Spelling::default();
            for unit in character.encode_utf16(&mut [0; 2]) {
                let [high, low] = unit.to_be_bytes();
                spelling = spelling.with(b"\\u", high, digits).with(b"", low, digits);
            }
            told(spelling.bytes());
        }
    }
    if escapes.percent && character == ' ' {
        told(b"+");
    }
    if escapes.backslash {
        match character {
            '\n' => told(b"\\n"),
            '\r' => told(b"\\r"),
            '\t' => told(b"\\t"),
            '\u{8}' => told(b"\\b"),
            '\u{c}' => told(b"\\f"),
            _ if character.is_ascii_punctuation() => told(&[b'\\', plain[0]]),
            _ => {}
        }
    }
}

/// A short text without an allocation.
#[derive(Default)]
struct Spelling {
    bytes: [u8; SPELLING_BYTES],
    length: usize,
}

impl Spelling {
    fn with(mut self, mark: &[u8], byte: u8, digits: &[u8; 16]) -> Self {
        for part in mark.iter().chain(&hex_byte(byte, digits)) {
            self.bytes[self.length] = *part;
            self.length += 1;
        }
        self
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

const fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

impl Drop for Form {
    fn drop(&mut self) {
        match self {
            Self::Exact(bytes) => bytes.zeroize(),
            Self::Spelt(text, _) => text.zeroize(),
        }
    }
}
