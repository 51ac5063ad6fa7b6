//! `keys …`.

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::keys::{KeysCommand, Limits};
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::printable;

pub(super) async fn keys(session: &Session<'_>, command: Option<KeysCommand>) -> Result<(), CliError> {
    match command.unwrap_or(KeysCommand::List { active: false }) {
        KeysCommand::List { active } => list(session, active).await,
        KeysCommand::Create { name, scope, expires_in, limits, project, user } => {
            let scopes: Vec<&str> = scope.iter().map(|scope| scope.as_str()).collect();
            let mut body = limited(&limits);
            body["name"] = name.into();
            body["scopes"] = json!(scopes);
            let texts = [
                ("expires_in", expires_in.map(|length| length.text().clone())),
                ("project_id", project),
                ("user_id", user),
            ];
            for (field, given) in texts {
                if let Some(given) = given {
                    body[field] = given.into();
                }
            }
            let created = session.rest()?.post("/api-keys", &body).await?;
            show_new(session, &created)
        }
        KeysCommand::Show { key } => show(session, &key).await,
        KeysCommand::Patch { key, rename, expires_in, never_expires, limits, from_anywhere, no_limits } => {
            let mut body = limited(&limits);
            if let Some(name) = rename {
                body["name"] = name.into();
            }
            if let Some(length) = expires_in {
                body["expires_in"] = length.text().into();
            }
            let none = [
                (never_expires, "expires_in"),
                (from_anywhere, "allowed_ips"),
                (no_limits, "requests_per_minute"),
                (no_limits, "daily_limit"),
                (no_limits, "monthly_limit"),
            ];
            for (_, field) in none.iter().filter(|(wanted, _)| *wanted) {
                body[*field] = Value::Null;
            }
            patch(session, &key, &body).await
        }
        KeysCommand::Rotate { key, grace } => {
            let rest = session.rest()?;
            let found = find::key(&rest, &key).await?;
            let body = grace.map_or_else(|| json!({}), |grace| json!({ "grace": grace.text() }));
            let path = format!("/api-keys/{}/rotate", find::segment(text(&found, "id")));
            show_new(session, &rest.post(&path, &body).await?)
        }
        KeysCommand::Usage { key, days, detail, limit } => {
            if detail {
                requests(session, &key, limit).await
            } else {
                usage(session, &key, days).await
            }
        }
        KeysCommand::Revoke { key, reason, yes } => revoke(session, &key, reason, yes).await,
    }
}

/// The limits that were named, as fields of a request.
fn limited(limits: &Limits) -> Value {
    let mut body = json!({});
    if !limits.allow.is_empty() {
        body["allowed_ips"] = json!(limits.allow);
    }
    let counts = [
        ("requests_per_minute", limits.per_minute.map(u64::from)),
        ("daily_limit", limits.daily_limit),
        ("monthly_limit", limits.monthly_limit),
    ];
    for (field, count) in counts {
        if let Some(count) = count {
            body[field] = count.into();
        }
    }
    body
}

async fn list(session: &Session<'_>, active: bool) -> Result<(), CliError> {
    let mut query = vec![("limit", find::MAX_PAGE.to_string())];
    if active {
        query.push(("active", "true".to_owned()));
    }
    let keys = session.rest()?.all("/api-keys", &query, usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&keys);
    }
    let mut table = Table::new(["ID", "NAME", "KEY", "STATE", "SCOPES", "EXPIRES", "USES", "LAST USED"]);
    for key in &keys {
        table.row([
            text(key, "id").into(),
            text(key, "name").into(),
            format!("…{}", text(key, "hint")).into(),
            state(key),
            words(key, "scopes").into(),
            text(key, "expires_at").into(),
            count(key, "usage_count").into(),
            text(key, "last_used_at").into(),
        ]);
    }
    session.screen.table(&table)
}

/// What a key is: a key that was replaced ends by itself.
fn state(key: &Value) -> Entry {
    match (key.get("is_active").and_then(Value::as_bool), text(key, "revoked_at"), text(key, "grace_until")) {
        (Some(true), _, "") => Entry::tinted("active", Tint::Good),
        (Some(true), ..) => Entry::tinted("replaced", Tint::Soon),
        (_, "", _) => Entry::tinted("ended", Tint::Faint),
        _ => Entry::tinted("revoked", Tint::Faint),
    }
}

fn show_new(session: &Session<'_>, created: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(created);
    }
    let mut table = Table::details();
    table.detail("id", text(created, "id"));
    table.detail("name", text(created, "name"));
    table.detail("key", text(created, "key"));
    table.detail("scopes", words(created, "scopes"));
    table.detail("expires", text(created, "expires_at"));
    session.screen.table(&table)?;
    screen::note("The key is shown only this once.");
    Ok(())
}

