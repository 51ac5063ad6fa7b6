//! The tools, one file for each kind of thing.

mod comments;
mod components;
mod dev_resources;
mod files;
mod images;
mod people;
mod projects;
mod reactions;
mod styles;
mod trees;
mod variables;
mod versions;

use rmcp::handler::server::router::tool::ToolRouter;
use serde::{Deserialize, Serialize};

use rmcp::schemars::{self, JsonSchema};

use crate::server::Figma;

impl Figma {
    /// All of them.
    pub fn all_tools() -> ToolRouter<Self> {
        Self::people_tools()
            + Self::files_tools()
            + Self::images_tools()
            + Self::components_tools()
            + Self::styles_tools()
            + Self::comments_tools()
            + Self::reactions_tools()
            + Self::versions_tools()
            + Self::variables_tools()
            + Self::projects_tools()
            + Self::dev_resources_tools()
    }
}

/// A person in Figma.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// What Figma calls them.
    #[serde(default)]
    id: String,
    /// What people call them.
    #[serde(default)]
    handle: String,
    /// Told of the token's own account only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// What Figma wraps most lists in.
#[derive(Debug, Deserialize)]
struct Meta<T> {
    meta: T,
}

/// That something was done.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    /// What was done, in words.
    done: String,
}
