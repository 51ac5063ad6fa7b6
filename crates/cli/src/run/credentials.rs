//! `credentials …`.

use serde_json::{Value, json};

use super::launch::values;
use super::{Session, confirm};
use crate::command::admin::CredentialsCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Table};
use crate::secret::{self, Slot};
use crate::wire::{slots, text};
use crate::words::printable;

pub(super) async fn credentials(
    session: &Session<'_>,
    command: Option<CredentialsCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(CredentialsCommand::List) {
        CredentialsCommand::List => list(session).await,
        CredentialsCommand::Add { server_type, name, from_stdin } => {
            add(session, &server_type, &name, from_stdin.as_deref()).await
        }
        CredentialsCommand::Delete { credential, yes } => delete(session, &credential, yes).await,
    }
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let credentials = find::list(&session.rest()?, "/credentials").await?;
    if session.screen.is_json() {
        return screen::value(&credentials);
    }
    let mut table = Table::new(["ID", "NAME", "TYPE", "SECRETS", "CREATED", "LAST USED"]);
    for credential in &credentials {
        table.row([
            text(credential, "id").into(),
            text(credential, "name").into(),
            text(credential, "type").into(),
            hints(credential).into(),
            text(credential, "created_at").into(),
            text(credential, "last_used_at").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn add(
    session: &Session<'_>,
    server_type: &str,
    name: &str,
    from_stdin: Option<&str>,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::server_type(&rest, server_type).await?;
    let wanted: Vec<Slot> =
        slots(&found).into_iter().map(|(name, required)| Slot { name, required }).collect();
    if wanted.is_empty() {
        return Err(CliError::Usage(format!("the server type {server_type:?} takes no credential")));
    }
    let secrets = secret::for_slots(&wanted, from_stdin)?;
    let body = json!({ "type": text(&found, "name"), "name": name, "values": values(&secrets) });
    let created = rest.post("/credentials", &body).await?;
    if session.screen.is_json() {
        return screen::value(&created);
    }
    screen::line(&printable(&format!("stored {name} ({}): {}", text(&created, "id"), hints(&created))))
}

async fn delete(session: &Session<'_>, named: &str, yes: bool) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    let (id, name) = (text(&found, "id"), text(&found, "name"));
    confirm(&format!("Delete the credential {name} ({id})?"), yes)?;
    rest.delete(&format!("/credentials/{}", find::segment(id))).await?;
    if session.screen.is_json() {
        return screen::value(&json!({ "id": id, "name": name, "deleted": true }));
    }
    screen::line(&printable(&format!("deleted {name} ({id})")))
}

/// The ends of the values, by slot.
fn hints(credential: &Value) -> String {
    let slots = credential.get("slots").and_then(Value::as_array);
    let shown = |slot: &Value| match text(slot, "hint") {
        "" => text(slot, "name").to_owned(),
        hint => format!("{}={hint}", text(slot, "name")),
    };
    slots.map(|slots| slots.iter().map(shown).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_value_is_shown_as_the_service_writes_it() {
        let credential = json!({"slots": [{"name": "token", "hint": "…cdef"}, {"name": "pin", "hint": "…"}]});
        assert_eq!(hints(&credential), "token=…cdef, pin=…");
    }
}
