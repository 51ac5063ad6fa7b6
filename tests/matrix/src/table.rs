//! The table for people, and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::client::{Client, Outcome};
use crate::judge::{Verdict, judge};
use crate::run::{Problem, Row, WAYS};

/// The command that writes the page.
pub const COMMAND: &str = "just compatibility";

const LEGEND: &str = "\
`L` works as directly, with a handshake and a session; `M` works as directly, without (2026-07-28); `ok` works as
directly, and the client does not tell the revision. `+` before it: works here, and not directly. `–` fails here and
directly. **`✗`** works directly, and not here, or less. A cell with two marks is port / gateway, otherwise both agree.
Clients that cannot start a server themselves are compared with the Python SDK, which can.
";

/// How many cells there are of each kind.
#[derive(Debug, Default)]
pub struct Count {
    /// As directly.
    pub same: usize,
    /// Better than directly.
    pub better: usize,
    /// Failing as directly.
    pub fails_directly: usize,
    /// Worse than directly.
    pub worse: usize,
}

/// Counts the verdicts; a server that could not be launched counts as one that is worse.
pub fn count(rows: &[Row], clients: &[Client]) -> Count {
    let mut count = Count::default();
    for row in rows {
        count.worse += usize::from(matches!(row.problem, Some(Problem::NotLaunched(_))));
        for (client, way) in clients.iter().flat_map(|client| WAYS.map(|way| (client, way))) {
            match judge(row, *client, way) {
                Verdict::Same => count.same += 1,
                Verdict::Better => count.better += 1,
                Verdict::FailsDirectly(_) => count.fails_directly += 1,
                Verdict::Worse(_) => count.worse += 1,
                Verdict::Untried => {}
            }
        }
    }
    count
}

/// The page.
pub fn page(rows: &[Row], clients: &[Client]) -> String {
    let count = count(rows, clients);
    let mut page = format!(
        "<!-- Written by `{COMMAND}`; a change by hand is lost with the next run. -->\n# Compatibility\n\n\
         Servers and clients written by others, at the versions that `tests/subjects/` locks: each client connects, \
         lists the tools,\ncalls one that harms nothing, and lists resources and prompts where they are offered; \
         through an instance's own port and\nthrough the gateway, with a token. Of {} cells {} work as directly, \
         {} work only here, {} fail directly as well, and {} are worse.\n\n",
        count.same + count.better + count.fails_directly + count.worse,
        count.same,
        count.better,
        count.fails_directly,
        count.worse,
    );
    page.push_str(LEGEND);
    page.push('\n');
    cells(&mut page, rows, clients);
    reasons(&mut page, rows, clients);
    versions(&mut page, rows, clients);
    times(&mut page, rows, clients);
    page
}

fn line(page: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("a text takes everything");
}

fn head(page: &mut String, names: &[String]) {
    line(page, names.iter().cloned());
    line(page, names.iter().map(|_| "---".to_owned()));
}

fn cells(page: &mut String, rows: &[Row], clients: &[Client]) {
    let names = clients.iter().map(|client| client.name.to_owned());
    head(page, &std::iter::once("server".to_owned()).chain(names).collect::<Vec<_>>());
    for row in rows {
        let marks = clients.iter().map(|client| {
            let [port, gateway] = WAYS.map(|way| mark(row, *client, way));
            if port == gateway { port } else { format!("{port} / {gateway}") }
        });
        line(page, std::iter::once(row.subject.name.clone()).chain(marks));
    }
    page.push('\n');
}

fn mark(row: &Row, client: Client, way: &'static str) -> String {
    let protocol = || {
        let report = row.through.get(&(client.name, way)).and_then(|outcome| outcome.result.as_ref().ok());
        match report.and_then(|report| report.protocol.as_deref()) {
            Some(revision) if revision >= "2026" => "M",
            Some(_) => "L",
            None => "ok",
        }
    };
    match judge(row, client, way) {
        Verdict::Same => protocol().to_owned(),
        Verdict::Better => format!("+{}", protocol()),
        Verdict::FailsDirectly(_) => "–".to_owned(),
        Verdict::Worse(_) => "**✗**".to_owned(),
        Verdict::Untried => String::new(),
    }
}

