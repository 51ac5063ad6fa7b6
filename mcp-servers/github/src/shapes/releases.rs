//! Releases.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{cut_listed, login};

/// A release.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Release {
    id: u64,
    #[serde(rename(deserialize = "tag_name"))]
    tag: String,
    name: Option<String>,
    /// The branch or commit that the tag was made of.
    target_commitish: Option<String>,
    draft: bool,
    prerelease: bool,
    #[serde(default, deserialize_with = "login")]
    author: Option<String>,
    created_at: String,
    published_at: Option<String>,
    body: Option<String>,
    #[serde(default)]
    assets: Vec<Asset>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

impl Release {
    /// With a shorter body, for a list.
    pub(crate) fn listed(mut self) -> Self {
        cut_listed(&mut self.body);
        self
    }
}

/// A file of a release.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Asset {
    name: String,
    size: u64,
    content_type: Option<String>,
    download_count: Option<u64>,
    #[serde(rename(deserialize = "browser_download_url"))]
    url: String,
}
