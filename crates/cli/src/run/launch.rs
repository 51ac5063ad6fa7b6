//! `launch`.

use serde_json::{Map, Value, json};

use super::show::when;
use super::{Session, now, read};
use crate::command::{KeyValue, Launch};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::secret::{self, Secrets, Slot};
use crate::wire::{Instance, text};
use secrecy::ExposeSecret;

pub(super) async fn launch(session: &Session<'_>, launch: Launch) -> Result<(), CliError> {
    let rest = session.rest()?;
    let body = body(&rest, launch).await?;
    let launched = rest.post("/instances", &body).await?;
    if session.screen.is_json() {
        return screen::value(&launched);
    }
    let token = text(&launched, "access_token").to_owned();
    let instance: Instance = read(launched)?;
    let now = now();
    let mut table = Table::details();
    table.detail("id", instance.id.as_str());
    table.detail("name", instance.name.as_str());
    table.detail("status", Entry::tinted(&instance.status, Tint::of_status(&instance.status)));
    table.detail("URL", instance.access_url.as_str());
    table.detail("local URL", instance.port_url.as_deref().unwrap_or_default());
    table.detail("token", token);
    table.detail("expires", instance.expires_at.map(|at| when(at, now)).unwrap_or_default());
    session.screen.table(&table)?;
    screen::note("The token is shown only this once.");
    Ok(())
}

async fn body(rest: &Rest, launch: Launch) -> Result<Value, CliError> {
    let config = configuration(launch.config_json.map(|object| object.0).unwrap_or_default(), &launch.config);
    let mut body = json!({
        "type": launch.server_type,
        "wait": if launch.no_wait { "none" } else { "ready" },
    });
    if let Some(name) = launch.name {
        body["name"] = name.into();
    }
    if let Some(named) = launch.credential {
        let credential = find::credential(rest, &named, Some(&launch.server_type)).await?;
        body["credential_id"] = text(&credential, "id").into();
    }
    if !launch.secret.is_empty() {
        let slots: Vec<Slot> = launch.secret.into_iter().map(|name| Slot { name, required: true }).collect();
        body["credentials"] = values(&secret::for_slots(&slots, None)?);
    }
    if !config.is_empty() {
        body["config"] = config.into();
    }
    if launch.keep {
        body["keep"] = true.into();
    }
    if launch.autostart {
        body["autostart"] = true.into();
    }
    if let Some(length) = launch.expires_in {
        body["expires_in"] = length.text().into();
    }
    if let Some(length) = launch.idle_limit {
        body["idle_limit"] = length.text().into();
    }
    Ok(body)
}

/// Single values over a whole object.
fn configuration(mut base: Map<String, Value>, over: &[KeyValue]) -> Map<String, Value> {
    base.extend(over.iter().map(|pair| (pair.key.clone(), pair.json())));
    base
}

/// Secrets as the service takes them.
pub(super) fn values(secrets: &Secrets) -> Value {
    secrets.iter().map(|(slot, secret)| (slot.clone(), Value::from(secret.expose_secret()))).collect()
}
