//! `audit …` and `events` without an instance.

use futures_util::StreamExt;
use serde_json::Value;

use super::{Session, now};
use crate::command::audit::{AuditCommand, AuditFilter, Events};
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::{moment, printable};

pub(super) async fn audit(session: &Session<'_>, command: Option<AuditCommand>) -> Result<(), CliError> {
    let rest = session.rest()?;
    let command = command.unwrap_or(AuditCommand::List { filter: AuditFilter::default(), tail: 50 });
    match command {
        AuditCommand::List { filter, tail } => list(session, &rest, &filter, tail.max(1)).await,
        AuditCommand::Export { filter, format } => {
            let mut query = query(&filter);
            query.push(("format", format.as_str().to_owned()));
            let mut chunks = rest.chunks("/audit/export", &query).await?;
            while let Some(chunk) = chunks.next().await {
                screen::raw(&chunk?)?;
            }
            Ok(())
        }
        AuditCommand::Verify { organization } => verify(session, &rest, organization).await,
    }
}

fn query(filter: &AuditFilter) -> Vec<(&'static str, String)> {
    let words = [
        ("actor", &filter.actor),
        ("action", &filter.action),
        ("resource", &filter.resource),
        ("outcome", &filter.outcome),
        ("request", &filter.request),
    ];
    let mut query: Vec<(&str, String)> =
        words.into_iter().filter_map(|(name, word)| Some((name, word.clone()?))).collect();
    query.extend(filter.since.as_ref().map(|since| ("since", moment(since.at(now())))));
    query.extend(filter.until.as_ref().map(|until| ("until", moment(until.at(now())))));
    query
}

async fn list(session: &Session<'_>, rest: &Rest, filter: &AuditFilter, tail: usize) -> Result<(), CliError> {
    let mut query = query(filter);
    query.push(("limit", tail.min(find::MAX_PAGE).to_string()));
    let found = rest.all("/audit", &query, tail).await?;
    if session.screen.is_json() {
        return screen::value(&found);
    }
    let mut table = Table::new(["AT", "ACTION", "ON", "BY", "FROM", "OUTCOME", "TIMES"]);
    for entry in &found {
        let outcome = match text(entry, "code") {
            "" => text(entry, "outcome").to_owned(),
            code => format!("{} {code}", text(entry, "outcome")),
        };
        let tint = if text(entry, "outcome") == "done" { Tint::Good } else { Tint::Bad };
        let by = match text(entry, "actor_user_id") {
            "" => text(entry, "actor_kind"),
            user => user,
        };
        table.row([
            text(entry, "at").get(..19).unwrap_or_default().into(),
            text(entry, "action").into(),
            text(entry, "resource_id").into(),
            by.into(),
            text(entry, "ip_address").into(),
            Entry::tinted(&outcome, tint),
            entry["times"].to_string().into(),
        ]);
    }
    session.screen.table(&table)
}

async fn verify(session: &Session<'_>, rest: &Rest, organization: Option<String>) -> Result<(), CliError> {
    let query: Vec<_> = organization.into_iter().map(|id| ("organization", id)).collect();
    let verified = rest.get_patiently("/audit/verify", &query).await?;
    let count = |field: &str| verified[field].as_u64().unwrap_or_default();
    let (entries, broken) = (count("entries"), count("broken"));
    if session.screen.is_json() {
        screen::value(&verified)?;
    } else {
        let rate = entries * 1_000 / count("duration_ms").max(1);
        screen::line(&format!(
            "{entries} entries in {} chains, {} of them not linked yet; {} signed places, {} of them with a key that is not \
             here; {rate} entries a second",
            count("chains"),
            count("unsealed"),
            count("anchors"),
            count("unchecked_anchors"),
        ))?;
        for place in verified["first"].as_array().into_iter().flatten() {
            screen::line(&format!(
                "broken: organisation {}, number {}, entry {}: {}",
                printable(text(place, "organization_id")),
                place["number"],
                place["seq"],
                printable(text(place, "message")),
            ))?;
        }
    }
    if broken == 0 { Ok(()) } else { Err(CliError::Broken { places: broken }) }
}

/// The feed: what happened, and with `--follow` what happens.
pub(super) async fn events(session: &Session<'_>, events: &Events) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut query: Vec<(&str, String)> = Vec::new();
    if events.follow {
        query.extend(events.after.map(|after| ("after", after.to_string())));
        query.push(("follow", "true".to_owned()));
        let mut stream = rest.follow("/events", &query).await?;
        while let Some(data) = stream.next().await {
            tell(session, &super::parse(&data?)?)?;
        }
        return Ok(());
    }
    let mut after = events.after.unwrap_or_default();
    let mut all: Vec<Value> = Vec::new();
    loop {
        query = vec![("after", after.to_string()), ("limit", find::MAX_PAGE.to_string())];
        let page = rest.get_query("/events", &query).await?;
        let data = page["data"].as_array().cloned().unwrap_or_default();
        after = page["position"].as_u64().unwrap_or(after);
        let is_last = data.len() < find::MAX_PAGE;
        if session.screen.is_json() {
            all.extend(data);
        } else {
            data.iter().try_for_each(|event| tell(session, event))?;
        }
        if is_last {
            break;
        }
    }
    if session.screen.is_json() { screen::value(&all) } else { Ok(()) }
}

fn tell(session: &Session<'_>, event: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value_line(event);
    }
    let at = session.screen.tinted(text(event, "at").get(..19).unwrap_or_default(), Tint::Faint);
    let what = format!("{} {}", text(event, "kind"), text(event, "event_type"));
    screen::line(&format!(
        "{at} {:>8} {:<24} {}",
        event["position"].to_string(),
        printable(&what),
        printable(text(event, "subject_id")),
    ))
}
