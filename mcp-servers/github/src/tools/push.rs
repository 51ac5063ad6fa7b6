//! Several files in one commit.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serde_with::skip_serializing_none;

use super::branches::Reference;
use crate::arguments::{arguments, below};
use crate::server::Github;
use crate::shapes::repositories::{Committed, Pointer};

/// As many files as one push takes; more are more pushes.
const MAX_FILES: usize = 200;

/// The mode of an ordinary file and of one that can be run, as git writes them.
const FILE: &str = "100644";
const EXECUTABLE: &str = "100755";

arguments! {
    /// What to push.
    PushFiles {
        /// The branch that gets the commit.
        branch: String,
        /// The commit's message.
        message: String,
        /// What is written and deleted. Everything else stays as it is.
        files: Vec<PushedFile>,
    }
}

/// One file of a push.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushedFile {
    /// The file's path in the repository.
    path: String,
    /// The whole new text.
    text: Option<String>,
    /// The whole new content in base64, for a binary file.
    base64: Option<String>,
    /// Whether the file is deleted.
    #[serde(default)]
    delete: bool,
    /// Whether it can be run as a program.
    #[serde(default)]
    executable: bool,
}

/// A line of a git tree, as GitHub takes it. A `sha` of null deletes.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
struct TreeEntry<'a> {
    path: &'a str,
    mode: &'static str,
    r#type: &'static str,
    content: Option<&'a str>,
    sha: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct GitCommit {
    sha: String,
    tree: Pointer,
    html_url: Option<String>,
}

#[tool_router(router = push_tools, vis = "pub(crate)")]
impl Github {
    /// Writes and deletes several files in one commit on a branch. If somebody else pushes meanwhile, nothing is
    /// changed.
    #[tool(
        title = "Push files",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn push_files(
        &self,
        Parameters(wanted): Parameters<PushFiles>,
        call: Call,
    ) -> Result<Json<Committed>, Failure> {
        let PushFiles { owner, repo, branch, message, files } = wanted;
        if files.is_empty() || files.len() > MAX_FILES {
            return Err(Failure::invalid(format!("Give 1 to {MAX_FILES} files.")));
        }
        let git = ["repos", owner.as_str(), repo.as_str(), "git"];
        let steps = u32::try_from(files.len()).unwrap_or(u32::MAX).saturating_add(4);
        call.step_of(steps, "reading the branch").await;
        let head = self.head_of(&owner, &repo, &branch, &call).await?;
        let parent: GitCommit = self.client.get(below(&git, &format!("commits/{head}"))).fetch(&call).await?;
        let mut entries = Vec::with_capacity(files.len());
        for file in &files {
            call.step_of(steps, format!("uploading {}", file.path)).await;
            entries.push(self.tree_entry(&git, file, &call).await?);
        }
        call.step_of(steps, "writing the tree").await;
        let tree: Pointer = self
            .client
            .post(below(&git, "trees"))
            .json(&json!({ "base_tree": parent.tree.sha, "tree": entries }))
            .fetch(&call)
            .await?;
        call.step_of(steps, "writing the commit").await;
        let commit: GitCommit = self
            .client
            .post(below(&git, "commits"))
            .json(&json!({ "message": message, "tree": tree.sha, "parents": [head] }))
            .fetch(&call)
            .await?;
        call.step_of(steps, "moving the branch").await;
        let moved: Reference =
            self.client
                .patch(below(&git, &format!("refs/heads/{branch}")))
                .json(&json!({ "sha": commit.sha, "force": false }))
                .idempotent()
                .fetch(&call)
                .await
                .map_err(|failure| match failure.status() {
                    Some(422) => failure
                        .with_hint("Somebody else has pushed meanwhile: read the files again and repeat."),
                    _ => failure,
                })?;
        let (commit_sha, commit_url) = (moved.object.sha, commit.html_url);
        Ok(Json(Committed { commit_sha, commit_url, file_sha: None, branch: Some(branch) }))
    }

    /// Text goes into the tree as it is; what is binary is uploaded first.
    async fn tree_entry<'a>(
        &self,
        git: &[&str],
        file: &'a PushedFile,
        call: &Call,
    ) -> Result<TreeEntry<'a>, Failure> {
        let mode = if file.executable { EXECUTABLE } else { FILE };
        let entry = TreeEntry { path: &file.path, mode, r#type: "blob", content: None, sha: None };
        match (&file.text, &file.base64, file.delete) {
            (Some(text), None, false) => Ok(TreeEntry { content: Some(text), ..entry }),
            (None, Some(base64), false) => {
                let blob: Pointer = self
                    .client
                    .post(below(git, "blobs"))
                    .json(&json!({ "content": base64, "encoding": "base64" }))
                    // A blob is named by what it holds: twice is once.
                    .idempotent()
                    .fetch(call)
                    .await?;
                Ok(TreeEntry { sha: Some(Value::String(blob.sha)), ..entry })
            }
            (None, None, true) => Ok(TreeEntry { sha: Some(Value::Null), ..entry }),
            _ => Err(Failure::invalid(format!(
                "{}: give exactly one of `text`, `base64` and `delete`.",
                file.path
            ))),
        }
    }
}
