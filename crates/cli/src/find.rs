//! Finds what a person names by an id, the beginning of an id, or a name.

use roadstead_model::InstanceId;
use serde_json::Value;

use crate::failure::CliError;
use crate::rest::{ApiError, Rest};
use crate::wire::text;

/// Shortest beginning of an id that is taken for one: less is more likely a slip.
const MIN_PREFIX_CHARS: usize = 4;
/// The most that the service puts on one page of a list.
pub(crate) const MAX_PAGE: usize = roadstead_model::limits::MAX_PAGE as usize;

/// The instance that is meant: among those that live first, then among all.
pub(crate) async fn instance(rest: &Rest, named: &str) -> Result<Value, CliError> {
    if named.parse::<InstanceId>().is_ok() {
        return by_id(rest, "instance", &format!("/instances/{}", segment(named)), named).await;
    }
    let query = [("limit", MAX_PAGE.to_string())];
    if let Some(found) = pick("instance", named, &live(rest, &query).await?)? {
        return Ok(found);
    }
    let all = rest.all("/instances", &query, usize::MAX).await?;
    pick("instance", named, &all)?.ok_or_else(|| missing("instance", named))
}

/// The instances that live, newest first.
pub(crate) async fn live(rest: &Rest, query: &[(&str, String)]) -> Result<Vec<Value>, CliError> {
    let mut found = Vec::new();
    for status in ["pending", "running"] {
        let mut query = query.to_vec();
        query.push(("status", status.to_owned()));
        for row in rest.all("/instances", &query, usize::MAX).await? {
            // One that became ready between the two questions is in both answers; the later one holds.
            found.retain(|known| text(known, "id") != text(&row, "id"));
            found.push(row);
        }
    }
    // Ids begin with the time of their making.
    found.sort_by(|one, other| text(other, "id").cmp(text(one, "id")));
    Ok(found)
}

/// The server type of that name or id.
pub(crate) async fn server_type(rest: &Rest, named: &str) -> Result<Value, CliError> {
    by_id(rest, "server type", &type_path(named)?, named).await
}

/// Where a server type is asked for.
pub(crate) fn type_path(named: &str) -> Result<String, CliError> {
    match named {
        // A URL takes these for steps between folders, however they are written.
        "" | "." | ".." => Err(missing("server type", named)),
        _ => Ok(format!("/types/{}", segment(named))),
    }
}

/// The credential that is meant, if possible one for this server type.
pub(crate) async fn credential(
    rest: &Rest,
    named: &str,
    server_type: Option<&str>,
) -> Result<Value, CliError> {
    let all = list(rest, "/credentials").await?;
    let fitting: Vec<Value> = match server_type {
        Some(name) => all.iter().filter(|row| text(row, "type") == name).cloned().collect(),
        None => Vec::new(),
    };
    match pick("credential", named, &fitting)? {
        Some(found) => Ok(found),
        None => pick("credential", named, &all)?.ok_or_else(|| missing("credential", named)),
    }
}

/// The API key that is meant: among those that open something first, then among all.
pub(crate) async fn key(rest: &Rest, named: &str) -> Result<Value, CliError> {
    let all = rest.all("/api-keys", &[("limit", MAX_PAGE.to_string())], usize::MAX).await?;
    let is_active = |row: &&Value| row.get("is_active").and_then(Value::as_bool) != Some(false);
    let active: Vec<Value> = all.iter().filter(is_active).cloned().collect();
    match pick("API key", named, &active)? {
        Some(found) => Ok(found),
        None => pick("API key", named, &all)?.ok_or_else(|| missing("API key", named)),
    }
}

