//! What an administrator decided of a server's tools: some are neither listed nor called, all are held against those that were
//! approved, and calls have a rate.
//!
//! A list is looked at as it passes, and a call when it is let in. What a client calls without a list in which it was seen is
//! known by its name alone.

use std::borrow::Cow;
use std::cell::RefCell;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use roadstead_model::tool_rules::tool_key;
use roadstead_model::{ToolRules, ToolsDiffer};
use roadstead_tool_hash::ListedTool;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::compose;

/// Tools that were added and are told of by name. A server that invents names without end is told of as well as one with these.
const MAX_ADDED: usize = 100;

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
>;

pub(crate) struct Gate {
    rules: ToolRules,
    rate: Option<Limiter>,
    /// How the tools differ from the approved ones, by all lists so far. Of the changed ones no more than were approved.
    differ: RefCell<ToolsDiffer>,
}

/// Why a tool is not called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotCalled {
    Disabled,
    /// It is another one than was approved, or was not there.
    Changed,
    TooOften {
        limit: u32,
        wait_seconds: u64,
    },
}

/// What a list of tools becomes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<'r> {
    /// It stays as it is.
    AsItIs,
    /// The part of it with the tools, and what stands there.
    Less(&'r str, String),
    /// Nobody can tell what is in it, and something has to be left out.
    Unreadable,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    tools: &'a RawValue,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Gate {
    pub(crate) fn new(mut rules: ToolRules) -> Self {
        let cut = |name: String| tool_key(&name).to_owned();
        rules.disabled = std::mem::take(&mut rules.disabled).into_iter().map(cut).collect();
        rules.accepted = rules
            .accepted
            .map(|accepted| accepted.into_iter().map(|(name, hash)| (cut(name), hash)).collect());
        let clock = MonotonicClock;
        let rate = rules
            .calls_per_minute
            .map(|calls| RateLimiter::direct_with_clock(Quota::per_minute(calls), clock));
        Self { rules, rate, differ: RefCell::default() }
    }

    /// Whether a tool of this name may be called now.
    pub(crate) fn admit(&self, name: &str) -> Result<(), NotCalled> {
        let name = tool_key(name);
        if self.rules.disabled.contains(name) {
            return Err(NotCalled::Disabled);
        }
        if self.rules.withholds_changed
            && let Some(accepted) = &self.rules.accepted
            && (!accepted.contains_key(name) || self.differ.borrow().changed.contains(name))
        {
            return Err(NotCalled::Changed);
        }
        let (Some(rate), Some(limit)) = (&self.rate, self.rules.calls_per_minute) else { return Ok(()) };
        rate.check().map_err(|until| NotCalled::TooOften {
            limit: limit.get(),
            wait_seconds: until.wait_time_from(MonotonicClock.now()).as_secs() + 1,
        })
    }

    /// Looks at a page of the list of tools: what becomes of it, and how the tools differ, when more of them do than were known to.
    pub(crate) fn look<'r>(&self, result: &'r str) -> (Look<'r>, Option<ToolsDiffer>) {
        if self.rules.disabled.is_empty() && self.rules.accepted.is_none() {
            return (Look::AsItIs, None);
        }
        let Some((part, tools)) = read(result) else {
            return (if self.hides() { Look::Unreadable } else { Look::AsItIs }, None);
        };
        let known = self.differ.borrow().clone();
        let kept: Vec<&str> = tools.iter().map(|tool| tool.get()).filter(|tool| self.keeps(tool)).collect();
        let differ = self.differ.borrow();
        let told = (*differ != known && !differ.is_empty()).then(|| differ.clone());
        if kept.len() == tools.len() {
            (Look::AsItIs, told)
        } else {
            (Look::Less(part, format!("[{}]", kept.join(","))), told)
        }
    }

    /// Whether there may be tools that clients are not to see.
    fn hides(&self) -> bool {
        !self.rules.disabled.is_empty() || self.rules.withholds_changed
    }

    /// Whether clients see this tool. What it differs in is remembered.
    fn keeps(&self, tool: &str) -> bool {
        // One whose name stands there twice may be any tool: clients do not agree on which they read.
        let Ok(Named { name }) = serde_json::from_str(tool) else { return !self.hides() };
        let name = tool_key(&name);
        if self.rules.disabled.contains(name) {
            return false;
        }
        let Some(accepted) = &self.rules.accepted else { return true };
        let mut differ = self.differ.borrow_mut();
        let is_same = match accepted.get(name) {
            None => {
                if differ.added.len() < MAX_ADDED {
                    differ.added.insert(name.to_owned());
                }
                false
            }
            Some(hash) => {
                let now = serde_json::from_str::<ListedTool<'_>>(tool).ok().and_then(|tool| tool.hash().ok());
                let is_same = now.is_some_and(|now| now.to_string() == *hash);
                if is_same {
                    differ.changed.remove(name);
                } else {
                    differ.changed.insert(name.to_owned());
                }
                is_same
            }
        };
        is_same || !self.rules.withholds_changed
    }
}

/// The list as it stands in the result, and its tools.
fn read(result: &str) -> Option<(&str, Vec<&RawValue>)> {
    let list: List<'_> = serde_json::from_str(result).ok()?;
    Some((list.tools.get(), serde_json::from_str(list.tools.get()).ok()?))
}

