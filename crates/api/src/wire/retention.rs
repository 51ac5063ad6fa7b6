//! Policies, what they would remove, and what they have removed.

use roadstead_accounts::{MonthRow, PolicyRow, Preview, RunRow};
use serde::Serialize;

use super::rfc3339;

/// How long a table's rows are kept.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetentionPolicy {
    /// The table.
    #[schema(example = "mcp_logs")]
    pub table: String,
    /// So many days; of a table that is kept by the month up to a month more.
    #[schema(example = 30, minimum = 1, maximum = 36_500)]
    pub days: u32,
    /// Whether anything is removed.
    pub is_active: bool,
    /// Whether a month is written to a file before it goes.
    pub archive: bool,
    /// Whether whole months are removed, or rows.
    pub by_month: bool,
    /// Counted up at every change; the ETag.
    pub version: i32,
    /// When it was changed last, RFC 3339.
    pub updated_at: String,
    /// When it was done last, RFC 3339.
    pub last_run_at: Option<String>,
}

/// What is to change about a policy.
#[derive(Debug, utoipa::ToSchema)]
pub struct RetentionBody {
    /// Keep for so many days.
    #[schema(minimum = 1, maximum = 36_500)]
    pub days: Option<u32>,
    /// Remove anything.
    pub is_active: Option<bool>,
    /// Write a month to a file before it goes; for tables that are kept by the month.
    pub archive: Option<bool>,
}

/// What a policy would remove now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetentionPreview {
    /// The policy.
    pub policy: RetentionPolicy,
    /// What is older goes, RFC 3339.
    pub cutoff: String,
    /// Rows that would go; of months as the database counted them last.
    pub rows: u64,
    /// The room that the months take.
    pub bytes: u64,
    /// The months that would go.
    pub months: Vec<RetentionMonth>,
}

/// A month of a table.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetentionMonth {
    /// The name of its part.
    #[schema(example = "mcp_logs_2026_01")]
    pub name: String,
    /// Its first moment, RFC 3339.
    pub begins_at: String,
    /// The first moment after it, RFC 3339.
    pub ends_at: String,
    /// Its rows, as counted last.
    pub rows: u64,
    /// The room that it takes.
    pub bytes: u64,
}

/// What is to be run.
#[derive(Debug, utoipa::ToSchema)]
pub struct RetentionRunBody {
    /// One table's policy; without it, every one's.
    pub table: Option<String>,
    /// Only look, and note what would go: true unless you say false.
    pub dry_run: Option<bool>,
}

/// One time that a table's old rows were removed, or looked at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RetentionRun {
    /// Its id.
    pub id: String,
    /// The table.
    pub table: String,
    /// `running`, `completed`, `skipped`, `dry_run` or `error`.
    pub outcome: &'static str,
    /// Why it was skipped or failed.
    pub error: Option<String>,
    /// What was older went, RFC 3339.
    pub cutoff: String,
    /// Rows that went, or would.
    pub rows: u64,
    /// Months that went, or would.
    pub months: Vec<String>,
    /// The folder that the months were written to before.
    pub archived_to: Option<String>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: Option<String>,
    /// Who asked for it; null when it was time.
    pub user_id: Option<String>,
}

impl RetentionPolicy {
    pub(crate) fn new(row: PolicyRow) -> Self {
        Self {
            table: row.table,
            days: row.days,
            is_active: row.is_active,
            archive: row.archive,
            by_month: row.by_month,
            version: row.version,
            updated_at: rfc3339(row.updated_at),
            last_run_at: row.last_run_at.map(rfc3339),
        }
    }
}

impl RetentionPreview {
    pub(crate) fn new(preview: Preview) -> Self {
        Self {
            policy: RetentionPolicy::new(preview.policy),
            cutoff: rfc3339(preview.cutoff),
            rows: preview.rows,
            bytes: preview.bytes,
            months: preview.months.into_iter().map(RetentionMonth::new).collect(),
        }
    }
}

impl RetentionMonth {
    fn new(row: MonthRow) -> Self {
        Self {
            name: row.name,
            begins_at: rfc3339(row.begin),
            ends_at: rfc3339(row.end),
            rows: row.rows.unwrap_or(0),
            bytes: row.bytes,
        }
    }
}

impl RetentionRun {
    pub(crate) fn new(row: RunRow) -> Self {
        Self {
            id: row.id.to_string(),
            table: row.table,
            outcome: row.outcome.as_str(),
            error: row.error,
            cutoff: rfc3339(row.cutoff),
            rows: row.rows,
            months: row.months,
            archived_to: row.archived_to,
            started_at: rfc3339(row.started_at),
            finished_at: row.finished_at.map(rfc3339),
            user_id: row.user.map(|user| user.to_string()),
        }
    }
}
