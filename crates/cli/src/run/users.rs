//! `users …`.

use serde_json::{Value, json};

use super::Session;
use crate::command::admin::UsersCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn users(session: &Session<'_>, command: Option<UsersCommand>) -> Result<(), CliError> {
    match command.unwrap_or(UsersCommand::List) {
        UsersCommand::List => list(session).await,
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
    }
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let rest = session.rest()?;
    let users = rest.all("/users", &[("limit", find::MAX_PAGE.to_string())], usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&users);
    }
    let mut table = Table::new(["ID", "EMAIL", "NAME", "ROLE", "STATE", "CREATED"]);
    for user in &users {
        let is = |field: &str| user.get(field).and_then(Value::as_bool).unwrap_or(false);
        let state = if is("is_active") {
            Entry::tinted("active", Tint::Good)
        } else {
            Entry::tinted("inactive", Tint::Faint)
        };
        table.row([
            text(user, "id").into(),
            text(user, "email").into(),
            text(user, "name").into(),
            (if is("is_admin") { "admin" } else { "user" }).into(),
            state,
            text(user, "created_at").into(),
        ]);
    }
    session.screen.table(&table)
}
