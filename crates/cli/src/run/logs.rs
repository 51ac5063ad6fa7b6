//! `logs` and `events`.

use std::collections::HashSet;

use futures_util::StreamExt;
use serde_json::Value;

use super::{Session, now, read};
use crate::command::Logs;
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Table, Tint};
use crate::wire::{Event, LogLine, text};
use crate::words::{moment, printable};

/// How many lines are shown when nothing says how many.
const DEFAULT_TAIL: usize = 100;
/// The most lines that the service puts before a stream.
const MAX_BEFORE_STREAM: usize = 100;

pub(super) async fn logs(session: &Session<'_>, mut logs: Logs) -> Result<(), CliError> {
    match logs.command.take() {
        Some(command) => super::many::logs(session, command).await,
        None => of_one(session, &logs).await,
    }
}

async fn of_one(session: &Session<'_>, logs: &Logs) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, logs.instance.as_deref().unwrap_or_default()).await?;
    let path = format!("/instances/{}/logs", text(&found, "id"));
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(logs.level.map(|level| ("level", level.as_str().to_owned())));
    query.extend(logs.source.map(|source| ("source", source.as_str().to_owned())));
    query.extend(logs.grep.iter().map(|part| ("q", part.clone())));
    query.extend(logs.since.as_ref().map(|since| ("since", moment(since.at(now())))));
    let tail = match (logs.tail, &logs.since) {
        (Some(tail), _) => tail,
        (None, Some(_)) => usize::MAX,
        (None, None) => DEFAULT_TAIL,
    };
    if logs.follow {
        return follow(session, &rest, &path, &query, tail).await;
    }
    let lines = last(&rest, &path, &query, tail).await?;
    if session.screen.is_json() {
        return screen::value(&lines);
    }
    lines.into_iter().try_for_each(|line| print(session, line))
}

/// The last lines, oldest first.
async fn last(
    rest: &Rest,
    path: &str,
    query: &[(&str, String)],
    tail: usize,
) -> Result<Vec<Value>, CliError> {
    if tail == 0 {
        return Ok(Vec::new());
    }
    let mut query = query.to_vec();
    query.push(("limit", tail.min(find::MAX_PAGE).to_string()));
    let mut lines = rest.all(path, &query, tail).await?;
    lines.reverse();
    Ok(lines)
}

async fn follow(
    session: &Session<'_>,
    rest: &Rest,
    path: &str,
    query: &[(&str, String)],
    tail: usize,
) -> Result<(), CliError> {
    let mut query = query.to_vec();
    let mut seen: HashSet<Value> = HashSet::new();
    if tail == 0 {
        query.retain(|(name, _)| *name != "since");
        query.push(("since", moment(now())));
    } else if tail > MAX_BEFORE_STREAM {
        // The stream begins with fewer lines than are wanted; those it repeats are passed over.
        for line in last(rest, path, &query, tail).await? {
            seen.insert(line.get("id").cloned().unwrap_or_default());
            tell(session, line)?;
        }
    }
    query.push(("limit", tail.clamp(1, MAX_BEFORE_STREAM).to_string()));
    query.push(("follow", "true".to_owned()));
    let mut lines = rest.follow(path, &query).await?;
    while let Some(data) = lines.next().await {
        let line = super::parse(&data?)?;
        // Each line is repeated at most once.
        if !line.get("id").is_some_and(|id| seen.remove(id)) {
            tell(session, line)?;
        }
    }
    Ok(())
}

/// One line of a stream, on one line for programs too.
fn tell(session: &Session<'_>, line: Value) -> Result<(), CliError> {
    if session.screen.is_json() { screen::value_line(&line) } else { print(session, line) }
}

fn print(session: &Session<'_>, line: Value) -> Result<(), CliError> {
    let line: LogLine = read(line)?;
    let level = session.screen.tinted(&format!("{:<5}", printable(&line.level)), Tint::of_level(&line.level));
    let at = session.screen.tinted(&moment(line.timestamp), Tint::Faint);
    screen::line(&format!("{at} {level} {:<7} {}", printable(&line.source), printable(&line.message)))
}

pub(super) async fn events(session: &Session<'_>, named: &str) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, named).await?;
    let path = format!("/instances/{}/events", text(&found, "id"));
    let events = rest.all(&path, &[("limit", find::MAX_PAGE.to_string())], usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&events);
    }
    let mut table = Table::new(["AT", "EVENT", "BY", "FROM", "PARTICULARS"]);
    for event in events {
        let event: Event = read(event)?;
        table.row([
            moment(event.at).into(),
            event.kind.into(),
            event.user_id.unwrap_or_else(|| "system".to_owned()).into(),
            event.ip_address.unwrap_or_default().into(),
            particulars(&event.data).into(),
        ]);
    }
    session.screen.table(&table)
}

/// `key=value` of each particular that says something.
fn particulars(data: &Value) -> String {
    let Some(map) = data.as_object() else { return String::new() };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{key}={text}")),
        other => Some(format!("{key}={other}")),
    };
    map.iter().filter_map(pair).collect::<Vec<_>>().join(" ")
}
