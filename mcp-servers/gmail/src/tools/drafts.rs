//! Messages that are not sent yet.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Client, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::sending::{Sent, perhaps_sent};
use crate::compose::{Outgoing, Readiness};
use crate::decode::Wanted;
use crate::mailbox::{MESSAGE_BYTES, id, limit};
use crate::server::Gmail;
use crate::shown::{Done, Message, Summary};
use crate::wire;

/// Drafts of one page, if nobody says how many.
const USUAL_PAGE: u32 = 20;
/// Drafts of one page at most: each is a request of its own.
const MOST_PAGE: u32 = 100;
/// Letters of a draft's text that are told.
const LETTERS: usize = 100_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListDrafts {
    /// Gmail's search words, as for `search_messages`.
    #[serde(default)]
    query: Option<String>,
    /// At most so many: 1 to 100, 20 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    /// Where to begin: `next_page_token` of the answer before.
    #[serde(default)]
    page_token: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByDraft {
    /// The draft's id, which is not its message's id.
    draft_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateDraft {
    /// The draft's id, which is not its message's id.
    draft_id: String,
    /// The whole new message: nothing of the old one stays.
    message: Outgoing,
}

/// A page of drafts.
#[derive(Debug, Serialize, JsonSchema)]
struct Drafts {
    drafts: Vec<DraftSummary>,
    /// Give it as `page_token` for the next page. Nothing, if this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// A draft in a line of a list.
#[derive(Debug, Serialize, JsonSchema)]
struct DraftSummary {
    draft_id: String,
    message: Summary,
}

/// A draft.
#[derive(Debug, Serialize, JsonSchema)]
struct Draft {
    draft_id: String,
    message: Message,
}

/// A draft as it was kept.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "Gmail's own names")]
struct Kept {
    draft_id: String,
    message_id: String,
    thread_id: String,
}

#[tool_router(router = drafts_tools, vis = "pub(crate)")]
impl Gmail {
    /// The drafts, newest first: to whom, about what, and the first words.
    #[tool(title = "List drafts", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_drafts(
        &self,
        Parameters(asked): Parameters<ListDrafts>,
        call: Call,
    ) -> Result<Json<Drafts>, Failure> {
        let size = limit(asked.limit, USUAL_PAGE, MOST_PAGE)?;
        let query = asked.query.as_deref().map(str::trim).filter(|query| !query.is_empty());
        let ask = |gmail: &Client| {
            let request = gmail.get(["drafts"]).query("maxResults", size).query_opt("q", query);
            request.query_opt("pageToken", asked.page_token.as_deref())
        };
        let page: wire::DraftPage = self.fetch(&call, ask).await?;
        let messages: Vec<wire::MessageRef> = page
            .drafts
            .iter()
            .map(|draft| wire::MessageRef { id: draft.message.id.clone(), ..wire::MessageRef::default() })
            .collect();
        let summaries = self.summaries(&messages, &call).await?;
        let drafts = summaries.into_iter().filter_map(|message| {
            let draft = page.drafts.iter().find(|draft| draft.message.id == message.id)?;
            Some(DraftSummary { draft_id: draft.id.clone(), message })
        });
        Ok(Json(Drafts { drafts: drafts.collect(), next_page_token: page.next_page_token }))
    }

    /// Reads a draft: its head, its text and the names of its files.
    #[tool(title = "Read a draft", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_draft(
        &self,
        Parameters(asked): Parameters<ByDraft>,
        call: Call,
    ) -> Result<Json<Draft>, Failure> {
        let id = id("draft_id", &asked.draft_id)?;
        let ask = |gmail: &Client| gmail.get(["drafts", id]).query("format", "full").limit(MESSAGE_BYTES);
        let draft: wire::Draft = self.fetch(&call, ask).await?;
        let mut message = Message::of(&draft.message);
        let text = self.text(&draft.message, Wanted::Text, &call).await?;
        message.body = text.map(|text| text.window(0, LETTERS));
        Ok(Json(Draft { draft_id: draft.id, message }))
    }

    /// Keeps a message without sending it: people can look at it and send it themselves.
    #[tool(
        title = "Create a draft",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_draft(
        &self,
        Parameters(outgoing): Parameters<Outgoing>,
        call: Call,
    ) -> Result<Json<Kept>, Failure> {
        let body = json!({ "message": self.raw(&outgoing, Readiness::Draft, &call).await? });
        let draft: wire::Draft = self.fetch(&call, |gmail| gmail.post(["drafts"]).json(&body)).await?;
        Ok(Json(draft.into()))
    }

    /// Puts a whole new message in the place of a draft's old one.
    #[tool(
        title = "Update a draft",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_draft(
        &self,
        Parameters(asked): Parameters<UpdateDraft>,
        call: Call,
    ) -> Result<Json<Kept>, Failure> {
        let id = id("draft_id", &asked.draft_id)?;
        let body = json!({ "message": self.raw(&asked.message, Readiness::Draft, &call).await? });
        let draft: wire::Draft = self.fetch(&call, |gmail| gmail.put(["drafts", id]).json(&body)).await?;
        Ok(Json(draft.into()))
    }

    /// Sends a draft as it is, at once. It reaches people and cannot be taken back.
    #[tool(
        title = "Send a draft",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn send_draft(
        &self,
        Parameters(asked): Parameters<ByDraft>,
        call: Call,
    ) -> Result<Json<Sent>, Failure> {
        let body = json!({ "id": id("draft_id", &asked.draft_id)? });
        let sent: Result<wire::Message, Failure> =
            self.fetch(&call, |gmail| gmail.post(["drafts", "send"]).json(&body)).await;
        sent.map(|message| Json(message.into())).map_err(perhaps_sent)
    }

    /// Takes a draft away for good: it does not go into the trash.
    #[tool(
        title = "Delete a draft",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn delete_draft(
        &self,
        Parameters(asked): Parameters<ByDraft>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = id("draft_id", &asked.draft_id)?;
        self.session.send(&call, |gmail| gmail.delete(["drafts", id])).await?;
        Ok(Json(Done { done: format!("The draft {id} is deleted.") }))
    }
}

impl From<wire::Draft> for Kept {
    fn from(draft: wire::Draft) -> Self {
        Self { draft_id: draft.id, message_id: draft.message.id, thread_id: draft.message.thread_id }
    }
}
