//! `show`, and an instance as names beside values.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Session, now, read};
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::{Instance, text};
use crate::words::{moment, relative};

pub(super) async fn show(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut found = find::instance(&rest, named).await?;
    let id = text(&found, "id").to_owned();
    // A list does not tell why an instance is still alive.
    if named != id {
        found = find::instance(&rest, &id).await?;
    }
    if session.screen.is_json() {
        return screen::value(&found);
    }
    let table = details(&read(found)?);
    session.screen.table(&table)
}

/// Everything about an instance that says something.
fn details(instance: &Instance) -> Table {
    let now = now();
    let at = |moment: Option<OffsetDateTime>| moment.map(|at| when(at, now)).unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut table = Table::details();
    table.detail("id", instance.id.as_str());
    table.detail("name", instance.name.as_str());
    table.detail("type", instance.server_type.name.as_str());
    table.detail("status", Entry::tinted(&instance.status, Tint::of_status(&instance.status)));
    table.detail("because", instance.status_reason.as_deref().unwrap_or_default());
    table.detail("URL", instance.access_url.as_str());
    table.detail("local URL", instance.port_url.as_deref().unwrap_or_default());
    table.detail("port", number(instance.assigned_port.map(u64::from)));
    table.detail("process", number(instance.process_id));
    table.detail("token", instance.token_hint.as_ref().map(|hint| format!("…{hint}")).unwrap_or_default());
    table.detail("credential", instance.credential_id.as_deref().unwrap_or_default());
    table.detail("created", when(instance.created_at, now));
    table.detail("started", at(instance.started_at));
    table.detail("stopping", at(instance.stopping_at));
    table.detail("ended", at(instance.ended_at));
    // A deadline says nothing about what has ended.
    table.detail("expires", at(instance.expires_at.filter(|_| instance.is_live())));
    let alive = instance.alive.as_ref().map(|alive| alive.because.as_str());
    table.detail("alive because", alive.unwrap_or_default());
    table.detail("kept", if instance.keep { "by each use" } else { "" });
    table.detail("autostart", if instance.autostart { "after a reboot" } else { "" });
    table.detail("last used", at(instance.last_accessed));
    table.detail("config", settings(&instance.config));
    table
}

/// A moment, and how far it is from now.
pub(super) fn when(at: OffsetDateTime, now: OffsetDateTime) -> String {
    format!("{} ({})", moment(at), relative(at, now))
}

fn settings(config: &Value) -> String {
    match config {
        Value::Object(map) if !map.is_empty() => config.to_string(),
        _ => String::new(),
    }
}
