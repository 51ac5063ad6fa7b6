//! Styles of colours, texts, effects and grids, as they were published.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};

use super::components::{ByKey, CursorWire, OfFile, OfTeam, TeamPage};
use super::{Meta, User};
use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

/// A published style. What it looks like stands in its node: `get_nodes` with `detail: "full"`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "Figma's own names")]
struct Style {
    /// Names it everywhere.
    key: String,
    /// The file that it is in.
    #[serde(default)]
    file_key: String,
    /// The node that it is in there.
    #[serde(default)]
    node_id: String,
    /// `FILL`, `TEXT`, `EFFECT` or `GRID`.
    #[serde(default)]
    style_type: String,
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
}

#[derive(Debug, Deserialize)]
struct Styles {
    styles: Vec<Style>,
    #[serde(default)]
    cursor: Option<CursorWire>,
}

#[tool_router(router = styles_tools, vis = "pub(crate)")]
impl Figma {
    /// The styles that a library file publishes.
    #[tool(title = "List a file's styles", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_file_styles(
        &self,
        Parameters(asked): Parameters<OfFile>,
        call: Call,
    ) -> Result<Json<Listed<Style>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let wire: Meta<Styles> =
            self.client.get(["v1", "files", key.as_str(), "styles"]).fetch(&call).await?;
        Ok(Json(Listed::of(wire.meta.styles, part)))
    }

    /// The styles that a team's libraries publish, in pages.
    #[tool(title = "List a team's styles", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_team_styles(
        &self,
        Parameters(asked): Parameters<OfTeam>,
        call: Call,
    ) -> Result<Json<TeamPage<Style>>, Failure> {
        let wire: Meta<Styles> = self.team_page("styles", &asked, &call).await?;
        Ok(Json(TeamPage::of(wire.meta.styles, wire.meta.cursor.as_ref())))
    }

    /// One style by its key.
    #[tool(title = "Get a style", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_style(
        &self,
        Parameters(asked): Parameters<ByKey>,
        call: Call,
    ) -> Result<Json<Style>, Failure> {
        let key = which::key(&asked.key)?;
        let wire: Meta<Style> = self.client.get(["v1", "styles", key.as_str()]).fetch(&call).await?;
        Ok(Json(wire.meta))
    }
}
