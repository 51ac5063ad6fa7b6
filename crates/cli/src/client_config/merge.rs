//! Lays an entry into the text of a client's file, and leaves everything else of it as it is.

mod codex;
mod json;

pub use json::read as read_json;

use super::{Client, Entry};

/// What becomes of an entry of the same name that is for another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It stays, and ours is refused.
    Stays,
    /// It makes way.
    MakesWay,
}

/// Why a file's text takes no entry. Names places, never what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// It is not in the client's language.
    #[error("line {line}, column {column}: {what}")]
    Unreadable {
        /// Where, from one.
        line: usize,
        /// Where in the line, from one.
        column: usize,
        /// What was met.
        what: String,
    },
    /// Something else stands where servers should.
    #[error("{place} is not {expected}")]
    Unexpected {
        /// What was looked at.
        place: String,
        /// What should be there.
        expected: &'static str,
    },
    /// It would be unclear which of them counts.
    #[error("{place} is there more than once")]
    Twice {
        /// What is.
        place: String,
    },
    /// The name is another server's.
    #[error("{place} is another server already")]
    Taken {
        /// Where it stands.
        place: String,
    },
}

/// The text of the file with the entry in it. An empty text is a file that does not exist yet.
pub fn merged(text: &str, entry: &Entry<'_>, taken: Taken) -> Result<String, MergeError> {
    // What some editors begin a file with is neither JSON nor TOML, and stays.
    let (mark, plain) = match text.strip_prefix('\u{feff}') {
        Some(plain) => ("\u{feff}", plain),
        None => ("", text),
    };
    let laid = match entry.client {
        Client::Codex => codex::merged(plain, entry, taken),
        _ => json::merged(plain, entry, taken),
    };
    laid.map(|text| format!("{mark}{text}"))
}

/// The configuration alone, as it is printed.
pub fn alone(entry: &Entry<'_>) -> String {
    merged("", entry, Taken::Stays).expect("an empty text takes any entry")
}

fn place(client: Client, name: &str) -> String {
    format!("{}.{name}", client.servers())
}

/// Line and column of a byte of a text, from one.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests;
