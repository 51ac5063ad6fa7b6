//! What a run of the suite comes to, and what it may come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde_json::Value;

/// The length of the time that the suite puts behind a scenario's name, with the hyphen before it.
const TIME_CHARS: usize = "-2026-07-28T12-34-56-789Z".len();

/// How a check ended, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It says nothing of the server: skipped, or there to be read.
    Silent,
    Passed,
    Warned,
    Failed,
}

impl Verdict {
    fn of(status: &str) -> Self {
        match status {
            "SUCCESS" => Self::Passed,
            "SKIPPED" | "INFO" => Self::Silent,
            "WARNING" => Self::Warned,
            _ => Self::Failed,
        }
    }

    /// Whether a requirement was not met: one that must be, or one that should.
    fn is_short(self) -> bool {
        self >= Self::Warned
    }
}

/// A check of a scenario; checks that occur several times count once, at their worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Check {
    pub(crate) scenario: String,
    pub(crate) id: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scenario, self.id)
    }
}

/// Everything that one run found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    checks: BTreeMap<Check, (Verdict, String)>,
    scenarios: BTreeSet<String>,
}

impl Outcome {
    /// Reads the folder that the suite was told to write to.
    pub(crate) fn read(folder: &Path) -> Self {
        let mut outcome = Self::default();
        for entry in std::fs::read_dir(folder).expect("the suite wrote its results").flatten() {
            let name = entry.file_name().into_string().expect("an ASCII name");
            let scenario = name.strip_prefix("server-").expect("a server's results");
            let scenario = &scenario[..scenario.len() - TIME_CHARS];
            outcome.scenarios.insert(scenario.to_owned());
            match std::fs::read(entry.path().join("checks.json")) {
                Ok(checks) => {
                    let checks: Value = serde_json::from_slice(&checks).expect("the suite writes JSON");
                    for check in checks.as_array().expect("a list of checks") {
                        outcome.add(scenario, check);
                    }
                }
                // A scenario that broke off writes nothing.
                Err(_) => outcome.put(scenario, "broke-off", Verdict::Failed, "the scenario broke off"),
            }
        }
        outcome
    }

    fn add(&mut self, scenario: &str, check: &Value) {
        let text = |name: &str| check[name].as_str().unwrap_or_default();
        let said = format!("{}: {}", text("description"), text("errorMessage"));
        self.put(scenario, text("id"), Verdict::of(text("status")), &said);
    }

    fn put(&mut self, scenario: &str, id: &str, verdict: Verdict, said: &str) {
        let check = Check { scenario: scenario.to_owned(), id: id.to_owned() };
        let known = self.checks.entry(check).or_insert_with(|| (verdict, said.to_owned()));
        if verdict > known.0 {
            *known = (verdict, said.to_owned());
        }
    }

    /// How many scenarios were run, and how many of them fell short of nothing.
    pub(crate) fn scenarios(&self) -> (usize, usize) {
        let short: BTreeSet<&str> = self.short().map(|(check, _)| check.scenario.as_str()).collect();
        (self.scenarios.len(), self.scenarios.len() - short.len())
    }

    /// The checks that were not passed, with what the suite said.
    fn short(&self) -> impl Iterator<Item = (&Check, String)> {
        let short = self.checks.iter().filter(|(_, (verdict, _))| verdict.is_short());
        short.map(|(check, (verdict, said))| (check, format!("{check} {verdict:?}: {said}")))
    }

    /// What is wrong with this outcome, given what is expected to be short and how the same server did when it was
    /// asked directly.
    pub(crate) fn problems(&self, expected: &Expected, direct: &Self) -> Vec<String> {
        let mut problems = Vec::new();
        for (check, said) in self.short() {
            if !expected.covers(check) {
                problems.push(format!("not expected: {said}"));
            }
        }
        for entry in &expected.entries {
            let is_short = self.short().any(|(check, _)| entry.covers(check));
            if !is_short && !self.unmade(direct).any(|check| entry.covers(check)) {
                problems.push(format!("expected to fall short and does not: {}", entry.text));
            }
        }
        for check in self.unmade(direct).filter(|check| !expected.covers(check)) {
            problems.push(format!("passed directly, and not even made here: {check}"));
        }
        problems
    }

