//! Names of ours made of names of theirs, by rules that a person can repeat.

use crate::names::MAX_NAME;

/// Names that say nothing about a server: the owner's name is put before them.
const EMPTY_NAMES: [&str; 6] = ["mcp", "mcp-server", "server", "server-mcp", "main", "index"];

/// The type's name for a server's name in reverse DNS: what follows the slash, with the last part of the namespace
/// before it if it says nothing. `io.github.user/weather` → `weather`, `com.stripe/mcp` → `stripe-mcp`.
pub(super) fn of_server(name: &str) -> String {
    let (namespace, last) = name.split_once('/').unwrap_or(("", name));
    with_owner(namespace.rsplit('.').next().unwrap_or_default(), last)
}

/// The type's name for a package's: without the scope, unless the rest says nothing.
pub(super) fn of_package(name: &str) -> String {
    match name.strip_prefix('@').and_then(|name| name.split_once('/')) {
        Some((scope, last)) => with_owner(scope, last),
        None => type_name(name),
    }
}

fn with_owner(owner: &str, last: &str) -> String {
    let name = type_name(last);
    if EMPTY_NAMES.contains(&name.as_str()) && !owner.is_empty() {
        return type_name(&format!("{owner}-{last}"));
    }
    name
}

/// Small letters, digits and hyphens; `mcp-` before what does not begin with a letter.
pub(super) fn type_name(text: &str) -> String {
    let mut name = joined(text, '-');
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, if name.is_empty() { "mcp" } else { "mcp-" });
    }
    name.truncate(MAX_NAME);
    name.trim_end_matches('-').to_owned()
}

/// A slot's or a config key's name: small letters, digits and underscores.
pub(super) fn key_name(text: &str) -> String {
    let mut name = joined(text, '_');
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, if name.is_empty() { "value" } else { "value_" });
    }
    name.truncate(MAX_NAME);
    name.trim_end_matches('_').to_owned()
}

/// A name with a number after it, so that it differs from those before.
pub(super) fn numbered(name: &str, separator: char, number: usize) -> String {
    let end = format!("{separator}{number}");
    let kept = name.len().min(MAX_NAME - end.len());
    format!("{}{end}", &name[..kept])
}

/// ASCII letters in small and digits, with one separator in place of everything between them.
fn joined(text: &str, separator: char) -> String {
    let mut name = String::new();
    for c in text.chars().take(4 * MAX_NAME) {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with(separator) {
            name.push(separator);
        }
    }
    name.trim_end_matches(separator).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::{is_slot_name, is_type_name};

    #[test]
    fn names_follow_the_rule() {
        for (server, name) in [
            ("io.github.user/weather", "weather"),
            ("io.github.user/Weather_API.v2", "weather-api-v2"),
            ("com.stripe/mcp", "stripe-mcp"),
            ("io.github.acme/mcp-server", "acme-mcp-server"),
            ("io.github.acme/7zip", "mcp-7zip"),
            ("weather", "weather"),
            ("a/---", "a"),
            ("---", "mcp"),
        ] {
            assert_eq!(of_server(server), name, "{server}");
        }
        assert_eq!(of_package("@modelcontextprotocol/server-github"), "server-github");
        assert_eq!(of_package("@acme/mcp"), "acme-mcp");
        assert_eq!(of_package("mcp-server-fetch"), "mcp-server-fetch");
        assert_eq!(key_name("GITHUB_TOKEN"), "github_token");
        assert_eq!(key_name("--allow.path"), "allow_path");
        assert_eq!(numbered(&"a".repeat(MAX_NAME), '-', 12).len(), MAX_NAME);
    }

    proptest! {
        #[test]
        fn any_text_gives_well_formed_names(text in ".{0,80}", number in 2_usize..2000) {
            prop_assert!(is_type_name(&type_name(&text)));
            prop_assert!(is_type_name(&of_server(&text)));
            prop_assert!(is_type_name(&of_package(&text)));
            prop_assert!(is_slot_name(&key_name(&text)));
            prop_assert!(is_slot_name(&numbered(&key_name(&text), '_', number)));
        }
    }
}
