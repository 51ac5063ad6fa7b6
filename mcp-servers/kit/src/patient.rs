//! The threshold of a conversation: what comes before it begins and does no harm.
//!
//! The library ends a server that hears a notification before the first request that opens a conversation, such as a
//! cancellation of a `ping`. Those messages are dropped here.

use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

/// A transport that lets through only requests until the conversation is open.
pub(crate) struct Patient<T> {
    inner: T,
    is_open: bool,
}

impl<T> Patient<T> {
    /// Nothing is open yet.
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, is_open: false }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Patient<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = self.inner.receive().await?;
            self.is_open = self.is_open || opens(&message);
            if self.is_open || matches!(message, ClientJsonRpcMessage::Request(_)) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}

/// Whether the conversation goes on from here: `ping` and `server/discover` only ask.
fn opens(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, ClientJsonRpcMessage::Request(asked)
        if !matches!(asked.request, ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_)))
}
