//! Which arguments of a modern server's tools its clients repeat in `Mcp-Param-*` headers (2026-07-28, Streamable HTTP, "Custom
//! Headers from Tool Parameters"). Learned from the lists of tools that pass, and lost when the server says that they changed.
//!
//! A tool with an invalid annotation is treated as having none: clients have to leave such a tool out of their lists, and there
//! is no telling which headers one that calls it anyway would send.

pub(crate) mod schema;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A server with more tools than this is not checked beyond them.
const MAX_TOOLS: usize = 10_000;
/// Before a call is refused by what was learned longer ago than this, the list is asked for again.
const FRESH: Duration = Duration::from_secs(1);
/// A server that does not give its list is not asked again for this long.
const REST: Duration = Duration::from_mins(1);

/// One argument and the header that repeats it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) header: HeaderName,
    /// The names of the members that lead to it, from `arguments` on.
    pub(crate) path: Vec<Box<str>>,
}

/// What is known of one tool.
pub(crate) enum Lookup {
    /// No argument is repeated, or there is no such tool.
    Nothing,
    /// These are, by a list that may be a little old.
    Check { params: Rc<[Param]>, fresh: bool },
    /// The list has not been seen.
    Unknown,
}

/// A result that is no page of a list of tools.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAList;

#[derive(Default)]
pub(crate) struct Tools {
    known: RefCell<HashMap<Box<str>, Tool>>,
    /// Whether a tool that is not known does not exist.
    complete: Cell<bool>,
    /// Changes of the list so far.
    changes: Cell<u64>,
    /// Until when the server is left in peace.
    resting: Cell<Option<Instant>>,
    /// Held by whoever asks for the list, so that it is asked for once.
    turn: Mutex<()>,
}

struct Tool {
    params: Option<Rc<[Param]>>,
    learned: Instant,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    tools: Vec<Entry<'a>>,
    #[serde(rename = "nextCursor", default, borrow)]
    next: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    name: String,
    #[serde(rename = "inputSchema", default, borrow)]
    schema: Option<&'a RawValue>,
}

impl Tools {
    /// One look into a table, whatever the tool.
    pub(crate) fn lookup(&self, name: &str) -> Lookup {
        match self.known.borrow().get(name) {
            Some(Tool { params: None, .. }) => Lookup::Nothing,
            Some(Tool { params: Some(params), learned }) => {
                Lookup::Check { params: Rc::clone(params), fresh: learned.elapsed() < FRESH }
            }
            None if self.complete.get() || self.is_resting() => Lookup::Nothing,
            None => Lookup::Unknown,
        }
    }

    /// Takes in a page of the list: the result of `tools/list`, and whether it was asked for without a cursor. The cursor of the
    /// next page, as JSON.
    pub(crate) fn learn<'a>(&self, result: &'a str, first: bool) -> Result<Option<&'a str>, NotAList> {
        let list: List<'_> = serde_json::from_str(result).map_err(|_| NotAList)?;
        let now = Instant::now();
        let mut known = self.known.borrow_mut();
        for entry in list.tools {
            if known.len() >= MAX_TOOLS && !known.contains_key(entry.name.as_str()) {
                break;
            }
            let params = entry.schema.and_then(|schema| schema::params_of(schema.get()));
            known.insert(entry.name.into(), Tool { params, learned: now });
        }
        let next = list.next.map(RawValue::get);
        if first && next.is_none() {
            self.complete.set(true);
        }
        Ok(next)
    }

    /// The tools are other ones now.
    pub(crate) fn forget(&self) {
        self.known.borrow_mut().clear();
        self.complete.set(false);
        self.resting.set(None);
        self.changes.set(self.changes.get() + 1);
    }

    /// Waits for the right to ask for the list.
    pub(crate) async fn turn(&self) -> impl Drop + '_ {
        self.turn.lock().await
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The whole list has been asked for, the first time when there had been this many changes.
    pub(crate) fn asked(&self, changes: u64, all_seen: bool) {
        if !all_seen {
            self.resting.set(Some(Instant::now() + REST));
        } else if self.changes.get() == changes {
            self.complete.set(true);
        }
    }

    fn is_resting(&self) -> bool {
        self.resting.get().is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"tools":[{"name":"plain"},{"name":"a","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"R"}}}}]"#;

    fn is_checked(tools: &Tools, name: &str) -> Option<bool> {
        match tools.lookup(name) {
            Lookup::Nothing => Some(false),
            Lookup::Check { .. } => Some(true),
            Lookup::Unknown => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tool_is_unknown_until_the_whole_list_was_seen() {
        let tools = Tools::default();
        assert_eq!(is_checked(&tools, "a"), None);
        assert_eq!(tools.learn(&format!("{ONE},\"nextCursor\":\"2\"}}"), true), Ok(Some("\"2\"")));
        let known = |tools: &Tools| ["a", "plain", "other"].map(|name| is_checked(tools, name));
        assert_eq!(known(&tools), [Some(true), Some(false), None]);
        assert_eq!(tools.learn(&format!("{ONE}}}"), false), Ok(None));
        assert_eq!(is_checked(&tools, "other"), None, "a later page does not end the list");
        assert_eq!(tools.learn(&format!("{ONE}}}"), true), Ok(None));
        assert_eq!(known(&tools), [Some(true), Some(false), Some(false)]);
        assert_eq!(tools.learn("{}", true), Err(NotAList));
        tools.forget();
        assert_eq!(known(&tools), [None, None, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_changed_while_it_was_read_is_not_the_whole_list() {
        let tools = Tools::default();
        let before = tools.changes();
        tools.forget();
        tools.asked(before, true);
        assert_eq!(is_checked(&tools, "other"), None);
        tools.asked(tools.changes(), true);
        assert_eq!(is_checked(&tools, "other"), Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_gives_no_list_is_left_in_peace_for_a_while() {
        let tools = Tools::default();
        tools.asked(0, false);
        assert_eq!(is_checked(&tools, "a"), Some(false));
        tokio::time::advance(REST).await;
        assert_eq!(is_checked(&tools, "a"), None);
    }
}