impl NotCalled {
    /// A JSON-RPC code, a sentence for models and people, and data with a code that stays the same for ever.
    pub(crate) fn said(&self) -> (i64, String, String) {
        let data = |code: &str| format!("{{\"code\":\"{code}\"}}");
        match self {
            Self::Disabled => {
                let message = "this tool is disabled by an administrator of the service; do without it";
                (compose::INVALID_PARAMS, message.to_owned(), data("TOOL_DISABLED"))
            }
            Self::Changed => {
                let message = "this tool is another one than an administrator of the service approved, and is refused until it is \
                               approved again";
                (compose::INVALID_PARAMS, message.to_owned(), data("TOOL_CHANGED"))
            }
            Self::TooOften { limit, wait_seconds } => {
                let message = format!(
                    "not called: tools of this server may be called {limit} times a minute; try again in {wait_seconds} s"
                );
                let data = format!(
                    "{{\"code\":\"TOOL_CALLS_TOO_OFTEN\",\"limit_per_minute\":{limit},\"retry_after_seconds\":{wait_seconds}}}"
                );
                (compose::REFUSED, message, data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::num::NonZeroU32;

    use super::*;

    const A: &str = r#"{"name":"a","description":"reads","inputSchema":{"type":"object"}}"#;
    const B: &str = r#"{ "description":"writes", "name":"b" }"#;
    const A_SENDS: &str = r#"{"name":"a","description":"reads and sends","inputSchema":{"type":"object"}}"#;

    fn list(tools: &[&str]) -> String {
        format!("{{\"x\":1,\"tools\": [{}],\"nextCursor\":\"2\"}}", tools.join(", "))
    }

    fn approved(tools: &[&str]) -> BTreeMap<String, String> {
        let hashed = |tool: &&str| {
            let tool: ListedTool<'_> = serde_json::from_str(tool).expect("a tool");
            (tool.name.clone().into_owned(), tool.hash().expect("a hash").to_string())
        };
        tools.iter().map(hashed).collect()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn without_rules_nothing_is_looked_at() {
        let gate = Gate::new(ToolRules::default());
        assert_eq!(gate.look("no JSON"), (Look::AsItIs, None));
        assert_eq!(gate.admit("anything"), Ok(()));
    }

    #[test]
    fn a_disabled_tool_is_neither_listed_nor_called() {
        let gate = Gate::new(ToolRules { disabled: names(&["a"]), ..ToolRules::default() });
        let list = list(&[A, B]);
        let (Look::Less(part, less), None) = gate.look(&list) else { panic!("it is left out") };
        assert_eq!(
            list.replacen(part, &less, 1),
            format!("{{\"x\":1,\"tools\": [{B}],\"nextCursor\":\"2\"}}")
        );
        assert_eq!(gate.admit("a"), Err(NotCalled::Disabled));
        assert_eq!(gate.admit("b"), Ok(()));
        assert_eq!(
            gate.look(r#"{"tools":[],"tools":[{"name":"a"}]}"#).0,
            Look::Unreadable,
            "twice the same member"
        );
        let twice = r#"{"tools":[{"name":"b","name":"a"}]}"#;
        assert_eq!(gate.look(twice).0, Look::Less(r#"[{"name":"b","name":"a"}]"#, "[]".to_owned()));
        let escaped = r#"{"tools":[{"name":"\u0061"}]}"#;
        assert_eq!(gate.look(escaped).0, Look::Less(r#"[{"name":"\u0061"}]"#, "[]".to_owned()));
    }

    #[test]
    fn differences_are_told_once_and_forgotten_when_they_are_gone() {
        let gate = Gate::new(ToolRules { accepted: Some(approved(&[A, B])), ..ToolRules::default() });
        assert_eq!(gate.look(&list(&[B, A])), (Look::AsItIs, None));
        let new = r#"{"name":"new"}"#;
        let told = ToolsDiffer { added: names(&["new"]), changed: names(&["a"]) };
        assert_eq!(gate.look(&list(&[A_SENDS, B, new])), (Look::AsItIs, Some(told)));
        assert_eq!(gate.look(&list(&[A_SENDS, B, new])), (Look::AsItIs, None));
        assert_eq!(gate.admit("a"), Ok(()), "it is told of only");
    }

    #[test]
    fn what_was_not_approved_is_withheld_where_that_is_wanted() {
        let rules =
            ToolRules { accepted: Some(approved(&[A, B])), withholds_changed: true, ..ToolRules::default() };
        let gate = Gate::new(rules);
        assert_eq!(gate.admit("a"), Ok(()));
        assert_eq!(gate.admit("new"), Err(NotCalled::Changed));
        let twice = r#"{"name":"b","description":"writes","description":"sends"}"#;
        let list_now = list(&[A_SENDS, twice, r#"{"name":"new"}"#, "7"]);
        let (look, told) = gate.look(&list_now);
        assert!(matches!(look, Look::Less(_, less) if less == "[]"));
        assert_eq!(told.expect("it is told").changed, names(&["a", "b"]));
        assert_eq!(gate.admit("a"), Err(NotCalled::Changed));
        assert_eq!(gate.look("[]").0, Look::Unreadable);
        assert_eq!(gate.look(&list(&[A, B])).0, Look::AsItIs);
        assert_eq!(gate.admit("a"), Ok(()), "it is the approved one again");
    }

    #[test]
    fn names_without_end_are_not_kept() {
        let gate = Gate::new(ToolRules { accepted: Some(approved(&[A])), ..ToolRules::default() });
        for number in 0..1000 {
            let _ = gate.look(&list(&[&format!("{{\"name\":\"{number}\"}}")]));
        }
        assert_eq!(gate.differ.borrow().added.len(), MAX_ADDED);
    }

    #[test]
    fn calls_have_a_rate() {
        let rules = ToolRules { calls_per_minute: NonZeroU32::new(3), ..ToolRules::default() };
        let gate = Gate::new(rules);
        let calls: Vec<_> = (0..4).map(|_| gate.admit("a")).collect();
        assert!(calls[..3].iter().all(Result::is_ok), "{calls:?}");
        assert!(matches!(calls[3], Err(NotCalled::TooOften { limit: 3, wait_seconds: 1..=21 })), "{calls:?}");
    }
}
