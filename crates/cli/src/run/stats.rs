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

/// Hundredths of a limit from which on it is worth a word, as for the service's events.
const NEAR_PERCENT: u64 = 80;
/// Hundredths of its periods in which an instance waits for the processor from which on that is worth a word.
const WAITING_PERCENT: u64 = 50;

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

/// The limits that it is near, or was refused at.
fn pressure(limits: &Value) -> String {
    let number = |path: &str| limits.pointer(path).and_then(Value::as_u64);
    let share =
        |used: Option<u64>, of: Option<u64>| Some(used?.saturating_mul(100) / of.filter(|of| *of > 0)?);
    let mut said = Vec::new();
    for name in ["memory", "processes", "disk"] {
        let percent = share(number(&format!("/{name}/used")), number(&format!("/{name}/limit")));
        if let Some(percent) = percent.filter(|percent| *percent >= NEAR_PERCENT) {
            said.push(format!("{name} {percent}%"));
        }
    }
    if let Some(refused) = number("/processes/refused").filter(|refused| *refused > 0) {
        said.push(format!("processes refused {refused}"));
    }
    let waits = share(number("/cpu/refused"), number("/cpu_periods"));
    if let Some(percent) = waits.filter(|percent| *percent >= WAITING_PERCENT) {
        said.push(format!("cpu waits {percent}%"));
    }
    said.join(", ")
}

fn bytes_of(value: Option<&Value>) -> String {
    value.and_then(Value::as_u64).map(size).unwrap_or_default()
}

fn table(found: &[Value]) -> Table {
    let mut table = Table::new([
        "ID", "NAME", "STATUS", "CPU %", "CPU", "PSS", "RSS", "LIMIT", "PROCS", "THREADS", "FILES", "UPTIME",
        "RESTARTS", "OOM", "DISK", "PRESSURE",
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
            bytes_of(each.pointer("/limits/disk/used")).into(),
            Entry::tinted(&pressure(each.get("limits").unwrap_or(&Value::Null)), Tint::Soon),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_near_or_refused_is_named_and_nothing_else() {
        let calm = json!({"memory": {"used": 10, "limit": 100}, "cpu": {"refused": 1}, "cpu_periods": 100,
            "processes": {"used": 1, "limit": 10, "refused": 0}, "disk": {"used": null, "limit": 5}});
        assert_eq!((pressure(&calm), pressure(&Value::Null)), (String::new(), String::new()));
        let pressed = json!({"memory": {"used": 85, "limit": 100}, "cpu": {"refused": 60}, "cpu_periods": 100,
            "processes": {"used": 10, "limit": 10, "refused": 3}, "disk": {"used": 1, "limit": 5}});
        assert_eq!(pressure(&pressed), "memory 85%, processes 100%, processes refused 3, cpu waits 60%");
    }
}
