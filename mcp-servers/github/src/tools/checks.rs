//! What programs say of a pull request.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};

use crate::arguments::arguments;
use crate::server::Github;
use crate::shapes::Counted;
use crate::shapes::actions::{CheckRun, Checks, CombinedStatus};
use crate::shapes::pulls::Pull;

/// As many as GitHub tells at once; few commits have more.
const MAX_CHECKS: u32 = 100;

arguments! {
    /// Which pull request.
    WhichPull {
        /// The pull request's number.
        number: u64,
    }
}

/// How far one check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Pending,
}

impl Verdict {
    fn of_run(run: &CheckRun) -> Self {
        match (run.status.as_str(), run.conclusion.as_deref()) {
            ("completed", Some("success" | "neutral" | "skipped")) => Self::Passed,
            ("completed", _) => Self::Failed,
            _ => Self::Pending,
        }
    }

    fn of_status(state: &str) -> Self {
        match state {
            "success" => Self::Passed,
            "pending" => Self::Pending,
            _ => Self::Failed,
        }
    }
}

#[tool_router(router = check_tools, vis = "pub(crate)")]
impl Github {
    /// The check runs and statuses of a pull request's newest commit, and how many passed, failed or go on.
    #[tool(
        title = "Get the checks of a pull request",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn get_pull_request_checks(
        &self,
        Parameters(WhichPull { owner, repo, number }): Parameters<WhichPull>,
        call: Call,
    ) -> Result<Json<Checks>, Failure> {
        let pull: Pull =
            self.client.get(["repos", &owner, &repo, "pulls", &number.to_string()]).fetch(&call).await?;
        let sha = pull.head.sha;
        let commit = ["repos", &owner, &repo, "commits", &sha];
        let place = |last: &'static str| commit.iter().copied().chain([last]).collect::<Vec<_>>();
        let runs: Counted<CheckRun> =
            self.client.get(place("check-runs")).query("per_page", MAX_CHECKS).fetch(&call).await?;
        let combined: CombinedStatus =
            self.client.get(place("status")).query("per_page", MAX_CHECKS).fetch(&call).await?;
        let runs = runs.on_page(None);
        let is_cut = runs.total_count > u64::from(MAX_CHECKS) || combined.total_count > u64::from(MAX_CHECKS);
        let verdicts: Vec<Verdict> = runs
            .items
            .iter()
            .map(Verdict::of_run)
            .chain(combined.statuses.iter().map(|status| Verdict::of_status(&status.state)))
            .collect();
        let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        Ok(Json(Checks {
            passed: count(Verdict::Passed),
            failed: count(Verdict::Failed),
            pending: count(Verdict::Pending),
            sha,
            check_runs: runs.items,
            statuses: combined.statuses,
            is_cut,
        }))
    }
}
