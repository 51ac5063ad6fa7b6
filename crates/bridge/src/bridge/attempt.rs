//! Something that is being opened, and all who wait for it.

use std::cell::RefCell;

use tokio::sync::Notify;

/// One opening that all who need it wait for.
pub(crate) struct Attempt<T> {
    outcome: RefCell<Option<T>>,
    done: Notify,
}

impl<T> Default for Attempt<T> {
    fn default() -> Self {
        Self { outcome: RefCell::new(None), done: Notify::new() }
    }
}

impl<T: Clone> Attempt<T> {
    /// How it came out, when that is known.
    pub(crate) fn outcome(&self) -> Option<T> {
        self.outcome.borrow().clone()
    }

    /// Says how it came out.
    pub(crate) fn settle(&self, outcome: T) {
        *self.outcome.borrow_mut() = Some(outcome);
        self.done.notify_waiters();
    }

    /// Waits for how it comes out.
    pub(crate) async fn wait(&self) -> T {
        loop {
            let done = self.done.notified();
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            done.await;
        }
    }
}
