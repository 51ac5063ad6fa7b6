//! Phrases that speak to a model instead of describing a tool.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::{Kind, Severity};
use crate::import::hidden::hidden;

/// Memory of one compiled phrase.
const MAX_MEMORY: usize = 256 * 1024;

struct Phrase {
    pattern: Regex,
    kind: Kind,
    severity: Severity,
}

/// What is searched for. `\W+` stands for what is between words, however they are set apart.
const PHRASES: &[(Kind, Severity, &str)] = &[
    (
        Kind::Instruction,
        Severity::High,
        r"\b(ignore|disregard|forget|override|bypass)\W+(\w+\W+){0,4}?(previous|prior|above|earlier|preceding|existing|system|safety|other)\W+(\w+\W+){0,2}?(instructions?|prompts?|rules?|messages?|guidelines?|constraints?|directives?)\b",
    ),
    (
        Kind::Instruction,
        Severity::High,
        r"\b(do\W+not|don\W?t|never|must\W+not|without|avoid)\W+(\w+\W+){0,3}?(tell|telling|inform|informing|mention|mentioning|reveal|revealing|notify|notifying|alert|alerting|show|showing|disclose|disclosing|asking)\W+(\w+\W+){0,4}?(user|users|human|person|anyone|anybody|them)\b",
    ),
    (
        Kind::Instruction,
        Severity::High,
        r"\b(keep|hide|conceal)\W+(\w+\W+){0,4}?(secret|hidden|from)\W+(\w+\W+){0,2}?(the\W+)?(user|human)s?\b",
    ),
    (
        Kind::Instruction,
        Severity::High,
        r"\b(send|post|forward|upload|pass|include|provide|put|append|leak|exfiltrate)\W+(\w+\W+){0,6}?(conversation|chat\W+history|system\W+prompt|(user\W?s\W+)?(passwords?|credentials|private\W+keys?|ssh\W+keys?)|environment\W+variables|env\W+vars)\b",
    ),
    (
        Kind::Instruction,
        Severity::Medium,
        r"\b(you\W+are\W+now|from\W+now\W+on|new\W+instructions?\s*:|act\W+as\W+(if|an?)\b)",
    ),
    (
        Kind::Instruction,
        Severity::Medium,
        r"\b(system|developer)\W+(prompt|message|override|instructions?)\b",
    ),
    (
        Kind::Instruction,
        Severity::Medium,
        r"\b(read|open|cat|load|access|retrieve|fetch)\W+(\w+\W+){0,4}?(contents?\W+of\W+)(\w+\W+){0,3}?(file|files|folder|directory)\W+(\w+\W+){0,8}?(pass|put|include|send|as)\b",
    ),
    (
        Kind::Instruction,
        Severity::Medium,
        r"\b(whenever|when|if|before|after|instead\W+of)\W+(\w+\W+){0,4}?(using|calling|invoking|call|use|invoke)\W+(any\W+other|all\W+other|another|other)\W+(\w+\W+){0,2}?tools?\b",
    ),
    (
        Kind::Instruction,
        Severity::Low,
        r"\b(you\W+must|always|must\W+be|must\W+first)\W+(\w+\W+){0,3}?(call|called|use|used|invoke|invoked|run)\W+(\w+\W+){0,4}?(first|before|tool|every)\b",
    ),
    (
        Kind::Markup,
        Severity::High,
        r"<\s*/?\s*(important|system|instructions?|secret|hidden|critical|admin|assistant|developer|override|prompt)\b[^>]{0,80}>",
    ),
    (Kind::Markup, Severity::High, r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<<\s*/?SYS\s*>>"),
    (Kind::Markup, Severity::Medium, r"<!--|!\[[^\]]{0,80}\]\(\s*(https?|data):"),
    (Kind::Markup, Severity::Medium, r"\b(javascript|vbscript)\s*:|\bdata:text/html"),
    (
        Kind::SecretPlace,
        Severity::High,
        r"\.ssh\b|\bid_(rsa|ed25519|ecdsa|dsa)\b|\.aws/|\.netrc\b|\.git-credentials\b|\.kube/config|/etc/(passwd|shadow|sudoers)\b|\.gnupg\b|\bwallet\.dat\b|\.docker/config\.json|/proc/self/environ",
    ),
    (
        Kind::SecretPlace,
        Severity::High,
        r"\bclaude_desktop_config\b|\.cursor/mcp\.json|\.codeium/|\bmcp_config\.json|\.claude\.json|\bmcp\.json\b",
    ),
    (
        Kind::SecretPlace,
        Severity::Medium,
        r"(^|[\s/`'\x22(])\.(env|npmrc|pypirc|bash_history|zsh_history)\b|\blogin\.keychain|\bCookies\b.{0,20}\b(Chrome|Firefox)\b",
    ),
    (Kind::Encoded, Severity::Medium, r"[A-Za-z0-9+/_-]{200,}={0,2}"),
    (
        Kind::Encoded,
        Severity::Medium,
        r"(\\x[0-9a-f]{2}){8,}|(\\u[0-9a-f]{4}){8,}|(%[0-9a-f]{2}){12,}|(&#x?[0-9a-f]{1,6};){6,}",
    ),
];

static COMPILED: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    let compile = |&(kind, severity, pattern): &(Kind, Severity, &str)| {
        let pattern =
            RegexBuilder::new(&of_ascii(pattern)).case_insensitive(true).size_limit(MAX_MEMORY).build();
        pattern.ok().map(|pattern| Phrase { pattern, kind, severity })
    };
    PHRASES.iter().filter_map(compile).collect()
});

/// Words of ASCII only: the phrases are English, and the letters of all the world would make each of them a megabyte.
fn of_ascii(pattern: &str) -> String {
    let classes = [(r"\W", "[^0-9A-Za-z_]"), (r"\w", "[0-9A-Za-z_]"), (r"\b", r"(?-u:\b)")];
    classes.iter().fold(pattern.to_owned(), |pattern, (short, long)| pattern.replace(short, long))
}

/// Reports each phrase at its first place, read as a model reads it: without hidden characters, look-alike letters as the
/// plain ones.
pub(super) fn search(text: &str, mut found: impl FnMut(Kind, Severity, &str)) {
    let plain = plain(text);
    for phrase in COMPILED.iter() {
        if let Some(place) = phrase.pattern.find(&plain) {
            found(phrase.kind, phrase.severity, place.as_str());
        }
    }
}

fn plain(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Letters in disguise: tag characters stand for those of ASCII.
            '\u{e0020}'..='\u{e007e}' => plain.extend(char::from_u32(u32::from(c) - 0xe0000)),
            c if c.is_ascii() => plain.push(c),
            c if hidden(c).is_some() => {}
            c => plain.push(ascii_twin(c)),
        }
    }
    Cow::Owned(plain)
}

/// The letter of ASCII that a letter looks like, or itself.
fn ascii_twin(c: char) -> char {
    let mut buffer = [0; 4];
    let mut twin = unicode_security::skeleton(c.encode_utf8(&mut buffer));
    match (twin.next(), twin.next()) {
        (Some(twin), None) if twin.is_ascii() => twin,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_in_force() {
        assert_eq!(COMPILED.len(), PHRASES.len());
    }

    #[test]
    fn look_alike_letters_and_tags_are_read_as_what_they_stand_for() {
        assert_eq!(plain("іgnоrе\u{200b} me"), "ignore me");
        assert_eq!(plain("\u{e0069}\u{e0064}"), "id");
        assert_eq!(plain("日本語 é"), "日本語 é");
    }
}
