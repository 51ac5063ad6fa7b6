//! The requests that wait for an answer. Pure: no waiting, no writing.

use std::collections::HashMap;
use std::rc::Rc;

use tokio_util::sync::CancellationToken;

use crate::UpstreamLimits;
use crate::client::Gate;
use crate::message::{self, Id};

/// A request of the bridge. Clones are the same request.
#[derive(Clone)]
pub(super) struct Request {
    id: Id,
    number: u64,
    /// Its id as the bridge wrote it.
    pub(super) raw: Rc<str>,
    /// The id that the server sees, when it is another one.
    pub(super) renamed: Option<Id>,
    pub(super) method: Rc<str>,
    pub(super) modern: bool,
    /// Whether its stream is meant to last (2026-07-28, subscriptions).
    pub(super) lasts: bool,
    /// Stops the exchange; the connection is closed then.
    pub(super) cancel: CancellationToken,
    /// Told how far it has come.
    pub(super) gate: Rc<Gate>,
}

impl Request {
    /// The id that the server sees.
    pub(super) fn wire(&self) -> &Id {
        self.renamed.as_ref().unwrap_or(&self.id)
    }
}

#[derive(Default)]
pub(super) struct Table {
    open: HashMap<Id, Request>,
    numbers: u64,
}

impl Table {
    /// Takes a request in, or says why not.
    pub(super) fn register(
        &mut self,
        id: Id,
        raw: &str,
        method: &str,
        modern: bool,
        limits: &UpstreamLimits,
        closing: &CancellationToken,
    ) -> Result<Request, (i64, &'static str)> {
        if self.open.contains_key(&id) {
            return Err((message::INVALID_REQUEST, "a request with this id is not answered yet"));
        }
        if self.open.len() >= limits.max_open {
            return Err((message::INTERNAL, "too many requests of the server are open"));
        }
        self.numbers += 1;
        let confusable = self.open.values().any(|open| open.wire().looks_like(&id));
        let renamed = confusable.then(|| Id::read(&format!("\"roadstead/{}\"", self.numbers))).flatten();
        let request = Request {
            id: id.clone(),
            number: self.numbers,
            raw: raw.into(),
            renamed,
            method: method.into(),
            modern,
            lasts: modern && method == "subscriptions/listen",
            cancel: closing.child_token(),
            gate: Rc::default(),
        };
        self.open.insert(id, request.clone());
        Ok(request)
    }

    /// The open request with this id of the bridge's.
    pub(super) fn get(&self, id: &Id) -> Option<Request> {
        self.open.get(id).cloned()
    }

    /// Whether this request is still open.
    pub(super) fn has(&self, request: &Request) -> bool {
        self.open.get(&request.id).is_some_and(|open| open.number == request.number)
    }

    /// The open request with this id of the server's.
    pub(super) fn by_wire(&self, wire: &Id) -> Option<Request> {
        let found = self.open.get(wire).filter(|request| request.renamed.is_none());
        found.or_else(|| self.open.values().find(|request| request.renamed.as_ref() == Some(wire))).cloned()
    }

    /// Takes this request out; nothing when that has happened before.
    pub(super) fn remove(&mut self, request: &Request) -> Option<Request> {
        if self.has(request) { self.open.remove(&request.id) } else { None }
    }

    /// Takes all out, oldest first.
    pub(super) fn drain(&mut self) -> Vec<Request> {
        let mut all: Vec<_> = self.open.drain().map(|(_, request)| request).collect();
        all.sort_unstable_by_key(|request| request.number);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(table: &mut Table, raw: &str) -> Result<Request, (i64, &'static str)> {
        let limits = UpstreamLimits { max_open: 3, ..UpstreamLimits::default() };
        let id = Id::read(raw).unwrap();
        table.register(id, raw, "tools/call", false, &limits, &CancellationToken::new())
    }

    #[test]
    fn only_an_id_that_a_careless_server_would_confuse_is_renamed() {
        let mut table = Table::default();
        let number = register(&mut table, "1").unwrap();
        let text = register(&mut table, "\"1\"").unwrap();
        assert_eq!((number.wire().as_json(), text.wire().as_json()), ("1", "\"roadstead/2\""));
        assert_eq!(&*table.by_wire(text.wire()).unwrap().raw, "\"1\"");
        assert_eq!(&*table.by_wire(number.wire()).unwrap().raw, "1");
        assert!(table.by_wire(&Id::read("\"1\"").unwrap()).is_none(), "the server never saw this id");
        table.remove(&number);
        assert!(register(&mut table, "1").unwrap().renamed.is_none());
    }

    #[test]
    fn an_id_in_use_and_one_request_too_many_are_refused() {
        let mut table = Table::default();
        let first = register(&mut table, "1").unwrap();
        assert_eq!(register(&mut table, "1").err().unwrap().0, message::INVALID_REQUEST);
        register(&mut table, "2").unwrap();
        register(&mut table, "3").unwrap();
        assert_eq!(register(&mut table, "4").err().unwrap().0, message::INTERNAL);
        table.remove(&first);
        let again = register(&mut table, "1").unwrap();
        assert!(table.remove(&first).is_none(), "the later request of that id is another one");
        assert!(table.remove(&again).is_some());
    }
}