async fn show(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let key = rest.get(&format!("/api-keys/{}", find::segment(text(&found, "id")))).await?;
    show_one(session, &key)
}

fn show_one(session: &Session<'_>, key: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(key);
    }
    let mut table = Table::details();
    table.detail("id", text(key, "id"));
    table.detail("name", text(key, "name"));
    table.detail("key", format!("…{}", text(key, "hint")));
    table.detail("state", state(key));
    table.detail("user", text(key, "user_id"));
    table.detail("organization", text(key, "organization_id"));
    table.detail("project", text(key, "project_id"));
    table.detail("scopes", words(key, "scopes"));
    table.detail("allowed from", words(key, "allowed_ips"));
    table.detail("per minute", count(key, "requests_per_minute"));
    table.detail("daily limit", count(key, "daily_limit"));
    table.detail("monthly limit", count(key, "monthly_limit"));
    table.detail("created", text(key, "created_at"));
    table.detail("expires", text(key, "expires_at"));
    table.detail("replaced, ends", text(key, "grace_until"));
    table.detail("revoked", text(key, "revoked_at"));
    table.detail("reason", text(key, "revoke_reason"));
    table.detail("uses", count(key, "usage_count"));
    table.detail("last used", text(key, "last_used_at"));
    table.detail("from", text(key, "last_used_ip"));
    table.detail("by", text(key, "last_used_agent"));
    session.screen.table(&table)
}

async fn patch(session: &Session<'_>, named: &str, body: &Value) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let changed = rest.patch(&format!("/api-keys/{}", find::segment(text(&found, "id"))), body, None).await?;
    show_one(session, &changed)
}

async fn usage(session: &Session<'_>, named: &str, days: u32) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let path = format!("/api-keys/{}/usage", find::segment(text(&found, "id")));
    let answer = rest.get_query(&path, &[("days", days.to_string())]).await?;
    let days = answer.get("days").cloned().unwrap_or_default();
    if session.screen.is_json() {
        return screen::value(&days);
    }
    let mut table = Table::new(["DAY", "REQUESTS", "ERRORS", "REFUSED", "MEAN MS", "OPERATIONS"]);
    for day in days.as_array().into_iter().flatten() {
        table.row([
            text(day, "day").into(),
            count(day, "requests").into(),
            count(day, "errors").into(),
            count(day, "refused").into(),
            mean(day, "mean_ms").into(),
            words(day, "operations").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn requests(session: &Session<'_>, named: &str, limit: usize) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let path = format!("/api-keys/{}/usage", find::segment(text(&found, "id")));
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    while rows.len() < limit {
        let mut query = vec![
            ("detail", "true".to_owned()),
            ("limit", find::MAX_PAGE.min(limit - rows.len()).to_string()),
        ];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = rest.get_query(&path, &query).await?;
        if let Some(Value::Array(more)) = page.get_mut("requests").map(Value::take) {
            rows.extend(more);
        }
        cursor = Some(text(&page, "next_cursor").to_owned()).filter(|next| !next.is_empty());
        if cursor.is_none() {
            break;
        }
    }
    if session.screen.is_json() {
        return screen::value(&rows);
    }
    let mut table = Table::new(["AT", "OPERATION", "STATUS", "MS", "FROM", "REQUEST"]);
    for row in &rows {
        table.row([
            text(row, "at").into(),
            text(row, "operation").into(),
            count(row, "status").into(),
            mean(row, "duration_ms").into(),
            text(row, "ip_address").into(),
            text(row, "request_id").into(),
        ]);
    }
    session.screen.table(&table)
}

async fn revoke(
    session: &Session<'_>,
    named: &str,
    reason: Option<String>,
    yes: bool,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::key(&rest, named).await?;
    let (id, name) = (text(&found, "id"), text(&found, "name"));
    confirm(&format!("Revoke the API key {name} ({id})?"), yes)?;
    let query: Vec<(&str, String)> = reason.into_iter().map(|reason| ("reason", reason)).collect();
    rest.delete_query(&format!("/api-keys/{}", find::segment(id)), &query).await?;
    if session.screen.is_json() {
        return screen::value(&json!({ "id": id, "name": name, "revoked": true }));
    }
    screen::line(&printable(&format!("revoked {name} ({id})")))
}

fn words(row: &Value, field: &str) -> String {
    let words = row.get(field).and_then(Value::as_array);
    let words = words.map(|words| words.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    words.unwrap_or_default().join(", ")
}

fn count(row: &Value, field: &str) -> String {
    row.get(field).and_then(Value::as_u64).map(|number| number.to_string()).unwrap_or_default()
}

fn mean(row: &Value, field: &str) -> String {
    row.get(field).and_then(Value::as_f64).map(|number| format!("{number:.1}")).unwrap_or_default()
}
