//! Dev resources: links that developers attach to nodes.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Done;
use crate::list::{Listed, Part};
use crate::server::Figma;
use crate::which;

/// Links that are made or changed at once.
const MOST: usize = 50;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListDevResources {
    /// The file's key, or its address.
    file: String,
    /// Only those of these nodes.
    #[serde(default)]
    nodes: Vec<String>,
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
struct CreateDevResources {
    /// 1 to 50 links.
    links: Vec<NewLink>,
}

/// A link to be attached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewLink {
    /// The file's key, or its address.
    file: String,
    /// The node's id.
    node: String,
    /// What people read.
    name: String,
    /// Where it leads: begins with http:// or https://.
    url: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateDevResources {
    /// 1 to 50 links.
    links: Vec<ChangedLink>,
}

/// A link to be changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangedLink {
    /// The id of the dev resource.
    id: String,
    /// What people read from now on.
    #[serde(default)]
    name: Option<String>,
    /// Where it leads from now on.
    #[serde(default)]
    url: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteDevResource {
    /// The file's key, or its address.
    file: String,
    /// The id of the dev resource.
    id: String,
}

/// A link on a node.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct DevResource {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    file_key: String,
    #[serde(default)]
    node_id: String,
}

/// What became of each link.
#[derive(Debug, Serialize, JsonSchema)]
struct Outcome {
    /// Those that are as they should be now.
    links: Vec<DevResource>,
    /// What Figma says of those that are not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<LinkError>,
}

/// Why a link is not as it should be.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct LinkError {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Deserialize)]
struct DevResources {
    dev_resources: Vec<DevResource>,
}

#[derive(Debug, Deserialize)]
struct OutcomeWire {
    #[serde(default, alias = "links_created", alias = "links_updated")]
    links: Vec<DevResource>,
    #[serde(default)]
    errors: Vec<LinkError>,
}

#[tool_router(router = dev_resources_tools, vis = "pub(crate)")]
impl Figma {
    /// The links that developers have attached to a file's nodes.
    #[tool(title = "List dev resources", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_dev_resources(
        &self,
        Parameters(asked): Parameters<ListDevResources>,
        call: Call,
    ) -> Result<Json<Listed<DevResource>>, Failure> {
        let part = Part { limit: asked.limit, cursor: asked.cursor }.check()?;
        let key = which::file_key(&asked.file)?;
        let nodes = which::nodes(&asked.nodes)?;
        let request = self.client.get(["v1", "files", key.as_str(), "dev_resources"]);
        let request = request.query_opt("node_ids", (!nodes.is_empty()).then(|| nodes.join(",")));
        let wire: DevResources = request.fetch(&call).await?;
        Ok(Json(Listed::of(wire.dev_resources, part)))
    }

    /// Attaches links to nodes. Some may be made and others not: the answer says which.
    #[tool(
        title = "Create dev resources",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_dev_resources(
        &self,
        Parameters(asked): Parameters<CreateDevResources>,
        call: Call,
    ) -> Result<Json<Outcome>, Failure> {
        count(asked.links.len())?;
        let links: Result<Vec<_>, Failure> = asked
            .links
            .iter()
            .map(|link| {
                let (file_key, node_id) = (which::file_key(&link.file)?, which::node(&link.node)?);
                let (name, url) = (name(&link.name)?, url(&link.url)?);
                Ok(json!({ "name": name, "url": url, "file_key": file_key, "node_id": node_id }))
            })
            .collect();
        let request = self.client.post(["v1", "dev_resources"]).json(&json!({ "dev_resources": links? }));
        request.fetch::<OutcomeWire>(&call).await.map(|wire| Json(wire.into()))
    }

    /// Changes names and addresses of links. Some may be changed and others not: the answer says which.
    #[tool(
        title = "Update dev resources",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_dev_resources(
        &self,
        Parameters(asked): Parameters<UpdateDevResources>,
        call: Call,
    ) -> Result<Json<Outcome>, Failure> {
        count(asked.links.len())?;
        let links: Result<Vec<_>, Failure> = asked
            .links
            .iter()
            .map(|link| {
                let mut body = json!({ "id": which::id("id", &link.id)? });
                if link.name.is_none() && link.url.is_none() {
                    return Err(Failure::invalid("Each link needs a new `name` or a new `url`."));
                }
                if let Some(text) = &link.name {
                    body["name"] = name(text)?.into();
                }
                if let Some(text) = &link.url {
                    body["url"] = url(text)?.into();
                }
                Ok(body)
            })
            .collect();
        let request = self.client.put(["v1", "dev_resources"]).json(&json!({ "dev_resources": links? }));
        request.fetch::<OutcomeWire>(&call).await.map(|wire| Json(wire.into()))
    }

    /// Takes a link away from its node.
    #[tool(
        title = "Delete a dev resource",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn delete_dev_resource(
        &self,
        Parameters(asked): Parameters<DeleteDevResource>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let (key, id) = (which::file_key(&asked.file)?, which::id("id", &asked.id)?);
        self.client.delete(["v1", "files", key.as_str(), "dev_resources", id.as_str()]).send(&call).await?;
        Ok(Json(Done { done: format!("The dev resource {id} is deleted.") }))
    }
}

impl From<OutcomeWire> for Outcome {
    fn from(wire: OutcomeWire) -> Self {
        Self { links: wire.links, errors: wire.errors }
    }
}

fn count(links: usize) -> Result<(), Failure> {
    if (1..=MOST).contains(&links) {
        Ok(())
    } else {
        Err(Failure::invalid(format!("`links` must be 1 to {MOST} links.")))
    }
}

fn name(text: &str) -> Result<&str, Failure> {
    if text.trim().is_empty() || text.len() > 500 {
        return Err(Failure::invalid("Each link's `name` must be 1 to 500 bytes."));
    }
    Ok(text)
}

fn url(text: &str) -> Result<&str, Failure> {
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    if !is_web || text.len() > 2000 || text.contains(|letter: char| letter.is_control() || letter == ' ') {
        return Err(Failure::invalid("Each link's `url` must be a web address of at most 2000 bytes."));
    }
    Ok(text)
}
