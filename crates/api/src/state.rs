//! What every handler is given. Three parts do the work: accounts, orchestrator, and the tracker that lets
//! work outlive its request.

use std::sync::Arc;

use http::HeaderValue;
use rand::RngExt as _;
use roadstead_accounts::Accounts;
use roadstead_limits::Limits;
use roadstead_model::{Clock, Randomness, RequestId};
use roadstead_orchestrator::Orchestrator;
use tokio_util::task::TaskTracker;

use crate::error::{ApiError, Code};
use crate::kept::Kept;
use crate::wire::View;

/// The state of the REST API; cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<ApiParts>, Arc<Kept>);

/// What the wiring hands over.
#[derive(Debug)]
pub struct ApiParts {
    /// Users, keys, types, credentials, settings.
    pub accounts: Accounts,
    /// Instances.
    pub orchestrator: Orchestrator,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub randomness: Arc<Randomness>,
    /// What access URLs begin with: scheme, host and port, no slash at the end.
    pub public_base: String,
    /// Who has asked how often.
    pub limits: Arc<Limits>,
    /// Whether a proxy stands in front: then whoever connects is the proxy, not the caller.
    pub is_proxied: bool,
    /// Work that must finish although its caller hung up.
    pub tasks: TaskTracker,
}

impl ApiState {
    /// A state from its parts.
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(parts), Arc::default())
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    pub(crate) fn orchestrator(&self) -> &Orchestrator {
        &self.0.orchestrator
    }

    /// What is remembered between requests.
    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.1
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// From nothing to `most` hundredths, each as likely.
    pub(crate) fn random_percent(&self, most: u32) -> u32 {
        self.0.randomness.lock().random_range(0..=most)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn is_proxied(&self) -> bool {
        self.0.is_proxied
    }

    /// How instances are shown now.
    pub(crate) fn view(&self) -> View<'_> {
        View { public_base: &self.0.public_base, now: self.0.clock.now() }
    }

    pub(crate) fn new_request_id(&self) -> HeaderValue {
        let id = RequestId::new(&*self.0.clock, &mut *self.0.randomness.lock());
        HeaderValue::from_str(&id.to_string()).expect("a UUID is a plain word")
    }

    /// Begins work that goes on beside the answer.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(tracing::Instrument::in_current_span(work));
    }

    /// Lets something go on behind an answer that has begun.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(tracing::Instrument::in_current_span(work));
    }

    /// Runs work to its end, whether or not the caller waits for it.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let task = self.0.tasks.spawn(tracing::Instrument::in_current_span(work));
        task.await.unwrap_or_else(|panicked| {
            tracing::error!(error = &panicked as &dyn std::error::Error, "the work of a request panicked");
            Err(ApiError::new(Code::Internal, "something failed on our side; see the log"))
        })
    }
}
