//! The account.

use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::Serialize;

use crate::server::Gmail;
use crate::wire;

/// The account and how much is in it.
#[derive(Debug, Serialize, JsonSchema)]
struct Profile {
    email_address: String,
    messages_total: u64,
    threads_total: u64,
    /// Where the mailbox is now: for `list_history`.
    history_id: String,
}

#[tool_router(router = profile_tools, vis = "pub(crate)")]
impl Gmail {
    /// Whose mailbox this is, how many messages and threads are in it, and where its history is now.
    #[tool(title = "Get the account", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_profile(&self, call: Call) -> Result<Json<Profile>, Failure> {
        let profile: wire::Profile = self.fetch(&call, |gmail| gmail.get(["profile"])).await?;
        Ok(Json(Profile {
            email_address: profile.email_address,
            messages_total: profile.messages_total,
            threads_total: profile.threads_total,
            history_id: profile.history_id,
        }))
    }
}
