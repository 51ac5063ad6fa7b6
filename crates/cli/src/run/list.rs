//! `ps`.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Session, now, read};
use crate::command::Ps;
use crate::failure::CliError;
use crate::find;
use crate::screen::{self, Entry, Table, Tint};
use crate::wire::Instance;
use crate::words::relative;

/// The column that narrow terminals do not get.
const CONFINEMENT: &str = "CONFINEMENT";
/// Characters of a line that has it, with names of an ordinary length.
const WIDE: u16 = 140;

pub(super) async fn ps(session: &Session<'_>, ps: &Ps) -> Result<(), CliError> {
    let rest = session.rest()?;
    let mut query = vec![("limit", find::MAX_PAGE.to_string())];
    query.extend(super::many::parameters(&ps.which));
    let is_of_status = !ps.which.status.is_empty();
    if ps.sort.is_some() && !ps.all && !is_of_status {
        query.push(("status", "pending,running".to_owned()));
    }
    query.extend(ps.sort.map(|sort| ("sort", sort.word().to_owned())));
    let found = if ps.all || is_of_status || ps.sort.is_some() {
        rest.all("/instances", &query, usize::MAX).await?
    } else {
        find::live(&rest, &query).await?
    };
    if session.screen.is_json() {
        return screen::value(&found);
    }
    if found.is_empty() {
        let which = if ps.all || is_of_status { "" } else { " that live; --all lists those that ended" };
        screen::note(&format!("There are no instances{which}."));
        return Ok(());
    }
    let table = table(found)?;
    let fits = session.screen.has_room(WIDE);
    session.screen.table(&if fits { table } else { table.without(CONFINEMENT) })
}

/// When it ends; with a word where uses move that on.
fn ends(end: OffsetDateTime, keep: bool, now: OffsetDateTime) -> String {
    let end = relative(end, now);
    if keep { format!("{end}, kept") } else { end }
}

fn table(found: Vec<Value>) -> Result<Table, CliError> {
    let now = now();
    let mut table =
        Table::new(["ID", "NAME", "TYPE", "STATUS", CONFINEMENT, "PORT", "PID", "CREATED", "ENDS"]);
    for value in found {
        let instance: Instance = read(value)?;
        let end = instance.ended_at.or(instance.expires_at);
        table.row([
            instance.id.into(),
            instance.name.into(),
            instance.server_type.name.into(),
            Entry::tinted(&instance.status, Tint::of_status(&instance.status)),
            instance.confinement.map(|it| it.level).unwrap_or_default().into(),
            instance.assigned_port.map(|port| port.to_string()).unwrap_or_default().into(),
            instance.process_id.map(|pid| pid.to_string()).unwrap_or_default().into(),
            relative(instance.created_at, now).into(),
            end.map(|end| ends(end, instance.ended_at.is_none() && instance.keep, now))
                .unwrap_or_default()
                .into(),
        ]);
    }
    Ok(table)
}
