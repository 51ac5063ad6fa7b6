//! `client-config`: what makes an MCP client use an instance, printed or laid into the client's file.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::json;

use super::Session;
use crate::client_config::file::{ClientFile, Holds};
use crate::client_config::merge::{MergeError, Taken, alone, merged};
use crate::client_config::place::System;
use crate::client_config::{Entry, Token, server_name, variable_name};
use crate::command::use_it::ClientConfig;
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen;
use crate::secret;
use crate::wire::text;
use crate::words::printable;

/// What stands for a token that is shown to nobody.
const HIDDEN: &str = "<the access token>";

pub(super) async fn client_config(session: &Session<'_>, wanted: &ClientConfig) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, &wanted.instance).await?;
    let name = wanted.server_name.clone().unwrap_or_else(|| server_name(text(&found, "name")));
    let variable = wanted.token_env.clone().unwrap_or_else(|| variable_name(&name));
    let open = Entry {
        client: wanted.client,
        name: &name,
        url: text(&found, "access_url"),
        token: Token::Variable(&variable),
    };
    let file = wanted.write.then(|| Target::of(session, wanted)).transpose()?;
    // Whatever is in the way is found before a token ends for it.
    if let Some(file) = &file {
        file.with(&open)?;
    }
    if wanted.dry_run {
        return foretell(session, wanted, &open, file.as_ref());
    }
    let token = token(&rest, wanted, text(&found, "id")).await?;
    let entry = Entry { token: token.as_ref().map_or(open.token, Token::Given), ..open };
    let Some(file) = file else { return print(session, &entry) };
    write(session, &file, &entry).inspect_err(|_| {
        if wanted.rotate_token {
            screen::note("The old access token is gone, and the new one was not written: rotate again.");
        }
    })
}

async fn token(rest: &Rest, wanted: &ClientConfig, id: &str) -> Result<Option<SecretString>, CliError> {
    if wanted.token_stdin {
        return secret::token_from_stdin().map(Some);
    }
    if !wanted.rotate_token {
        return Ok(None);
    }
    let path = format!("/instances/{}/rotate-token", find::segment(id));
    let rotated = rest.post(&path, &json!({})).await?;
    match text(&rotated, "access_token") {
        "" => Err(CliError::NoToken),
        token => Ok(Some(token.to_owned().into())),
    }
}

fn print(session: &Session<'_>, entry: &Entry<'_>) -> Result<(), CliError> {
    let content = alone(entry);
    let content = content.trim_end();
    if session.screen.is_json() {
        return screen::value(&json!({
            "client": entry.client.word(),
            "format": entry.client.format(),
            "path_hint": entry.client.path_hint(),
            "content": content,
        }));
    }
    screen::line(content)?;
    screen::note(&format!("This goes into {}.", entry.client.path_hint()));
    advise(entry);
    Ok(())
}

fn advise(entry: &Entry<'_>) {
    if let Some(advice) = entry.advice() {
        screen::note(&format!("For the token, {advice}."));
    }
}

/// A client's file, and what may be done to it.
struct Target {
    path: PathBuf,
    file: ClientFile,
    taken: Taken,
    /// Whether others get the file, too.
    is_shared: bool,
}

impl Target {
    fn of(session: &Session<'_>, wanted: &ClientConfig) -> Result<Self, CliError> {
        let client = wanted.client;
        let path = if let Some(path) = &wanted.file {
            path.clone()
        } else if wanted.project {
            client.project_file().map(PathBuf::from).ok_or_else(|| {
                CliError::Usage(format!("{} has no file of a project; name one with --file", client.word()))
            })?
        } else {
            client.user_file(&session.globals.homes, System::here()).ok_or_else(|| {
                CliError::Usage(format!(
                    "where {} keeps its file is not known; name it with --file",
                    client.word()
                ))
            })?
        };
        let taken = if wanted.replace { Taken::MakesWay } else { Taken::Stays };
        Ok(Self { file: ClientFile::read(&path)?, path, taken, is_shared: wanted.project })
    }

    /// The file's text with an entry in it.
    fn with(&self, entry: &Entry<'_>) -> Result<String, CliError> {
        merged(self.file.text(), entry, self.taken)
            .map_err(|source: MergeError| CliError::ClientText { path: shown(&self.path), source })
    }
}

/// Tells what would be written: the entry alone, since the rest of the file may hold secrets of others.
fn foretell(
    session: &Session<'_>,
    wanted: &ClientConfig,
    open: &Entry<'_>,
    file: Option<&Target>,
) -> Result<(), CliError> {
    let hidden = SecretString::from(HIDDEN);
    let is_given = wanted.token_stdin || wanted.rotate_token;
    let entry = Entry { token: if is_given { Token::Given(&hidden) } else { open.token }, ..*open };
    let content = alone(&entry);
    let path = file.map(|file| shown(&file.path)).unwrap_or_default();
    let changes = file.map(|file| Ok::<_, CliError>(file.with(&entry)? != file.file.text())).transpose()?;
    if session.screen.is_json() {
        return screen::value(&json!({
            "client": entry.client.word(), "server_name": entry.name, "file": path,
            "would_change": changes, "content": content.trim_end(),
        }));
    }
    screen::line(content.trim_end())?;
    screen::note(&match changes {
        Some(false) => format!("{path} says so already; nothing was written."),
        _ => format!("This would be laid into {path}, which would be kept beside it; nothing was written."),
    });
    Ok(())
}

fn write(session: &Session<'_>, file: &Target, entry: &Entry<'_>) -> Result<(), CliError> {
    let fresh = file.with(entry)?;
    let holds = if matches!(entry.token, Token::Given(_)) { Holds::Token } else { Holds::NoToken };
    let is_changed = fresh != file.file.text();
    let backup = if is_changed { file.file.replace(&fresh, holds, super::now())? } else { None };
    if session.screen.is_json() {
        return screen::value(&json!({
            "client": entry.client.word(), "server_name": entry.name, "file": shown(&file.path),
            "changed": is_changed, "backup": backup.as_deref().map(shown),
        }));
    }
    let path = shown(&file.path);
    screen::line(&printable(&if is_changed {
        format!("wrote {} into {path}", entry.name)
    } else {
        format!("{path} says so already")
    }))?;
    if let Some(backup) = &backup {
        screen::note(&printable(&format!("What it held before is in {}.", shown(backup))));
    }
    if holds == Holds::Token && file.is_shared {
        screen::note("It holds the access token: keep it out of what is shared with others.");
    }
    advise(entry);
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
