//! What is suspicious about the tools that a server offers, for whoever approves them.
//!
//! A finding is a reason to look, never a verdict: honest servers have some of the low ones, and no list of phrases is
//! complete. What was approved is kept by its hash, so that a later change is found whatever it says.

mod names;
mod phrases;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hidden::{Hidden, hidden, is_usual, shown};

/// Tools that are looked at; more are a finding of their own.
pub const MAX_TOOLS: usize = 2000;
/// Findings that are reported of one tool.
pub const MAX_FINDINGS_PER_TOOL: usize = 30;
/// Bytes of a description after which it is called very long; what models are told of a tool is usually below 1 KiB.
const LONG_TEXT: usize = 4 * 1024;
/// Bytes of a text that are searched for phrases. What lies behind is reported as not searched.
const MAX_SEARCHED: usize = 128 * 1024;
/// Texts of one schema that are looked at.
const MAX_TEXTS: usize = 5000;
/// Depth of a schema that is looked at.
const MAX_DEPTH: usize = 64;
/// Characters of an excerpt.
const MAX_EXCERPT: usize = 120;

/// A tool as its server describes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tool<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its name for people.
    pub title: Option<&'a str>,
    /// What a model is told of it.
    pub description: Option<&'a str>,
    /// What it takes.
    pub input_schema: Option<&'a Value>,
    /// What it gives.
    pub output_schema: Option<&'a Value>,
    /// What it says of its own effects.
    pub annotations: Option<&'a Value>,
}

/// A tool of another server, whose name a stranger could take on.
#[derive(Debug, Clone, Copy)]
pub struct KnownTool<'a> {
    /// Whose it is.
    pub server: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Honest servers do that too.
    Low,
    /// Worth asking why.
    Medium,
    /// Nobody does that by accident.
    High,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Characters that nobody sees.
    HiddenCharacters,
    /// Words for a model, over the head of the user.
    Instruction,
    /// A file or a variable in which people keep secrets.
    SecretPlace,
    /// Markup that makes a model take a text for a command.
    Markup,
    /// Text that is encoded, so that nobody reads it.
    Encoded,
    /// Letters of several alphabets in one word, or a name that looks like another.
    LookAlike,
    /// The same name as another tool's.
    Collision,
    /// A name that clients may refuse.
    Name,
    /// More text than a person reads.
    TooLong,
    /// What a scanner of the operator's own says.
    Scanner,
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The tool's name, with hidden characters written out.
    pub tool: String,
    /// Where, such as `description` or `input_schema.properties.path.description`.
    pub field: String,
    /// What.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// The place itself, with hidden characters written out.
    pub excerpt: String,
}

