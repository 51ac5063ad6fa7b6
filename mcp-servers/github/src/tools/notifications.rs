//! What the account should look at.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::Deserialize;

use crate::arguments::per_page;
use crate::server::Github;
use crate::shapes::Done;
use crate::shapes::people::Notification;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNotifications {
    /// Whether those that were read are listed, too.
    #[serde(default)]
    all: bool,
    /// Whether only those are listed that the account takes part in.
    #[serde(default)]
    participating: bool,
    /// Which page; the first, if none is named.
    page: Option<u32>,
    /// How many on a page, at most 50; 30, if nothing is said.
    per_page: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkRead {
    /// The notification's id.
    id: String,
}

#[tool_router(router = notification_tools, vis = "pub(crate)")]
impl Github {
    /// The account's notifications, newest first. Needs a classic token with the scope notifications.
    #[tool(
        title = "List notifications",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_notifications(
        &self,
        Parameters(wanted): Parameters<ListNotifications>,
        call: Call,
    ) -> Result<Json<Page<Notification>>, Failure> {
        self.client
            .get(["notifications"])
            .query("all", wanted.all)
            .query("participating", wanted.participating)
            .query("per_page", per_page(wanted.per_page).min(50))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// Marks a notification as read.
    #[tool(
        title = "Mark a notification as read",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn mark_notification_read(
        &self,
        Parameters(MarkRead { id }): Parameters<MarkRead>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        self.client.patch(["notifications", "threads", &id]).idempotent().send(&call).await?;
        Ok(Json(Done::new(format!("Notification {id} is read."))))
    }
}
