//! `retention …`.

use serde_json::{Value, json};

use super::Session;
use crate::command::retention::RetentionCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::size;

pub(super) async fn retention(
    session: &Session<'_>,
    command: Option<RetentionCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(RetentionCommand::List) {
        RetentionCommand::List => {
            let answer = session.rest()?.get("/retention/policies").await?;
            policies(session, &answer["data"])
        }
        RetentionCommand::Set { table, days, active, archive } => {
            let body = json!({ "days": days, "is_active": active, "archive": archive });
            let policy = session.rest()?.put(&of(&table), &body).await?;
            if session.screen.is_json() {
                return screen::value(&policy);
            }
            policies(session, &json!([policy]))
        }
        RetentionCommand::Preview { table } => {
            let preview = session.rest()?.get(&format!("{}/preview", of(&table))).await?;
            shown(session, &preview)
        }
        RetentionCommand::Run { table, yes } => {
            let body = json!({ "table": table, "dry_run": !yes });
            let answer = session.rest()?.post("/retention/run", &body).await?;
            runs(session, answer["data"].as_array().map_or(&[][..], Vec::as_slice))?;
            if !yes {
                screen::note("Nothing was removed; say --yes to remove it.");
            }
            Ok(())
        }
        RetentionCommand::History { table, limit } => {
            let mut query = vec![("limit", find::MAX_PAGE.min(limit.max(1)).to_string())];
            query.extend(table.map(|table| ("table", table)));
            let found = session.rest()?.all("/retention/runs", &query, limit).await?;
            runs(session, &found)
        }
    }
}

fn of(table: &str) -> String {
    format!("/retention/policies/{}", find::segment(table))
}

fn policies(session: &Session<'_>, rows: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(rows);
    }
    let mut table = Table::new(["TABLE", "DAYS", "STATE", "REMOVES", "ARCHIVED", "LAST RUN"]);
    for row in rows.as_array().into_iter().flatten() {
        let state = if is_true(row, "is_active") {
            Entry::from("active")
        } else {
            Entry::tinted("nothing is removed", Tint::Faint)
        };
        table.row([
            text(row, "table").into(),
            number(row, "days").to_string().into(),
            state,
            if is_true(row, "by_month") { "whole months" } else { "rows" }.into(),
            if is_true(row, "archive") { "yes" } else { "no" }.into(),
            text(row, "last_run_at").into(),
        ]);
    }
    session.screen.table(&table)
}

fn shown(session: &Session<'_>, preview: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(preview);
    }
    let mut table = Table::details();
    table.detail("older than", text(preview, "cutoff"));
    table.detail("rows", number(preview, "rows").to_string());
    table.detail("room", size(number(preview, "bytes")));
    let months = preview["months"].as_array().into_iter().flatten();
    let months: Vec<&str> = months.map(|month| text(month, "name")).collect();
    table.detail("months", if months.is_empty() { "none".to_owned() } else { months.join(", ") });
    session.screen.table(&table)
}

fn runs(session: &Session<'_>, runs: &[Value]) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(&runs);
    }
    let mut table = Table::new(["AT", "TABLE", "CAME OF IT", "ROWS", "MONTHS", "WHY"]);
    for run in runs {
        let outcome = text(run, "outcome");
        let tint = if outcome == "error" { Tint::Bad } else { Tint::Faint };
        table.row([
            text(run, "started_at").into(),
            text(run, "table").into(),
            if outcome == "completed" { outcome.into() } else { Entry::tinted(outcome, tint) },
            number(run, "rows").to_string().into(),
            run["months"].as_array().map_or(0, Vec::len).to_string().into(),
            text(run, "error").into(),
        ]);
    }
    session.screen.table(&table)
}

fn is_true(row: &Value, field: &str) -> bool {
    row.get(field).and_then(Value::as_bool).unwrap_or(false)
}

fn number(row: &Value, field: &str) -> u64 {
    row.get(field).and_then(Value::as_u64).unwrap_or(0)
}
