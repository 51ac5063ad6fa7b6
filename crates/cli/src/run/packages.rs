//! `packages …`, `types versions`.

use serde_json::{Value, json};

use super::Session;
use crate::command::packages::PackagesCommand;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::text;
use crate::words::size;

pub(super) async fn packages(
    session: &Session<'_>,
    command: Option<PackagesCommand>,
) -> Result<(), CliError> {
    match command.unwrap_or(PackagesCommand::List) {
        PackagesCommand::List => {
            let answer = session.rest()?.get("/packages").await?;
            if session.screen.is_json() {
                return screen::value(&answer["data"]);
            }
            shown(session, items(&answer, "data"))
        }
        PackagesCommand::Clean { dry_run, all_unused, yes } => {
            let body = json!({ "dry_run": dry_run || !yes, "all_unused": all_unused });
            let answer = session.rest()?.post("/packages/clean", &body).await?;
            cleaned(session, &answer, yes)
        }
    }
}

pub(super) async fn versions(session: &Session<'_>, name: &str) -> Result<(), CliError> {
    let answer = session.rest()?.get(&format!("{}/versions", find::type_path(name)?)).await?;
    if session.screen.is_json() {
        return screen::value(&answer["data"]);
    }
    let versions = items(&answer, "data");
    if versions.is_empty() {
        screen::note("The program of this type was not installed from a package.");
        return Ok(());
    }
    let mut table = Table::new(["VERSION", "STATE", "INSTALLED", "INSTANCES", "MAY GO", "DIGEST"]);
    for version in versions {
        let is_current = version["is_current"].as_bool().unwrap_or_default();
        table.row([
            text(version, "version").into(),
            if is_current { Entry::from("current") } else { Entry::tinted("installed", Tint::Faint) },
            text(version, "installed_at").into(),
            number(version, "live_instances").to_string().into(),
            text(version, "removable_at").into(),
            short(text(version, "digest")).into(),
        ]);
    }
    session.screen.table(&table)
}

fn cleaned(session: &Session<'_>, answer: &Value, yes: bool) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(answer);
    }
    let (removed, skipped) = (items(answer, "removed"), items(answer, "skipped"));
    if removed.is_empty() && skipped.is_empty() {
        screen::note("There is nothing to remove.");
        return Ok(());
    }
    shown(session, removed.iter().chain(skipped))?;
    let bytes = size(number(answer, "bytes"));
    if yes {
        screen::note(&format!("{} removed, {bytes}; {} stay.", removed.len(), number(answer, "left")));
    } else {
        screen::note(&format!("Nothing was removed, of {bytes}; say --yes to remove it."));
    }
    Ok(())
}

fn shown<'a>(session: &Session<'_>, packages: impl IntoIterator<Item = &'a Value>) -> Result<(), CliError> {
    let mut table = Table::new(["PACKAGE", "VERSION", "SIZE", "INSTALLED", "TYPES", "INSTANCES", "STAYS"]);
    for package in packages {
        let types: Vec<&str> = items(package, "types").iter().map(|one| text(one, "name")).collect();
        table.row([
            named(package).into(),
            text(package, "version").into(),
            size(number(package, "bytes")).into(),
            text(package, "installed_at").into(),
            types.join(", ").into(),
            number(package, "live_instances").to_string().into(),
            stays(package),
        ]);
    }
    session.screen.table(&table)
}

/// As it would be asked for, but for its version.
fn named(package: &Value) -> String {
    let extras: Vec<&str> = items(package, "extras").iter().filter_map(Value::as_str).collect();
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    format!("{}:{}{extras}", text(package, "manager"), text(package, "name"))
}

fn stays(package: &Value) -> Entry {
    let why = match text(package, "kept_because") {
        "" => return Entry::tinted("no", Tint::Faint),
        "type" => "a type names it".to_owned(),
        "instances" => "instances live of it".to_owned(),
        "unknown_instances" => "instances live that do not tell what of".to_owned(),
        "recent" => format!("until {}", text(package, "removable_at")),
        "in_use" => "in use this moment".to_owned(),
        _ => return Entry::tinted("it could not be removed", Tint::Bad),
    };
    why.into()
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value, field: &str) -> u64 {
    value.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// The beginning of a digest, as it is in the name of a package's folder.
fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}
