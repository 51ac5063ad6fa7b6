//! `roadstead db cleanup`: what the daily run does, now; or the old log lines of one instance.

use std::sync::Arc;

use roadstead_accounts::Cleaner;
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Mood, Paper, Sheet, moment};
use roadstead_model::{InstanceId, Randomness, SystemClock};
use roadstead_store::{RunOutcome, RunRow, Store};
use serde_json::json;

use super::command::CleanupArgs;
use super::{Place, Refused};

/// Connections: one is used at a time.
const CONNECTIONS: u32 = 2;
/// The table of log lines, whose policy says how long those of one instance are kept.
const LINES: &str = "mcp_logs";

/// `roadstead db cleanup`.
pub(super) async fn cleanup(place: &Place, paper: &Paper, args: &CleanupArgs) -> anyhow::Result<Exit> {
    let store = Store::connect(place.database.service(), CONNECTIONS).await?;
    let cleaner = Cleaner::new(
        store.clone(),
        Arc::new(SystemClock::new()),
        Arc::new(Randomness::from_seed(crate::service::os_seed())),
        Some(place.folder.path().join(crate::retention::FOLDER)),
    );
    let done = match &args.instance {
        Some(instance) => one_instance(&cleaner, paper, instance, args).await,
        None => all_tables(&cleaner, paper, args).await,
    };
    store.close().await;
    done
}

async fn all_tables(cleaner: &Cleaner, paper: &Paper, args: &CleanupArgs) -> anyhow::Result<Exit> {
    let tables = match &args.table {
        Some(table) => vec![table.clone()],
        None => cleaner.tables().await?,
    };
    let mut runs = Vec::new();
    for table in tables {
        let Some(preview) = cleaner.preview(&table, None).await? else {
            return Err(Refused::new(Exit::NotFound, format!("there is no policy for {table}")).into());
        };
        if let Some(days) = args.days.filter(|days| *days < preview.policy.days) {
            let message = format!(
                "the policy of {table} keeps {} days, which is more than {days}; `PUT /api/v1/retention/policies/{table}` changes it",
                preview.policy.days
            );
            return Err(Refused::new(Exit::Usage, message).into());
        }
        runs.extend(cleaner.run(&table, args.days, !args.yes, None).await?);
    }
    let rows: Vec<_> = runs.iter().map(shown).collect();
    paper.answer(&rows, |paper| {
        let mut sheet = Sheet::new(["TABLE", "OUTCOME", "OLDER THAN", "ROWS", "MONTHS", "WHY"]);
        for run in &runs {
            let mood = match run.outcome {
                RunOutcome::Error => Mood::Bad,
                RunOutcome::Skipped => Mood::Soon,
                _ => Mood::Plain,
            };
            let cells = [
                run.table.clone(),
                run.outcome.as_str().replace('_', " "),
                moment(run.cutoff),
                run.rows.to_string(),
                run.months.len().to_string(),
                run.error.clone().unwrap_or_default(),
            ];
            sheet.moody(cells, 1, mood);
        }
        paper.sheet(&sheet)?;
        if !args.yes {
            paper.line("\nNothing was removed. Next: the same with --yes removes it")?;
        }
        Ok(())
    })?;
    let failed = runs.iter().any(|run| run.outcome == RunOutcome::Error);
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

fn shown(run: &RunRow) -> serde_json::Value {
    json!({ "table": run.table, "outcome": run.outcome.as_str(), "cutoff": moment(run.cutoff), "rows": run.rows,
        "months": run.months, "archived_to": run.archived_to, "error": run.error })
}

async fn one_instance(
    cleaner: &Cleaner,
    paper: &Paper,
    instance: &InstanceId,
    args: &CleanupArgs,
) -> anyhow::Result<Exit> {
    let days = match args.days {
        Some(days) => days,
        None => cleaner.preview(LINES, None).await?.map_or(u32::MAX, |preview| preview.policy.days),
    };
    let rows = cleaner.run_instance(*instance, days, !args.yes).await?;
    let answer = json!({ "instance": instance.to_string(), "days": days, "rows": rows, "removed": args.yes });
    paper.answer(&answer, |paper| {
        let what = if args.yes { "were removed" } else { "would go; the same with --yes removes them" };
        paper.line(&format!("{rows} log lines that are older than {days} days {what}."))
    })?;
    Ok(Exit::Ok)
}
