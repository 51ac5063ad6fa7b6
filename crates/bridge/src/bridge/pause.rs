//! The time in which the bridge has no server process because the last one was lost and is about to be started again.
//!
//! What needs a process waits for it, for a while; nothing opens one meanwhile, so the pause before a restart is kept however many
//! clients ask.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::Bridge;
use super::ready::{Ready, ReadyFailure};
use crate::launcher::{EndReason, ServerPipes};

/// What a client is told that waited in vain.
const STILL_AWAY: &str = "the server has ended and is being started again; try again shortly";
/// What a client is told whose instance goes.
const CLOSED: &str = "the bridge was closed";

#[derive(Default)]
pub(super) struct Pause {
    on: Cell<bool>,
    over: Notify,
}

impl Pause {
    pub(super) fn is_on(&self) -> bool {
        self.on.get()
    }

    pub(super) fn end(&self) {
        self.on.set(false);
        self.over.notify_waiters();
    }
}

impl super::Inner {
    /// Waits until there is no pause, as long as the limit allows. Then a process may be opened.
    pub(super) async fn until_resumed(&self) -> Result<(), String> {
        let over = async {
            loop {
                let over = self.pause.over.notified();
                if !self.pause.is_on() {
                    return;
                }
                over.await;
            }
        };
        if timeout(self.shared.config.restart_wait, over).await.is_err() {
            return Err(STILL_AWAY.to_owned());
        }
        if self.closed.get() { Err(CLOSED.to_owned()) } else { Ok(()) }
    }
}

impl Bridge {
    /// The last server process is lost and another one will come: until [`Bridge::start_again`] has succeeded, what needs a
    /// process waits for it, and none is opened.
    pub fn pause(&self) {
        self.inner.pause.on.set(true);
    }

    /// Takes over a fresh process as [`Bridge::adopt`] does and waits until it is ready as [`Bridge::ready`] does; then the pause is
    /// over. A process that does not become ready is ended, and the pause goes on.
    pub async fn start_again(&self, pipes: ServerPipes, patience: Duration) -> Result<Ready, ReadyFailure> {
        let began = Instant::now();
        let server = self.inner.adopt(pipes);
        let ready = match timeout(patience, self.inner.made_ready(&server, patience)).await {
            Ok(ready) => ready,
            Err(_) => Err(ReadyFailure::Silent(began.elapsed())),
        };
        match &ready {
            Ok(_) => self.inner.pause.end(),
            Err(failure) => {
                server.end(EndReason::NotInitialized, &failure.to_string());
                self.inner.forget(&server);
            }
        }
        ready
    }
}
