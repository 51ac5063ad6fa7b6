//! What people think of a comment, in one picture.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::versions::{Pagination, cursor_of};
use super::{Done, User};
use crate::server::Figma;
use crate::which;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListReactions {
    /// The file's key, or its address.
    file: String,
    /// The comment's id.
    comment: String,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct React {
    /// The file's key, or its address.
    file: String,
    /// The comment's id.
    comment: String,
    /// The picture's short name between colons, such as `:heart:` or `:+1:`.
    emoji: String,
}

/// What somebody thinks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Reaction {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    emoji: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

/// A part of a comment's reactions.
#[derive(Debug, Serialize, JsonSchema)]
struct Reactions {
    items: Vec<Reaction>,
    /// Give it as `cursor` for the next part. Nothing, if this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReactionsWire {
    reactions: Vec<Reaction>,
    #[serde(default)]
    pagination: Pagination,
}

#[tool_router(router = reactions_tools, vis = "pub(crate)")]
impl Figma {
    /// The reactions to a comment.
    #[tool(title = "List reactions", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_comment_reactions(
        &self,
        Parameters(asked): Parameters<ListReactions>,
        call: Call,
    ) -> Result<Json<Reactions>, Failure> {
        let (key, comment) = (which::file_key(&asked.file)?, which::id("comment", &asked.comment)?);
        let request =
            self.client.get(["v1", "files", key.as_str(), "comments", comment.as_str(), "reactions"]);
        let wire: ReactionsWire = request.query_opt("cursor", asked.cursor).fetch(&call).await?;
        let next_cursor = wire.pagination.next_page.as_deref().and_then(|next| cursor_of(next, "cursor"));
        Ok(Json(Reactions { items: wire.reactions, next_cursor }))
    }

    /// Reacts to a comment, as the token's own account.
    #[tool(
        title = "Add a reaction",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn add_comment_reaction(
        &self,
        Parameters(asked): Parameters<React>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let (key, comment) = (which::file_key(&asked.file)?, which::id("comment", &asked.comment)?);
        let emoji = emoji(&asked.emoji)?;
        let request =
            self.client.post(["v1", "files", key.as_str(), "comments", comment.as_str(), "reactions"]);
        request.json(&json!({ "emoji": emoji })).idempotent().send(&call).await?;
        Ok(Json(Done { done: format!("Reacted to the comment {comment} with {emoji}.") }))
    }

    /// Takes a reaction of the token's own account back.
    #[tool(
        title = "Delete a reaction",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn delete_comment_reaction(
        &self,
        Parameters(asked): Parameters<React>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let (key, comment) = (which::file_key(&asked.file)?, which::id("comment", &asked.comment)?);
        let emoji = emoji(&asked.emoji)?;
        let request =
            self.client.delete(["v1", "files", key.as_str(), "comments", comment.as_str(), "reactions"]);
        request.query("emoji", &emoji).send(&call).await?;
        Ok(Json(Done { done: format!("Took {emoji} back from the comment {comment}.") }))
    }
}

/// A short name as Figma writes it, perhaps with a tone of skin: `:wave::skin-tone-2:`.
fn emoji(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let is_name = (3..=100).contains(&text.len())
        && text.starts_with(':')
        && text.ends_with(':')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_+-".contains(&byte));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Failure::invalid("`emoji` must be a short name between colons, such as `:heart:`."))
    }
}
