//! How clients use a server: the requests that wait for an answer, and when the last ones came and were over.
//!
//! Pings, event streams, subscriptions and requests of our own are not told to it: none of them means that somebody has a use for
//! the server.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What clients have asked so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// When the last request came.
    pub last_begin: Option<Instant>,
    /// When the last one was answered or given up.
    pub last_end: Option<Instant>,
    /// Requests without an answer.
    pub in_flight: usize,
}

#[derive(Default)]
pub(crate) struct Requests {
    seen: Cell<Use>,
    none_left: Notify,
}

/// A request that is counted as long as this lives.
#[must_use = "the request counts as over as soon as this is dropped"]
pub(crate) struct Counted(Rc<Requests>);

impl Requests {
    /// A request has come; counted until the guard is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> Counted {
        let seen = self.seen.get();
        self.seen.set(Use { last_begin: Some(Instant::now()), in_flight: seen.in_flight + 1, ..seen });
        Counted(Rc::clone(self))
    }

    pub(crate) fn seen(&self) -> Use {
        self.seen.get()
    }

    /// Resolves when no request waits for an answer.
    pub(crate) async fn over(&self) {
        loop {
            let none_left = self.none_left.notified();
            if self.seen.get().in_flight == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let seen = self.0.seen.get();
        self.0.seen.set(Use { last_end: Some(Instant::now()), in_flight: seen.in_flight - 1, ..seen });
        if seen.in_flight == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_from_its_coming_to_its_end() {
        let requests = Rc::new(Requests::default());
        assert_eq!(requests.seen(), Use::default());
        let (first, second) = (requests.begin(), requests.begin());
        let seen = requests.seen();
        assert!(seen.in_flight == 2 && seen.last_begin.is_some() && seen.last_end.is_none());
        drop(first);
        assert!(requests.seen().in_flight == 1 && requests.seen().last_end.is_some());
        drop(second);
        assert_eq!(requests.seen().in_flight, 0);
    }
}
