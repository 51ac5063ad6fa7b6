//! Components and sets of their variants, as they were published.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};

use super::{Meta, User};
use crate::list::{Listed, Part, limit};
use crate::server::Figma;
use crate::which;

/// Items of a team's page, if nobody says how many.
const USUAL_PAGE: usize = 30;
/// Items of a team's page at most: more than Figma's own limit would fill a model's room.
const MOST_PAGE: usize = 200;

/// Which part of a file's list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfFile {
    /// The file's key, or its address. Only the file in which things were published lists them.
    pub(super) file: String,
    /// At most so many items: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    pub(super) limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    pub(super) cursor: Option<String>,
}

/// Which part of a team's list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OfTeam {
    /// The team's number, or its address.
    team: String,
    /// At most so many items: 1 to 200, 30 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

/// One thing by its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByKey {
    /// The key that lists and outlines show.
    pub(super) key: String,
}

/// A published component, or a set of variants.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Component {
    /// Names it everywhere.
    key: String,
    /// The file that it is in.
    #[serde(default)]
    file_key: String,
    /// The node that it is in there.
    #[serde(default)]
    node_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    /// Where in the file it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    containing_frame: Option<Frame>,
}

/// The frame and the page around a component.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Frame {
    #[serde(default, rename(deserialize = "nodeId"), skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, rename(deserialize = "pageId"), skip_serializing_if = "Option::is_none")]
    page_id: Option<String>,
    #[serde(default, rename(deserialize = "pageName"), skip_serializing_if = "Option::is_none")]
    page_name: Option<String>,
}

/// A part of a team's list: Figma does not say how many there are.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TeamPage<T> {
    /// What there is in this part.
    pub(super) items: Vec<T>,
    /// Give it as `cursor` for the next part. Nothing, if this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Components {
    components: Vec<Component>,
    #[serde(default)]
    cursor: Option<CursorWire>,
}

#[derive(Debug, Deserialize)]
struct ComponentSets {
    component_sets: Vec<Component>,
    #[serde(default)]
    cursor: Option<CursorWire>,
}

/// A place in a team's list: a number.
#[derive(Debug, Deserialize)]
pub(super) struct CursorWire {
    #[serde(default)]
    after: Option<u64>,
}

#[tool_router(router = components_tools, vis = "pub(crate)")]
impl Figma {
    /// The components that a library file publishes.
    #[tool(title = "List a file's components", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_file_components(
        &self,
        Parameters(asked): Parameters<OfFile>,
        call: Call,
    ) -> Result<Json<Listed<Component>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let request = self.client.get(["v1", "files", key.as_str(), "components"]);
        let wire: Meta<Components> = request.fetch(&call).await?;
        Ok(Json(Listed::of(wire.meta.components, part)))
    }

    /// The components that a team's libraries publish, in pages.
    #[tool(title = "List a team's components", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_team_components(
        &self,
        Parameters(asked): Parameters<OfTeam>,
        call: Call,
    ) -> Result<Json<TeamPage<Component>>, Failure> {
        let wire: Meta<Components> = self.team_page("components", &asked, &call).await?;
        Ok(Json(TeamPage::of(wire.meta.components, wire.meta.cursor.as_ref())))
    }

    /// One component by its key.
    #[tool(title = "Get a component", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_component(
        &self,
        Parameters(asked): Parameters<ByKey>,
        call: Call,
    ) -> Result<Json<Component>, Failure> {
        let key = which::key(&asked.key)?;
        let wire: Meta<Component> = self.client.get(["v1", "components", key.as_str()]).fetch(&call).await?;
        Ok(Json(wire.meta))
    }

    /// The sets of variants that a library file publishes.
    #[tool(
        title = "List a file's component sets",
        annotations(read_only_hint = true, open_world_hint = true)
    )]
    async fn list_file_component_sets(
        &self,
        Parameters(asked): Parameters<OfFile>,
        call: Call,
    ) -> Result<Json<Listed<Component>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let request = self.client.get(["v1", "files", key.as_str(), "component_sets"]);
        let wire: Meta<ComponentSets> = request.fetch(&call).await?;
        Ok(Json(Listed::of(wire.meta.component_sets, part)))
    }

    /// The sets of variants that a team's libraries publish, in pages.
    #[tool(
        title = "List a team's component sets",
        annotations(read_only_hint = true, open_world_hint = true)
    )]
    async fn list_team_component_sets(
        &self,
        Parameters(asked): Parameters<OfTeam>,
        call: Call,
    ) -> Result<Json<TeamPage<Component>>, Failure> {
        let wire: Meta<ComponentSets> = self.team_page("component_sets", &asked, &call).await?;
        Ok(Json(TeamPage::of(wire.meta.component_sets, wire.meta.cursor.as_ref())))
    }

    /// One set of variants by its key.
    #[tool(title = "Get a component set", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_component_set(
        &self,
        Parameters(asked): Parameters<ByKey>,
        call: Call,
    ) -> Result<Json<Component>, Failure> {
        let key = which::key(&asked.key)?;
        let wire: Meta<Component> =
            self.client.get(["v1", "component_sets", key.as_str()]).fetch(&call).await?;
        Ok(Json(wire.meta))
    }
}

impl Figma {
    /// A page of what a team publishes.
    pub(super) async fn team_page<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        asked: &OfTeam,
        call: &Call,
    ) -> Result<T, Failure> {
        let team = which::number("team", &asked.team)?;
        let size = limit(asked.limit, USUAL_PAGE, MOST_PAGE)?;
        let after: Option<u64> = match &asked.cursor {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|_| {
                Failure::invalid("`cursor` must be what `next_cursor` of the answer before said.")
            })?),
        };
        let request = self.client.get(["v1", "teams", team.as_str(), kind]);
        request.query("page_size", size).query_opt("after", after).fetch(call).await
    }
}

impl<T> TeamPage<T> {
    pub(super) fn of(items: Vec<T>, cursor: Option<&CursorWire>) -> Self {
        let after = cursor.and_then(|cursor| cursor.after).filter(|_| !items.is_empty());
        Self { items, next_cursor: after.map(|after| after.to_string()) }
    }
}
