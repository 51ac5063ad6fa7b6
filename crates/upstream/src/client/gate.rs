//! Something that happens once and may be waited for.

use std::cell::Cell;

use tokio::sync::Notify;

/// Closed at first.
#[derive(Default)]
pub(crate) struct Gate {
    open: Cell<bool>,
    opened: Notify,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.set(true);
        self.opened.notify_waiters();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.get()
    }

    pub(crate) async fn passed(&self) {
        while !self.open.get() {
            self.opened.notified().await;
        }
    }
}
