//! Pull requests and reviews.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use super::{cut_listed, login, logins, names};

/// A pull request.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Pull {
    number: u64,
    title: String,
    /// `open` or `closed`.
    state: String,
    #[serde(default)]
    draft: bool,
    /// Whether it was merged; in a list, see `merged_at`.
    merged: Option<bool>,
    /// Whether it can be merged; missing while GitHub finds out.
    mergeable: Option<bool>,
    /// Why or why not: `clean`, `blocked`, `behind`, `dirty`, `unstable` …
    mergeable_state: Option<String>,
    #[serde(default, rename(deserialize = "user"), deserialize_with = "login")]
    author: Option<String>,
    /// What is to be merged.
    pub(crate) head: End,
    /// Where to.
    base: End,
    #[serde(default, deserialize_with = "names")]
    labels: Vec<String>,
    #[serde(default, deserialize_with = "logins")]
    assignees: Vec<String>,
    #[serde(default, deserialize_with = "logins")]
    requested_reviewers: Vec<String>,
    commits: Option<u64>,
    additions: Option<u64>,
    deletions: Option<u64>,
    changed_files: Option<u64>,
    comments: Option<u64>,
    review_comments: Option<u64>,
    created_at: String,
    updated_at: Option<String>,
    closed_at: Option<String>,
    merged_at: Option<String>,
    #[serde(default, deserialize_with = "login")]
    merged_by: Option<String>,
    body: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

impl Pull {
    /// With a shorter body, for a list.
    pub(crate) fn listed(mut self) -> Self {
        cut_listed(&mut self.body);
        self
    }
}

/// A side of a pull request.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct End {
    #[serde(rename(deserialize = "ref"))]
    branch: String,
    pub(crate) sha: String,
    /// The repository; missing for a fork that was deleted.
    #[serde(default, rename(deserialize = "repo"), deserialize_with = "super::full_name")]
    repository: Option<String>,
}

/// The difference that a pull request makes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Diff {
    /// In the unified format of git.
    pub(crate) diff: String,
    /// Whether there is more; `list_pull_request_files` has it file by file.
    pub(crate) is_cut: bool,
}

/// What became of a merge.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Outcome {
    merged: bool,
    /// The new commit on the base branch.
    sha: String,
    message: String,
}

/// A review of a pull request.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Review {
    id: u64,
    #[serde(default, rename(deserialize = "user"), deserialize_with = "login")]
    author: Option<String>,
    /// `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED`, `PENDING` or `DISMISSED`.
    state: String,
    body: Option<String>,
    submitted_at: Option<String>,
    /// The commit that was looked at.
    commit_id: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

/// A comment at a line of a pull request.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ReviewComment {
    id: u64,
    #[serde(rename(deserialize = "pull_request_review_id"))]
    review_id: Option<u64>,
    in_reply_to_id: Option<u64>,
    path: String,
    /// The line in the file; missing when it is not there any more.
    line: Option<u64>,
    start_line: Option<u64>,
    /// `RIGHT` for the new text, `LEFT` for the old one.
    side: Option<String>,
    #[serde(default, rename(deserialize = "user"), deserialize_with = "login")]
    author: Option<String>,
    body: String,
    created_at: String,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

/// Who is asked for a review.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Requested {
    pub(crate) reviewers: Vec<String>,
    pub(crate) teams: Vec<String>,
}

/// The same, as GitHub answers it: the whole pull request.
#[derive(Debug, Deserialize)]
pub(crate) struct RawRequested {
    #[serde(default, deserialize_with = "logins")]
    requested_reviewers: Vec<String>,
    #[serde(default, deserialize_with = "slugs")]
    requested_teams: Vec<String>,
}

impl From<RawRequested> for Requested {
    fn from(raw: RawRequested) -> Self {
        Self { reviewers: raw.requested_reviewers, teams: raw.requested_teams }
    }
}

fn slugs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Team {
        slug: String,
    }
    Ok(Vec::<Team>::deserialize(deserializer)?.into_iter().map(|team| team.slug).collect())
}