fn reasons(page: &mut String, rows: &[Row], clients: &[Client]) {
    page.push_str("## What does not work\n\n");
    let mut worse: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut directly: BTreeMap<&str, (Vec<&str>, String)> = BTreeMap::new();
    for row in rows {
        for client in clients {
            for way in WAYS {
                match judge(row, *client, way) {
                    Verdict::Worse(reason) => {
                        let cell = format!("{}, {}, {way}", row.subject.name, client.name);
                        worse.entry(reason).or_default().push(cell);
                    }
                    Verdict::FailsDirectly(reason) if way == WAYS[0] => {
                        let entry = directly.entry(client.name).or_insert_with(|| (Vec::new(), reason));
                        entry.0.push(&row.subject.name);
                    }
                    _ => {}
                }
            }
        }
    }
    for row in rows {
        match &row.problem {
            Some(Problem::NotInstalled(reason)) => {
                let reason = one_line(reason);
                writeln!(page, "- `{}` was not run: {reason}", row.subject.name).expect("written");
            }
            Some(Problem::NotLaunched(reason)) => {
                let reason = one_line(reason);
                writeln!(page, "- **`{}` is no instance**: {reason}", row.subject.name).expect("written");
            }
            None => {}
        }
    }
    for (reason, cells) in worse {
        writeln!(page, "- **Worse than directly** ({}): {}", cells.join("; "), one_line(&reason))
            .expect("written");
    }
    for (client, (servers, reason)) in directly {
        let (servers, reason) = (servers.join(", "), one_line(&reason));
        writeln!(page, "- Fails directly as well: {client} with {servers}; the first says: {reason}")
            .expect("written");
    }
    page.push('\n');
}

/// A reason as one piece of code, shortened; folders of one run are left out.
fn one_line(reason: &str) -> String {
    let words: Vec<&str> = reason.split_whitespace().filter(|word| !word.contains("/tmp/")).collect();
    let text: String = words.join(" ").replace('`', "'").chars().take(420).collect();
    format!("`{text}`")
}

fn versions(page: &mut String, rows: &[Row], clients: &[Client]) {
    page.push_str("## Versions\n\n");
    head(page, &["server", "from", "calls itself", "era", "tools"].map(str::to_owned));
    for row in rows {
        let seen = row.direct.values().filter_map(|outcome| outcome.result.as_ref().ok());
        let newest = seen.max_by_key(|report| report.protocol.clone());
        let field = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        line(
            page,
            [
                row.subject.name.clone(),
                row.subject.source.clone(),
                field(newest.and_then(|it| it.server.clone())),
                field(newest.and_then(|it| it.protocol.clone())),
                field(newest.map(|it| it.tools.to_string())),
            ],
        );
    }
    let mut packages: Vec<String> = clients.iter().map(|client| client.package()).collect();
    packages.sort();
    packages.dedup();
    writeln!(page, "\nClients: {}.\n", packages.join(", ")).expect("written");
}

fn times(page: &mut String, rows: &[Row], clients: &[Client]) {
    page.push_str(
        "## Times\n\nMedian seconds of a whole run that succeeded, the client's own start included, and directly the \
         server's too.\n\n",
    );
    head(page, &["client", "directly", "port", "gateway"].map(str::to_owned));
    for client in clients {
        let direct = rows.iter().filter_map(|row| row.direct.get(client.name));
        let [port, gateway] =
            WAYS.map(|way| median(rows.iter().filter_map(|row| row.through.get(&(client.name, way)))));
        line(page, [client.name.to_owned(), median(direct), port, gateway]);
    }
}

fn median<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> String {
    let succeeded = outcomes.filter(|outcome| outcome.result.is_ok());
    let mut seconds: Vec<f64> = succeeded.map(|outcome| outcome.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).map_or_else(|| "–".to_owned(), |it| format!("{it:.1}"))
}

/// Everything that was seen.
pub fn json(rows: &[Row], clients: &[Client]) -> Value {
    let servers = rows.iter().map(|row| {
        let cells = clients.iter().flat_map(|client| WAYS.map(|way| (client, way))).map(|(client, way)| {
            let outcome = row.through.get(&(client.name, way));
            let (verdict, reason) = match judge(row, *client, way) {
                Verdict::Same => ("same", None),
                Verdict::Better => ("better", None),
                Verdict::FailsDirectly(reason) => ("fails_directly", Some(reason)),
                Verdict::Worse(reason) => ("worse", Some(reason)),
                Verdict::Untried => ("untried", None),
            };
            json!({"client": client.name, "way": way, "verdict": verdict, "reason": reason, "here": outcome,
                   "direct": row.direct.get(client.name)})
        });
        json!({"server": row.subject.name, "from": row.subject.source, "transport": row.subject.transport.name(),
               "problem": row.problem.as_ref().map(|problem| format!("{problem:?}")),
               "cells": cells.collect::<Vec<_>>()})
    });
    json!({"servers": servers.collect::<Vec<_>>()})
}
