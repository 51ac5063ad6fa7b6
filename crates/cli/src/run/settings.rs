//! `settings …`.

use std::io::Read as _;

use serde_json::{Value, json};

use super::Session;
use crate::command::settings::SettingsCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

/// The longest value that is read from standard input.
const MAX_VALUE_BYTES: u64 = 64 * 1024;

pub(super) async fn settings(
    session: &Session<'_>,
    command: Option<SettingsCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(SettingsCommand::List { prefix: None }) {
        SettingsCommand::List { prefix } => list(session, prefix.as_deref().unwrap_or_default()).await,
        SettingsCommand::Set { key, value, reason, .. } => {
            let value = match value {
                Some(given) => serde_json::from_str(&given).unwrap_or(Value::String(given)),
                None => Value::String(from_stdin()?),
            };
            set(session, &key, value, reason).await
        }
        SettingsCommand::History { key, limit } => history(session, &key, limit).await,
    }
}

fn from_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_VALUE_BYTES).read_to_string(&mut text);
    read.map_err(|source| CliError::Read { what: "the value".to_owned(), source })?;
    // A line's end is the terminal's, not the value's.
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

async fn list(session: &Session<'_>, prefix: &str) -> Result<(), CliError> {
    let mut answer = session.rest()?.get("/settings").await?;
    let Some(Value::Array(mut rows)) = answer.get_mut("settings").map(Value::take) else { return Ok(()) };
    rows.retain(|row| text(row, "key").starts_with(prefix));
    if session.screen.is_json() {
        return screen::value(&rows);
    }
    let mut table = Table::new(["KEY", "VALUE", "DEFAULT", "KIND", "DECIDES"]);
    for row in &rows {
        let value = shown(row, "value");
        let is_default = row.get("value") == row.get("default_value");
        let value = match (is_true(row, "sensitive"), is_true(row, "is_set")) {
            (true, true) => Entry::tinted("(sealed)", Tint::Soon),
            (true, false) => Entry::tinted("(none)", Tint::Faint),
            (false, _) if is_default => value.into(),
            (false, _) => Entry::tinted(&value, Tint::Soon),
        };
        table.row([
            text(row, "key").into(),
            value,
            shown(row, "default_value").into(),
            text(row, "kind").into(),
            text(row, "description").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn set(session: &Session<'_>, key: &str, value: Value, reason: Option<String>) -> Result<(), CliError> {
    let mut body = json!({ "value": value });
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    let changed = session.rest()?.put(&format!("/settings/{}", find::segment(key)), &body).await?;
    if session.screen.is_json() {
        return screen::value(&changed);
    }
    let setting = changed.get("setting").cloned().unwrap_or_default();
    let now = if is_true(&setting, "sensitive") { "changed".to_owned() } else { shown(&setting, "value") };
    screen::line(&printable(&format!("{key} = {now}")))?;
    if is_true(&changed, "needs_restart") {
        screen::note("It holds after the next start of the service.");
    }
    Ok(())
}

async fn history(session: &Session<'_>, key: &str, limit: usize) -> Result<(), CliError> {
    let path = format!("/settings/{}/history", find::segment(key));
    let query = [("limit", find::MAX_PAGE.min(limit.max(1)).to_string())];
    let changes = session.rest()?.all(&path, &query, limit).await?;
    if session.screen.is_json() {
        return screen::value(&changes);
    }
    let mut table = Table::new(["AT", "FROM", "TO", "WHO", "REASON"]);
    for change in &changes {
        table.row([
            text(change, "at").into(),
            shown(change, "old_value").into(),
            shown(change, "new_value").into(),
            text(change, "user_id").into(),
            text(change, "reason").into(),
        ]);
    }
    session.screen.table(&table)
}

fn is_true(row: &Value, field: &str) -> bool {
    row.get(field).and_then(Value::as_bool).unwrap_or(false)
}

/// A value as a person writes it.
fn shown(row: &Value, field: &str) -> String {
    match row.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
