//! Files and their trees.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Code, Failure, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::User;
use super::trees::{self, Detail, Root, Show, Tree};
use crate::outline::{Components, Cursor};
use crate::server::Figma;
use crate::which;

/// An answer of which only an outline is kept.
const OUTLINED_BYTES: usize = 32 * 1024 * 1024;
/// An answer that is kept whole while it is cut: it takes several times its size of memory.
const WHOLE_BYTES: usize = 12 * 1024 * 1024;
/// How deep a whole file is shown, if nobody says: its pages and what lies on them.
const USUAL_DEPTH: u32 = 2;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetFile {
    /// The file's key, or its address.
    file: String,
    /// Only these nodes, their children and their ancestors.
    #[serde(default)]
    nodes: Vec<String>,
    /// How many levels of the tree: 1 for the pages alone, 2 (if not given) for what lies on them too, 0 for all.
    /// With `nodes`, all if not given.
    #[serde(default)]
    depth: Option<u32>,
    /// An id of `list_versions`; the newest, if not given.
    #[serde(default)]
    version: Option<String>,
    /// What is shown of the tree.
    #[serde(flatten)]
    show: Show,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetNodes {
    /// The file's key, or its address.
    file: String,
    /// The nodes' ids, such as `1:2`, or `1-2` as in addresses: at most 200.
    nodes: Vec<String>,
    /// How many levels below each of the nodes; all, if not given.
    #[serde(default)]
    depth: Option<u32>,
    /// An id of `list_versions`; the newest, if not given.
    #[serde(default)]
    version: Option<String>,
    /// What is shown of the trees.
    #[serde(flatten)]
    show: Show,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetFileInfo {
    /// The file's key, or its address.
    file: String,
}

/// A file and its tree.
#[derive(Debug, Serialize, JsonSchema)]
struct File {
    name: String,
    /// Which state of the file this is.
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// `figma`, `figjam`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    editor_type: Option<String>,
    /// What the token's account may do: `owner`, `editor`, `viewer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(flatten)]
    tree: Tree,
    /// Ids that are not in the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileWire<D> {
    name: String,
    version: String,
    last_modified: Option<String>,
    editor_type: Option<String>,
    role: Option<String>,
    document: D,
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodesWire<D> {
    name: String,
    version: String,
    last_modified: Option<String>,
    editor_type: Option<String>,
    role: Option<String>,
    nodes: BTreeMap<String, Option<NodeWire<D>>>,
}

#[derive(Debug, Deserialize)]
struct NodeWire<D> {
    document: D,
    #[serde(default)]
    components: Components,
}

#[derive(Debug, Deserialize)]
struct InfoWire {
    file: FileInfo,
}

/// What a file is, without what is in it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct FileInfo {
    name: String,
    /// The project that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_touched_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    creator: Option<User>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_touched_by: Option<User>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(default, rename(deserialize = "editorType"), skip_serializing_if = "Option::is_none")]
    editor_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link_access: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[tool_router(router = files_tools, vis = "pub(crate)")]
impl Figma {
    /// A file's tree: as an outline of nodes (ids, types, names, texts, places), which can be searched by type and
    /// words, or with `detail: "full"` as Figma gives it, cut to a size. Begin with the outline.
    #[tool(title = "Get a file", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_file(
        &self,
        Parameters(asked): Parameters<GetFile>,
        call: Call,
    ) -> Result<Json<File>, Failure> {
        let key = which::file_key(&asked.file)?;
        let nodes = which::nodes(&asked.nodes)?;
        let cursor = asked.show.check()?;
        let depth = match asked.depth {
            Some(0) => None,
            None if nodes.is_empty() => Some(USUAL_DEPTH),
            depth => depth,
        };
        let request = self
            .client
            .get(["v1", "files", key.as_str()])
            .query_opt("ids", (!nodes.is_empty()).then(|| nodes.join(",")))
            .query_opt("depth", depth)
            .query_opt("version", version(asked.version.as_deref(), cursor.as_ref())?);
        match asked.show.detail {
            Detail::Outline => {
                let wire: FileWire<crate::outline::Node> =
                    fetch(request.limit(OUTLINED_BYTES), &call).await?;
                let roots = [(&wire.document, &wire.components)];
                let tree = trees::outline(roots, &asked.show, cursor.as_ref(), &wire.version);
                Ok(Json(wire.into_file(tree)))
            }
            Detail::Full => {
                let request = paths(request, &asked.show).limit(WHOLE_BYTES);
                let mut wire: FileWire<Value> = fetch(request, &call).await?;
                let root = Root { id: "0:0".to_owned(), document: std::mem::take(&mut wire.document) };
                let tree = trees::whole(vec![root], &asked.show)?;
                Ok(Json(wire.into_file(tree)))
            }
        }
    }

    /// Some nodes of a file with what is below them: as an outline, or with `detail: "full"` as Figma gives them
    /// (layout, fills, effects, text styles), cut to a size.
    #[tool(title = "Get nodes", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_nodes(
        &self,
        Parameters(asked): Parameters<GetNodes>,
        call: Call,
    ) -> Result<Json<File>, Failure> {
        let key = which::file_key(&asked.file)?;
        let ids = which::nodes(&asked.nodes)?;
        if ids.is_empty() {
            return Err(Failure::invalid("`nodes` must name at least one node."));
        }
        let cursor = asked.show.check()?;
        let request = self
            .client
            .get(["v1", "files", key.as_str(), "nodes"])
            .query("ids", ids.join(","))
            .query_opt("depth", asked.depth.filter(|depth| *depth > 0))
            .query_opt("version", version(asked.version.as_deref(), cursor.as_ref())?);
        match asked.show.detail {
            Detail::Outline => {
                let wire: NodesWire<crate::outline::Node> =
                    fetch(request.limit(OUTLINED_BYTES), &call).await?;
                let found = ids.iter().filter_map(|id| wire.nodes.get(id)?.as_ref());
                let roots = found.map(|node| (&node.document, &node.components));
                let tree = trees::outline(roots, &asked.show, cursor.as_ref(), &wire.version);
                Ok(Json(wire.into_file(&ids, tree)))
            }
            Detail::Full => {
                let request = paths(request, &asked.show).limit(WHOLE_BYTES);
                let mut wire: NodesWire<Value> = fetch(request, &call).await?;
                let roots = ids.iter().filter_map(|id| {
                    let node = wire.nodes.get_mut(id)?.as_mut()?;
                    Some(Root { id: id.clone(), document: std::mem::take(&mut node.document) })
                });
                let tree = trees::whole(roots.collect(), &asked.show)?;
                Ok(Json(wire.into_file(&ids, tree)))
            }
        }
    }

    /// What a file is: its name, project, who made it and who touched it last, without what is in it.
    #[tool(title = "Get a file's description", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_file_info(
        &self,
        Parameters(asked): Parameters<GetFileInfo>,
        call: Call,
    ) -> Result<Json<FileInfo>, Failure> {
        let key = which::file_key(&asked.file)?;
        let wire: InfoWire = self.client.get(["v1", "files", key.as_str(), "meta"]).fetch(&call).await?;
        Ok(Json(wire.file))
    }
}

