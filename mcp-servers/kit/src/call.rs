//! One tool call: whether it is still wanted, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use rmcp::model::{ErrorData, ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::failure::{Code, Failure};

/// How often a client that wants to know is told that we still wait.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// One tool call, as its tool needs it: a parameter of every tool that asks a service.
#[derive(Debug, Clone)]
pub struct Call {
    cancelled: CancellationToken,
    listener: Option<(Peer<RoleServer>, ProgressToken)>,
    /// Progress only grows; what was told last.
    told: Arc<AtomicU64>,
}

impl<C: AsRequestContext> FromContextPart<C> for Call {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let context = context.as_request_context();
        Ok(Self {
            cancelled: context.ct.clone(),
            listener: context.meta.get_progress_token().map(|token| (context.peer.clone(), token)),
            told: Arc::default(),
        })
    }
}

impl Call {
    /// A call that nobody listens to and nobody cancels: for work of the server's own, and for tests.
    pub fn detached() -> Self {
        Self { cancelled: CancellationToken::new(), listener: None, told: Arc::default() }
    }

    /// Whether nobody waits for it any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Tells a client that gave a progress token one step more, with words. Costs nothing otherwise.
    pub async fn step(&self, message: impl Into<String>) {
        self.tell(None, message.into()).await;
    }

    /// As [`Call::step`], with the number of steps that there will be.
    pub async fn step_of(&self, total: u32, message: impl Into<String>) {
        self.tell(Some(total), message.into()).await;
    }

    async fn tell(&self, total: Option<u32>, message: String) {
        let Some((peer, token)) = &self.listener else { return };
        let told = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        // A call has few steps: the number fits into a float whole.
        let told = u32::try_from(told).unwrap_or(u32::MAX);
        let mut progress =
            ProgressNotificationParam::new(token.clone(), f64::from(told)).with_message(message);
        if let Some(total) = total {
            progress = progress.with_total(f64::from(total.max(told)));
        }
        // A client that no longer listens does not change what the tool does.
        let _ = peer.notify_progress(progress).await;
    }

    /// Waits for work, as long as the call is wanted; tells a client that listens, every few seconds, that it goes on.
    pub async fn attend<F: Future>(&self, waiting_for: &str, work: F) -> Result<F::Output, Failure> {
        let mut work = std::pin::pin!(work);
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.cancelled.cancelled() => {
                    return Err(Failure::new(Code::Cancelled, "The call was cancelled."));
                }
                done = &mut work => return Ok(done),
                _ = beats.tick(), if self.listener.is_some() => self.step(format!("waiting for {waiting_for}")).await,
            }
        }
    }
}