/// The one of a list in pages that is named by its address or short name, else as [`pick`] does.
pub(crate) async fn among(
    rest: &Rest,
    noun: &'static str,
    path: &str,
    query: &[(&str, String)],
    named: &str,
) -> Result<Value, CliError> {
    let mut query = query.to_vec();
    query.push(("limit", MAX_PAGE.to_string()));
    let rows = rest.all(path, &query, usize::MAX).await?;
    let is_called = |row: &&Value| {
        text(row, "email").eq_ignore_ascii_case(named)
            || [text(row, "slug"), text(row, "user_id")].contains(&named)
    };
    let called: Vec<&Value> = rows.iter().filter(is_called).collect();
    match called.as_slice() {
        [one] if !named.is_empty() => Ok((*one).clone()),
        _ => pick(noun, named, &rows)?.ok_or_else(|| missing(noun, named)),
    }
}

/// A list, to its end.
pub(crate) async fn list(rest: &Rest, path: &str) -> Result<Vec<Value>, CliError> {
    Ok(rest.all(path, &[], usize::MAX).await?)
}

async fn by_id(rest: &Rest, noun: &'static str, path: &str, named: &str) -> Result<Value, CliError> {
    match rest.get(path).await {
        Err(ApiError::Refused { status: 404, .. }) => Err(missing(noun, named)),
        answer => Ok(answer?),
    }
}

fn missing(noun: &'static str, named: &str) -> CliError {
    CliError::NotFound { noun, name: named.to_owned() }
}

/// The one row that is named: by its id, else by its name, else by the beginning of its id.
fn pick(noun: &'static str, named: &str, rows: &[Value]) -> Result<Option<Value>, CliError> {
    let is_id = |row: &&Value| text(row, "id") == named;
    let is_name = |row: &&Value| text(row, "name") == named;
    let begins = |row: &&Value| named.len() >= MIN_PREFIX_CHARS && text(row, "id").starts_with(named);
    let mut found: Vec<&Value> = rows.iter().filter(is_id).collect();
    if found.is_empty() {
        found = rows.iter().filter(is_name).collect();
    }
    if found.is_empty() {
        found = rows.iter().filter(begins).collect();
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        several => Err(CliError::Ambiguous {
            noun,
            name: named.to_owned(),
            ids: several.iter().map(|row| text(row, "id").to_owned()).collect(),
        }),
    }
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push('%');
            for half in [byte >> 4, byte & 15] {
                safe.push(char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows() -> Vec<Value> {
        vec![
            json!({"id": "0199aaaa-1", "name": "work"}),
            json!({"id": "0199aabb-2", "name": "play"}),
            json!({"id": "0199cccc-3", "name": "play"}),
            json!({"id": "01990000-4", "name": "0199aaaa"}),
        ]
    }

    fn picked(named: &str) -> Option<String> {
        pick("instance", named, &rows()).unwrap().map(|row| text(&row, "id").to_owned())
    }

    #[test]
    fn an_id_a_name_and_a_unique_beginning_name_one() {
        assert_eq!(picked("0199cccc-3").unwrap(), "0199cccc-3");
        assert_eq!(picked("work").unwrap(), "0199aaaa-1");
        assert_eq!(picked("0199c").unwrap(), "0199cccc-3");
        assert_eq!(picked("wor"), None);
        assert_eq!(picked("cccc"), None);
    }

    #[test]
    fn a_name_goes_before_a_beginning() {
        assert_eq!(picked("0199aaaa").unwrap(), "01990000-4");
    }

    #[test]
    fn a_beginning_of_few_characters_is_none() {
        assert_eq!(pick("instance", "019", &rows()[..1]).unwrap(), None);
    }

    #[test]
    fn several_are_named_with_their_ids() {
        for (named, count) in [("play", 2), ("0199aa", 2), ("0199", 4)] {
            let Err(CliError::Ambiguous { ids, .. }) = pick("instance", named, &rows()) else {
                panic!("{named} is not ambiguous")
            };
            assert_eq!(ids.len(), count, "{named}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        assert_eq!(segment("a/../b?c=d#e f%ü"), "a%2F..%2Fb%3Fc%3Dd%23e%20f%25%C3%BC");
        assert!(type_path("..").is_err());
        assert_eq!(type_path("echo").unwrap(), "/types/echo");
    }
}
