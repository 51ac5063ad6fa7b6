//! `users …`.

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::people::{OneUser, UsersCommand};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn users(session: &Session<'_>, command: Option<UsersCommand>) -> Result<(), CliError> {
    match command.unwrap_or(UsersCommand::List { search: None, deleted: false }) {
        UsersCommand::List { search, deleted } => list(session, search, deleted).await,
        UsersCommand::Create { email, name, admin } => {
            let body = json!({ "email": email, "name": name, "is_admin": admin });
            let created = session.rest()?.post("/users", &body).await?;
            if session.screen.is_json() {
                return screen::value(&created);
            }
            screen::line(&printable(&format!("created {email} ({})", text(&created, "id"))))?;
            screen::note(&format!(
                "`roadstead keys create NAME --scope SCOPE --user {}` makes a key for them.",
                text(&created, "id")
            ));
            Ok(())
        }
        UsersCommand::Show(OneUser { user }) => show(session, &found(&session.rest()?, &user, false).await?),
        UsersCommand::Suspend { user, reason, stop_instances } => {
            let body = json!({ "reason": reason, "stop_instances": stop_instances });
            act(session, &user.user, "suspend", &body).await
        }
        UsersCommand::Reinstate(OneUser { user }) => act(session, &user, "reinstate", &json!({})).await,
        UsersCommand::Delete { user, yes } => {
            let rest = session.rest()?;
            let one = found(&rest, &user.user, false).await?;
            confirm(
                &format!("Delete the account {} and end all that runs for it?", text(&one, "email")),
                yes,
            )?;
            let deleted = rest.delete_answer(&path(&one, "")).await?;
            show(session, &deleted)
        }
    }
}

async fn act(session: &Session<'_>, named: &str, verb: &str, body: &Value) -> Result<(), CliError> {
    let rest = session.rest()?;
    let one = found(&rest, named, verb == "reinstate").await?;
    show(session, &rest.post(&path(&one, &format!("/{verb}")), body).await?)
}

fn path(user: &Value, rest: &str) -> String {
    format!("/users/{}{rest}", find::segment(text(user, "id")))
}

/// The user who is meant: by id, by address or by name; deleted ones only where they may be meant.
async fn found(rest: &Rest, named: &str, deleted_too: bool) -> Result<Value, CliError> {
    match find::among(rest, "user", "/users", &[], named).await {
        Err(CliError::NotFound { .. }) if deleted_too => {
            find::among(rest, "user", "/users", &[("deleted", "true".to_owned())], named).await
        }
        answer => answer,
    }
}

async fn list(session: &Session<'_>, search: Option<String>, deleted: bool) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut query = vec![("limit", find::MAX_PAGE.to_string())];
    query.extend(search.map(|text| ("search", text)));
    if deleted {
        query.push(("deleted", "true".to_owned()));
    }
    let users = rest.all("/users", &query, usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&users);
    }
    let mut table = Table::new(["ID", "EMAIL", "NAME", "ROLE", "STATE", "CREATED"]);
    for user in &users {
        let is_admin = user.get("is_admin").and_then(Value::as_bool).unwrap_or(false);
        table.row([
            text(user, "id").into(),
            text(user, "email").into(),
            text(user, "name").into(),
            (if is_admin { "admin" } else { "user" }).into(),
            state(user),
            text(user, "created_at").into(),
        ]);
    }
    session.screen.table(&table)
}

fn state(user: &Value) -> Entry {
    match (text(user, "deleted_at"), text(user, "status")) {
        ("", "active") => Entry::tinted("active", Tint::Good),
        ("", word) => Entry::tinted(word, Tint::Faint),
        _ => Entry::tinted("deleted", Tint::Faint),
    }
}

/// One user's particulars.
pub(super) fn show(session: &Session<'_>, user: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(user);
    }
    let mut table = Table::details();
    table.detail("id", text(user, "id"));
    table.detail("email", text(user, "email"));
    table.detail("name", text(user, "name"));
    table.detail("state", state(user));
    for (name, field) in [
        ("time zone", "timezone"),
        ("language", "locale"),
        ("organisation", "organization_id"),
        ("project", "project_id"),
        ("suspended for", "suspended_reason"),
        ("created", "created_at"),
        ("deleted", "deleted_at"),
        ("erased after", "erase_after"),
    ] {
        if !text(user, field).is_empty() {
            table.detail(name, text(user, field));
        }
    }
    session.screen.table(&table)
}
