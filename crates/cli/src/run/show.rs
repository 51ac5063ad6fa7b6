//! `show`, and an instance as names beside values.

use serde_json::{Map, Value};
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
    if let Some(confinement) = &instance.confinement {
        table.detail("confinement", confinement.level.as_str());
        table.detail("confined by", mechanisms(&confinement.mechanisms));
        table.detail("limits", limits(&confinement.limits));
    }
    table
}

/// What was put up, in the words of its names; a version stands behind its name.
fn mechanisms(found: &Map<String, Value>) -> String {
    let said = found.iter().filter_map(|(name, value)| {
        let name = name.replace('_', " ");
        match value {
            Value::Bool(true) => Some(name),
            Value::Number(number) if number.as_u64() != Some(0) => Some(format!("{name} {number}")),
            _ => None,
        }
    });
    said.collect::<Vec<_>>().join(", ")
}

/// How each limit is held, those together that are held alike.
fn limits(found: &Map<String, Value>) -> String {
    let held = ["enforced", "sampled", "absent"].map(|how| {
        let alike = found.iter().filter(|(_, value)| value.as_str() == Some(how));
        let names: Vec<_> = alike.map(|(name, _)| name.replace('_', " ")).collect();
        if names.is_empty() { String::new() } else { format!("{how}: {}", names.join(", ")) }
    });
    held.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn confinement_is_told_in_words() {
        let found = json!({"no_new_privileges": true, "seccomp": false, "landlock_abi": 7, "cgroup": true});
        assert_eq!(mechanisms(&map(&found)), "cgroup, landlock abi 7, no new privileges");
        assert_eq!(mechanisms(&map(&json!({"landlock_abi": 0}))), "");
        let found = json!({"memory": "enforced", "disk": "sampled", "open_files": "enforced"});
        assert_eq!(limits(&map(&found)), "enforced: memory, open files; sampled: disk");
    }
}
