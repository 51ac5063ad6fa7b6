//! `types tools`, `inspect`, `approve`, `reject`, `submit`, `history`, `risk`, `disable-tool`, `enable-tool`.

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::super::launch::values;
use crate::command::review::{InspectType, ReviewCommand};
use crate::failure::CliError;
use crate::find;
use crate::run::Session;
use crate::screen::{self, Entry, Table, Tint};
use crate::secret::{self, Slot};
use crate::wire::{slots, text};
use crate::words::printable;

pub(super) async fn review(session: &Session<'_>, command: ReviewCommand) -> Result<(), CliError> {
    match command {
        ReviewCommand::Tools { name } => {
            let manifest = session.rest()?.get(&path(&name, "manifest")?).await?;
            show(session, &manifest)
        }
        ReviewCommand::Inspect(inspect) => {
            let manifest = inspected(session, inspect).await?;
            show(session, &manifest)
        }
        ReviewCommand::Approve { name, reason, accept_findings } => {
            let body = said(reason, accept_findings);
            decide(session, &name, "approve", &body).await
        }
        ReviewCommand::Reject { name, reason } => {
            decide(session, &name, "reject", &said(Some(reason), false)).await
        }
        ReviewCommand::Submit { name, reason } => {
            decide(session, &name, "submit", &said(reason, false)).await
        }
        ReviewCommand::History { name, limit } => history(session, &name, limit).await,
        ReviewCommand::Risk { name, tool, level, notes } => {
            let mut body = json!({ "tool": tool, "risk_level": word(&level) });
            if let Some(notes) = notes {
                body["notes"] = notes.into();
            }
            let opinion = session.rest()?.patch(&path(&name, "tools")?, &body, None).await?;
            if session.screen.is_json() {
                return screen::value(&opinion);
            }
            screen::line(&printable(&format!("{tool}: {}", text(&opinion, "risk_level"))))
        }
        ReviewCommand::DisableTool { name, tool } => enable(session, &name, &tool, false).await,
        ReviewCommand::EnableTool { name, tool } => enable(session, &name, &tool, true).await,
    }
}

async fn enable(session: &Session<'_>, name: &str, tool: &str, enabled: bool) -> Result<(), CliError> {
    let body = json!({ "tool": tool, "enabled": enabled });
    let opinion = session.rest()?.patch(&path(name, "tools")?, &body, None).await?;
    if session.screen.is_json() {
        return screen::value(&opinion);
    }
    let now = if enabled { "enabled" } else { "disabled" };
    screen::line(&printable(&format!("{tool}: {now}, for instances that start from now on")))
}

/// The word of a choice, as the service takes it.
pub(super) fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Asks a server of a type that was just made or changed, where that takes nothing from anybody, and tells what is to be seen.
pub(super) async fn look(session: &Session<'_>, server_type: &Value) -> Result<(), CliError> {
    let name = text(server_type, "name");
    let wants_secrets = slots(server_type).iter().any(|(_, required)| *required);
    let wants_config =
        server_type.pointer("/config_schema/required").and_then(Value::as_array).is_some_and(|required| {
            required
                .iter()
                .filter_map(Value::as_str)
                .any(|key| server_type.pointer(&format!("/config_template/{key}")).is_none())
        });
    if wants_secrets || wants_config {
        screen::note(&printable(&format!(
            "what it offers is not known yet: roadstead types inspect {name} --credential …"
        )));
        return Ok(());
    }
    match session.rest()?.post_for_long(&path(name, "inspect")?, &json!({})).await {
        Ok(manifest) => tell(&manifest),
        Err(error) => screen::note(&printable(&format!("note: it was not asked what it offers: {error}"))),
    }
    Ok(())
}

