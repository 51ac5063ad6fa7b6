//! What GitHub answers, cut down to what a model has use for. Each shape is read from GitHub's JSON and written to ours.

pub(crate) mod actions;
pub(crate) mod issues;
pub(crate) mod people;
pub(crate) mod pulls;
pub(crate) mod releases;
pub(crate) mod repositories;

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Deserializer, Serialize};

/// How much of a long text a list shows; the item itself has all of it.
pub(crate) const LISTED_TEXT_CHARS: usize = 600;

/// What stands where a text was cut.
const CUT: &str = "… [cut]";

/// Something was done that has no answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Done {
    /// What was done.
    pub(crate) done: String,
}

impl Done {
    pub(crate) fn new(done: impl Into<String>) -> Self {
        Self { done: done.into() }
    }
}

/// What a search or a counted list found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Found<T> {
    /// How many there are on all pages together.
    pub(crate) total_count: u64,
    /// Whether GitHub gave up before it had looked everywhere.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_incomplete: bool,
    /// What is on this page.
    pub(crate) items: Vec<T>,
    /// The page to ask for next; nothing, if this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page: Option<u32>,
}

/// A counted list as GitHub writes it: each kind under a name of its own.
#[derive(Debug, Deserialize)]
pub(crate) struct Counted<T> {
    total_count: u64,
    #[serde(default)]
    incomplete_results: bool,
    #[serde(alias = "workflows", alias = "workflow_runs", alias = "jobs", alias = "check_runs")]
    items: Vec<T>,
}

impl<T> Counted<T> {
    pub(crate) fn on_page(self, next_page: Option<u32>) -> Found<T> {
        let Self { total_count, incomplete_results, items } = self;
        Found { total_count, is_incomplete: incomplete_results, items, next_page }
    }
}

/// Cuts a text to a number of characters.
pub(crate) fn cut(text: &mut String, chars: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
        text.push_str(CUT);
    }
}

/// Cuts a text that may be missing, for a list.
pub(crate) fn cut_listed(text: &mut Option<String>) {
    if let Some(text) = text {
        cut(text, LISTED_TEXT_CHARS);
    }
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

/// The login of an account, which is `null` or `{}` for one that was deleted.
fn login<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Account>::deserialize(deserializer)?.and_then(|account| account.login))
}

fn logins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let accounts = Option::<Vec<Account>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(accounts.into_iter().filter_map(|account| account.login).collect())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    Object { name: Option<String> },
}

/// Names of things that GitHub writes as names, or as objects that have one.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Option::<Vec<Named>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(all
        .into_iter()
        .filter_map(|one| match one {
            Named::Name(name) => Some(name),
            Named::Object { name } => name,
        })
        .collect())
}

#[derive(Deserialize)]
struct Titled {
    title: String,
}

fn title<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Titled>::deserialize(deserializer)?.map(|milestone| milestone.title))
}

/// Whether something is there at all.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<serde::de::IgnoredAny>::deserialize(deserializer)?.is_some())
}

#[derive(Deserialize)]
struct FullName {
    full_name: String,
}

pub(crate) fn full_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<FullName>::deserialize(deserializer)?.map(|repository| repository.full_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let cut_to = |text: &str, chars| {
            let mut text = text.to_owned();
            cut(&mut text, chars);
            text
        };
        assert_eq!(cut_to("äöü", 3), "äöü");
        assert_eq!(cut_to("äöü", 2), "äö… [cut]");
    }
}
