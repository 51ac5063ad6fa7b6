//! `restart`, `restore` and `renew`: each takes several instances, and one that fails does not keep the others.

use serde_json::{Value, json};

use super::Session;
use super::end::each;
use crate::command::{Again, Renew};
use crate::failure::CliError;
use crate::find;
use crate::wire::text;

pub(super) async fn restart(session: &Session<'_>, wanted: &Again) -> Result<(), CliError> {
    let done = if wanted.no_wait { "restarting" } else { "restarted" };
    start(session, &wanted.instances, "restart", done, &body(wanted.no_wait)).await
}

pub(super) async fn restore(session: &Session<'_>, wanted: &Again) -> Result<(), CliError> {
    let done = if wanted.no_wait { "restoring" } else { "restored" };
    start(session, &wanted.instances, "restore", done, &body(wanted.no_wait)).await
}

pub(super) async fn renew(session: &Session<'_>, wanted: &Renew) -> Result<(), CliError> {
    let done = if wanted.no_wait { "renewing" } else { "renewed" };
    let mut body = body(wanted.no_wait);
    if let Some(length) = &wanted.expires_in {
        body["expires_in"] = length.text().into();
    }
    start(session, &wanted.instances, "renew", done, &body).await
}

fn body(no_wait: bool) -> Value {
    json!({ "wait": if no_wait { "none" } else { "ready" } })
}

async fn start(
    session: &Session<'_>,
    named: &[String],
    verb: &str,
    done: &str,
    body: &Value,
) -> Result<(), CliError> {
    let rest = session.rest()?;
    let work = async |named: &String| {
        let instance = find::instance(&rest, named).await?;
        Ok(rest.post(&format!("/instances/{}/{verb}", text(&instance, "id")), body).await?)
    };
    each(session, named, done, work).await
}
