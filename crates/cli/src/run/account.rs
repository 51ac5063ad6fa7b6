//! `account …`.

use serde_json::{Map, Value};

use super::{Session, confirm, users};
use crate::command::people::AccountCommand;
use crate::failure::CliError;
use crate::screen::{self, Table};
use crate::wire::text;

pub(super) async fn account(session: &Session<'_>, command: Option<AccountCommand>) -> Result<(), CliError> {
    let rest = session.rest()?;
    match command.unwrap_or(AccountCommand::Show) {
        AccountCommand::Show => show(session, &rest.get("/me").await?),
        AccountCommand::Change { name, timezone, locale } => {
            let given = [("name", name), ("timezone", timezone), ("locale", locale)];
            let body: Map<String, Value> = given
                .into_iter()
                .filter_map(|(field, value)| value.map(|value| (field.to_owned(), value.into())))
                .collect();
            users::show(session, &rest.patch("/me", &Value::Object(body), None).await?)
        }
        AccountCommand::Export => {
            rest.download("/me/export", &mut std::io::stdout()).await?.map_err(CliError::Print)
        }
        AccountCommand::Delete { yes } => {
            confirm("Delete your account, end all that runs for you and revoke your keys?", yes)?;
            users::show(session, &rest.delete_answer("/me").await?)
        }
    }
}

fn show(session: &Session<'_>, me: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(me);
    }
    let user = me.get("user").cloned().unwrap_or_default();
    let mut table = Table::details();
    table.detail("id", text(&user, "id"));
    table.detail("email", text(&user, "email"));
    table.detail("name", text(&user, "name"));
    table.detail("acts in", text(me, "organization_id"));
    table.detail("project", text(me, "project_id"));
    table.detail("role", text(me, "role"));
    session.screen.table(&table)?;
    let mut places = Table::new(["ORGANISATION", "NAME", "SHORT NAME", "ROLE", "STATE"]);
    for place in me.get("memberships").and_then(Value::as_array).into_iter().flatten() {
        places.row([
            text(place, "organization_id").into(),
            text(place, "name").into(),
            text(place, "slug").into(),
            text(place, "role").into(),
            super::orgs::state(place),
        ]);
    }
    session.screen.table(&places)
}