async fn inspected(session: &Session<'_>, inspect: InspectType) -> Result<Value, CliError> {
    let rest = session.rest()?;
    let mut body = json!({});
    if let Some(named) = inspect.credential {
        let server_type = find::server_type(&rest, &inspect.name).await?;
        let credential = find::credential(&rest, &named, Some(text(&server_type, "name"))).await?;
        body["credential_id"] = text(&credential, "id").into();
    }
    if !inspect.secret.is_empty() {
        let slots: Vec<Slot> = inspect.secret.into_iter().map(|name| Slot { name, required: true }).collect();
        body["credentials"] = values(&secret::for_slots(&slots, None)?);
    }
    if !inspect.config.is_empty() {
        let config: Map<String, Value> =
            inspect.config.iter().map(|pair| (pair.key.clone(), pair.json())).collect();
        body["config"] = config.into();
    }
    Ok(rest.post_for_long(&path(&inspect.name, "inspect")?, &body).await?)
}

async fn decide(session: &Session<'_>, name: &str, verb: &str, body: &Value) -> Result<(), CliError> {
    let decided = session.rest()?.post(&path(name, verb)?, body).await?;
    if session.screen.is_json() {
        return screen::value(&decided);
    }
    screen::line(&printable(&format!("{} is {} now", text(&decided, "name"), text(&decided, "status"))))
}

async fn history(session: &Session<'_>, name: &str, limit: usize) -> Result<(), CliError> {
    let query = [("limit", find::MAX_PAGE.min(limit.max(1)).to_string())];
    let reviews = session.rest()?.all(&path(name, "history")?, &query, limit).await?;
    if session.screen.is_json() {
        return screen::value(&reviews);
    }
    let mut table = Table::new(["AT", "VERSION", "STATUS", "WHO", "REASON"]);
    for review in &reviews {
        let who = match text(review, "user_id") {
            "" => "the service",
            user => user,
        };
        table.row([
            text(review, "at").into(),
            review["version"].to_string().into(),
            text(review, "status").into(),
            who.into(),
            text(review, "reason").into(),
        ]);
    }
    session.screen.table(&table)
}

fn path(name: &str, below: &str) -> Result<String, CliError> {
    Ok(format!("{}/{below}", find::type_path(name)?))
}

fn said(reason: Option<String>, accept_findings: bool) -> Value {
    let mut body = json!({});
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    if accept_findings {
        body["accept_findings"] = true.into();
    }
    body
}

fn show(session: &Session<'_>, manifest: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(manifest);
    }
    let mut table = Table::new(["TOOL", "RISK", "DESCRIPTION"]);
    for tool in list(manifest, "tools") {
        let risk = text(tool, "risk_level");
        let risk = match risk {
            _ if tool["enabled"] == json!(false) => Entry::tinted("disabled", Tint::Bad),
            "low" => risk.into(),
            _ => Entry::tinted(risk, Tint::Soon),
        };
        let first = text(tool, "description").lines().next().unwrap_or_default();
        table.row([text(tool, "name").into(), risk, first.into()]);
    }
    session.screen.table(&table)?;
    tell(manifest);
    Ok(())
}

/// What there is beside the tools themselves.
fn tell(manifest: &Value) {
    let count = |key: &str| list(manifest, key).len();
    let mut parts = vec![format!("{} tools", count("tools"))];
    for (key, noun) in
        [("resources", "resources"), ("resource_templates", "resource templates"), ("prompts", "prompts")]
    {
        if count(key) > 0 {
            parts.push(format!("{} {noun}", count(key)));
        }
    }
    screen::note(&printable(&format!("it offers {}", parts.join(", "))));
    if manifest["is_current"] == json!(false) {
        screen::note("The type has changed since; `roadstead types inspect` asks again.");
    }
    for finding in list(manifest, "findings") {
        let part = |key: &str| text(finding, key).to_owned();
        screen::note(&printable(&format!(
            "{} ({}): {}, {}: {}",
            part("severity"),
            part("kind"),
            part("tool"),
            part("field"),
            part("excerpt")
        )));
    }
    for (key, words) in [
        ("added", "new since it was approved"),
        ("changed", "told otherwise since it was approved"),
        ("removed", "gone since it was approved"),
    ] {
        for name in
            manifest.pointer(&format!("/differences/{key}")).and_then(Value::as_array).into_iter().flatten()
        {
            screen::note(&printable(&format!("{}: {words}", name.as_str().unwrap_or_default())));
        }
    }
}

fn list<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().collect()
}
