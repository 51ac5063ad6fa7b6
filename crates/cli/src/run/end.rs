//! `stop`, `expire` and `delete`: each takes several instances, and one that fails does not keep the others.

use serde_json::{Value, json};

use super::{Session, confirm};
use crate::command::Delete;
use crate::failure::CliError;
use crate::find;
use crate::rest::Rest;
use crate::screen;
use crate::wire::text;
use crate::words::printable;

pub(super) async fn stop(session: &Session<'_>, named: &[String]) -> Result<(), CliError> {
    let rest = session.rest()?;
    let work = async |named: &String| post(&rest, named, "stop").await;
    each(session, named, "stopped", work).await
}

pub(super) async fn expire(session: &Session<'_>, named: &[String]) -> Result<(), CliError> {
    let rest = session.rest()?;
    let work = async |named: &String| post(&rest, named, "expire").await;
    each(session, named, "expired", work).await
}

/// Everything is found before anything is deleted: a slip in one name deletes nothing.
pub(super) async fn delete(session: &Session<'_>, delete: &Delete) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut found: Vec<Value> = Vec::new();
    for named in &delete.instances {
        let instance = find::instance(&rest, named).await?;
        if !found.iter().any(|known| text(known, "id") == text(&instance, "id")) {
            found.push(instance);
        }
    }
    let names: Vec<String> = found.iter().map(label).collect();
    confirm(&format!("Delete {}?", names.join(", ")), delete.yes)?;
    let work = async |instance: &Value| {
        rest.delete(&format!("/instances/{}", text(instance, "id"))).await?;
        Ok(json!({ "id": text(instance, "id"), "name": text(instance, "name"), "deleted": true }))
    };
    each(session, &found, "deleted", work).await
}

async fn post(rest: &Rest, named: &str, verb: &str) -> Result<Value, CliError> {
    let instance = find::instance(rest, named).await?;
    Ok(rest.post(&format!("/instances/{}/{verb}", text(&instance, "id")), &json!({})).await?)
}

/// Does something to each, tells of each, and names a failure of some at the end.
pub(super) async fn each<T>(
    session: &Session<'_>,
    items: &[T],
    done: &str,
    work: impl AsyncFn(&T) -> Result<Value, CliError>,
) -> Result<(), CliError> {
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    for item in items {
        match work(item).await {
            Ok(answer) if session.screen.is_json() => answers.push(answer),
            Ok(answer) => screen::line(&printable(&format!("{done} {}", label(&answer))))?,
            Err(error) => {
                // A single failure is the command's own, and is told by whoever called.
                if items.len() > 1 {
                    session.report(&error);
                }
                failures.push(error);
            }
        }
    }
    if session.screen.is_json() && (failures.is_empty() || items.len() > 1) {
        screen::value(&answers)?;
    }
    let failed = failures.len();
    match failures.into_iter().next() {
        None => Ok(()),
        Some(error) if items.len() == 1 => Err(error),
        Some(first) => Err(CliError::Some { failed, all: items.len(), exit: first.exit() }),
    }
}

/// How an instance is called when it is spoken of.
fn label(instance: &Value) -> String {
    match (text(instance, "name"), text(instance, "id")) {
        ("", id) => id.to_owned(),
        (name, id) => format!("{name} ({id})"),
    }
}
