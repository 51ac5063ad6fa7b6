//! A team's projects and their files.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};

use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListTeamProjects {
    /// The team's number, or its address. The API has no list of teams: it stands in the address of the team's page.
    team: String,
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
struct ListProjectFiles {
    /// The project's number, or its address.
    project: String,
    /// With the branches of each file.
    #[serde(default)]
    branches: bool,
    /// At most so many items: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

/// What is in a team or a project.
#[derive(Debug, Serialize, JsonSchema)]
struct Holds<T> {
    /// The team's or the project's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    listed: Listed<T>,
}

/// A project.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Project {
    id: String,
    name: String,
}

/// A file as its project lists it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ProjectFile {
    /// For `file` of other tools.
    key: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    branches: Vec<Branch>,
}

/// A branch of a file, which is a file too.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Branch {
    key: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ProjectsWire {
    #[serde(default)]
    name: Option<String>,
    projects: Vec<Project>,
}

#[derive(Debug, Deserialize)]
struct FilesWire {
    #[serde(default)]
    name: Option<String>,
    files: Vec<ProjectFile>,
}

#[tool_router(router = projects_tools, vis = "pub(crate)")]
impl Figma {
    /// The projects of a team that the token's account may see.
    #[tool(title = "List a team's projects", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_team_projects(
        &self,
        Parameters(asked): Parameters<ListTeamProjects>,
        call: Call,
    ) -> Result<Json<Holds<Project>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let team = which::number("team", &asked.team)?;
        let wire: ProjectsWire =
            self.client.get(["v1", "teams", team.as_str(), "projects"]).fetch(&call).await?;
        Ok(Json(Holds { name: wire.name, listed: Listed::of(wire.projects, part) }))
    }

    /// The files of a project.
    #[tool(title = "List a project's files", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_project_files(
        &self,
        Parameters(asked): Parameters<ListProjectFiles>,
        call: Call,
    ) -> Result<Json<Holds<ProjectFile>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let project = which::number("project", &asked.project)?;
        let request = self.client.get(["v1", "projects", project.as_str(), "files"]);
        let wire: FilesWire =
            request.query_opt("branch_data", asked.branches.then_some(true)).fetch(&call).await?;
        Ok(Json(Holds { name: wire.name, listed: Listed::of(wire.files, part) }))
    }
}
