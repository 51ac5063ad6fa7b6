//! `types add`, `types upgrade`: types whose programs are installed from packages.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{description, review};
use crate::command::admin::AddType;
use crate::failure::CliError;
use crate::rest::ApiError;
use crate::run::Session;
use crate::screen;
use crate::wire::text;
use crate::words::printable;
use crate::{find, http};

/// How often the sign that something goes on turns.
const TURN: Duration = Duration::from_millis(120);
/// How long somebody else's description of a server may take to come.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest of them that is read.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
/// Prefixes of what is no file.
const REGISTRIES: &[&str] = &["npm:", "pypi:", "cargo:"];

pub(super) async fn add(session: &Session<'_>, add: AddType) -> Result<(), CliError> {
    let more = add.additions;
    let transport = more.http.as_ref().map(|_| "streamable_http").or(more.sse.as_ref().map(|_| "sse"));
    let mut body = Map::new();
    if REGISTRIES.iter().any(|registry| add.source.starts_with(registry)) {
        body.insert("source".to_owned(), json!(add.source));
    } else {
        body.insert("document".to_owned(), document(&add.source).await?);
    }
    let texts = [
        ("name", add.name),
        ("display_name", add.display_name),
        ("server", add.server),
        ("entry", add.entry),
        ("transport", transport.map(str::to_owned)),
        ("url", more.http.or(more.sse)),
    ];
    body.extend(texts.into_iter().filter_map(|(field, value)| Some((field.to_owned(), json!(value?)))));
    let flags = [
        ("allow_any_interface", more.any_interface),
        ("scripts", add.scripts),
        ("approve", add.yes),
        ("dry_run", add.dry_run),
    ];
    body.extend(
        flags.into_iter().filter(|(_, is_set)| *is_set).map(|(field, _)| (field.to_owned(), json!(true))),
    );
    let lists = [("args", more.args), ("secrets", more.secrets), ("secret_files", more.secret_files)];
    let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
    body.extend(given.map(|(field, list)| (field.to_owned(), json!(list))));
    if !more.env.is_empty() {
        body.insert("env".to_owned(), Value::Object(variables(&more.env)?));
    }
    let imported = followed(session, "/types/import", &Value::Object(body)).await?;
    if session.screen.is_json() {
        return screen::value(&imported);
    }
    for note in strings(&imported, "notes") {
        screen::note(&printable(&format!("note: {note}")));
    }
    for package in strings(&imported, "unrun_scripts") {
        screen::note(&printable(&format!(
            "note: {package} wanted to run a script at installation and was not let (--scripts)"
        )));
    }
    let made = imported.get("type").filter(|made| !made.is_null());
    let Some(made) = made else {
        for what in strings(&imported, "approved") {
            screen::note(&printable(&format!("needs --yes: {what}")));
        }
        let manifest = serde_json::to_string_pretty(&imported["manifest"]).unwrap_or_default();
        return screen::line(&manifest);
    };
    let name = text(made, "name");
    screen::line(&printable(&format!("added {name} ({})", text(made, "id"))))?;
    review::look(session, made).await?;
    if text(made, "status") != "approved" {
        screen::note(&printable(&format!("it waits for its approval: roadstead types approve {name}")));
        return Ok(());
    }
    let slots = made["credential_slots"].as_array().is_some_and(|slots| !slots.is_empty());
    let first =
        if slots { format!("roadstead credentials add {name} --name mine, then ") } else { String::new() };
    screen::note(&printable(&format!("next: {first}roadstead launch {name}")));
    Ok(())
}

/// Variables as they are typed.
fn variables(typed: &[String]) -> Result<Map<String, Value>, CliError> {
    let pairs = typed.iter().map(|pair| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| CliError::Usage("--env takes a variable as NAME=VALUE".to_owned()))?;
        Ok((name.to_owned(), json!(value)))
    });
    pairs.collect()
}

pub(super) async fn upgrade(session: &Session<'_>, name: &str, to: Option<String>) -> Result<(), CliError> {
    let path = format!("{}/upgrade", find::type_path(name)?);
    let body = to.map_or_else(|| json!({}), |to| json!({ "version": to }));
    let upgraded = followed(session, &path, &body).await?;
    if session.screen.is_json() {
        return screen::value(&upgraded);
    }
    let version = upgraded.pointer("/manifest/version").and_then(Value::as_str).unwrap_or_default();
    screen::line(&printable(&format!("{} is at {version} now", text(&upgraded, "name"))))?;
    review::look(session, &upgraded).await
}

/// Asks, and shows a person how it goes on.
async fn followed(session: &Session<'_>, path: &str, body: &Value) -> Result<Value, CliError> {
    let rest = session.rest()?;
    let bar = (!session.screen.is_json() && std::io::stderr().is_terminal()).then(|| {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TURN);
        bar
    });
    let answer = rest
        .post_followed(path, body, |step| {
            if let Some(bar) = &bar {
                bar.set_message(printable(step));
            }
        })
        .await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(answer?)
}

fn strings<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    value.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// A description of a server: a file, or what is at an address.
async fn document(source: &str) -> Result<Value, CliError> {
    let Some(url) = source.starts_with("https://").then(|| Url::parse(source)) else {
        return description(Path::new(source));
    };
    let url = url.map_err(|_| CliError::BadUrl { url: source.to_owned() })?;
    let unreachable = |source: reqwest::Error| {
        CliError::Api(ApiError::Unreachable {
            url: url.origin().ascii_serialization(),
            source: source.without_url(),
        })
    };
    let request = http::client(&url).map_err(unreachable)?.get(url.clone()).timeout(FETCH_TIMEOUT);
    let response = request.send().await.and_then(reqwest::Response::error_for_status).map_err(unreachable)?;
    let bytes = response.bytes().await.map_err(unreachable)?;
    let bad = |source: Box<dyn std::error::Error + Send + Sync>| CliError::BadFile {
        what: source_name(&url),
        format: "JSON",
        source,
    };
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(CliError::Usage(format!("{} answers with more than 1 MiB", source_name(&url))));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(error.into()))?;
    // The official registry wraps what was published.
    Ok(value.get("server").filter(|server| server.is_object()).cloned().unwrap_or(value))
}

fn source_name(url: &Url) -> String {
    url.origin().ascii_serialization()
}
