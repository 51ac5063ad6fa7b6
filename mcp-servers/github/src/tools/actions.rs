//! Workflows, their runs, jobs and logs.

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::{arguments, below, per_page};
use crate::server::Github;
use crate::shapes::actions::{Job, Log, Run, Workflow};
use crate::shapes::{Counted, Done, Found};

/// How many lines of a log are shown unless the call says otherwise, and at most.
const LOG_LINES: usize = 200;
const MAX_LOG_LINES: usize = 5000;

/// What is kept of a log's end: the lines of a wild one are long.
const LOG_BYTES: usize = 256 * 1024;

arguments! {
    paged
    /// Whose workflows.
    ListWorkflows {}
}

arguments! {
    paged
    /// Which runs.
    ListRuns {
        /// Only those of this workflow: its file's name, like `ci.yml`, or its id.
        workflow: Option<String>,
        /// Only those of this branch.
        branch: Option<String>,
        /// Only those in this state, like `in_progress`, `success` or `failure`.
        status: Option<String>,
        /// Only those that this began, like `push` or `pull_request`.
        event: Option<String>,
        /// Only those that this user began.
        actor: Option<String>,
        /// Only those of this commit.
        head_sha: Option<String>,
    }
}

arguments! {
    /// Which run.
    WhichRun {
        /// The run's id.
        run_id: u64,
    }
}

arguments! {
    paged
    /// Of which run.
    ListJobs {
        /// The run's id.
        run_id: u64,
        /// Whether the jobs of earlier attempts are listed, too.
        filter: Option<JobFilter>,
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobFilter {
    Latest,
    All,
}

impl JobFilter {
    fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::All => "all",
        }
    }
}

arguments! {
    /// Which log.
    GetJobLog {
        /// The job's id.
        job_id: u64,
        /// How many of the last lines to show, at most 5000; 200, if nothing is said.
        lines: Option<usize>,
    }
}

arguments! {
    /// What to run again.
    RerunRun {
        /// The run's id.
        run_id: u64,
        /// Whether only the jobs that failed, and those that need them, run again.
        #[serde(default)]
        failed_only: bool,
    }
}

arguments! {
    /// What to run.
    Dispatch {
        /// The workflow: its file's name, like `deploy.yml`, or its id. It must have the event `workflow_dispatch`.
        workflow: String,
        /// The branch or tag that it runs on.
        r#ref: String,
        /// The inputs that the workflow declares.
        inputs: Option<BTreeMap<String, Value>>,
    }
}

#[tool_router(router = action_tools, vis = "pub(crate)")]
impl Github {
    /// The workflows of a repository.
    #[tool(
        title = "List workflows",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_workflows(
        &self,
        Parameters(wanted): Parameters<ListWorkflows>,
        call: Call,
    ) -> Result<Json<Found<Workflow>>, Failure> {
        let answer = self
            .client
            .get(["repos", &wanted.owner, &wanted.repo, "actions", "workflows"])
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let found: Counted<Workflow> = answer.json()?;
        Ok(Json(found.on_page(answer.next_page())))
    }

    /// The runs of a repository's workflows, newest first.
    #[tool(
        title = "List workflow runs",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_workflow_runs(
        &self,
        Parameters(wanted): Parameters<ListRuns>,
        call: Call,
    ) -> Result<Json<Found<Run>>, Failure> {
        let actions = ["repos", wanted.owner.as_str(), wanted.repo.as_str(), "actions"];
        let place = match &wanted.workflow {
            Some(workflow) => actions.into_iter().chain(["workflows", workflow, "runs"]).collect(),
            None => below(&actions, "runs"),
        };
        let answer = self
            .client
            .get(place)
            .query_opt("branch", wanted.branch)
            .query_opt("status", wanted.status)
            .query_opt("event", wanted.event)
            .query_opt("actor", wanted.actor)
            .query_opt("head_sha", wanted.head_sha)
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let found: Counted<Run> = answer.json()?;
        Ok(Json(found.on_page(answer.next_page())))
    }

    /// One run of a workflow.
    #[tool(
        title = "Get a workflow run",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_workflow_run(
        &self,
        Parameters(WhichRun { owner, repo, run_id }): Parameters<WhichRun>,
        call: Call,
    ) -> Result<Json<Run>, Failure> {
        let place = ["repos", &owner, &repo, "actions", "runs", &run_id.to_string()];
        self.client.get(place).fetch(&call).await.map(Json)
    }