impl<D> FileWire<D> {
    fn into_file(self, tree: Tree) -> File {
        File {
            name: self.name,
            version: self.version,
            last_modified: self.last_modified,
            editor_type: self.editor_type,
            role: self.role,
            tree,
            missing: Vec::new(),
        }
    }
}

impl<D> NodesWire<D> {
    fn into_file(self, ids: &[String], tree: Tree) -> File {
        let is_missing = |id: &&String| self.nodes.get(*id).is_none_or(Option::is_none);
        let missing = ids.iter().filter(is_missing).cloned().collect();
        File {
            name: self.name,
            version: self.version,
            last_modified: self.last_modified,
            editor_type: self.editor_type,
            role: self.role,
            tree,
            missing,
        }
    }
}

/// The version that a later part of an outline is of, or the one that was asked for.
fn version(asked: Option<&str>, cursor: Option<&Cursor>) -> Result<Option<String>, Failure> {
    match cursor {
        Some(cursor) => Ok(Some(cursor.version.clone())),
        None => asked.map(|version| which::id("version", version)).transpose(),
    }
}

fn paths(request: Request, show: &Show) -> Request {
    request.query_opt("geometry", show.paths.then_some("paths"))
}

/// Fetches a tree; one that is too large, or too deep to be read, can be had in parts.
async fn fetch<T: DeserializeOwned>(request: Request, call: &Call) -> Result<T, Failure> {
    request.fetch(call).await.map_err(|failure| match failure.code() {
        Code::TooLarge | Code::UnexpectedAnswer => failure.with_hint(
            "Give a small `depth`, or fewer `nodes`: first `depth: 1` for the pages, then their ids.",
        ),
        _ => failure,
    })
}
