//! Memory goes back to the kernel when it is quiet: what many small messages leave in the heap would stay there otherwise.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long after the last word of a connection.
const REST: Duration = Duration::from_secs(1);

/// One round of tidying at a time.
#[derive(Debug, Default)]
pub(crate) struct Tidy {
    planned: Cell<bool>,
}

impl Tidy {
    /// Tidies in a while, unless that is planned already. An instance on which nothing happens is never woken.
    pub(crate) fn soon(self: &Rc<Self>) {
        if self.planned.replace(true) {
            return;
        }
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(REST).await;
            this.planned.set(false);
            roadstead_sandbox::memory::give_back_now();
        });
    }
}
