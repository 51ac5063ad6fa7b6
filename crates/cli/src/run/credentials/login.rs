//! `credentials add --login`: the client's own secrets are asked for, the refresh token comes from the browser.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::Taking;
use crate::failure::CliError;
use crate::login::{Login, LoginError, OauthClient, refresh_token};
use crate::screen;
use crate::secret::{self, Secrets, Slot};
use crate::wire::text;
use crate::words::printable;

/// A secret for each slot of a type, of which one comes from a login.
pub(super) async fn secrets(
    server_type: &Value,
    slots: Vec<Slot>,
    taking: Taking<'_>,
) -> Result<Secrets, CliError> {
    let type_name = text(server_type, "name");
    let login = Login::of(server_type)?.ok_or_else(|| {
        CliError::Usage(format!("the server type {type_name:?} does not say how one logs in"))
    })?;
    let own: Vec<Slot> = slots.into_iter().filter(|slot| slot.name != login.slots.refresh_token).collect();
    let mut secrets = secret::for_slots(&own, taking.from_stdin)?;
    let value =
        |wanted: &str| secrets.iter().find(|(slot, _)| slot == wanted).map(|(_, value)| value.clone());
    let id = value(&login.slots.client_id).ok_or(LoginError::NoClient)?;
    let client = OauthClient {
        id: id.expose_secret().trim().to_owned(),
        secret: login.slots.client_secret.as_deref().and_then(value),
    };
    let opens = !taking.login.no_browser;
    let patience = taking.login.login_timeout.get();
    let token = refresh_token(&login, &client, patience, |url| invite(url, opens)).await?;
    secrets.push((login.slots.refresh_token.clone(), token));
    Ok(secrets)
}

/// Shows the way to the login. Nothing in the address is secret: what it holds is worth nothing without what is kept here.
fn invite(url: &str, opens: bool) {
    screen::note(&format!("Log in with your browser:\n\n  {}\n", printable(url)));
    if opens && open::that_detached(url).is_err() {
        screen::note("No browser could be opened here; open the address in one on this machine.");
    }
}
