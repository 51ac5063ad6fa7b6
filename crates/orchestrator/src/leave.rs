//! Leaving while instances and callers stay: the next process gets all that it needs, before this one has ended.

use std::time::Duration;

use crate::parts::{Inner, Orchestrator};

/// What the last uses of instances may take to be written down.
const LAST_USES: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// Leaves rows and shims to the next process, and answers when nothing here touches either any more, except for what was
    /// handed to the writers of log lines and usage facts. The ways through the gateway stay as they are: they lead to shims,
    /// and those stay. Called when no request and no launch is under way.
    pub async fn let_go(&self) {
        // A use moves a deadline; the next process tells the shim, should its owner not get to it.
        match tokio::time::timeout(LAST_USES, self.0.note_uses()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last uses were not written");
            }
            Err(_) => tracing::warn!("the last uses were not written in time"),
        }
        self.0.parts.routes.keep();
        self.0.parts.supervisor.let_go().await;
        self.0.parts.drivers.close();
        self.0.parts.drivers.wait().await;
        self.leave_machine();
    }

    /// Leaves nothing of the installation on the machine that only instances need, unless one of them lives. Called when no
    /// launch is under way.
    pub fn leave_machine(&self) {
        self.0.parts.supervisor.leave(self.0.parts.node.installation);
    }
}

impl Inner {
    /// Begins the work of an instance's owner, which goes on until it is done or let go.
    pub(crate) fn own(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.parts.drivers.spawn(self.parts.supervisor.until_let_go(work));
    }
}
