//! `usage`.

use serde_json::Value;

use super::{Session, now};
use crate::command::usage::{By, Usage};
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::{moment, size};

/// How many calls are shown when nothing says how many.
const DEFAULT_TAIL: usize = 100;

pub(super) async fn usage(session: &Session<'_>, usage: &Usage) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut query: Vec<(&str, String)> = Vec::new();
    if let Some(named) = &usage.instance {
        let found = find::instance(&rest, named).await?;
        query.push(("instance", text(&found, "id").to_owned()));
    }
    query.extend(usage.server_type.iter().map(|name| ("type", name.clone())));
    query.extend(usage.tool.iter().map(|name| ("tool", name.clone())));
    query.extend(usage.status.map(|status| ("status", status.as_str().to_owned())));
    query.extend(usage.since.as_ref().map(|since| ("since", moment(since.at(now())))));
    query.extend(usage.until.as_ref().map(|until| ("until", moment(until.at(now())))));
    let most = if let Some(by) = usage.by.summary() {
        query.push(("summary", by.to_owned()));
        usize::MAX
    } else {
        let tail = usage.tail.unwrap_or(DEFAULT_TAIL).max(1);
        query.push(("limit", tail.min(find::MAX_PAGE).to_string()));
        tail
    };
    let found = rest.all("/usage", &query, most).await?;
    if session.screen.is_json() {
        return screen::value(&found);
    }
    if found.is_empty() {
        screen::note("There were no calls.");
        return Ok(());
    }
    let table = if usage.by == By::Call { calls(&found) } else { sums(usage.by, &found) };
    session.screen.table(&table)
}

fn calls(found: &[Value]) -> Table {
    let mut table = Table::new(["AT", "CALLED", "INSTANCE", "STATUS", "CALLS", "MS", "BYTES"]);
    for call in found {
        let status = text(call, "status");
        table.row([
            text(call, "at").get(..19).unwrap_or_default().into(),
            called(call).into(),
            short(text(call, "instance_id")).into(),
            Entry::tinted(status, if status == "success" { Tint::Good } else { Tint::Bad }),
            number(call, "calls").to_string().into(),
            mean_ms(call).into(),
            size(number(call, "request_bytes") + number(call, "answer_bytes")).into(),
        ]);
    }
    table
}

fn sums(by: By, found: &[Value]) -> Table {
    let key = match by {
        By::Day => "DAY",
        By::Instance => "INSTANCE",
        By::Tool | By::Call => "CALLED",
    };
    let mut table = Table::new([key, "CALLS", "FAILED", "CANCELLED", "MEAN MS", "IN", "OUT"]);
    for sum in found {
        let failed = ["error", "timeout", "blocked"].iter().map(|status| number(sum, status)).sum::<u64>();
        let tint = if failed == 0 { Tint::Faint } else { Tint::Bad };
        table.row([
            match by {
                By::Day => text(sum, "day").into(),
                By::Instance => text(sum, "instance_id").into(),
                By::Tool | By::Call => called(sum).into(),
            },
            number(sum, "calls").to_string().into(),
            Entry::tinted(&failed.to_string(), tint),
            number(sum, "cancelled").to_string().into(),
            mean_ms(sum).into(),
            size(number(sum, "request_bytes")).into(),
            size(number(sum, "answer_bytes")).into(),
        ]);
    }
    table
}

/// A tool by its name alone, since nearly all calls are of tools; anything else with what it is.
fn called(row: &Value) -> String {
    let name = row.get("name").and_then(Value::as_str).unwrap_or("(several)");
    match text(row, "method") {
        "tools/call" => name.to_owned(),
        "resources/read" => format!("resource {name}"),
        "prompts/get" => format!("prompt {name}"),
        other => format!("{other} {name}"),
    }
}

/// The end of an id, which differs most.
fn short(id: &str) -> &str {
    id.get(id.len().saturating_sub(12)..).unwrap_or(id)
}

fn number(row: &Value, field: &str) -> u64 {
    row.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn mean_ms(row: &Value) -> String {
    let tenths = number(row, "latency_us") / number(row, "calls").max(1) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 * 1024 * 1024), "5.0 MiB");
        assert_eq!(mean_ms(&json!({"latency_us": 2_500, "calls": 2})), "1.2");
        assert_eq!(mean_ms(&json!({})), "0.0");
    }

    #[test]
    fn what_was_called_says_what_it_is_unless_it_is_a_tool() {
        assert_eq!(called(&json!({"method": "tools/call", "name": "add"})), "add");
        assert_eq!(called(&json!({"method": "resources/read", "name": "file://"})), "resource file://");
        assert_eq!(called(&json!({"method": "tools/call", "name": null})), "(several)");
    }
}