/// Looks through the tools of a server; `known` are those of others that this one's could be taken for. Findings stand in
/// the order of the tools.
pub fn inspect(tools: &[Tool<'_>], known: &[KnownTool<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut names = names::Names::new(known);
    for tool in tools.iter().take(MAX_TOOLS) {
        let mut look = Look { tool: shown(tool.name, MAX_EXCERPT), findings: Vec::new() };
        names.check(tool.name, &mut look);
        look.text("name", tool.name);
        for (field, text) in [("title", tool.title), ("description", tool.description)] {
            if let Some(text) = text {
                look.text(field, text);
            }
        }
        let values = [
            ("input_schema", tool.input_schema),
            ("output_schema", tool.output_schema),
            ("annotations", tool.annotations),
        ];
        for (field, value) in values {
            if let Some(value) = value {
                look.value(field, value);
            }
        }
        findings.append(&mut look.findings);
    }
    if let Some(tool) = tools.get(MAX_TOOLS) {
        let mut look = Look { tool: shown(tool.name, MAX_EXCERPT), findings: Vec::new() };
        look.find(
            "name",
            Kind::TooLong,
            Severity::High,
            &format!("tools after the first {MAX_TOOLS} were not looked at"),
        );
        findings.append(&mut look.findings);
    }
    findings
}

struct Look {
    tool: String,
    findings: Vec<Finding>,
}

impl Look {
    fn find(&mut self, field: &str, kind: Kind, severity: Severity, excerpt: &str) {
        let finding = Finding {
            tool: self.tool.clone(),
            field: shown(field, MAX_EXCERPT),
            kind,
            severity,
            excerpt: shown(excerpt, MAX_EXCERPT),
        };
        if self.findings.len() < MAX_FINDINGS_PER_TOOL && !self.findings.contains(&finding) {
            self.findings.push(finding);
        } else if self.findings.len() == MAX_FINDINGS_PER_TOOL {
            // The worst are kept.
            if let Some(least) = self.findings.iter_mut().min_by_key(|finding| finding.severity)
                && least.severity < severity
            {
                *least = finding;
            }
        }
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.len() > LONG_TEXT {
            let severity = if text.len() > MAX_SEARCHED { Severity::High } else { Severity::Low };
            self.find(field, Kind::TooLong, severity, &format!("{} bytes", text.len()));
        }
        let searched = &text[..text.floor_char_boundary(MAX_SEARCHED)];
        self.hidden_characters(field, searched);
        phrases::search(searched, |kind, severity, excerpt| self.find(field, kind, severity, excerpt));
        names::mixed_words(searched, |word| self.find(field, Kind::LookAlike, Severity::Medium, word));
    }

    /// One finding for each sort of them, at the first place.
    fn hidden_characters(&mut self, field: &str, text: &str) {
        let mut seen: Vec<Hidden> = Vec::new();
        let mut before: Option<char> = None;
        for (at, c) in text.char_indices() {
            let Some(sort) = hidden(c) else {
                before = Some(c);
                continue;
            };
            let after = text[at + c.len_utf8()..].chars().next();
            let joins = is_usual(c)
                && before.is_some_and(|c| !c.is_ascii_alphabetic())
                && after.and_then(hidden).is_none_or(|_| {
                    // A picture may have a variant and be joined to the next.
                    after.is_some_and(is_usual) && before.is_some_and(|c| hidden(c).is_none())
                });
            before = Some(c);
            if joins || seen.contains(&sort) {
                continue;
            }
            seen.push(sort);
            let severity = match sort {
                Hidden::Tag | Hidden::Bidi | Hidden::Control => Severity::High,
                Hidden::ZeroWidth | Hidden::Variation => Severity::Medium,
            };
            let start = text[..at].char_indices().rev().nth(20).map_or(0, |(at, _)| at);
            self.find(field, Kind::HiddenCharacters, severity, &text[start..]);
        }
    }

    /// Every key and text of a schema: a model reads all of it.
    fn value(&mut self, field: &str, value: &Value) {
        let mut left = MAX_TEXTS;
        let mut waiting = vec![(field.to_owned(), value, 0)];
        while let Some((field, value, depth)) = waiting.pop() {
            if left == 0 || depth > MAX_DEPTH {
                self.find(&field, Kind::TooLong, Severity::High, "the rest of it was not looked at");
                return;
            }
            left -= 1;
            match value {
                Value::String(text) => self.text(&field, text),
                Value::Array(items) => {
                    let below = items.iter().enumerate().take(left).rev();
                    waiting.extend(
                        below.map(|(index, item)| (format!("{}[{index}]", short(&field)), item, depth + 1)),
                    );
                }
                Value::Object(map) => {
                    let below = map.iter().take(left);
                    for (key, item) in below.rev() {
                        self.text(&format!("{} (key)", short(&field)), key);
                        waiting.push((format!("{}.{}", short(&field), shown(key, 40)), item, depth + 1));
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }
}

/// A path that does not grow with its depth.
fn short(field: &str) -> &str {
    &field[..field.floor_char_boundary(2 * MAX_EXCERPT)]
}

#[cfg(test)]
mod tests;
