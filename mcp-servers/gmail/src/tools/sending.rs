//! Sending, which cannot be taken back.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Code, Failure};
use serde::Serialize;

use crate::compose::{Outgoing, Readiness};
use crate::server::Gmail;
use crate::wire;

/// A message that was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sent {
    id: String,
    thread_id: String,
    labels: Vec<String>,
}

#[tool_router(router = sending_tools, vis = "pub(crate)")]
impl Gmail {
    /// Sends a message, or an answer to one, at once. It reaches people and cannot be taken back: when in doubt, use
    /// create_draft.
    #[tool(
        title = "Send a message",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn send_message(
        &self,
        Parameters(outgoing): Parameters<Outgoing>,
        call: Call,
    ) -> Result<Json<Sent>, Failure> {
        let raw = self.raw(&outgoing, Readiness::Sent, &call).await?;
        let sent: Result<wire::Message, Failure> =
            self.fetch(&call, |gmail| gmail.post(["messages", "send"]).json(&raw)).await;
        sent.map(|message| Json(message.into())).map_err(perhaps_sent)
    }
}

impl From<wire::Message> for Sent {
    fn from(message: wire::Message) -> Self {
        Self { id: message.id, thread_id: message.thread_id, labels: message.label_ids }
    }
}

/// A failure after which nobody knows whether the message has left.
pub(super) fn perhaps_sent(failure: Failure) -> Failure {
    match failure.code() {
        Code::Network | Code::Timeout | Code::Unavailable | Code::UnexpectedAnswer => failure.with_hint(
            "It may have been sent all the same: look with search_messages for in:sent before sending it again.",
        ),
        _ => failure,
    }
}