    /// The jobs of a run, with their steps.
    #[tool(
        title = "List jobs of a workflow run",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn list_workflow_jobs(
        &self,
        Parameters(wanted): Parameters<ListJobs>,
        call: Call,
    ) -> Result<Json<Found<Job>>, Failure> {
        let answer = self
            .client
            .get([
                "repos",
                &wanted.owner,
                &wanted.repo,
                "actions",
                "runs",
                &wanted.run_id.to_string(),
                "jobs",
            ])
            .query_opt("filter", wanted.filter.map(JobFilter::as_str))
            .query("per_page", per_page(wanted.per_page))
            .query_opt("page", wanted.page)
            .send(&call)
            .await?;
        let found: Counted<Job> = answer.json()?;
        Ok(Json(found.on_page(answer.next_page())))
    }

    /// The last lines of a job's log: what went wrong mostly stands there.
    #[tool(
        title = "Get the log of a job",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_job_log(
        &self,
        Parameters(wanted): Parameters<GetJobLog>,
        call: Call,
    ) -> Result<Json<Log>, Failure> {
        let answer = self
            .client
            .get([
                "repos",
                &wanted.owner,
                &wanted.repo,
                "actions",
                "jobs",
                &wanted.job_id.to_string(),
                "logs",
            ])
            .tail(LOG_BYTES)
            .send(&call)
            .await?;
        let wanted_lines = wanted.lines.unwrap_or(LOG_LINES).clamp(1, MAX_LOG_LINES);
        Ok(Json(last_lines(&answer.text(), wanted_lines, answer.is_cut(), answer.read_bytes())))
    }

    /// Runs a workflow run again, whole or only what failed.
    #[tool(
        title = "Rerun a workflow run",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn rerun_workflow_run(
        &self,
        Parameters(wanted): Parameters<RerunRun>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let what = if wanted.failed_only { "rerun-failed-jobs" } else { "rerun" };
        let run = wanted.run_id.to_string();
        self.client
            .post(["repos", &wanted.owner, &wanted.repo, "actions", "runs", &run, what])
            .send(&call)
            .await?;
        Ok(Json(Done::new(format!("Run {run} runs again."))))
    }

    /// Cancels a workflow run.
    #[tool(
        title = "Cancel a workflow run",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn cancel_workflow_run(
        &self,
        Parameters(WhichRun { owner, repo, run_id }): Parameters<WhichRun>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let place = ["repos", &owner, &repo, "actions", "runs", &run_id.to_string(), "cancel"];
        self.client.post(place).send(&call).await?;
        Ok(Json(Done::new(format!("Run {run_id} is being cancelled."))))
    }

    /// Starts a workflow by hand. GitHub does not tell the run's id: see list_workflow_runs.
    #[tool(
        title = "Start a workflow",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn dispatch_workflow(
        &self,
        Parameters(wanted): Parameters<Dispatch>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let place =
            ["repos", &wanted.owner, &wanted.repo, "actions", "workflows", &wanted.workflow, "dispatches"];
        let body = json!({ "ref": wanted.r#ref, "inputs": wanted.inputs.unwrap_or_default() });
        self.client.post(place).json(&body).send(&call).await?;
        Ok(Json(Done::new(format!("{} will run on {}.", wanted.workflow, wanted.r#ref))))
    }
}

/// The last lines of a log's end, whose first line may be cut.
fn last_lines(end: &str, wanted: usize, is_cut: bool, total_bytes: u64) -> Log {
    let whole = if is_cut { end.split_once('\n').map_or(end, |(_, rest)| rest) } else { end };
    let lines: Vec<&str> = whole.lines().collect();
    let shown = &lines[lines.len().saturating_sub(wanted)..];
    Log {
        text: shown.join("\n"),
        lines: shown.len(),
        is_cut: is_cut || shown.len() < lines.len(),
        total_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        let log = last_lines("t of a line\ntwo\nthree\n", 5, true, 99);
        assert_eq!((log.text.as_str(), log.lines, log.is_cut), ("two\nthree", 2, true));
        let log = last_lines("one\ntwo\nthree", 2, false, 13);
        assert_eq!((log.text.as_str(), log.lines, log.is_cut), ("two\nthree", 2, true));
        let log = last_lines("one\ntwo", 2, false, 7);
        assert_eq!((log.text.as_str(), log.is_cut), ("one\ntwo", false));
        assert_eq!(last_lines("", 2, false, 0).lines, 0);
    }
}
