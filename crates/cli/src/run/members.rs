//! `members …`.

use serde_json::{Value, json};

use super::{Session, confirm, orgs};
use crate::command::people::{Members, MembersCommand, OneUser};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Table};
use crate::secret;
use crate::wire::text;
use crate::words::printable;

pub(super) async fn members(session: &Session<'_>, wanted: Members) -> Result<(), CliError> {
    let rest = session.rest()?;
    let command = wanted.command.unwrap_or(MembersCommand::List);
    if matches!(command, MembersCommand::Accept) {
        let token = secret::invitation()?;
        return show(session, &rest.post("/invitations/accept", &json!({ "token": token })).await?);
    }
    let path = path(&rest, wanted.org.as_deref()).await?;
    match command {
        MembersCommand::List | MembersCommand::Accept => list(session, &rest, &path).await,
        MembersCommand::Invite { email, role } => {
            let body = json!({ "email": email, "role": role.as_str() });
            invited(session, &rest.post(&path, &body).await?)
        }
        MembersCommand::Role { user, role } => {
            patch(session, &path, &user, &json!({ "role": role.as_str() })).await
        }
        MembersCommand::Suspend(user) => {
            patch(session, &path, &user, &json!({ "status": "suspended" })).await
        }
        MembersCommand::Reinstate(user) => patch(session, &path, &user, &json!({ "status": "active" })).await,
        MembersCommand::Remove { user, yes } => {
            let one = found(&rest, &path, &user).await?;
            let email = text(&one, "email");
            confirm(&format!("Remove {email} and end what runs for them there?"), yes)?;
            rest.delete(&of(&path, &one)).await?;
            if session.screen.is_json() {
                return screen::value(&json!({ "user_id": text(&one, "user_id"), "removed": true }));
            }
            screen::line(&printable(&format!("removed {email}")))
        }
    }
}

/// Where the members of an organisation are: of the one that is named, or that the key acts in.
async fn path(rest: &Rest, org: Option<&str>) -> Result<String, CliError> {
    let id = match org {
        Some(named) => text(&orgs::found(rest, named).await?, "id").to_owned(),
        None => text(&rest.get("/me").await?, "organization_id").to_owned(),
    };
    Ok(format!("/organizations/{}/members", find::segment(&id)))
}

fn of(path: &str, member: &Value) -> String {
    format!("{path}/{}", find::segment(text(member, "user_id")))
}

async fn found(rest: &Rest, path: &str, user: &OneUser) -> Result<Value, CliError> {
    find::among(rest, "member", path, &[], &user.user).await
}

async fn patch(session: &Session<'_>, path: &str, user: &OneUser, body: &Value) -> Result<(), CliError> {
    let rest = session.rest()?;
    let one = found(&rest, path, user).await?;
    show(session, &rest.patch(&of(path, &one), body, None).await?)
}

async fn list(session: &Session<'_>, rest: &Rest, path: &str) -> Result<(), CliError> {
    let members = rest.all(path, &[("limit", find::MAX_PAGE.to_string())], usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&members);
    }
    let mut table = Table::new(["USER", "EMAIL", "NAME", "ROLE", "STATE", "SINCE"]);
    for member in &members {
        table.row([
            text(member, "user_id").into(),
            text(member, "email").into(),
            text(member, "name").into(),
            text(member, "role").into(),
            orgs::state(member),
            text(member, "created_at").into(),
        ]);
    }
    session.screen.table(&table)
}

fn invited(session: &Session<'_>, invitation: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(invitation);
    }
    let mut table = Table::details();
    table.detail("email", text(invitation, "email"));
    table.detail("role", text(invitation, "role"));
    table.detail("token", text(invitation, "token"));
    table.detail("until", text(invitation, "invitation_expires_at"));
    session.screen.table(&table)?;
    screen::note("The token is shown only this once; they take part with `roadstead members accept`.");
    Ok(())
}

fn show(session: &Session<'_>, member: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(member);
    }
    let mut table = Table::details();
    table.detail("organisation", text(member, "organization_id"));
    table.detail("email", text(member, "email"));
    table.detail("role", text(member, "role"));
    table.detail("state", orgs::state(member));
    session.screen.table(&table)
}
