//! Whether the secrets that a user gives fit the slots of a type. No message holds a value.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};

use crate::names::{is_one_line, is_slot_name};
use crate::problem::Problem;
use crate::spec::{Slot, SlotKind};

/// Longest value of a slot: the longest keys known are private keys of some four kilobytes.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Memory of one compiled pattern.
const MAX_PATTERN_MEMORY: usize = 256 * 1024;

/// What is wrong with the secrets given for the slots of a type.
pub fn check_credentials(slots: &[Slot], given: &BTreeMap<String, SecretString>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for slot in slots {
        let field = format!("credentials.{}", slot.name);
        match given.get(&slot.name) {
            Some(value) => problems.extend(check_value(slot, value.expose_secret(), &field)),
            None if slot.required => problems.push(Problem::new(field, "is required")),
            None => {}
        }
    }
    for name in given.keys().filter(|name| slots.iter().all(|slot| slot.name != **name)) {
        problems.push(unknown(name, slots));
    }
    problems
}

/// A name that no slot has may be a value in the wrong place, so only what looks like a name is repeated.
fn unknown(name: &str, slots: &[Slot]) -> Problem {
    let known: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let known =
        if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    let looks_like_a_name = is_slot_name(name) && name.len() <= 30;
    let field = if looks_like_a_name { format!("credentials.{name}") } else { "credentials".to_owned() };
    Problem::new(field, format!("this type has no slot of that name; {known}"))
}

fn check_value(slot: &Slot, value: &str, field: &str) -> Option<Problem> {
    let message = if value.is_empty() {
        "must not be empty; leave it out if it is optional"
    } else if value.len() > MAX_VALUE_BYTES {
        "is longer than 16 KiB"
    } else if let Some(message) = not_of_kind(slot.kind, value) {
        message
    } else {
        match slot.pattern.as_deref().map(compile_pattern) {
            Some(Err(_)) => "cannot be checked: the type's pattern for it is no regular expression",
            Some(Ok(pattern)) if !pattern.is_match(value) => "does not have the form that this type asks for",
            Some(Ok(_)) | None => return None,
        }
    };
    Some(Problem::new(field, message))
}

/// What keeps a value from being of a kind.
fn not_of_kind(kind: SlotKind, value: &str) -> Option<&'static str> {
    let is_line = is_one_line(value);
    let (fits, message) = match kind {
        SlotKind::Multiline => {
            let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
            (value.chars().all(plain), "must be text without control characters but line breaks and tabs")
        }
        _ if !is_line => (false, "must be one line without control characters"),
        SlotKind::Text => (true, ""),
        SlotKind::Url => {
            let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
            let plain = value.bytes().all(|byte| byte.is_ascii_graphic());
            (plain && rest.is_some_and(|rest| !rest.is_empty()), "must be an http or https address")
        }
        SlotKind::Email => {
            let parts = value.split_once('@');
            let sound =
                parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
            (sound && !value.contains(' '), "must be an address of mail")
        }
        SlotKind::Number => {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
            (digits && value.parse::<f64>().is_ok(), "must be a number in digits")
        }
        // Only looked through, not kept: a copy would have to be wiped.
        SlotKind::Json => (serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok(), "must be JSON"),
    };
    (!fits).then_some(message)
}

/// A slot's pattern, made to match the whole value. Matching takes linear time, whatever the pattern.
pub(crate) fn compile_pattern(pattern: &str) -> Result<Regex, regex::Error> {
    // Compiled alone first: a pattern with an unbalanced bracket must not be completed by ours.
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN_MEMORY).build()?;
    RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(MAX_PATTERN_MEMORY).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(name: &str, required: bool, pattern: Option<&str>) -> Slot {
        Slot {
            name: name.to_owned(),
            label: name.to_owned(),
            description: None,
            secret: true,
            required,
            pattern: pattern.map(str::to_owned),
            kind: SlotKind::Text,
        }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
    }

    fn fields(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.field.as_str()).collect()
    }

    #[test]
    fn what_fits_has_no_problem() {
        let slots = [slot("token", true, Some("ghp_[a-z0-9]+")), slot("proxy", false, None)];
        assert_eq!(check_credentials(&slots, &given(&[("token", "ghp_abc1")])), []);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let slots =
            [slot("token", true, None), slot("key", true, Some("[0-9]{4}")), slot("extra", false, None)];
        let problems = check_credentials(&slots, &given(&[("key", "abcd"), ("extra", ""), ("tokn", "x")]));
        assert_eq!(
            fields(&problems),
            ["credentials.token", "credentials.key", "credentials.extra", "credentials.tokn"]
        );
    }

    #[test]
    fn a_pattern_must_match_the_whole_value() {
        let slots = [slot("key", true, Some("a|b"))];
        assert_eq!(check_credentials(&slots, &given(&[("key", "b")])), []);
        for value in ["ab", "xa", "bx", "a b"] {
            assert_eq!(check_credentials(&slots, &given(&[("key", value)])).len(), 1, "{value}");
        }
    }

    #[test]
    fn line_breaks_and_control_characters_are_refused() {
        let slots = [slot("key", true, None)];
        for value in ["a\nb", "a\r\nX-Admin: 1", "a\0b", "a\u{1b}[2J", "a\u{85}b", "\u{7f}"] {
            assert_eq!(check_credentials(&slots, &given(&[("key", value)])).len(), 1, "{value:?}");
        }
        assert_eq!(check_credentials(&slots, &given(&[("key", "$(id) `id` ; | & ' \" \\ é")])), []);
    }

    #[test]
    fn no_message_holds_a_value_not_even_one_given_as_a_name() {
        let canary = "canary-0123456789-0123456789-0123456789";
        let long = canary.repeat(1_000);
        let slots = [slot("a", true, Some("x")), slot("b", true, None), slot("c", true, Some("(broken"))];
        let broken = format!("{canary}\n");
        let given = given(&[("a", canary), ("b", &long), ("c", canary), (canary, "v"), (&broken, &broken)]);
        let problems = check_credentials(&slots, &given);
        assert_eq!(problems.len(), 5);
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }

    #[test]
    fn a_pattern_that_explodes_elsewhere_takes_linear_time_here() {
        let slots = [slot("key", true, Some("(a+)+b"))];
        assert_eq!(check_credentials(&slots, &given(&[("key", &"a".repeat(MAX_VALUE_BYTES))])).len(), 1);
        assert!(compile_pattern("(?:a{1000}){1000}").is_err(), "too large to compile");
        assert!(compile_pattern("a)|(?:b").is_err(), "brackets of ours do not complete it");
    }

    #[test]
    fn a_value_must_be_of_its_slots_kind() {
        let cases = [
            (SlotKind::Url, "https://a.example/x", "ftp://a.example"),
            (SlotKind::Url, "http://[::1]:80", "https://"),
            (SlotKind::Email, "a@b.example", "a.example"),
            (SlotKind::Number, "-12.5", "inf"),
            (SlotKind::Json, r#"{"a": [1]}"#, "{a: 1}"),
            (SlotKind::Text, "anything at all", "two\nlines"),
            (SlotKind::Multiline, "-----BEGIN\nabc\n-----END\n", "a\0b"),
        ];
        for (kind, fits, wrong) in cases {
            let slots = [Slot { kind, ..slot("key", true, None) }];
            assert_eq!(check_credentials(&slots, &given(&[("key", fits)])), [], "{kind:?} {fits}");
            assert_eq!(check_credentials(&slots, &given(&[("key", wrong)])).len(), 1, "{kind:?} {wrong}");
        }
    }
}
