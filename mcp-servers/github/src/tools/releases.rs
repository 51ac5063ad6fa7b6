//! Releases.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure, Page};
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::arguments::{arguments, below, per_page};
use crate::server::Github;
use crate::shapes::releases::Release;

arguments! {
    paged
    /// Whose releases.
    ListReleases {}
}

arguments! {
    /// Which release.
    GetRelease {
        /// The release's tag; the latest release, if none is named.
        tag: Option<String>,
    }
}

arguments! {
    /// A new release.
    CreateRelease {
        /// The tag; GitHub makes it if it is not there.
        tag: String,
        /// The branch or commit that a new tag is made of; the default branch, if nothing is said.
        target: Option<String>,
        /// The release's title.
        name: Option<String>,
        /// What is new, in Markdown.
        body: Option<String>,
        /// Whether it is only prepared and nobody sees it yet.
        draft: Option<bool>,
        /// Whether it is not for everybody yet.
        prerelease: Option<bool>,
        /// Whether GitHub writes title and notes by itself, from the merged pull requests.
        generate_notes: Option<bool>,
    }
}

#[skip_serializing_none]
#[derive(Serialize)]
struct NewRelease<'a> {
    tag_name: &'a str,
    target_commitish: Option<&'a str>,
    name: Option<&'a str>,
    body: Option<&'a str>,
    draft: Option<bool>,
    prerelease: Option<bool>,
    generate_release_notes: Option<bool>,
}

#[tool_router(router = release_tools, vis = "pub(crate)")]
impl Github {
    /// The releases of a repository, newest first.
    #[tool(
        title = "List releases",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_releases(
        &self,
        Parameters(wanted): Parameters<ListReleases>,
        call: Call,
    ) -> Result<Json<Page<Release>>, Failure> {
        let answer = self
            .client
            .get(["repos", &wanted.owner, &wanted.repo, "releases"])
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let mut page: Page<Release> = answer.page()?;
        page.items = page.items.into_iter().map(Release::listed).collect();
        Ok(Json(page))
    }

    /// The latest release, or that of a tag, with its files.
    #[tool(
        title = "Get a release",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_release(
        &self,
        Parameters(GetRelease { owner, repo, tag }): Parameters<GetRelease>,
        call: Call,
    ) -> Result<Json<Release>, Failure> {
        let place = match &tag {
            Some(tag) => below(&["repos", &owner, &repo, "releases", "tags"], tag),
            None => below(&["repos", &owner, &repo, "releases"], "latest"),
        };
        self.client.get(place).fetch(&call).await.map(Json)
    }

    /// Creates a release, and its tag if there is none.
    #[tool(
        title = "Create a release",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_release(
        &self,
        Parameters(wanted): Parameters<CreateRelease>,
        call: Call,
    ) -> Result<Json<Release>, Failure> {
        let new = NewRelease {
            tag_name: &wanted.tag,
            target_commitish: wanted.target.as_deref(),
            name: wanted.name.as_deref(),
            body: wanted.body.as_deref(),
            draft: wanted.draft,
            prerelease: wanted.prerelease,
            generate_release_notes: wanted.generate_notes,
        };
        let place = ["repos", &wanted.owner, &wanted.repo, "releases"];
        self.client.post(place).json(&new).fetch(&call).await.map(Json)
    }
}
