//! Lines that were searched for, and exports, in JSON.

use roadstead_orchestrator::{LogRow, Searched};
use serde::{Deserialize, Serialize};

use super::{LogLine, marked, rfc3339, words};
use crate::extract::fields::ListMark;

/// A line that was found, and of which instance.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FoundLine {
    /// The instance's id.
    pub instance_id: String,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}

/// What one page of a search found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FoundLines {
    /// The lines, newest first; there can be none although the search is not over.
    pub data: Vec<FoundLine>,
    /// Where the search goes on: pass it as `cursor`; null when nothing is left to look at.
    pub next_cursor: Option<String>,
    /// Everything said since then is in the pages up to this one, RFC 3339; null when there was nothing to look at.
    pub searched_to: Option<String>,
}

impl FoundLines {
    pub(crate) fn new(searched: Searched, list: &ListMark) -> Self {
        Self {
            data: searched.items.into_iter().map(FoundLine::new).collect(),
            next_cursor: searched.next.map(|next| marked(&next, list)),
            searched_to: searched.searched_to.map(rfc3339),
        }
    }
}

impl FoundLine {
    fn new(row: LogRow) -> Self {
        Self { instance_id: row.instance.to_string(), line: LogLine::new(row) }
    }
}

/// What to export.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExportBody {
    /// `json` (one object a line), `csv` or `text`.
    #[schema(value_type = words::FileFormat, example = "csv")]
    pub format: String,
    /// At least: debug, info, warn, error.
    #[schema(value_type = Option<words::Level>)]
    pub level: Option<String>,
    /// process, system or api.
    #[schema(value_type = Option<words::Source>)]
    pub source: Option<String>,
    /// RFC 3339.
    pub since: Option<String>,
    /// RFC 3339.
    pub until: Option<String>,
    /// Text that the lines contain.
    pub q: Option<String>,
}

/// A link to an export.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ExportLink {
    /// Opens the export without a key: whoever has it can read the lines.
    #[schema(example = "http://127.0.0.1:8700/api/v1/exports/re_token")]
    pub download_url: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
}
