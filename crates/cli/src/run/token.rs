//! `rotate-token` and `revoke-token`.

use serde_json::json;

use super::Session;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Table};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn rotate(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, named).await?;
    let path = format!("/instances/{}/rotate-token", text(&found, "id"));
    let rotated = rest.post(&path, &json!({})).await?;
    if session.screen.is_json() {
        return screen::value(&rotated);
    }
    let mut table = Table::details();
    table.detail("id", text(&rotated, "id"));
    table.detail("name", text(&rotated, "name"));
    table.detail("URL", text(&rotated, "access_url"));
    table.detail("token", text(&rotated, "access_token"));
    session.screen.table(&table)?;
    screen::note("The token is shown only this once; the old one opens nothing any more.");
    Ok(())
}

pub(super) async fn revoke(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, named).await?;
    let (id, name) = (text(&found, "id"), text(&found, "name"));
    let revoked = rest.post(&format!("/instances/{id}/revoke-token"), &json!({})).await?;
    if session.screen.is_json() {
        return screen::value(&revoked);
    }
    screen::line(&printable(&format!(
        "revoked the token of {name} ({id}); `roadstead rotate-token` makes another"
    )))
}
