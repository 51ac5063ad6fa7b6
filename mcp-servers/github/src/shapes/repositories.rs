//! Repositories, branches, commits and files.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use super::{cut, full_name};

/// How much of a file's patch is shown.
const PATCH_CHARS: usize = 6_000;

/// A repository.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Repository {
    /// Owner and name: `octocat/hello-world`.
    full_name: String,
    description: Option<String>,
    private: bool,
    #[serde(default)]
    fork: bool,
    /// Of which repository it is a fork.
    #[serde(default, deserialize_with = "full_name")]
    parent: Option<String>,
    #[serde(default)]
    archived: bool,
    pub(crate) default_branch: Option<String>,
    language: Option<String>,
    #[serde(default)]
    topics: Vec<String>,
    /// The licence's SPDX name.
    #[serde(default, deserialize_with = "spdx")]
    license: Option<String>,
    #[serde(default, rename(deserialize = "stargazers_count"))]
    stars: u64,
    #[serde(default, rename(deserialize = "forks_count"))]
    forks: u64,
    /// Issues and pull requests together.
    #[serde(default, rename(deserialize = "open_issues_count"))]
    open_issues: u64,
    pushed_at: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

#[derive(Deserialize)]
struct License {
    spdx_id: Option<String>,
}

fn spdx<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<License>::deserialize(deserializer)?.and_then(|license| license.spdx_id))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pointer {
    pub(crate) sha: String,
}

fn sha<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Pointer::deserialize(deserializer)?.sha)
}

/// A branch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Branch {
    pub(crate) name: String,
    /// Its newest commit.
    #[serde(rename(deserialize = "commit"), deserialize_with = "sha")]
    pub(crate) sha: String,
    #[serde(default)]
    pub(crate) protected: bool,
}

/// A commit.
#[skip_serializing_none]
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Commit {
    sha: String,
    message: String,
    /// The author's name, as the commit has it.
    author: Option<String>,
    /// The author's account, if GitHub knows it.
    author_login: Option<String>,
    date: Option<String>,
    parents: Vec<String>,
    /// Lines added and deleted; only for a single commit.
    additions: Option<u64>,
    deletions: Option<u64>,
    /// What it changes; only for a single commit.
    files: Option<Vec<ChangedFile>>,
    url: String,
}

#[derive(Deserialize)]
struct RawCommit {
    sha: String,
    html_url: String,
    commit: Inner,
    #[serde(default, deserialize_with = "super::login")]
    author: Option<String>,
    #[serde(default)]
    parents: Vec<Pointer>,
    stats: Option<Stats>,
    files: Option<Vec<ChangedFile>>,
}

#[derive(Deserialize)]
struct Inner {
    message: String,
    author: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    name: Option<String>,
    date: Option<String>,
}

#[derive(Deserialize)]
struct Stats {
    additions: u64,
    deletions: u64,
}

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RawCommit::deserialize(deserializer).map(Self::from)
    }
}

impl From<RawCommit> for Commit {
    fn from(raw: RawCommit) -> Self {
        let (author, date) = raw.commit.author.map_or((None, None), |by| (by.name, by.date));
        Self {
            sha: raw.sha,
            message: raw.commit.message,
            author,
            author_login: raw.author,
            date,
            parents: raw.parents.into_iter().map(|parent| parent.sha).collect(),
            additions: raw.stats.as_ref().map(|stats| stats.additions),
            deletions: raw.stats.as_ref().map(|stats| stats.deletions),
            files: raw.files,
            url: raw.html_url,
        }
    }
}

/// A file that a commit or a pull request changes.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChangedFile {
    #[serde(rename(deserialize = "filename"))]
    path: String,
    /// `added`, `modified`, `removed`, `renamed` …
    status: String,
    additions: u64,
    deletions: u64,
    #[serde(rename(deserialize = "previous_filename"))]
    previous_path: Option<String>,
    /// The difference; missing for a binary file, cut if it is long.
    #[serde(default, deserialize_with = "patch")]
    patch: Option<String>,
}

fn patch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let mut patch = Option::<String>::deserialize(deserializer)?;
    if let Some(patch) = &mut patch {
        cut(patch, PATCH_CHARS);
    }
    Ok(patch)
}

/// Something in a folder.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Entry {
    name: String,
    path: String,
    /// `file`, `dir`, `symlink` or `submodule`.
    #[serde(rename(deserialize = "type"))]
    kind: String,
    size: Option<u64>,
    sha: String,
}

/// What is in a folder.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Folder {
    pub(crate) entries: Vec<Entry>,
    /// Whether GitHub shows only the first thousand.
    pub(crate) is_cut: bool,
}

/// A file.
#[skip_serializing_none]
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct File {
    pub(crate) path: String,
    /// What `write_file` and `delete_file` ask for.
    pub(crate) sha: String,
    /// How many bytes the whole file has.
    pub(crate) size: u64,
    /// The text, or the lines of it that were asked for.
    pub(crate) text: Option<String>,
    /// A binary file's bytes in base64, if there are not too many.
    pub(crate) base64: Option<String>,
    /// The number of the first line in `text`.
    pub(crate) from_line: Option<usize>,
    /// How many lines the whole text has, if all of it was read.
    pub(crate) total_lines: Option<usize>,
    /// Whether the file has more than is shown here.
    pub(crate) is_cut: bool,
    pub(crate) url: Option<String>,
}

/// A commit that a change of files has made.
#[skip_serializing_none]
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Committed {
    /// The new commit.
    pub(crate) commit_sha: String,
    pub(crate) commit_url: Option<String>,
    /// The file's new `sha`, if one file was written.
    pub(crate) file_sha: Option<String>,
    /// The branch that it is on, if one was named.
    pub(crate) branch: Option<String>,
}
