//! Workflows, their runs and jobs, and the checks of a commit.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::login;

/// A workflow of a repository.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Workflow {
    id: u64,
    name: String,
    /// Its file, like `.github/workflows/ci.yml`.
    path: String,
    /// `active`, `disabled_manually` …
    state: String,
    #[serde(rename(deserialize = "html_url"))]
    url: Option<String>,
}

/// One run of a workflow.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Run {
    id: u64,
    name: Option<String>,
    display_title: Option<String>,
    /// `queued`, `in_progress`, `completed` …
    status: Option<String>,
    /// Once it is completed: `success`, `failure`, `cancelled` …
    conclusion: Option<String>,
    event: String,
    head_branch: Option<String>,
    head_sha: String,
    #[serde(rename(deserialize = "run_number"))]
    number: u64,
    #[serde(rename(deserialize = "run_attempt"))]
    attempt: Option<u64>,
    workflow_id: u64,
    #[serde(default, deserialize_with = "login")]
    actor: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(rename(deserialize = "html_url"))]
    url: String,
}

/// One job of a run.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Job {
    id: u64,
    run_id: u64,
    name: String,
    /// `queued`, `in_progress`, `completed` …
    status: String,
    conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    runner_name: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(rename(deserialize = "html_url"))]
    url: Option<String>,
}

/// One step of a job.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Step {
    number: u64,
    name: String,
    status: String,
    conclusion: Option<String>,
}

/// The end of a job's log.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Log {
    /// The last lines, oldest first.
    pub(crate) text: String,
    /// How many lines these are.
    pub(crate) lines: usize,
    /// Whether there is more before them.
    pub(crate) is_cut: bool,
    /// How large the whole log is.
    pub(crate) total_bytes: u64,
}

/// What programs say of a commit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checks {
    /// The commit.
    pub(crate) sha: String,
    /// How many check runs and statuses are fine.
    pub(crate) passed: usize,
    /// How many are not.
    pub(crate) failed: usize,
    /// How many have not ended.
    pub(crate) pending: usize,
    /// Check runs: of GitHub Actions and other apps.
    pub(crate) check_runs: Vec<CheckRun>,
    /// Statuses: what older integrations say.
    pub(crate) statuses: Vec<Status>,
    /// Whether there are more than are shown and counted here.
    pub(crate) is_cut: bool,
}

/// One check of a commit.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CheckRun {
    /// For a check of GitHub Actions, the id of the job.
    id: u64,
    name: String,
    /// `queued`, `in_progress`, `completed` …
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
    #[serde(rename(deserialize = "html_url"))]
    url: Option<String>,
}

/// One status of a commit.
#[skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Status {
    context: String,
    /// `success`, `failure`, `error` or `pending`.
    pub(crate) state: String,
    description: Option<String>,
    #[serde(rename(deserialize = "target_url"))]
    url: Option<String>,
}

/// All statuses of a commit, as GitHub answers them.
#[derive(Debug, Deserialize)]
pub(crate) struct CombinedStatus {
    pub(crate) total_count: u64,
    pub(crate) statuses: Vec<Status>,
}
