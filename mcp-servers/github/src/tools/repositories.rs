//! Repositories.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arguments::{arguments, per_page};
use crate::server::Github;
use crate::shapes::repositories::Repository;

arguments! {
    /// A repository.
    Which {}
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRepositories {
    /// Whose repositories; the token's own account's, if nobody is named.
    owner: Option<String>,
    /// Whether the owner is an organisation, whose private repositories a user's list does not have.
    #[serde(default)]
    is_organization: bool,
    /// What to sort by; what was pushed to last comes first, if nothing is said.
    sort: Option<RepositorySort>,
    /// Which page; the first, if none is named.
    page: Option<u32>,
    /// How many on a page, at most 100; 30, if nothing is said.
    per_page: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RepositorySort {
    Created,
    Updated,
    #[default]
    Pushed,
    FullName,
}

impl RepositorySort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Pushed => "pushed",
            Self::FullName => "full_name",
        }
    }
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRepository {
    /// Its name.
    name: String,
    /// The organisation that it will belong to; the token's own account, if none is named.
    #[serde(skip_serializing)]
    organization: Option<String>,
    /// What it is for, in a line.
    description: Option<String>,
    /// Whether only those who are invited see it. Public, if nothing is said.
    private: Option<bool>,
    /// Whether it begins with a commit that has a README.
    auto_init: Option<bool>,
    /// A template for its `.gitignore`, like `Rust`.
    gitignore_template: Option<String>,
    /// A licence by its keyword, like `mit` or `apache-2.0`.
    license_template: Option<String>,
}

#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fork {
    /// The user or organisation that the repository belongs to.
    #[serde(skip_serializing)]
    owner: String,
    /// The repository's name, without its owner.
    #[serde(skip_serializing)]
    repo: String,
    /// The organisation that gets the fork; the token's own account, if none is named.
    organization: Option<String>,
    /// The fork's name; that of the original, if none is given.
    name: Option<String>,
    /// Whether only the default branch is forked.
    default_branch_only: Option<bool>,
}

#[tool_router(router = repository_tools, vis = "pub(crate)")]
impl Github {
    /// One repository: what it is, its default branch, its licence, how alive it is.
    #[tool(
        title = "Get a repository",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_repository(
        &self,
        Parameters(Which { owner, repo }): Parameters<Which>,
        call: Call,
    ) -> Result<Json<Repository>, Failure> {
        self.client.get(["repos", &owner, &repo]).fetch(&call).await.map(Json)
    }

    /// The repositories of the token's account, of another user, or of an organisation.
    #[tool(
        title = "List repositories",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_repositories(
        &self,
        Parameters(wanted): Parameters<ListRepositories>,
        call: Call,
    ) -> Result<Json<Page<Repository>>, Failure> {
        let place = match (&wanted.owner, wanted.is_organization) {
            (None, _) => vec!["user", "repos"],
            (Some(owner), true) => vec!["orgs", owner, "repos"],
            (Some(owner), false) => vec!["users", owner, "repos"],
        };
        self.client
            .get(place)
            .query("sort", wanted.sort.unwrap_or_default().as_str())
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?
            .page()
            .map(Json)
    }

    /// Creates a repository, for the token's account or an organisation.
    #[tool(
        title = "Create a repository",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_repository(
        &self,
        Parameters(wanted): Parameters<CreateRepository>,
        call: Call,
    ) -> Result<Json<Repository>, Failure> {
        let place = match &wanted.organization {
            Some(organization) => vec!["orgs", organization, "repos"],
            None => vec!["user", "repos"],
        };
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }

    /// Forks a repository. GitHub copies it in the background: it may take a while until the fork has its files.
    #[tool(
        title = "Fork a repository",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn fork_repository(
        &self,
        Parameters(wanted): Parameters<Fork>,
        call: Call,
    ) -> Result<Json<Repository>, Failure> {
        let place = ["repos", &wanted.owner, &wanted.repo, "forks"];
        self.client.post(place).json(&wanted).fetch(&call).await.map(Json)
    }
}