    /// Checks that the same server passed when it was asked directly, and that were not made here: the suite makes
    /// some only after what they need.
    fn unmade<'a>(&'a self, direct: &'a Self) -> impl Iterator<Item = &'a Check> {
        let passed = direct.checks.iter().filter(|(_, (verdict, _))| *verdict == Verdict::Passed);
        passed.map(|(check, _)| check).filter(|check| !self.checks.contains_key(check))
    }
}

/// The shortfalls that a cell is known to have, from a file in the suite's own format: a list named `server` of
/// scenarios, or of single checks as `<scenario>:<check>`.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    text: String,
}

impl Entry {
    fn covers(&self, check: &Check) -> bool {
        match self.text.split_once(':') {
            Some((scenario, id)) => check.scenario == scenario && check.id == id,
            None => check.scenario == self.text,
        }
    }
}

impl Expected {
    /// Reads a file; every entry must say why, in a comment on the lines above it or behind it.
    pub(crate) fn read(file: &Path) -> Self {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut entries = Vec::new();
        let mut explained = false;
        for line in text.lines().map(str::trim) {
            if let Some(entry) = line.strip_prefix("- ") {
                let (entry, why) = entry.split_once('#').unwrap_or((entry, ""));
                assert!(explained || !why.trim().is_empty(), "{}: `{line}` does not say why", file.display());
                entries.push(Entry { text: entry.trim().to_owned() });
            } else {
                explained = line.starts_with('#');
            }
        }
        Self { entries }
    }

    fn covers(&self, check: &Check) -> bool {
        self.entries.iter().any(|entry| entry.covers(check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(checks: &[(&str, &str, &str)]) -> Outcome {
        let mut outcome = Outcome::default();
        for (scenario, id, status) in checks {
            outcome.put(scenario, id, Verdict::of(status), "said");
        }
        outcome
    }

    fn expected(text: &str) -> Expected {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("a file of one's own");
        Expected::read(file.path())
    }

    #[test]
    fn only_what_is_expected_may_fall_short() {
        let ours = outcome(&[("a", "one", "SUCCESS"), ("a", "one", "FAILURE"), ("b", "two", "WARNING")]);
        let direct = outcome(&[]);
        assert_eq!(ours.problems(&Expected::default(), &direct).len(), 2);
        assert_eq!(ours.problems(&expected("server:\n  # why\n  - a:one\n  - b\n"), &direct).len(), 0);
        assert_eq!(ours.problems(&expected("server:\n  - a:other # why\n  - b # why\n"), &direct).len(), 2);
    }

    #[test]
    fn an_expectation_that_is_no_longer_true_is_a_problem() {
        let ours = outcome(&[("a", "one", "SUCCESS"), ("a", "two", "SKIPPED")]);
        let problems = ours.problems(&expected("server:\n  - a # why\n"), &ours);
        assert_eq!(problems, ["expected to fall short and does not: a"]);
    }

    #[test]
    fn a_check_that_is_passed_directly_must_be_made() {
        let direct = outcome(&[("a", "one", "SUCCESS"), ("a", "two", "SKIPPED")]);
        let ours = outcome(&[("a", "three", "SUCCESS")]);
        assert_eq!(ours.problems(&Expected::default(), &direct).len(), 1);
        assert_eq!(ours.problems(&expected("server:\n  - a:one # why\n"), &direct).len(), 0);
    }

    #[test]
    #[should_panic(expected = "does not say why")]
    fn an_expectation_says_why() {
        expected("server:\n  # why\n  - a\n\n  - b\n");
    }
}
