//! What is told on standard output: one JSON value a line.

use std::io::Write as _;

use crate::request::Line;

/// The longest message of a step, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// Says a line. Whoever does not listen any more has ended us.
pub(crate) fn line(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// Says what is being done.
pub(crate) fn progress(step: &str, message: &str) {
    line(&Line::Progress { step: step.to_owned(), message: plain(message) });
}

/// One line without anything that a terminal would take for more than text.
pub(crate) fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MAX_MESSAGE_CHARS).collect()
}
