//! Issues, their comments, and labels.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arguments::{arguments, per_page};
use crate::server::Github;
use crate::shapes::issues::{Comment, Issue, Label};

arguments! {
    paged
    /// Which issues.
    ListIssues {
        /// Whether open or closed ones; open ones, if nothing is said.
        state: Option<StateFilter>,
        /// Only those that have all of these labels.
        labels: Option<Vec<String>>,
        /// Only those that are assigned to this user; `none` for nobody.
        assignee: Option<String>,
        /// Only those of this author.
        creator: Option<String>,
        /// Only those that were changed after this time, like `2026-01-31T00:00:00Z`.
        since: Option<String>,
        /// What to sort by; the newest come first, if nothing is said.
        sort: Option<IssueSort>,
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateFilter {
    Open,
    Closed,
    All,
}

impl StateFilter {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::All => "all",
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IssueSort {
    Created,
    Updated,
    Comments,
}

impl IssueSort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Comments => "comments",
        }
    }
}

arguments! {
    /// Which issue.
    WhichIssue {
        /// The issue's number.
        number: u64,
    }
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateIssue {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The issue's title.
    title: String,
    /// What it is about, in Markdown.
    body: Option<String>,
    /// Labels that it gets.
    labels: Option<Vec<String>>,
    /// The logins of those who should do it.
    assignees: Option<Vec<String>>,
    /// The number of a milestone.
    milestone: Option<u64>,
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateIssue {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The issue's number.
    #[serde(skip_serializing)]
    number: u64,
    /// A new title.
    title: Option<String>,
    /// A new text in place of the old one.
    body: Option<String>,
    /// Whether it is open or closed.
    state: Option<NewState>,
    /// Why it is closed.
    state_reason: Option<StateReason>,
    /// All its labels from now on, in place of the old ones.
    labels: Option<Vec<String>>,
    /// All who should do it from now on, in place of the old ones.
    assignees: Option<Vec<String>>,
    /// The number of a milestone.
    milestone: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NewState {
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateReason {
    Completed,
    NotPlanned,
    Duplicate,
    Reopened,
}

arguments! {
    paged
    /// Which comments.
    ListComments {
        /// The number of the issue or pull request.
        number: u64,
        /// Only those that were changed after this time.
        since: Option<String>,
    }
}

arguments! {
    /// A new comment.
    AddComment {
        /// The number of the issue or pull request.
        number: u64,
        /// The comment, in Markdown.
        body: String,
    }
}

arguments! {
    paged
    /// Whose labels.
    ListLabels {}
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateLabel {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The label's name.
    name: String,
    /// Six hexadecimal digits, without #.
    color: Option<String>,
    /// What it is for.
    description: Option<String>,
}

#[tool_router(router = issue_tools, vis = "pub(crate)")]
impl Github {
    /// The issues of a repository. Pull requests are issues, too: `is_pull_request` tells. Long texts are cut; get_issue
    /// has all.
    #[tool(
        title = "List issues",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_issues(
        &self,
        Parameters(wanted): Parameters<ListIssues>,
        call: Call,
    ) -> Result<Json<Page<Issue>>, Failure> {
        let answer = self
            .client
            .get(["repos", &wanted.owner, &wanted.repo, "issues"])
            .query_opt("state", wanted.state.map(StateFilter::as_str))
            .query_opt("labels", wanted.labels.map(|labels| labels.join(",")))
            .query_opt("assignee", wanted.assignee)
            .query_opt("creator", wanted.creator)
            .query_opt("since", wanted.since)
            .query_opt("sort", wanted.sort.map(IssueSort::as_str))
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let mut page: Page<Issue> = answer.page()?;
        page.items = page.items.into_iter().map(Issue::listed).collect();
        Ok(Json(page))
    }

    /// One issue with its whole text.
    #[tool(
        title = "Get an issue",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_issue(
        &self,
        Parameters(WhichIssue { owner, repo, number }): Parameters<WhichIssue>,
        call: Call,
    ) -> Result<Json<Issue>, Failure> {
        self.client.get(["repos", &owner, &repo, "issues", &number.to_string()]).fetch(&call).await.map(Json)
    }

    /// Opens an issue.
    #[tool(
        title = "Create an issue",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_issue(
        &self,
        Parameters(wanted): Parameters<CreateIssue>,
        call: Call,
    ) -> Result<Json<Issue>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "issues"];
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }

    /// Changes an issue: what is given takes the place of what was; what is left out stays. Closes and reopens it, too.
    #[tool(
        title = "Update an issue",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_issue(
        &self,
        Parameters(wanted): Parameters<UpdateIssue>,
        call: Call,
    ) -> Result<Json<Issue>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "issues", &wanted.number.to_string()];
        self.client.patch(place).json(&wanted).idempotent().fetch(&call).await.map(Json)
    }

    /// The comments on an issue or a pull request, oldest first.
    #[tool(
        title = "List comments of an issue",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_issue_comments(
        &self,
        Parameters(wanted): Parameters<ListComments>,
        call: Call,
    ) -> Result<Json<Page<Comment>>, Failure> {
        self.client
            .get(["repos", &wanted.owner, &wanted.repo, "issues", &wanted.number.to_string(), "comments"])
            .query_opt("since", wanted.since)
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// Comments on an issue or a pull request.
    #[tool(
        title = "Comment on an issue",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn add_issue_comment(
        &self,
        Parameters(AddComment { owner, repo, number, body }): Parameters<AddComment>,
        call: Call,
    ) -> Result<Json<Comment>, Failure> {
        let place = ["repos", &owner, &repo, "issues", &number.to_string(), "comments"];
        self.client.post(place).json(&serde_json::json!({ "body": body })).fetch(&call).await.map(Json)
    }

    /// The labels that a repository has.
    #[tool(
        title = "List labels",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_labels(
        &self,
        Parameters(wanted): Parameters<ListLabels>,
        call: Call,
    ) -> Result<Json<Page<Label>>, Failure> {
        self.client
            .get(["repos", &wanted.owner, &wanted.repo, "labels"])
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// Creates a label.
    #[tool(
        title = "Create a label",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_label(
        &self,
        Parameters(wanted): Parameters<CreateLabel>,
        call: Call,
    ) -> Result<Json<Label>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "labels"];
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }
}
