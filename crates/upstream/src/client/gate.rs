//! How far a request has come, for those that must not overtake it.

use std::cell::Cell;

use tokio::sync::Notify;

/// Not sent yet, at first.
#[derive(Default)]
pub(crate) struct Gate {
    left: Cell<bool>,
    settled: Cell<bool>,
    changed: Notify,
}

impl Gate {
    /// All of it was given to the system.
    pub(crate) fn leave(&self) {
        self.left.set(true);
        self.changed.notify_waiters();
    }

    /// The server has read it, or never will.
    pub(crate) fn settle(&self) {
        self.settled.set(true);
        self.leave();
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// Waits until it has left.
    pub(crate) async fn left(&self) {
        while !self.left.get() {
            self.changed.notified().await;
        }
    }
}
