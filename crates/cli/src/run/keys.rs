//! `keys …`.

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::admin::KeysCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn keys(session: &Session<'_>, command: Option<KeysCommand>) -> Result<(), CliError> {
    match command.unwrap_or(KeysCommand::List) {
        KeysCommand::List => list(session).await,
        KeysCommand::Create { name, scope, expires_in, user } => {
            let scopes: Vec<&str> = scope.iter().map(|scope| scope.as_str()).collect();
            let mut body = json!({ "name": name, "scopes": scopes });
            if let Some(length) = expires_in {
                body["expires_in"] = length.text().into();
            }
            if let Some(user) = user {
                body["user_id"] = user.into();
            }
            create(session, &body).await
        }
        KeysCommand::Revoke { key, reason, yes } => revoke(session, &key, reason, yes).await,
    }
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let keys = find::list(&session.rest()?, "/api-keys").await?;
    if session.screen.is_json() {
        return screen::value(&keys);
    }
    let mut table = Table::new(["ID", "NAME", "KEY", "STATE", "SCOPES", "EXPIRES", "LAST USED"]);
    for key in &keys {
        let state = match (key.get("is_active").and_then(Value::as_bool), text(key, "revoked_at")) {
            (Some(true), _) => Entry::tinted("active", Tint::Good),
            (_, "") => Entry::tinted("ended", Tint::Faint),
            _ => Entry::tinted("revoked", Tint::Faint),
        };
        table.row([
            text(key, "id").into(),
            text(key, "name").into(),
            format!("…{}", text(key, "hint")).into(),
            state,
            scopes(key).into(),
            text(key, "expires_at").into(),
            text(key, "last_used_at").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn create(session: &Session<'_>, body: &Value) -> Result<(), CliError> {
    let created = session.rest()?.post("/api-keys", body).await?;
    if session.screen.is_json() {
        return screen::value(&created);
    }
    let mut table = Table::details();
    table.detail("id", text(&created, "id"));
    table.detail("name", text(&created, "name"));
    table.detail("key", text(&created, "key"));
    table.detail("scopes", scopes(&created));
    table.detail("expires", text(&created, "expires_at"));
    session.screen.table(&table)?;
    screen::note("The key is shown only this once.");
    Ok(())
}

async fn revoke(
    session: &Session<'_>,
    named: &str,
    reason: Option<String>,
    yes: bool,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let (id, name) = (text(&found, "id"), text(&found, "name"));
    confirm(&format!("Revoke the API key {name} ({id})?"), yes)?;
    let query: Vec<(&str, String)> = reason.into_iter().map(|reason| ("reason", reason)).collect();
    rest.delete_query(&format!("/api-keys/{}", find::segment(id)), &query).await?;
    if session.screen.is_json() {
        return screen::value(&json!({ "id": id, "name": name, "revoked": true }));
    }
    screen::line(&printable(&format!("revoked {name} ({id})")))
}

fn scopes(key: &Value) -> String {
    let scopes = key.get("scopes").and_then(Value::as_array);
    let words = scopes.map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    words.unwrap_or_default().join(", ")
}
