//! What a server process has to do at some later time. Kept as a list and done by the task that reads its output, because work
//! is also added while an exchange is dropped, where no task can be started.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::message::Id;
use crate::stream::Stream;

/// One thing to do.
pub(super) enum Chore {
    /// Give up the calls of a client that has left, or that has one stream for all.
    Expire(Weak<Stream>),
    /// Refuse a request of the server that no client has taken.
    Refuse(Id),
    /// Refuse a request of the server whose stream broke, unless the session has another one.
    Forsake(Id),
    /// Forget old events.
    Sweep,
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

    /// Looks after the calls of this stream from then on. One look at a time is enough: it says itself when the next is due.
    pub(super) fn expire(&self, at: Instant, stream: &Rc<Stream>) {
        let stream = Rc::downgrade(stream);
        let is_it = |(_, chore): &(Instant, Chore)| matches!(chore, Chore::Expire(of) if of.ptr_eq(&stream));
        if !self.list.borrow().iter().any(is_it) {
            self.add(at, Chore::Expire(stream));
        }
    }

    /// Refuses this request of the server then, if no client has taken it.
    pub(super) fn refuse(&self, at: Instant, request: Id) {
        let is_it = |(_, chore): &(Instant, Chore)| matches!(chore, Chore::Refuse(id) if *id == request);
        if !self.list.borrow().iter().any(is_it) {
            self.add(at, Chore::Refuse(request));
        }
    }

    /// Looks after this request of the server from then on.
    pub(super) fn forsake(&self, at: Instant, request: Id) {
        let is_it = |(_, chore): &(Instant, Chore)| matches!(chore, Chore::Forsake(id) if *id == request);
        if !self.list.borrow().iter().any(is_it) {
            self.add(at, Chore::Forsake(request));
        }
    }

    /// This request of the server is settled.
    pub(super) fn settle(&self, request: &Id) {
        let is_it = |chore: &Chore| matches!(chore, Chore::Refuse(id) | Chore::Forsake(id) if id == request);
        self.list.borrow_mut().retain(|(_, chore)| !is_it(chore));
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
