//! `extend`.

use serde_json::json;

use super::show::when;
use super::{Session, now, read};
use crate::command::Extend;
use crate::failure::CliError;
use crate::find;
use crate::screen;
use crate::wire::{Instance, text};
use crate::words::printable;

pub(super) async fn extend(session: &Session<'_>, extend: &Extend) -> Result<(), CliError> {
    let rest = session.rest()?;
    let found = find::instance(&rest, &extend.instance).await?;
    let how = if extend.from_now { "expires_in" } else { "by" };
    let body = json!({ how: extend.duration.text() });
    let extended = rest.post(&format!("/instances/{}/extend", text(&found, "id")), &body).await?;
    if session.screen.is_json() {
        return screen::value(&extended);
    }
    let instance: Instance = read(extended)?;
    let end = instance.expires_at.map(|at| when(at, now())).unwrap_or_default();
    screen::line(&printable(&format!("{} ({}) expires {end}", instance.name, instance.id)))
}
