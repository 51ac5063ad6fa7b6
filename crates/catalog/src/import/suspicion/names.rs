//! Names that collide with others, or look like them.

use std::collections::HashMap;

use unicode_security::{MixedScript, skeleton};

use super::{Kind, KnownTool, Look, Severity};
use crate::import::hidden::hidden;

/// Longest name that is compared with others, in characters; the protocol allows 128.
const MAX_COMPARED: usize = 256;
/// Longest name that clients take.
const MAX_NAME: usize = 128;

/// The names that were seen, and those of other servers.
pub(super) struct Names {
    /// What a name looks like → whose, and the name itself.
    looks: HashMap<String, (String, String)>,
    /// A name in small letters → whose.
    folded: HashMap<String, String>,
}

impl Names {
    pub(super) fn new(known: &[KnownTool<'_>]) -> Self {
        let mut names = Self { looks: HashMap::new(), folded: HashMap::new() };
        for tool in known {
            names.add(tool.name, &format!("the server {}", tool.server));
        }
        names
    }

    fn add(&mut self, name: &str, owner: &str) {
        for look in looks_of(name) {
            self.looks.entry(look).or_insert_with(|| (owner.to_owned(), fold(name)));
        }
        self.folded.entry(fold(name)).or_insert_with(|| owner.to_owned());
    }

    pub(super) fn check(&mut self, name: &str, look: &mut Look) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        if !name.bytes().all(plain) || name.is_empty() || name.len() > MAX_NAME {
            let severity = if name.is_ascii() { Severity::Low } else { Severity::Medium };
            look.find("name", Kind::Name, severity, name);
        }
        let folded = fold(name);
        if let Some(owner) = self.folded.get(&folded) {
            look.find("name", Kind::Collision, Severity::Medium, &format!("{name} is a tool of {owner} too"));
        } else if let Some((owner, other)) = looks_of(name).iter().find_map(|look| self.looks.get(look)) {
            look.find(
                "name",
                Kind::LookAlike,
                Severity::High,
                &format!("{name} looks like {other} of {owner}"),
            );
        }
        self.add(name, "this server");
    }
}

fn fold(name: &str) -> String {
    name.chars().take(MAX_COMPARED).flat_map(char::to_lowercase).collect()
}

/// What is left of a name when one only looks, as it stands and in small letters: separators are one, and what nobody sees
/// is nothing.
fn looks_of(name: &str) -> [String; 2] {
    let seen = |c: &char| hidden(*c).is_none();
    let look = |name: &str| -> String {
        skeleton(name).map(|c| if matches!(c, '-' | '.' | ' ') { '_' } else { c }).collect()
    };
    let plain: String = name.chars().take(MAX_COMPARED).filter(seen).collect();
    [fold(&look(&plain)), look(&fold(&plain))]
}

/// Reports words with letters of alphabets that are not written together. Latin beside Chinese, Japanese or Korean is
/// usual, and so are signs of mathematics.
pub(super) fn mixed_words(text: &str, mut found: impl FnMut(&str)) {
    if text.is_ascii() {
        return;
    }
    for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_ascii()) {
        let foreign: String = word.chars().filter(|c| !c.is_ascii_alphabetic()).collect();
        let has_ascii = foreign.len() < word.len();
        let is_usual = foreign.as_str().resolve_script_set();
        let is_east_asian = is_usual.jpan || is_usual.kore || is_usual.hanb;
        if !(word.is_single_script() || (has_ascii && is_east_asian)) {
            found(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        mixed_words(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_of_one_alphabet_are_left_alone() {
        assert_eq!(
            mixed("Déjà vu, привет, Ελλάδα, 日本語テキスト, APIキー, 한국어API, naïve"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_foreign_letter_in_a_word_is_found() {
        assert_eq!(mixed("send to pаypal now"), ["pаypal"]);
        assert_eq!(mixed("gοοgle"), ["gοοgle"]);
    }
}
