//! Reviews of pull requests.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arguments::{arguments, per_page};
use crate::server::Github;
use crate::shapes::pulls::{RawRequested, Requested, Review, ReviewComment};

arguments! {
    paged
    /// Of which pull request.
    ListReviews {
        /// The pull request's number.
        number: u64,
    }
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateReview {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's number.
    #[serde(skip_serializing)]
    number: u64,
    /// What the review says of the whole; without it, the review waits as a draft until it is submitted on GitHub.
    event: Option<Event>,
    /// The review's text; needed to comment or to ask for changes.
    body: Option<String>,
    /// The commit that was looked at; the newest, if none is named.
    commit_id: Option<String>,
    /// Comments at lines of the difference.
    comments: Option<Vec<LineComment>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Event {
    Approve,
    RequestChanges,
    Comment,
}

/// A comment at one line or several.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineComment {
    /// The file's path.
    path: String,
    /// The comment, in Markdown.
    body: String,
    /// The line, or the last of several; it must be in the difference.
    line: u64,
    /// Whether the line is of the new text or of the old one; of the new one, if nothing is said.
    side: Option<Side>,
    /// The first of several lines.
    start_line: Option<u64>,
    /// Of which text the first line is.
    start_side: Option<Side>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Side {
    Left,
    Right,
}

arguments! {
    /// A reply.
    ReplyToComment {
        /// The pull request's number.
        number: u64,
        /// The id of the comment that is answered; it must be the first of its thread.
        comment_id: u64,
        /// The reply, in Markdown.
        body: String,
    }
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestReviewers {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's number.
    #[serde(skip_serializing)]
    number: u64,
    /// The logins of users.
    reviewers: Option<Vec<String>>,
    /// The short names of teams.
    team_reviewers: Option<Vec<String>>,
}

#[tool_router(router = review_tools, vis = "pub(crate)")]
impl Github {
    /// The reviews of a pull request, oldest first.
    #[tool(
        title = "List reviews",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_reviews(
        &self,
        Parameters(wanted): Parameters<ListReviews>,
        call: Call,
    ) -> Result<Json<Page<Review>>, Failure> {
        self.list_of_reviews("reviews", &wanted, &call).await.map(Json)
    }

    /// The comments at lines of a pull request.
    #[tool(
        title = "List review comments",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_review_comments(
        &self,
        Parameters(wanted): Parameters<ListReviews>,
        call: Call,
    ) -> Result<Json<Page<ReviewComment>>, Failure> {
        self.list_of_reviews("comments", &wanted, &call).await.map(Json)
    }

    /// Reviews a pull request: approves it, asks for changes or comments, with comments at lines.
    #[tool(
        title = "Create a review",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_review(
        &self,
        Parameters(wanted): Parameters<CreateReview>,
        call: Call,
    ) -> Result<Json<Review>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string(), "reviews"];
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }

    /// Answers a comment at a line of a pull request.
    #[tool(
        title = "Reply to a review comment",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn reply_to_review_comment(
        &self,
        Parameters(wanted): Parameters<ReplyToComment>,
        call: Call,
    ) -> Result<Json<ReviewComment>, Failure> {
        let (number, comment) = (wanted.number.to_string(), wanted.comment_id.to_string());
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls", &number, "comments", &comment, "replies"];
        self.client.post(place).json(&serde_json::json!({ "body": wanted.body })).fetch(&call).await.map(Json)
    }

    /// Asks users or teams to review a pull request. Answers with all who are asked.
    #[tool(
        title = "Request reviewers",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn request_reviewers(
        &self,
        Parameters(wanted): Parameters<RequestReviewers>,
        call: Call,
    ) -> Result<Json<Requested>, Failure> {
        let number = wanted.number.to_string();
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls", &number, "requested_reviewers"];
        let asked: RawRequested = self.client.post(place).json(&wanted).idempotent().fetch(&call).await?;
        Ok(Json(asked.into()))
    }

    async fn list_of_reviews<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        wanted: &ListReviews,
        call: &Call,
    ) -> Result<Page<T>, Failure> {
        self.client
            .get(["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string(), what])
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(call)
            .await?
            .page()
    }
}
