//! `credentials …`.

mod login;

use serde_json::{Map, Value, json};

use super::launch::values;
use super::{Session, confirm};
use crate::command::admin::{ByLogin, CredentialsCommand, End};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::secret::{self, Secrets, Slot};
use crate::wire::{slots, text};
use crate::words::printable;

pub(super) async fn credentials(
    session: &Session<'_>,
    command: Option<CredentialsCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(CredentialsCommand::List) {
        CredentialsCommand::List => list(session).await,
        CredentialsCommand::Show { credential } => show(session, &credential).await,
        CredentialsCommand::Add { server_type, name, from_stdin, login, end } => {
            let taking = Taking { from_stdin: from_stdin.as_deref(), login: &login };
            add(session, &server_type, &name, taking, &end).await
        }
        CredentialsCommand::Replace { credential, from_stdin, login, end } => {
            let taking = Taking { from_stdin: from_stdin.as_deref(), login: &login };
            replace(session, &credential, taking, &end).await
        }
        CredentialsCommand::Change { credential, rename, end, never_expires } => {
            change(session, &credential, rename, &end, never_expires).await
        }
        CredentialsCommand::Validate { credential } => validate(session, &credential).await,
        CredentialsCommand::Usage { credential } => usage(session, &credential).await,
        CredentialsCommand::Delete { credential, force, yes } => {
            delete(session, &credential, force, yes).await
        }
    }
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let credentials = find::list(&session.rest()?, "/credentials").await?;
    if session.screen.is_json() {
        return screen::value(&credentials);
    }
    let mut table =
        Table::new(["ID", "NAME", "TYPE", "STATUS", "SECRETS", "EXPIRES", "VALIDATION", "LAST USED"]);
    for credential in &credentials {
        table.row([
            text(credential, "id").into(),
            text(credential, "name").into(),
            text(credential, "type").into(),
            tinted(credential, "status"),
            hints(credential).into(),
            text(credential, "expires_at").into(),
            tinted(credential, "validation"),
            text(credential, "last_used_at").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn show(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let found = find::credential(&session.rest()?, named, None).await?;
    if session.screen.is_json() {
        return screen::value(&found);
    }
    session.screen.table(&details(&found))
}

fn details(credential: &Value) -> Table {
    let mut table = Table::details();
    for (label, field) in [("id", "id"), ("name", "name"), ("type", "type")] {
        table.detail(label, text(credential, field));
    }
    table.detail("status", tinted(credential, "status"));
    table.detail("secrets", hints(credential));
    table.detail("version", credential.get("version").map(Value::to_string).unwrap_or_default());
    table.detail("expires", text(credential, "expires_at"));
    table.detail("validation", tinted(credential, "validation"));
    table.detail("validated", text(credential, "validated_at"));
    table.detail("created", text(credential, "created_at"));
    table.detail("last used", text(credential, "last_used_at"));
    table
}

/// How the secrets are come by.
#[derive(Clone, Copy)]
struct Taking<'a> {
    from_stdin: Option<&'a str>,
    login: &'a ByLogin,
}

async fn add(
    session: &Session<'_>,
    server_type: &str,
    name: &str,
    taking: Taking<'_>,
    end: &End,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    let (type_name, secrets) = secrets_for(&rest, server_type, taking).await?;
    let mut body = Map::new();
    body.insert("type".to_owned(), type_name.into());
    body.insert("name".to_owned(), name.into());
    body.insert("values".to_owned(), values(&secrets));
    put_end(&mut body, end);
    let created = rest.post("/credentials", &Value::Object(body)).await?;
    if session.screen.is_json() {
        return screen::value(&created);
    }
    screen::line(&printable(&format!("stored {name} ({}): {}", text(&created, "id"), hints(&created))))
}

/// A type's name, and a secret for each slot of it.
async fn secrets_for(
    rest: &Rest,
    server_type: &str,
    taking: Taking<'_>,
) -> Result<(String, Secrets), CliError> {
    let found = find::server_type(rest, server_type).await?;
    let wanted: Vec<Slot> =
        slots(&found).into_iter().map(|(name, required)| Slot { name, required }).collect();
    if wanted.is_empty() {
        return Err(CliError::Usage(format!("the server type {server_type:?} takes no credential")));
    }
    let secrets = if taking.login.login {
        login::secrets(&found, wanted, taking).await?
    } else {
        secret::for_slots(&wanted, taking.from_stdin)?
    };
    Ok((text(&found, "name").to_owned(), secrets))
}

fn put_end(body: &mut Map<String, Value>, end: &End) {
    if let Some(span) = &end.expires_in {
        body.insert("expires_in".to_owned(), span.text().into());
    }
    if let Some(moment) = &end.expires_at {
        body.insert("expires_at".to_owned(), moment.as_str().into());
    }
}

async fn replace(session: &Session<'_>, named: &str, taking: Taking<'_>, end: &End) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    let (_, secrets) = secrets_for(&rest, text(&found, "type"), taking).await?;
    let mut body = Map::new();
    body.insert("values".to_owned(), values(&secrets));
    put_end(&mut body, end);
    put(session, &rest, &found, body).await
}

async fn change(
    session: &Session<'_>,
    named: &str,
    rename: Option<String>,
    end: &End,
    never_expires: bool,
) -> Result<(), CliError> {
    let mut body = Map::new();
    if let Some(name) = rename {
        body.insert("name".to_owned(), name.into());
    }
    put_end(&mut body, end);
    if never_expires {
        body.insert("expires_at".to_owned(), Value::Null);
    }
    if body.is_empty() {
        let words = "say what to change: --rename, --expires-in, --expires-at or --never-expires";
        return Err(CliError::Usage(words.to_owned()));
    }
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    put(session, &rest, &found, body).await
}

async fn put(
    session: &Session<'_>,
    rest: &Rest,
    found: &Value,
    body: Map<String, Value>,
) -> Result<(), CliError> {
    let path = format!("/credentials/{}", find::segment(text(found, "id")));
    let changed = rest.put(&path, &Value::Object(body)).await?;
    if session.screen.is_json() {
        return screen::value(&changed);
    }
    let said = format!("changed {} ({}): {}", text(&changed, "name"), text(&changed, "id"), hints(&changed));
    screen::line(&printable(&said))?;
    for id in items(&changed, "restarted").iter().filter_map(Value::as_str) {
        screen::line(&printable(&format!("restarted {id}")))?;
    }
    for failure in items(&changed, "failed") {
        let (id, why) = (text(failure, "instance_id"), text(failure, "message"));
        screen::note(&printable(&format!("not restarted: {id}: {why}")));
    }
    Ok(())
}

async fn validate(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    let path = format!("/credentials/{}/validate", find::segment(text(&found, "id")));
    let validated = rest.post(&path, &json!({})).await?;
    if session.screen.is_json() {
        return screen::value(&validated);
    }
    let mut table = Table::details();
    table.detail("name", text(&validated, "name"));
    table.detail("validation", tinted(&validated, "validation"));
    let status = validated.get("answer_status").filter(|status| !status.is_null());
    table.detail("answer", status.map(Value::to_string).unwrap_or_default());
    table.detail("problem", text(&validated, "problem"));
    for (name, value) in validated.get("shown").and_then(Value::as_object).into_iter().flatten() {
        table.detail(name, value.as_str().unwrap_or_default());
    }
    session.screen.table(&table)
}

async fn usage(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    let usage = rest.get(&format!("/credentials/{}/usage", find::segment(text(&found, "id")))).await?;
    if session.screen.is_json() {
        return screen::value(&usage);
    }
    session.screen.table(&details(&usage))?;
    let mut instances = Table::new(["INSTANCE", "NAME", "STATUS", "VERSION"]);
    for holder in items(&usage, "instances") {
        let status = text(holder, "status");
        instances.row([
            text(holder, "id").into(),
            text(holder, "name").into(),
            Entry::tinted(status, Tint::of_status(status)),
            holder.get("version").map(Value::to_string).unwrap_or_default().into(),
        ]);
    }
    session.screen.table(&instances)?;
    let mut events = Table::new(["TIME", "EVENT"]);
    for event in items(&usage, "events") {
        events.row([text(event, "timestamp").into(), text(event, "event_type").into()]);
    }
    session.screen.table(&events)
}

async fn delete(session: &Session<'_>, named: &str, force: bool, yes: bool) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::credential(&rest, named, None).await?;
    let (id, name) = (text(&found, "id"), text(&found, "name"));
    let manner = if force { " and stop the instances that hold it" } else { "" };
    confirm(&format!("Delete the credential {name} ({id}){manner}?"), yes)?;
    let query = [("force", force.to_string())];
    rest.delete_query(&format!("/credentials/{}", find::segment(id)), &query).await?;
    if session.screen.is_json() {
        return screen::value(&json!({ "id": id, "name": name, "deleted": true }));
    }
    screen::line(&printable(&format!("deleted {name} ({id})")))
}

/// A status or a validity, in its colour.
fn tinted(credential: &Value, field: &str) -> Entry {
    let word = text(credential, field);
    Entry::tinted(word, Tint::of_credential(word))
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The ends of the values, by slot.
fn hints(credential: &Value) -> String {
    let shown = |slot: &Value| match text(slot, "hint") {
        "" => text(slot, "name").to_owned(),
        hint => format!("{}={hint}", text(slot, "name")),
    };
    items(credential, "slots").iter().map(shown).collect::<Vec<_>>().join(", ")
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
