//! Searches.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::arguments::per_page;
use crate::server::Github;
use crate::shapes::issues::Issue;
use crate::shapes::people::User;
use crate::shapes::repositories::Repository;
use crate::shapes::{Counted, Found};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// Words and qualifiers, as in GitHub's search: `language:rust stars:>100`, `repo:octocat/hello-world is:open`.
    query: String,
    /// What to sort by, like `stars`, `updated`, `comments`, `followers`; the best match, if nothing is said.
    sort: Option<String>,
    /// The order of what is sorted.
    order: Option<Order>,
    /// Which page; the first, if none is named.
    page: Option<u32>,
    /// How many on a page, at most 100; 30, if nothing is said.
    per_page: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

impl Order {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchCode {
    /// Words and qualifiers: `parse_link repo:octocat/hello-world language:rust path:src`.
    query: String,
    /// Which page; the first, if none is named.
    page: Option<u32>,
    /// How many on a page, at most 100; 30, if nothing is said.
    per_page: Option<u32>,
}

/// A file that a search found.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CodeHit {
    path: String,
    #[serde(default, deserialize_with = "crate::shapes::full_name")]
    repository: Option<String>,
    sha: String,
    /// The parts that match.
    #[serde(default, rename(deserialize = "text_matches"), deserialize_with = "fragments")]
    fragments: Vec<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

fn fragments<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Match {
        fragment: Option<String>,
    }
    let matches = Option::<Vec<Match>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(matches.into_iter().filter_map(|found| found.fragment).collect())
}

#[tool_router(router = search_tools, vis = "pub(crate)")]
impl Github {
    /// Searches repositories on all of GitHub, by words and qualifiers.
    #[tool(
        title = "Search repositories",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_repositories(
        &self,
        Parameters(wanted): Parameters<Search>,
        call: Call,
    ) -> Result<Json<Found<Repository>>, Failure> {
        self.search("repositories", &wanted, &call).await.map(Json)
    }

    /// Searches code. The query needs at least one word beside its qualifiers; only default branches are searched.
    #[tool(
        title = "Search code",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_code(
        &self,
        Parameters(wanted): Parameters<SearchCode>,
        call: Call,
    ) -> Result<Json<Found<CodeHit>>, Failure> {
        let answer = self
            .client
            .get(["search", "code"])
            .header("accept", "application/vnd.github.text-match+json")
            .query("q", &wanted.query)
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let found: Counted<CodeHit> = answer.json()?;
        Ok(Json(found.on_page(answer.next_page())))
    }

    /// Searches issues and pull requests; `is:issue` or `is:pr` in the query tells them apart.
    #[tool(
        title = "Search issues and pull requests",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_issues(
        &self,
        Parameters(wanted): Parameters<Search>,
        call: Call,
    ) -> Result<Json<Found<Issue>>, Failure> {
        let mut found: Found<Issue> = self.search("issues", &wanted, &call).await?;
        found.items = found.items.into_iter().map(Issue::listed).collect();
        Ok(Json(found))
    }

    /// Searches users and organisations.
    #[tool(
        title = "Search users",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_users(
        &self,
        Parameters(wanted): Parameters<Search>,
        call: Call,
    ) -> Result<Json<Found<User>>, Failure> {
        self.search("users", &wanted, &call).await.map(Json)
    }

    async fn search<T: DeserializeOwned>(
        &self,
        what: &str,
        wanted: &Search,
        call: &Call,
    ) -> Result<Found<T>, Failure> {
        let answer = self
            .client
            .get(["search", what])
            .query("q", &wanted.query)
            .query_opt("sort", wanted.sort.as_deref())
            .query_opt("order", wanted.order.map(Order::as_str))
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(call)
            .await?;
        let found: Counted<T> = answer.json()?;
        Ok(found.on_page(answer.next_page()))
    }
}
