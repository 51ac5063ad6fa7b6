//! Pull requests.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::issues::{NewState, StateFilter};
use crate::arguments::{arguments, per_page};
use crate::server::Github;
use crate::shapes::Done;
use crate::shapes::pulls::{Diff, Outcome, Pull};
use crate::shapes::repositories::{ChangedFile, Commit};

/// What is shown of a difference unless the call says otherwise, and at most.
const DIFF_BYTES: usize = 100 * 1024;
const MAX_DIFF_BYTES: usize = 1024 * 1024;

arguments! {
    paged
    /// Which pull requests.
    ListPulls {
        /// Whether open or closed ones; open ones, if nothing is said.
        state: Option<StateFilter>,
        /// Only those into this branch.
        base: Option<String>,
        /// Only those from this branch, as `owner:branch`.
        head: Option<String>,
        /// What to sort by; the newest come first, if nothing is said.
        sort: Option<PullSort>,
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PullSort {
    Created,
    Updated,
    Popularity,
    LongRunning,
}

impl PullSort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Popularity => "popularity",
            Self::LongRunning => "long-running",
        }
    }
}

arguments! {
    /// Which pull request.
    WhichPull {
        /// The pull request's number.
        number: u64,
    }
}

arguments! {
    /// Which pull request.
    GetDiff {
        /// The pull request's number.
        number: u64,
        /// How many bytes to show at most; 102400 if nothing is said, never more than 1048576.
        max_bytes: Option<usize>,
    }
}

arguments! {
    paged
    /// Of which pull request.
    ListOfPull {
        /// The pull request's number.
        number: u64,
    }
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePull {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's title.
    title: String,
    /// The branch to merge; `owner:branch` if it is in a fork.
    head: String,
    /// The branch to merge into.
    base: String,
    /// What it is about, in Markdown.
    body: Option<String>,
    /// Whether it is only a draft.
    draft: Option<bool>,
    /// Whether those who may push to the repository may push to the branch, too.
    maintainer_can_modify: Option<bool>,
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdatePull {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's number.
    #[serde(skip_serializing)]
    number: u64,
    /// A new title.
    title: Option<String>,
    /// A new text in place of the old one.
    body: Option<String>,
    /// Whether it is open or closed.
    state: Option<NewState>,
    /// Another branch to merge into.
    base: Option<String>,
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergePull {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's number.
    #[serde(skip_serializing)]
    number: u64,
    /// How; as a merge commit, if nothing is said.
    merge_method: Option<MergeMethod>,
    /// The title of the commit.
    commit_title: Option<String>,
    /// The rest of the commit's message.
    commit_message: Option<String>,
    /// The newest commit that was looked at: nothing is merged if there is a newer one.
    sha: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBranch {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The pull request's number.
    #[serde(skip_serializing)]
    number: u64,
    /// The newest commit that was looked at: nothing is done if there is a newer one.
    expected_head_sha: Option<String>,
}

#[tool_router(router = pull_tools, vis = "pub(crate)")]
impl Github {
    /// The pull requests of a repository. Long texts are cut; get_pull_request has all.
    #[tool(
        title = "List pull requests",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_pull_requests(
        &self,
        Parameters(wanted): Parameters<ListPulls>,
        call: Call,
    ) -> Result<Json<Page<Pull>>, Failure> {
        let answer = self
            .client
            .get(["repos", &wanted.owner, &wanted.repo, "pulls"])
            .query_opt("state", wanted.state.map(StateFilter::as_str))
            .query_opt("base", wanted.base)
            .query_opt("head", wanted.head)
            .query_opt("sort", wanted.sort.map(PullSort::as_str))
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let mut page: Page<Pull> = answer.page()?;
        page.items = page.items.into_iter().map(Pull::listed).collect();
        Ok(Json(page))
    }

    /// One pull request: its text, its branches, its size, and whether it can be merged.
    #[tool(
        title = "Get a pull request",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_pull_request(
        &self,
        Parameters(WhichPull { owner, repo, number }): Parameters<WhichPull>,
        call: Call,
    ) -> Result<Json<Pull>, Failure> {
        self.client.get(["repos", &owner, &repo, "pulls", &number.to_string()]).fetch(&call).await.map(Json)
    }

    /// Opens a pull request.
    #[tool(
        title = "Create a pull request",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_pull_request(
        &self,
        Parameters(wanted): Parameters<CreatePull>,
        call: Call,
    ) -> Result<Json<Pull>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls"];
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }

    /// Changes a pull request: what is given takes the place of what was. Closes and reopens it, too. Labels and
    /// assignees are those of the issue of the same number: use update_issue.
    #[tool(
        title = "Update a pull request",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_pull_request(
        &self,
        Parameters(wanted): Parameters<UpdatePull>,
        call: Call,
    ) -> Result<Json<Pull>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string()];
        self.client.patch(place).json(&wanted).idempotent().fetch(&call).await.map(Json)
    }

    /// The files that a pull request changes, with their differences.
    #[tool(
        title = "List files of a pull request",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_pull_request_files(
        &self,
        Parameters(wanted): Parameters<ListOfPull>,
        call: Call,
    ) -> Result<Json<Page<ChangedFile>>, Failure> {
        self.list_of_pull("files", &wanted, &call).await.map(Json)
    }

    /// The whole difference that a pull request makes, as git shows it.
    #[tool(
        title = "Get the difference of a pull request",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_pull_request_diff(
        &self,
        Parameters(wanted): Parameters<GetDiff>,
        call: Call,
    ) -> Result<Json<Diff>, Failure> {
        let answer = self
            .client
            .get(["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string()])
            .header("accept", "application/vnd.github.diff")
            .head(wanted.max_bytes.unwrap_or(DIFF_BYTES).clamp(1, MAX_DIFF_BYTES))
            .send(&call)
            .await?;
        Ok(Json(Diff { diff: answer.text(), is_cut: answer.is_cut() }))
    }

    /// The commits of a pull request.
    #[tool(
        title = "List commits of a pull request",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_pull_request_commits(
        &self,
        Parameters(wanted): Parameters<ListOfPull>,
        call: Call,
    ) -> Result<Json<Page<Commit>>, Failure> {
        self.list_of_pull("commits", &wanted, &call).await.map(Json)
    }

    /// Merges a pull request.
    #[tool(
        title = "Merge a pull request",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn merge_pull_request(
        &self,
        Parameters(wanted): Parameters<MergePull>,
        call: Call,
    ) -> Result<Json<Outcome>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string(), "merge"];
        // A merge whose answer was lost would be refused when it is asked for again, and look like a failure.
        self.client.put(place).json(&wanted).not_idempotent().fetch(&call).await.map(Json)
    }

    /// Merges the base branch into a pull request's branch, so that it is up to date. GitHub does so in the background.
    #[tool(
        title = "Update the branch of a pull request",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn update_pull_request_branch(
        &self,
        Parameters(wanted): Parameters<UpdateBranch>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let place =
            ["repos", &wanted.owner, &wanted.repo, "pulls", &wanted.number.to_string(), "update-branch"];
        self.client.put(place).json(&wanted).not_idempotent().send(&call).await?;
        Ok(Json(Done::new("GitHub is updating the branch.")))
    }

    async fn list_of_pull<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        wanted: &ListOfPull,
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
