//! What a server process has to do at some later time. Kept as a list and done by the task that reads its output, because work
//! is also added while an exchange is dropped, where no task can be started.

use std::cell::RefCell;
use std::rc::Weak;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::message::Id;
use crate::stream::Stream;

/// One thing to do.
pub(super) enum Chore {
    /// Give up the calls of a client that has left.
    Expire(Weak<Stream>),
    /// Refuse a request of the server for which no stream opened.
    Refuse(Id),
}

#[derive(Default)]
pub(super) struct Chores {
    list: RefCell<Vec<(Instant, Chore)>>,
    changed: Notify,
}

impl Chores {
    pub(super) fn add(&self, at: Instant, chore: Chore) {
        self.list.borrow_mut().push((at, chore));
        self.changed.notify_waiters();
    }

    /// This request of the server is settled.
    pub(super) fn settle(&self, request: &Id) {
        self.list.borrow_mut().retain(|(_, chore)| !matches!(chore, Chore::Refuse(id) if id == request));
    }

    /// All requests of the server have found a stream.
    pub(super) fn settle_all(&self) {
        self.list.borrow_mut().retain(|(_, chore)| !matches!(chore, Chore::Refuse(_)));
    }

    /// The next chore when its time has come. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Chore {
        loop {
            let changed = self.changed.notified();
            let first = self.list.borrow().iter().map(|(at, _)| *at).min();
            match first {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {
                        if let Some(chore) = self.take(at) {
                            return chore;
                        }
                    }
                    () = changed => {}
                },
            }
        }
    }

    fn take(&self, due: Instant) -> Option<Chore> {
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|(at, _)| *at == due)?;
        Some(list.swap_remove(at).1)
    }
}
