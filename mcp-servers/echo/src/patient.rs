//! The threshold of a conversation on stdin and stdout: what is let through, and what is answered here.
//!
//! The library ends a server that hears a notification before the first request that opens a conversation, such as
//! a cancellation of a `ping`. It does no harm to wait for the request instead: those messages are dropped. It also
//! ends a server whose `initialize` fails; a server of one era says no and waits for what it can serve.

use std::pin::Pin;

use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ServerJsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use crate::era::Era;

/// A transport that lets through only requests until the conversation is open, and none of another era.
pub struct Patient<T> {
    inner: T,
    era: Era,
    is_open: bool,
    /// A refusal on its way. Kept here, because a call of `receive` may be given up half way.
    refusal: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<T> Patient<T> {
    /// Nothing is open yet.
    pub fn new(inner: T, era: Era) -> Self {
        Self { inner, era, is_open: false, refusal: None }
    }
}

impl<T: Transport<RoleServer>> Patient<T> {
    /// Begins to refuse a request of another era; whether it was one.
    fn refuse(&mut self, message: &ClientJsonRpcMessage) -> bool {
        let ClientJsonRpcMessage::Request(asked) = message else { return false };
        let Some(error) = self.era.refuses(&asked.request) else { return false };
        let sending = self.inner.send(ServerJsonRpcMessage::error(error, Some(asked.id.clone())));
        self.refusal = Some(Box::pin(async {
            // That a client has gone shows at the next reading.
            let _ = sending.await;
        }));
        true
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
            if let Some(refusal) = &mut self.refusal {
                refusal.await;
                self.refusal = None;
            }
            let message = self.inner.receive().await?;
            if self.refuse(&message) {
                continue;
            }
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
    match message {
        ClientJsonRpcMessage::Request(asked) => {
            !matches!(asked.request, ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_))
        }
        _ => false,
    }
}
