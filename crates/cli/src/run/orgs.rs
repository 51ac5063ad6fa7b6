//! `orgs …`.

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::people::{OneOrg, OrgsCommand};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn orgs(session: &Session<'_>, command: Option<OrgsCommand>) -> Result<(), CliError> {
    let rest = session.rest()?;
    match command.unwrap_or(OrgsCommand::List) {
        OrgsCommand::List => list(session).await,
        OrgsCommand::Show(OneOrg { org }) => show(session, &found(&rest, &org).await?),
        OrgsCommand::Create { name, slug } => {
            let mut body = json!({ "name": name });
            if let Some(slug) = slug {
                body["slug"] = slug.into();
            }
            show(session, &rest.post("/organizations", &body).await?)
        }
        OrgsCommand::Suspend(OneOrg { org }) => act(session, &org, "suspend").await,
        OrgsCommand::Reinstate(OneOrg { org }) => act(session, &org, "reinstate").await,
        OrgsCommand::Leave { org, yes } => {
            let one = found(&rest, &org.org).await?;
            confirm(&format!("Leave {} and end what runs for you there?", text(&one, "name")), yes)?;
            rest.post(&path(&one, "/leave"), &json!({})).await?;
            done(session, &one, "left")
        }
        OrgsCommand::Delete { org, yes } => {
            let one = found(&rest, &org.org).await?;
            confirm(&format!("Delete {} and end all that runs in it?", text(&one, "name")), yes)?;
            rest.delete(&path(&one, "")).await?;
            done(session, &one, "deleted")
        }
    }
}

async fn act(session: &Session<'_>, named: &str, verb: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let one = found(&rest, named).await?;
    show(session, &rest.post(&path(&one, &format!("/{verb}")), &json!({})).await?)
}

fn done(session: &Session<'_>, org: &Value, what: &str) -> Result<(), CliError> {
    let (id, name) = (text(org, "id"), text(org, "name"));
    if session.screen.is_json() {
        return screen::value(&json!({ "id": id, "name": name, what: true }));
    }
    screen::line(&printable(&format!("{what} {name} ({id})")))
}

/// The organisation that is meant.
pub(super) async fn found(rest: &Rest, named: &str) -> Result<Value, CliError> {
    find::among(rest, "organisation", "/organizations", &[], named).await
}

fn path(org: &Value, rest: &str) -> String {
    format!("/organizations/{}{rest}", find::segment(text(org, "id")))
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let rest = session.rest()?;
    let orgs = rest.all("/organizations", &[("limit", find::MAX_PAGE.to_string())], usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&orgs);
    }
    let mut table = Table::new(["ID", "NAME", "SHORT NAME", "KIND", "STATE", "CREATED"]);
    for org in &orgs {
        let kind = if text(org, "personal_of").is_empty() { "shared" } else { "personal" };
        table.row([
            text(org, "id").into(),
            text(org, "name").into(),
            text(org, "slug").into(),
            kind.into(),
            state(org),
            text(org, "created_at").into(),
        ]);
    }
    session.screen.table(&table)
}

/// Whether it may act, in colour.
pub(super) fn state(row: &Value) -> Entry {
    let word = text(row, "status");
    Entry::tinted(word, if word == "active" { Tint::Good } else { Tint::Faint })
}

fn show(session: &Session<'_>, org: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(org);
    }
    let mut table = Table::details();
    table.detail("id", text(org, "id"));
    table.detail("name", text(org, "name"));
    table.detail("short name", text(org, "slug"));
    table.detail("state", state(org));
    table.detail("support", text(org, "support_email"));
    table.detail("billing", text(org, "billing_email"));
    table.detail("quotas", org.get("quotas").map(Value::to_string).unwrap_or_default());
    table.detail("created", text(org, "created_at"));
    session.screen.table(&table)
}
