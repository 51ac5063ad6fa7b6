//! What people say about a file.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Done, User};
use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

/// Longest comment, in letters: longer ones are documents.
const LONGEST: usize = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListComments {
    /// The file's key, or its address.
    file: String,
    /// Only comments that nobody has resolved, with their answers.
    #[serde(default)]
    unresolved_only: bool,
    /// With formatting, as Markdown.
    #[serde(default)]
    as_markdown: bool,
    /// At most so many items: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddComment {
    /// The file's key, or its address.
    file: String,
    /// What to say, 1 to 10000 letters.
    message: String,
    /// The comment that this one answers: the first of a conversation, not an answer itself.
    #[serde(default)]
    answer_to: Option<String>,
    /// The node that it is about.
    #[serde(default)]
    node: Option<String>,
    /// Where: from the node's top left, or from the page's origin if no node is given.
    #[serde(default)]
    at: Option<Point>,
}

/// A place, in pixels.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Point {
    /// From the left.
    x: f64,
    /// From the top.
    y: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteComment {
    /// The file's key, or its address.
    file: String,
    /// The comment's id.
    comment: String,
}

/// What somebody said.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Comment {
    id: String,
    /// The first comment of the conversation, if this one is an answer.
    #[serde(default, skip_serializing_if = "is_blank")]
    parent_id: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// When somebody marked it as done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resolved_at: Option<String>,
    /// Its number in the file, as people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    order_id: Option<Order>,
    /// Where it is: a place, or a node and a place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    client_meta: Option<Value>,
}

/// Figma gives it as a text, and sometimes as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Order {
    Text(String),
    Number(i64),
}

impl Serialize for Order {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.collect_str(number),
        }
    }
}

#[expect(clippy::ref_option, reason = "serde asks by reference")]
fn is_blank(id: &Option<String>) -> bool {
    id.as_ref().is_none_or(String::is_empty)
}

#[derive(Debug, Deserialize)]
struct Comments {
    comments: Vec<Comment>,
}

#[tool_router(router = comments_tools, vis = "pub(crate)")]
impl Figma {
    /// What people have said about a file, and where.
    #[tool(title = "List comments", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_comments(
        &self,
        Parameters(asked): Parameters<ListComments>,
        call: Call,
    ) -> Result<Json<Listed<Comment>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let request = self.client.get(["v1", "files", key.as_str(), "comments"]);
        let request = request.query_opt("as_md", asked.as_markdown.then_some(true));
        let mut comments = request.fetch::<Comments>(&call).await?.comments;
        if asked.unresolved_only {
            comments = unresolved(comments);
        }
        Ok(Json(Listed::of(comments, part)))
    }

    /// Says something about a file, a node or a place, or answers a comment. Everybody who sees the file can read it.
    #[tool(
        title = "Add a comment",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn add_comment(
        &self,
        Parameters(asked): Parameters<AddComment>,
        call: Call,
    ) -> Result<Json<Comment>, Failure> {
        let key = which::file_key(&asked.file)?;
        if asked.message.trim().is_empty() || asked.message.chars().count() > LONGEST {
            return Err(Failure::invalid(format!("`message` must have 1 to {LONGEST} letters.")));
        }
        let mut body = json!({ "message": asked.message });
        if let Some(comment) = &asked.answer_to {
            body["comment_id"] = which::id("answer_to", comment)?.into();
        }
        if let Some(place) = place(&asked)? {
            body["client_meta"] = place;
        }
        let request = self.client.post(["v1", "files", key.as_str(), "comments"]).json(&body);
        request.fetch(&call).await.map(Json)
    }

    /// Takes a comment of the token's own account away, for good.
    #[tool(
        title = "Delete a comment",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn delete_comment(
        &self,
        Parameters(asked): Parameters<DeleteComment>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let key = which::file_key(&asked.file)?;
        let comment = which::id("comment", &asked.comment)?;
        let path = ["v1", "files", key.as_str(), "comments", comment.as_str()];
        self.client.delete(path).send(&call).await?;
        Ok(Json(Done { done: format!("The comment {comment} is deleted.") }))
    }
}

/// Where a comment is put, in Figma's words.
fn place(asked: &AddComment) -> Result<Option<Value>, Failure> {
    if asked.answer_to.is_some() && (asked.node.is_some() || asked.at.is_some()) {
        return Err(Failure::invalid("An answer stands where its comment does: leave `node` and `at` out."));
    }
    let place = match (&asked.node, asked.at) {
        (None, None) => return Ok(None),
        (None, Some(at)) => json!({ "x": at.x, "y": at.y }),
        (Some(node), at) => {
            let at = at.unwrap_or(Point { x: 0.0, y: 0.0 });
            json!({ "node_id": which::node(node)?, "node_offset": { "x": at.x, "y": at.y } })
        }
    };
    Ok(Some(place))
}

/// The conversations that nobody has resolved: only their first comment says whether somebody has.
fn unresolved(comments: Vec<Comment>) -> Vec<Comment> {
    let resolved: std::collections::HashSet<String> =
        comments.iter().filter(|each| each.resolved_at.is_some()).map(|each| each.id.clone()).collect();
    let is_open = |each: &Comment| {
        each.resolved_at.is_none() && each.parent_id.as_ref().is_none_or(|parent| !resolved.contains(parent))
    };
    comments.into_iter().filter(is_open).collect()
}
