//! `master-key …`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::admin::MasterKeyCommand;
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn master_key(
    session: &Session<'_>,
    command: Option<MasterKeyCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(MasterKeyCommand::Status) {
        MasterKeyCommand::Status => {
            let found = session.rest()?.get("/master-key").await?;
            if session.screen.is_json() { screen::value(&found) } else { show(session, &found) }
        }
        MasterKeyCommand::Rotate { no_wait } => rotate(session, no_wait).await,
        MasterKeyCommand::Retire { key, yes } => retire(session, &key, yes).await,
    }
}

fn show(session: &Session<'_>, found: &Value) -> Result<(), CliError> {
    let mut table = Table::new(["ID", "STATE", "VALUES", "INSTANCES"]);
    for key in found.get("keys").and_then(Value::as_array).into_iter().flatten() {
        let state = text(key, "state");
        let tint = match state {
            "sealing" => Tint::Good,
            "missing" => Tint::Bad,
            _ => Tint::Faint,
        };
        table.row([
            text(key, "id").into(),
            Entry::tinted(state, tint),
            number(key, "values").to_string().into(),
            number(key, "instances").to_string().into(),
        ]);
    }
    session.screen.table(&table)?;
    if let Some(rotation) = found.get("rotation").filter(|rotation| !rotation.is_null()) {
        screen::line(&printable(&told(rotation)))?;
        for failure in rotation.get("failures").and_then(Value::as_array).into_iter().flatten() {
            let line = format!("  {}: {}", text(failure, "row"), text(failure, "reason"));
            screen::line(&printable(&line))?;
        }
    }
    Ok(())
}

async fn rotate(session: &Session<'_>, no_wait: bool) -> Result<(), CliError> {
    let rest = session.rest()?;
    let begun = rest.post("/master-key/rotations", &json!({})).await?;
    let rotation = if no_wait { begun } else { followed(session, &rest, begun).await? };
    if session.screen.is_json() {
        return screen::value(&rotation);
    }
    screen::line(&printable(&told(&rotation)))?;
    screen::note("Back up the key file now. `roadstead master-key` shows when an old key can be retired.");
    Ok(())
}

/// The rotation when it has come to its end, or cannot.
async fn followed(session: &Session<'_>, rest: &Rest, mut rotation: Value) -> Result<Value, CliError> {
    let id = text(&rotation, "id").to_owned();
    let draws = !session.screen.is_json() && std::io::stderr().is_terminal();
    while text(&rotation, "finished_at").is_empty() && number(&rotation, "failed") == 0 {
        if draws {
            // Nobody can be told that standard error is closed.
            let _ = write!(std::io::stderr(), "\r{}", printable(&told(&rotation)));
        }
        tokio::time::sleep(LOOK).await;
        let found = rest.get("/master-key").await?;
        // Another one that has begun since means that this one is over.
        let Some(latest) = found.get("rotation").filter(|latest| text(latest, "id") == id) else { break };
        rotation = latest.clone();
    }
    if draws {
        screen::note("");
    }
    Ok(rotation)
}

async fn retire(session: &Session<'_>, key: &str, yes: bool) -> Result<(), CliError> {
    let rest = session.rest()?;
    confirm(&format!("Retire the master key {key}? Keep a copy for as long as a backup needs it."), yes)?;
    rest.delete(&format!("/master-key/keys/{}", find::segment(key))).await?;
    if session.screen.is_json() {
        return screen::value(&json!({ "id": key, "retired": true }));
    }
    screen::line(&printable(&format!("retired {key}")))
}

/// How far a rotation is, in words.
fn told(rotation: &Value) -> String {
    let (key, done, total) = (text(rotation, "to_key"), number(rotation, "done"), number(rotation, "total"));
    match (text(rotation, "finished_at"), number(rotation, "failed")) {
        ("", 0) => format!("rotating to {key}: {done} of {total} values sealed anew"),
        ("", failed) => format!(
            "rotating to {key}: {done} of {total} values sealed anew; {failed} do not open and keep it unfinished"
        ),
        (at, _) => format!("rotated to {key}: {done} values sealed anew, finished at {at}"),
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or_default()
}
