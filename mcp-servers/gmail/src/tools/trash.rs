//! The trash, from which mail can be taken back for thirty days. Nothing is deleted for good here.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::Deserialize;

use crate::mailbox::id;
use crate::server::Gmail;
use crate::shown::Done;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByMessage {
    /// The message's id.
    message_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByThread {
    /// The thread's id.
    thread_id: String,
}

#[tool_router(router = trash_tools, vis = "pub(crate)")]
impl Gmail {
    /// Puts a message into the trash. Gmail deletes it there after thirty days.
    #[tool(
        title = "Trash a message",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn trash_message(
        &self,
        Parameters(asked): Parameters<ByMessage>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = id("message_id", &asked.message_id)?;
        self.session.send(&call, |gmail| gmail.post(["messages", id, "trash"]).idempotent()).await?;
        Ok(Json(Done { done: format!("The message {id} is in the trash.") }))
    }

    /// Takes a message back out of the trash.
    #[tool(
        title = "Take a message out of the trash",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn untrash_message(
        &self,
        Parameters(asked): Parameters<ByMessage>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = id("message_id", &asked.message_id)?;
        self.session.send(&call, |gmail| gmail.post(["messages", id, "untrash"]).idempotent()).await?;
        Ok(Json(Done { done: format!("The message {id} is out of the trash.") }))
    }

    /// Puts all messages of a thread into the trash. Gmail deletes them there after thirty days.
    #[tool(
        title = "Trash a thread",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn trash_thread(
        &self,
        Parameters(asked): Parameters<ByThread>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = id("thread_id", &asked.thread_id)?;
        self.session.send(&call, |gmail| gmail.post(["threads", id, "trash"]).idempotent()).await?;
        Ok(Json(Done { done: format!("The thread {id} is in the trash.") }))
    }

    /// Takes all messages of a thread back out of the trash.
    #[tool(
        title = "Take a thread out of the trash",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn untrash_thread(
        &self,
        Parameters(asked): Parameters<ByThread>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = id("thread_id", &asked.thread_id)?;
        self.session.send(&call, |gmail| gmail.post(["threads", id, "untrash"]).idempotent()).await?;
        Ok(Json(Done { done: format!("The thread {id} is out of the trash.") }))
    }
}
