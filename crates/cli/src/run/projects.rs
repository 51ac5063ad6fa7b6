//! `projects …`.

use serde_json::{Value, json};

use super::{Session, orgs};
use crate::command::people::ProjectsCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Table};
use crate::wire::text;

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
    }
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
