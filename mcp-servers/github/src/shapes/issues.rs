//! Issues, comments and labels.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use super::{cut_listed, is_there, login, logins, names, title};

/// An issue; a pull request is one, too.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Issue {
    number: u64,
    title: String,
    /// `open` or `closed`.
    state: String,
    /// Why it is closed: `completed`, `not_planned`, `duplicate`.
    state_reason: Option<String>,
    /// The repository, in a search over several.
    #[serde(default, rename(deserialize = "repository_url"), deserialize_with = "repository")]
    repository: Option<String>,
    #[serde(default, rename(deserialize = "pull_request"), deserialize_with = "is_there")]
    is_pull_request: bool,
    #[serde(default, rename(deserialize = "user"), deserialize_with = "login")]
    author: Option<String>,
    #[serde(default, deserialize_with = "names")]
    labels: Vec<String>,
    #[serde(default, deserialize_with = "logins")]
    assignees: Vec<String>,
    #[serde(default, deserialize_with = "title")]
    milestone: Option<String>,
    #[serde(default)]
    locked: bool,
    /// How many comments there are.
    #[serde(default)]
    comments: u64,
    created_at: String,
    updated_at: Option<String>,
    closed_at: Option<String>,
    body: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

impl Issue {
    /// With a shorter body, for a list.
    pub(crate) fn listed(mut self) -> Self {
        cut_listed(&mut self.body);
        self
    }
}

/// `…/repos/octocat/hello-world` as `octocat/hello-world`.
fn repository<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = Option::<String>::deserialize(deserializer)?;
    Ok(url.and_then(|url| url.rsplit_once("/repos/").map(|(_, name)| name.to_owned())))
}

/// A comment on an issue or a pull request.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Comment {
    id: u64,
    #[serde(default, rename(deserialize = "user"), deserialize_with = "login")]
    author: Option<String>,
    /// What the author is to the repository: `OWNER`, `MEMBER`, `CONTRIBUTOR`, `NONE` …
    author_association: Option<String>,
    body: Option<String>,
    created_at: String,
    updated_at: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

/// A label of a repository.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Label {
    name: String,
    /// Six hexadecimal digits.
    color: Option<String>,
    description: Option<String>,
}
