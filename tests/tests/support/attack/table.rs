//! The table of what was tried and what came of it, as `docs/security.md` shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::machine::Who;

const BEGIN: &str = "<!-- attempts:begin -->";
const END: &str = "<!-- attempts:end -->";
/// Set to anything, the page is written instead of compared.
const WRITE: &str = "ROADSTEAD_WRITE_ATTEMPTS";

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Refused,
    /// It worked.
    Got,
    /// The machine has nothing of the kind.
    Absent,
}

impl Verdict {
    fn cell(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Got => "**open**",
            Self::Absent => "–",
        }
    }
}

/// The verdicts of one column, by the attempt's name.
pub(crate) type Column = BTreeMap<String, Verdict>;

/// All that was found out.
#[derive(Default)]
pub(crate) struct Table {
    /// Name, meaning and kind, in order.
    pub(crate) attempts: Vec<[String; 3]>,
    columns: Vec<(Who, &'static str, Column)>,
    limits: Vec<(&'static str, BTreeMap<String, String>)>,
}

impl Table {
    pub(crate) fn add(&mut self, who: Who, heading: &'static str, column: Column) {
        self.columns.push((who, heading, column));
    }

    pub(crate) fn add_limits(&mut self, heading: &'static str, held: BTreeMap<String, String>) {
        self.limits.push((heading, held));
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let wanted = self.attempts.iter().filter(move |[_, _, its]| its == kind);
        wanted.map(|[name, tries, _]| (name.as_str(), tries.as_str()))
    }

    fn block(&self, who: Who, kind: &str) -> String {
        let mut columns: Vec<_> = self.columns.iter().filter(|(its, _, _)| *its == who).collect();
        columns.sort_by_key(|(_, heading, _)| *heading != "none");
        let headings: Vec<&str> = columns.iter().map(|(_, heading, _)| *heading).collect();
        let mut text = head(&headings);
        for (name, _) in self.of_kind(kind) {
            let cells = columns.iter().map(|(_, _, column)| column.get(name).map_or("?", |it| it.cell()));
            let _ = writeln!(text, "| `{name}` | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        text
    }

    /// What stands between the markers.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("### What is tried\n\n| attempt | tries to |\n|---|---|\n");
        for [name, tries, _] in &self.attempts {
            let _ = writeln!(text, "| `{name}` | {tries} |");
        }
        for who in [Who::Root, Who::User, Who::UserWithoutNamespaces] {
            let _ = write!(text, "\n### {}\n\n{}", heading(who), self.block(who, "isolation"));
        }
        text.push_str("\n### Not covered\n\n");
        for who in [Who::Root, Who::User, Who::UserWithoutNamespaces] {
            let _ = write!(text, "{}:\n\n{}\n", heading(who), self.block(who, "open"));
        }
        text.push_str("### Limits\n\n");
        let headings: Vec<&str> = self.limits.iter().map(|(heading, _)| *heading).collect();
        text.push_str(&head(&headings));
        for (name, _) in self.of_kind("limit") {
            let cells = self.limits.iter().map(|(_, held)| held.get(name).map_or("?", String::as_str));
            let _ = writeln!(text, "| `{name}` | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        text
    }

    /// Compares the page with what was found out, or writes it.
    #[expect(clippy::disallowed_methods, reason = "whoever changes an attempt has the page written")]
    pub(crate) fn compare_with_page(&self) {
        let path = page();
        let text = std::fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = text.split_once(BEGIN).expect("the page has its first marker");
        let (shown, after) = rest.split_once(END).expect("the page has its second marker");
        let found = format!("\n\n{}\n", self.markdown());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{found}{END}{after}"))
                .expect("the page can be written");
            return;
        }
        let differs = shown.lines().zip(found.lines()).find(|(shown, found)| shown != found);
        assert!(
            shown == found,
            "docs/security.md shows what is not so; `just attempts` writes it anew. First: {differs:?}\n{found}"
        );
    }
}

fn heading(who: Who) -> &'static str {
    match who {
        Who::Root => "As root",
        Who::User => "As an ordinary user, with user namespaces",
        Who::UserWithoutNamespaces => "As an ordinary user, without user namespaces",
    }
}

fn head(columns: &[&str]) -> String {
    format!("| attempt | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()))
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in the workspace")
        .join("docs/security.md")
}
