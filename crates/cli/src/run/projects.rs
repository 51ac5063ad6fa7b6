//! `projects …`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Session, orgs};
use crate::command::people::ProjectsCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Table};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn projects(
    session: &Session<'_>,
    command: Option<ProjectsCommand>,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    match command.unwrap_or(ProjectsCommand::List) {
        ProjectsCommand::List => list(session).await,
        ProjectsCommand::Create { name, slug, description } => {
            let body = json!({ "name": name, "slug": slug, "description": description });
            show(session, &rest.post("/projects", &body).await?)
        }
        ProjectsCommand::Set { project, status } => {
            let one = find::among(&rest, "project", "/projects", &[], &project).await?;
            let path = format!("/projects/{}", find::segment(text(&one, "id")));
            show(session, &rest.patch(&path, &json!({ "status": status.as_str() }), None).await?)
        }
        ProjectsCommand::AddType { project, name, address, sse, headers, display_name } => {
            let path = types_of(session, &project).await?;
            let transport = if sse { "sse" } else { "streamable_http" };
            let (headers, slots) = carried(&headers)?;
            let body = json!({
                "name": name, "display_name": display_name.as_ref().unwrap_or(&name), "transport": transport,
                "url": address, "headers": headers, "credential_slots": slots,
            });
            tell(session, &rest.post(&path, &body).await?)
        }
        ProjectsCommand::DecideType { project, named, status, reason } => {
            let path = types_of(session, &project).await?;
            let mut body = json!({ "type": named, "status": status.as_str() });
            if let Some(reason) = reason {
                body["reason"] = reason.into();
            }
            tell(session, &rest.patch(&path, &body, None).await?)
        }
    }
}

async fn types_of(session: &Session<'_>, project: &str) -> Result<String, CliError> {
    let one = find::among(&session.rest()?, "project", "/projects", &[], project).await?;
    Ok(format!("/projects/{}/types", find::segment(text(&one, "id"))))
}

/// Headers as the service takes them, and the slots that their values name.
fn carried(headers: &[String]) -> Result<(Value, Value), CliError> {
    let (mut carried, mut slots) = (Map::new(), BTreeSet::new());
    for header in headers {
        let Some((name, value)) = header.split_once('=') else {
            return Err(CliError::Usage(format!("--header {header:?} must be NAME=VALUE")));
        };
        let named = value.split("${credential.").skip(1).filter_map(|rest| rest.split_once('}'));
        slots.extend(named.map(|(slot, _)| slot.to_owned()));
        carried.insert(name.to_owned(), value.into());
    }
    let slots: Vec<Value> = slots.into_iter().map(|slot| json!({ "name": slot, "label": slot })).collect();
    Ok((carried.into(), slots.into()))
}

fn tell(session: &Session<'_>, server_type: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(server_type);
    }
    let (name, status) = (text(server_type, "name"), text(server_type, "status"));
    let next = match status {
        "pending" => "; an owner or admin of the organisation approves it: roadstead projects decide-type",
        "approved" => "; launch it with `roadstead launch`",
        _ => "",
    };
    screen::line(&printable(&format!("{name}: {status}{next}")))
}

async fn list(session: &Session<'_>) -> Result<(), CliError> {
    let rest = session.rest()?;
    let projects = rest.all("/projects", &[("limit", find::MAX_PAGE.to_string())], usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&projects);
    }
    let mut table = Table::new(["ID", "NAME", "SHORT NAME", "STATE", "DESCRIPTION"]);
    for project in &projects {
        table.row([
            text(project, "id").into(),
            text(project, "name").into(),
            text(project, "slug").into(),
            orgs::state(project),
            text(project, "description").into(),
        ]);
    }
    session.screen.table(&table)
}

fn show(session: &Session<'_>, project: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(project);
    }
    let mut table = Table::details();
    table.detail("id", text(project, "id"));
    table.detail("name", text(project, "name"));
    table.detail("short name", text(project, "slug"));
    table.detail("state", orgs::state(project));
    table.detail("description", text(project, "description"));
    session.screen.table(&table)
}
