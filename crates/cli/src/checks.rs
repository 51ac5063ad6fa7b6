//! What a look at the machine found, as a table for people and JSON for programs.

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::CliError;
use crate::screen::{self, Entry, Screen, Table, Tint};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works without, and something is lost by it.
    Warning,
    /// Something does not work.
    Broken,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }

    const fn tint(self) -> Tint {
        match self {
            Self::Ok => Tint::Good,
            Self::Warning => Tint::Soon,
            Self::Broken => Tint::Bad,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which never changes.
    pub id: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is lost by it.
    pub lost: Option<&'static str>,
    /// What to do.
    pub next: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Ok, found: found.into(), lost: None, next: None }
    }

    /// It works without.
    pub fn warning(
        id: &'static str,
        found: impl Into<String>,
        lost: &'static str,
        next: impl Into<String>,
    ) -> Self {
        Self { id, verdict: Verdict::Warning, found: found.into(), lost: Some(lost), next: Some(next.into()) }
    }

    /// It does not work.
    pub fn broken(
        id: &'static str,
        found: impl Into<String>,
        lost: &'static str,
        next: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Broken, ..Self::warning(id, found, lost, next) }
    }
}

/// Shows them, and answers with the code that says whether something is broken.
pub fn show(checks: &[Check], json: bool, no_color: bool) -> Exit {
    let screen = Screen::plain(json, no_color);
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    match print(&screen, checks) {
        Ok(()) if worst < Verdict::Broken => Exit::Ok,
        Ok(()) => Exit::Failed,
        Err(error) => error.exit(),
    }
}

fn print(screen: &Screen, checks: &[Check]) -> Result<(), CliError> {
    if screen.is_json() {
        return screen::value(&checks);
    }
    let mut table = Table::new(["CHECK", "RESULT", "FOUND"]);
    for check in checks {
        table.row([
            check.id.into(),
            Entry::tinted(check.verdict.as_str(), check.verdict.tint()),
            check.found.as_str().into(),
        ]);
    }
    screen.table(&table)?;
    for check in checks.iter().filter(|check| check.verdict != Verdict::Ok) {
        screen::line("")?;
        screen::line(&format!("{}: {}", check.id, check.lost.unwrap_or_default()))?;
        if let Some(next) = &check.next {
            screen::line(&format!("  Next: {next}"))?;
        }
    }
    Ok(())
}
