//! The TOML of Codex, edited in place.

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, TomlError, Value};

use super::{MergeError, Taken, place, position};
use crate::client_config::{Entry, Token};

/// Where Codex looks for the name of a variable that holds the token.
const VARIABLE: &str = "bearer_token_env_var";
/// Where it looks for headers in so many words.
const HEADERS: &str = "http_headers";

pub(super) fn merged(text: &str, entry: &Entry<'_>, taken: Taken) -> Result<String, MergeError> {
    let mut document: DocumentMut = text.parse().map_err(|error| unreadable(text, &error))?;
    let key = entry.client.servers();
    let servers = document.entry(key).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    // A table in one line can hold none of several.
    let is_inline = servers.is_inline_table();
    let servers = servers.as_table_like_mut().ok_or_else(|| unexpected(key))?;
    let place = place(entry.client, entry.name);
    match servers.get_mut(entry.name) {
        None => drop(servers.insert(entry.name, fresh(entry, is_inline))),
        Some(known) if known.to_string().contains(entry.service()) => {
            fill(known.as_table_like_mut().ok_or_else(|| unexpected(&place))?, entry);
        }
        Some(_) if taken == Taken::Stays => return Err(MergeError::Taken { place }),
        Some(known) => *known = fresh(entry, is_inline),
    }
    Ok(document.to_string())
}

fn fresh(entry: &Entry<'_>, is_inline: bool) -> Item {
    if is_inline {
        let mut table = InlineTable::new();
        fill(&mut table, entry);
        Item::Value(Value::InlineTable(table))
    } else {
        let mut table = Table::new();
        fill(&mut table, entry);
        Item::Table(table)
    }
}

/// Sets the fields; one way to the token takes the place of the other.
fn fill(server: &mut dyn TableLike, entry: &Entry<'_>) {
    set(server, "url", entry.url);
    match entry.token {
        Token::Given(_) => {
            server.remove(VARIABLE);
            let headers = server.entry(HEADERS).or_insert(Item::Value(InlineTable::new().into()));
            if !headers.is_table_like() {
                *headers = Item::Value(InlineTable::new().into());
            }
            if let Some(headers) = headers.as_table_like_mut() {
                set(headers, "Authorization", &entry.bearer());
            }
        }
        Token::Variable(variable) => {
            set(server, VARIABLE, variable);
            let headers = server.get_mut(HEADERS).and_then(Item::as_table_like_mut);
            let is_left_empty = headers.is_some_and(|headers| {
                headers.remove("Authorization");
                headers.is_empty()
            });
            if is_left_empty {
                server.remove(HEADERS);
            }
        }
    }
}

/// Sets a text, and leaves what stands around an equal one.
fn set(table: &mut dyn TableLike, key: &str, text: &str) {
    match table.get_mut(key) {
        Some(known) if known.as_str() == Some(text) => {}
        Some(Item::Value(known)) => {
            let around = known.decor().clone();
            *known = Value::from(text);
            *known.decor_mut() = around;
        }
        _ => drop(table.insert(key, Item::Value(text.into()))),
    }
}

fn unexpected(place: &str) -> MergeError {
    MergeError::Unexpected { place: place.to_owned(), expected: "a table" }
}

/// What the parser prints shows the line, and a line may hold a secret.
fn unreadable(text: &str, error: &TomlError) -> MergeError {
    let (line, column) = position(text, error.span().map_or(0, |span| span.start));
    MergeError::Unreadable { line, column, what: "this is not TOML".to_owned() }
}
