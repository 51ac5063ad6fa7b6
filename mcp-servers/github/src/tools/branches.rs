//! Branches and commits.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Code, Failure, Page};
use serde_json::json;

use crate::arguments::{arguments, below, per_page};
use crate::server::Github;
use crate::shapes::repositories::{Branch, Commit, Pointer, Repository};

arguments! {
    paged
    /// Whose branches.
    ListBranches {}
}

arguments! {
    /// A new branch.
    CreateBranch {
        /// The new branch's name.
        branch: String,
        /// The branch that it begins at; the default branch, if neither this nor `sha` is given.
        from_branch: Option<String>,
        /// The commit that it begins at.
        sha: Option<String>,
    }
}

arguments! {
    paged
    /// Whose commits.
    ListCommits {
        /// A branch, tag or commit to begin at; the default branch, if nothing is said.
        sha: Option<String>,
        /// Only commits that change this file or folder.
        path: Option<String>,
        /// Only commits of this author: a login or a mail address.
        author: Option<String>,
        /// Only commits after this time, like `2026-01-31T00:00:00Z`.
        since: Option<String>,
        /// Only commits before this time.
        until: Option<String>,
    }
}

arguments! {
    /// One commit.
    GetCommit {
        /// The commit: its hash, or the name of a branch or tag.
        sha: String,
    }
}

/// What `git/ref` answers.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Reference {
    pub(super) object: Pointer,
}

#[tool_router(router = branch_tools, vis = "pub(crate)")]
impl Github {
    /// The branches of a repository.
    #[tool(
        title = "List branches",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_branches(
        &self,
        Parameters(wanted): Parameters<ListBranches>,
        call: Call,
    ) -> Result<Json<Page<Branch>>, Failure> {
        self.client
            .get(["repos", &wanted.owner, &wanted.repo, "branches"])
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// Creates a branch at the end of another branch, or at a commit.
    #[tool(
        title = "Create a branch",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_branch(
        &self,
        Parameters(wanted): Parameters<CreateBranch>,
        call: Call,
    ) -> Result<Json<Branch>, Failure> {
        let CreateBranch { owner, repo, branch, from_branch, sha } = wanted;
        let sha = match (sha, from_branch) {
            (Some(_), Some(_)) => {
                return Err(Failure::invalid(
                    "Give `from_branch` or `sha`, not both: a branch begins at one place.",
                ));
            }
            (Some(sha), None) => sha,
            (None, Some(from)) => self.head_of(&owner, &repo, &from, &call).await?,
            (None, None) => {
                let from = self.default_branch(&owner, &repo, &call).await?;
                self.head_of(&owner, &repo, &from, &call).await?
            }
        };
        let made: Reference = self
            .client
            .post(["repos", &owner, &repo, "git", "refs"])
            .json(&json!({ "ref": format!("refs/heads/{branch}"), "sha": sha }))
            .fetch(&call)
            .await?;
        Ok(Json(Branch { name: branch, sha: made.object.sha, protected: false }))
    }

    /// The commits of a branch, newest first.
    #[tool(
        title = "List commits",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_commits(
        &self,
        Parameters(wanted): Parameters<ListCommits>,
        call: Call,
    ) -> Result<Json<Page<Commit>>, Failure> {
        self.client
            .get(["repos", &wanted.owner, &wanted.repo, "commits"])
            .query_opt("sha", wanted.sha)
            .query_opt("path", wanted.path)
            .query_opt("author", wanted.author)
            .query_opt("since", wanted.since)
            .query_opt("until", wanted.until)
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// One commit, with the files that it changes.
    #[tool(
        title = "Get a commit",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_commit(
        &self,
        Parameters(GetCommit { owner, repo, sha }): Parameters<GetCommit>,
        call: Call,
    ) -> Result<Json<Commit>, Failure> {
        self.client.get(below(&["repos", &owner, &repo, "commits"], &sha)).fetch(&call).await.map(Json)
    }

    /// The newest commit of a branch.
    pub(super) async fn head_of(
        &self,
        owner: &str,
        repo: &str,
        branch: &str,
        call: &Call,
    ) -> Result<String, Failure> {
        let place = below(&["repos", owner, repo, "git", "ref", "heads"], branch);
        let reference: Reference = self.client.get(place).fetch(call).await?;
        Ok(reference.object.sha)
    }

    pub(super) async fn default_branch(
        &self,
        owner: &str,
        repo: &str,
        call: &Call,
    ) -> Result<String, Failure> {
        let repository: Repository = self.client.get(["repos", owner, repo]).fetch(call).await?;
        repository.default_branch.ok_or_else(|| {
            Failure::new(Code::UnexpectedAnswer, "GitHub did not tell the repository's default branch.")
                .with_hint("Name a branch.")
        })
    }
}
