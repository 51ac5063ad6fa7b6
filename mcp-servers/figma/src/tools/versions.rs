//! A file's history.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};

use super::User;
use crate::list::limit;
use crate::server::Figma;
use crate::which;

/// Versions of one page at most: Figma's own limit.
const MOST: usize = 50;
/// Versions of one page, if nobody says how many.
const USUAL: usize = 30;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListVersions {
    /// The file's key, or its address.
    file: String,
    /// At most so many: 1 to 50, 30 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    cursor: Option<String>,
}

/// A state of a file that Figma keeps.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Version {
    /// For `version` of other tools.
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// What somebody called it; most have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<User>,
}

/// A part of the history, newest first.
#[derive(Debug, Serialize, JsonSchema)]
struct Versions {
    items: Vec<Version>,
    /// Give it as `cursor` for older ones. Nothing, if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct VersionsWire {
    versions: Vec<Version>,
    #[serde(default)]
    pagination: Pagination,
}

/// Figma's way to the next page: a whole address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pagination {
    #[serde(default)]
    pub(super) next_page: Option<String>,
}

#[tool_router(router = versions_tools, vis = "pub(crate)")]
impl Figma {
    /// A file's history, newest first: which states of it there are, when they were and whose.
    #[tool(title = "List versions", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_versions(
        &self,
        Parameters(asked): Parameters<ListVersions>,
        call: Call,
    ) -> Result<Json<Versions>, Failure> {
        let key = which::file_key(&asked.file)?;
        let size = limit(asked.limit, USUAL, MOST)?;
        let before = asked.cursor.as_deref().map(|cursor| which::id("cursor", cursor)).transpose()?;
        let request = self.client.get(["v1", "files", key.as_str(), "versions"]);
        let wire: VersionsWire =
            request.query("page_size", size).query_opt("before", before).fetch(&call).await?;
        let next_cursor = wire.pagination.next_page.as_deref().and_then(|next| cursor_of(next, "before"));
        Ok(Json(Versions { items: wire.versions, next_cursor }))
    }
}

/// What an address says for a parameter. Only that is kept: the address itself may lead anywhere.
pub(super) fn cursor_of(address: &str, name: &str) -> Option<String> {
    let (_, query) = address.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_taken_out_of_an_address() {
        let next = "https://api.figma.com/v1/files/k/versions?page_size=2&before=22";
        assert_eq!(cursor_of(next, "before").as_deref(), Some("22"));
        assert_eq!(cursor_of(next, "after"), None);
        assert_eq!(cursor_of("nothing", "before"), None);
    }
}
