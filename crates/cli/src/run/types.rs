//! `types …`.

mod add;
mod review;

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::{Session, packages};
use crate::client_config::merge::read_json;
use crate::command::admin::TypesCommand;
use crate::command::review::Status;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Table};
use crate::wire::{slots, text};
use crate::words::printable;

/// The largest description of a type that is read.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

pub(super) async fn types(session: &Session<'_>, command: Option<TypesCommand>) -> Result<(), CliError> {
    match command.unwrap_or(TypesCommand::List { all: false, status: None }) {
        TypesCommand::List { all, status } => list(session, all, status).await,
        TypesCommand::Review(command) => review::review(session, command).await,
        TypesCommand::Show { name } => {
            let found = find::server_type(&session.rest()?, &name).await?;
            show(session, &found)
        }
        TypesCommand::Create { file } => {
            let created = session.rest()?.post("/types", &description(&file)?).await?;
            tell(session, &created, "created")
        }
        TypesCommand::Add(add) => add::add(session, *add).await,
        TypesCommand::Versions { name } => packages::versions(session, &name).await,
        TypesCommand::Upgrade { name, to } => add::upgrade(session, &name, to).await,
        TypesCommand::Disable { name } => {
            let path = format!("{}/disable", find::type_path(&name)?);
            let disabled = session.rest()?.post(&path, &json!({})).await?;
            tell(session, &disabled, "disabled")
        }
    }
}

async fn list(session: &Session<'_>, all: bool, status: Option<Status>) -> Result<(), CliError> {
    let mut query = vec![("limit", find::MAX_PAGE.to_string())];
    if all {
        query.push(("all", true.to_string()));
    }
    query.extend(status.map(|status| ("status", review::word(&status))));
    let types = session.rest()?.all("/types", &query, usize::MAX).await?;
    if session.screen.is_json() {
        return screen::value(&types);
    }
    let mut table = Table::new(["NAME", "TITLE", "STATUS", "SECRETS", "DESCRIPTION"]);
    for server_type in &types {
        table.row([
            text(server_type, "name").into(),
            text(server_type, "display_name").into(),
            text(server_type, "status").into(),
            slot_names(server_type).into(),
            text(server_type, "description").into(),
        ]);
    }
    session.screen.table(&table)
}

fn show(session: &Session<'_>, server_type: &Value) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(server_type);
    }
    let mut table = Table::details();
    for (name, field) in [
        ("id", "id"),
        ("name", "name"),
        ("title", "display_name"),
        ("description", "description"),
        ("program", "program"),
        ("arguments", "args"),
        ("environment", "env"),
        ("transport", "transport"),
        ("address", "url"),
        ("headers", "headers"),
    ] {
        table.detail(name, shown(server_type.get(field)));
    }
    table.detail("secrets", slot_names(server_type));
    for (name, field) in [
        ("scopes", "required_scopes"),
        ("configuration", "config_schema"),
        ("defaults", "config_template"),
        ("limits", "resource_limits"),
        ("longest life, minutes", "max_duration_minutes"),
        ("protocol era", "era"),
        ("era found out", "probed_era"),
        ("era bridge", "era_bridge"),
        ("sessions", "session_mode"),
        ("handshake repeated", "replay_initialize"),
        ("ready within, seconds", "ready_timeout_s"),
        ("call timeout, seconds", "call_timeout_s"),
        ("with progress, seconds", "call_timeout_max_s"),
        ("tool calls a minute", "rate_limit_per_minute"),
        ("restart", "restart"),
        ("restarts at most", "max_restarts"),
        ("within, seconds", "restart_window_s"),
        ("idle limit, seconds", "idle_limit_s"),
        ("private addresses", "allow_private"),
        ("any interface", "allow_any_interface"),
        ("status", "status"),
        ("because", "status_reason"),
        ("version", "version"),
    ] {
        table.detail(name, shown(server_type.get(field)));
    }
    table.detail("release", shown(server_type.pointer("/manifest/version")));
    table.detail("login at", shown(server_type.pointer("/login/authorization_url")));
    table.detail("tried out at", shown(server_type.pointer("/validation/url")));
    session.screen.table(&table)
}

fn tell(session: &Session<'_>, server_type: &Value, done: &str) -> Result<(), CliError> {
    if session.screen.is_json() {
        return screen::value(server_type);
    }
    screen::line(&printable(&format!("{done} {} ({})", text(server_type, "name"), text(server_type, "id"))))
}

/// A value as a person reads it; nothing for what says nothing.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => String::new(),
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(other) => other.to_string(),
    }
}

fn slot_names(server_type: &Value) -> String {
    let name = |(name, required): (String, bool)| if required { name } else { format!("{name} (optional)") };
    slots(server_type).into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A type's description out of a file, or JSON out of standard input.
fn description(file: &Path) -> Result<Value, CliError> {
    let what = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let unreadable = |source| CliError::Read { what: what.clone(), source };
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(unreadable)?)
    };
    let mut content = String::new();
    source.take(MAX_FILE_BYTES + 1).read_to_string(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(CliError::Usage(format!("{what} holds more than 1 MiB")));
    }
    let bad = |format, source| CliError::BadFile { what: what.clone(), format, source };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::from_str(&content).map_err(|error| bad("TOML", error.into())),
        // Editors' files have comments and trailing commas.
        Some("json" | "jsonc") => read_json(&content).map_err(|error| bad("JSON", error.into())),
        None if file == Path::new("-") => read_json(&content).map_err(|error| bad("JSON", error.into())),
        _ => Err(CliError::Usage(format!("{what} ends neither in .json nor in .toml"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_same_type_is_read_from_json_and_toml() {
        let folder = tempfile::tempdir().unwrap();
        let (json_file, toml_file) = (folder.path().join("t.json"), folder.path().join("t.toml"));
        let expected =
            json!({"name": "x", "args": ["-p", "${port}"], "credential_slots": [{"name": "token"}]});
        std::fs::write(&json_file, expected.to_string()).unwrap();
        let toml = "name = \"x\"\nargs = [\"-p\", \"${port}\"]\n[[credential_slots]]\nname = \"token\"\n";
        std::fs::write(&toml_file, toml).unwrap();
        assert_eq!(description(&json_file).unwrap(), expected);
        assert_eq!(description(&toml_file).unwrap(), expected);
    }

    #[test]
    fn comments_and_trailing_commas_are_read_as_editors_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp.json");
        let text = "\u{feff}{\n  // mine\n  \"mcpServers\": { /* one */ \"a\": {\"url\": \"https://a//b\",}, },\n}\n";
        std::fs::write(&file, text).unwrap();
        assert_eq!(description(&file).unwrap(), json!({"mcpServers": {"a": {"url": "https://a//b"}}}));
    }

    #[test]
    fn a_file_that_is_none_is_refused_by_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            description(&path).unwrap_err()
        };
        assert!(matches!(path("a.json", "{"), CliError::BadFile { format: "JSON", .. }));
        assert!(matches!(path("a.json", "{\"a\": [{\"b\": 1, \"b\": 2}]}"), CliError::BadFile { .. }));
        assert!(matches!(path("a.toml", "= 1"), CliError::BadFile { format: "TOML", .. }));
        assert!(matches!(path("a.yaml", "a: 1"), CliError::Usage(_)));
        assert_eq!(description(&folder.path().join("none.json")).unwrap_err().exit(), Exit::NotFound);
    }

    #[test]
    fn optional_secrets_are_marked() {
        let server_type = json!({"credential_slots": [{"name": "a"}, {"name": "b", "required": false}]});
        assert_eq!(slot_names(&server_type), "a, b (optional)");
    }
}
