//! The servers of a client's configuration: `mcpServers` (Claude Desktop, Claude Code, Cursor, Windsurf and others),
//! `servers` with `inputs` (VS Code), `context_servers` (Zed). Comments and trailing commas are read as editors read them.
//!
//! Such a file is full of secrets. None is kept: what looks like one becomes a slot, and where no slot can stand the entry
//! is refused, without repeating the value.

mod command;
mod comments;
mod entry;
mod values;

use std::collections::BTreeSet;

use super::json::{self, Object, Problems};
use super::{Proposal, naming};
use crate::problem::Problem;

/// Where the servers stand, in each client's file.
const PLACES: [&str; 3] = ["mcpServers", "servers", "context_servers"];

/// One server of a configuration: a proposal, or everything that is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedEntry {
    /// Its name there.
    pub name: String,
    /// What became of it.
    pub proposal: Result<Proposal, Vec<Problem>>,
}

/// Reads a configuration: an error if it is none, and else each of its servers for itself, in the order of their names.
pub fn parse_client_config(text: &str) -> Result<Vec<ImportedEntry>, Vec<Problem>> {
    let plain = comments::removed(text);
    let value = json::parse(&plain).map_err(|problem| vec![problem])?;
    let root = Object::root(&value).map_err(|problem| vec![problem])?;
    let mut problems = Problems::default();
    // VS Code's settings hold the same below `mcp`.
    let inner = root
        .object("mcp", &mut Problems::default())
        .filter(|_| PLACES.iter().all(|place| !root.map.contains_key(*place)));
    let root = inner.unwrap_or(root);
    let places: Vec<&str> = PLACES.into_iter().filter(|place| root.map.contains_key(*place)).collect();
    let place = match places.as_slice() {
        [place] => *place,
        [] => {
            return Err(vec![Problem::new(
                "document",
                "has none of `mcpServers`, `servers` and `context_servers`",
            )]);
        }
        _ => {
            return Err(vec![Problem::new(
                "document",
                format!("has more than one of {}", places.join(", ")),
            )]);
        }
    };
    let declared = values::declared(&root, &mut problems);
    let servers = root.object(place, &mut problems);
    let entries = servers.map(|servers| servers.entries(&mut problems)).unwrap_or_default();
    if problems.is_empty() && entries.is_empty() {
        problems.report(place, "has no servers");
    }
    if !problems.is_empty() {
        return Err(problems.into_list());
    }
    let mut taken = BTreeSet::new();
    let read = entries.into_iter().map(|(name, object)| {
        let proposal = entry::read(name, &free_name(name, &mut taken), &object, &declared);
        ImportedEntry { name: name.to_owned(), proposal }
    });
    Ok(read.collect())
}

fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let first = naming::type_name(name);
    let mut free = first.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = naming::numbered(&first, '-', number);
        number += 1;
    }
    free
}

#[cfg(test)]
mod tests;
