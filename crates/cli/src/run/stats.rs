//! `stats`.

use std::time::Duration;

use serde_json::Value;

use super::Session;
use crate::command::Stats;
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::{length, size};

/// How often a live table is drawn: half of what lies between two looks of the service.
const REDRAW: Duration = Duration::from_secs(5);

pub(super) async fn stats(session: &Session<'_>, wanted: &Stats) -> Result<(), CliError> {
    let rest = session.rest()?;
    loop {
        let found = look(&rest, &wanted.instances).await?;
        if session.screen.is_json() && wanted.watch {
            screen::value_line(&found)?;
        } else if session.screen.is_json() {
            return screen::value(&found);
        } else {
            show(session, &found, wanted.watch)?;
        }
        if !wanted.watch {
            return Ok(());
        }
        tokio::time::sleep(REDRAW).await;
    }
}

/// The figures of the instances that were named, or of all that live, each with its name.
async fn look(rest: &Rest, named: &[String]) -> Result<Vec<Value>, CliError> {
    let mut instances = Vec::new();
    for name in named {
        instances.push(find::instance(rest, name).await?);
    }
    if named.is_empty() {
        instances = find::live(rest, &[("limit", find::MAX_PAGE.to_string())]).await?;
    }
    let mut found = Vec::new();
    for instance in instances {
        let mut stats = rest.get(&format!("/instances/{}/stats", text(&instance, "id"))).await?;
        if let (Some(stats), Some(name)) = (stats.as_object_mut(), instance.get("name")) {
            stats.insert("name".to_owned(), name.clone());
        }
        found.push(stats);
    }
    Ok(found)
}

fn show(session: &Session<'_>, found: &[Value], live: bool) -> Result<(), CliError> {
    if live {
        session.screen.clear()?;
    }
    if found.is_empty() {
        screen::note("There are no instances that live.");
        return Ok(());
    }
    session.screen.table(&table(found))?;
    // Once for all: it is the same user that may not look.
    if let Some(note) = found.iter().find_map(|each| each.get("note")?.as_str()) {
        screen::note(note);
    }
    Ok(())
}

fn table(found: &[Value]) -> Table {
    let mut table = Table::new([
        "ID", "NAME", "STATUS", "CPU %", "CPU", "PSS", "RSS", "LIMIT", "PROCS", "THREADS", "FILES", "UPTIME",
        "RESTARTS", "OOM",
    ]);
    for each in found {
        let number = |field: &str| each.get(field).and_then(Value::as_u64);
        let plain = |field: &str| number(field).map(|number| number.to_string()).unwrap_or_default();
        let bytes = |field: &str| number(field).map(size).unwrap_or_default();
        let real = |field: &str| each.get(field).and_then(Value::as_f64);
        let kills = number("out_of_memory_kills");
        let status = text(each, "status");
        table.row([
            text(each, "instance_id").into(),
            text(each, "name").into(),
            Entry::tinted(status, Tint::of_status(status)),
            real("cpu_percent").map(|percent| format!("{percent:.1}")).unwrap_or_default().into(),
            real("cpu_seconds").map(|seconds| format!("{seconds:.2}s")).unwrap_or_default().into(),
            bytes("pss_bytes").into(),
            bytes("rss_bytes").into(),
            bytes("memory_limit_bytes").into(),
            plain("processes").into(),
            plain("threads").into(),
            plain("open_files").into(),
            number("uptime_s").map(length).unwrap_or_default().into(),
            plain("restarts").into(),
            Entry::tinted(
                &plain("out_of_memory_kills"),
                if kills > Some(0) { Tint::Bad } else { Tint::Plain },
            ),
        ]);
    }
    table
}
