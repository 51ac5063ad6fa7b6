//! Accounts, and what they are told.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::full_name;

/// A user or an organisation.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct User {
    login: String,
    /// `User`, `Organization` or `Bot`.
    #[serde(rename(deserialize = "type"))]
    kind: Option<String>,
    name: Option<String>,
    bio: Option<String>,
    company: Option<String>,
    location: Option<String>,
    email: Option<String>,
    #[serde(rename(deserialize = "blog"))]
    website: Option<String>,
    followers: Option<u64>,
    following: Option<u64>,
    public_repos: Option<u64>,
    created_at: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

/// The token's account.
#[skip_serializing_none]
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Me {
    pub(crate) user: User,
    /// What a classic token may do; missing for a fine-grained one.
    pub(crate) scopes: Option<Vec<String>>,
    /// How many requests the token has left in this hour.
    pub(crate) requests_left: Option<u64>,
}

/// Something that the account should look at.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Notification {
    id: String,
    /// Why it came, like `mention` or `review_requested`.
    reason: String,
    unread: bool,
    updated_at: String,
    subject: Subject,
    #[serde(default, deserialize_with = "full_name")]
    repository: Option<String>,
}

/// What a notification is about.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Subject {
    title: String,
    /// `Issue`, `PullRequest`, `Release` …
    #[serde(rename(deserialize = "type"))]
    kind: String,
    /// Its address in the API; the number at the end names an issue or pull request.
    #[serde(rename(deserialize = "url"))]
    api_url: Option<String>,
}
