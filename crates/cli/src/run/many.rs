//! `patch`, `bulk`, `logs search` and `logs export`.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::{Session, now};
use crate::command::many::{Bulk, Export, LogsCommand, Patch, Search, Which};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::{moment, printable};

/// What chooses instances, as parameters of a list.
pub(super) fn parameters(which: &Which) -> Vec<(&'static str, String)> {
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(which.server_type.iter().map(|name| ("type", name.clone())));
    if !which.status.is_empty() {
        let words: Vec<&str> = which.status.iter().map(|status| status.as_str()).collect();
        query.push(("status", words.join(",")));
    }
    query.extend(which.project.iter().map(|id| ("project", id.clone())));
    query.extend(which.owner.iter().map(|id| ("owner", id.clone())));
    query.extend(which.named.iter().map(|part| ("name", part.clone())));
    query.extend(which.since.as_ref().map(|since| ("created_since", moment(since.at(now())))));
    query.extend(which.until.as_ref().map(|until| ("created_until", moment(until.at(now())))));
    query.extend(which.expires_within.as_ref().map(|span| ("expires_before", moment(now() + span.get()))));
    query
}

pub(super) async fn patch(session: &Session<'_>, wanted: &Patch) -> Result<(), CliError> {
    let mut body = Map::new();
    body.extend(wanted.name.iter().map(|name| ("name".to_owned(), json!(name))));
    if wanted.config_json.is_some() || !wanted.config.is_empty() {
        let mut config = wanted.config_json.clone().unwrap_or_default().0;
        config.extend(wanted.config.iter().map(|pair| (pair.key.clone(), pair.json())));
        body.insert("config".to_owned(), Value::Object(config));
    }
    if body.is_empty() {
        return Err(CliError::Usage("Nothing to change: say --name, --config or --config-json".to_owned()));
    }
    let rest = session.rest()?;
    let found = find::instance(&rest, &wanted.instance).await?;
    let path = format!("/instances/{}", text(&found, "id"));
    let changed = rest.patch(&path, &Value::Object(body), wanted.if_version).await?;
    if session.screen.is_json() {
        return screen::value(&changed);
    }
    screen::line(&printable(&format!("changed {} ({})", text(&changed, "name"), text(&changed, "id"))))?;
    if changed.get("restart_needed").and_then(Value::as_bool) == Some(true) {
        screen::note("It runs on as it was; `roadstead restart` makes the configuration hold.");
    }
    Ok(())
}

pub(super) async fn bulk(session: &Session<'_>, bulk: &Bulk) -> Result<(), CliError> {
    let filter = parameters(&bulk.which);
    let rest = session.rest()?;
    let mut body = json!({ "action": bulk.action.word(), "dry_run": !bulk.yes });
    match (bulk.instances.as_slice(), filter.is_empty()) {
        ([], true) => {
            let message = "Name instances, or say which: --type, --status, --named, --since, …";
            return Err(CliError::Usage(message.to_owned()));
        }
        ([], false) => {
            let filter: Map<String, Value> =
                filter.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
            body["filter"] = Value::Object(filter);
        }
        (named, true) => body["ids"] = json!(ids(&rest, named).await?),
        (_, false) => {
            return Err(CliError::Usage("Name instances or say which, not both".to_owned()));
        }
    }
    let answer = rest.post_for_long("/instances/bulk", &body).await?;
    if session.screen.is_json() {
        return screen::value(&answer);
    }
    tell(session, &answer, bulk.yes)
}

async fn ids(rest: &Rest, named: &[String]) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::new();
    for one in named {
        ids.push(text(&find::instance(rest, one).await?, "id").to_owned());
    }
    Ok(ids)
}

fn tell(session: &Session<'_>, answer: &Value, done: bool) -> Result<(), CliError> {
    let outcomes = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if outcomes.is_empty() {
        screen::note("There are no such instances.");
        return Ok(());
    }
    let mut table = Table::new(["ID", "NAME", "OUTCOME", "WHY"]);
    for one in &outcomes {
        let outcome = text(one, "outcome");
        let tint = if ["would", "done"].contains(&outcome) { Tint::Good } else { Tint::Bad };
        table.row([
            text(one, "id").into(),
            text(one, "name").into(),
            Entry::tinted(outcome, tint),
            text(one, "message").into(),
        ]);
    }
    session.screen.table(&table)?;
    if answer.get("more").and_then(Value::as_bool) == Some(true) {
        screen::note("There are more than one request may concern: say it again for the rest.");
    }
    if !done {
        screen::note("Nothing was done yet; --yes does it.");
    }
    Ok(())
}

pub(super) async fn logs(session: &Session<'_>, command: LogsCommand) -> Result<(), CliError> {
    match command {
        LogsCommand::Search(wanted) => search(session, &wanted).await,
        LogsCommand::Export(wanted) => export(session, &wanted).await,
    }
}

async fn search(session: &Session<'_>, wanted: &Search) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut query = vec![("q", wanted.text.clone())];
    if let Some(named) = &wanted.instance {
        query.push(("instance", text(&find::instance(&rest, named).await?, "id").to_owned()));
    }
    query.extend(wanted.level.map(|level| ("level", level.as_str().to_owned())));
    query.extend(wanted.source.map(|source| ("source", source.as_str().to_owned())));
    query.extend(wanted.since.as_ref().map(|since| ("since", moment(since.at(now())))));
    query.extend(wanted.until.as_ref().map(|until| ("until", moment(until.at(now())))));
    query.push(("limit", wanted.lines.clamp(1, find::MAX_PAGE).to_string()));
    // Pages without a find are passed over: a search ends where the lines end, or where enough were found.
    let found = rest.all("/logs/search", &query, wanted.lines.max(1)).await?;
    if session.screen.is_json() {
        return screen::value(&found);
    }
    if found.is_empty() {
        screen::note("No line contains this.");
    }
    for line in found {
        let level = text(&line, "level");
        let level = session.screen.tinted(&format!("{:<5}", printable(level)), Tint::of_level(level));
        let at = session.screen.tinted(text(&line, "timestamp"), Tint::Faint);
        let id = printable(text(&line, "instance_id"));
        screen::line(&format!("{at} {id} {level} {}", printable(text(&line, "message"))))?;
    }
    Ok(())
}

async fn export(session: &Session<'_>, wanted: &Export) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, &wanted.instance).await?;
    let mut body = json!({ "format": wanted.format.word() });
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    };
    say("level", wanted.level.map(|level| level.as_str().to_owned()));
    say("source", wanted.source.map(|source| source.as_str().to_owned()));
    say("since", wanted.since.as_ref().map(|since| moment(since.at(now()))));
    say("until", wanted.until.as_ref().map(|until| moment(until.at(now()))));
    let link = rest.post(&format!("/instances/{}/logs/export", text(&found, "id")), &body).await?;
    if wanted.link {
        if session.screen.is_json() {
            return screen::value(&link);
        }
        return screen::line(&printable(text(&link, "download_url")));
    }
    // The service may be known by another name here: its own link's path is what counts.
    let path = text(&link, "download_url").split_once("/api/v1").map_or("", |(_, path)| path);
    match &wanted.to {
        Some(file) => {
            let failed = |source| CliError::Write { what: file.display().to_string(), source };
            let mut out = std::fs::File::create(file).map_err(failed)?;
            rest.download(path, &mut out).await?.map_err(failed)?;
            out.flush().map_err(failed)?;
            screen::note(&format!("Wrote {}.", file.display()));
            Ok(())
        }
        None => rest.download(path, &mut std::io::stdout()).await?.map_err(CliError::Print),
    }
}
