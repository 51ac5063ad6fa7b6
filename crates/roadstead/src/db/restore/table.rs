//! The missing rows of one table. Nothing that is there is changed, so the service may run.

use anyhow::{Context, bail};
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Paper, Sheet};
use roadstead_store::restore::TableRestore;
use serde_json::json;
use time::{Date, Month, OffsetDateTime, Time};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::db::archive::Whole;
use crate::db::{Place, Refused};
use crate::postgres::Tools;

/// What the rows of a table end with in a dump's SQL.
const END: &[u8] = b"\\.\n";
/// Rows that are handed on at one time.
const BATCH_BYTES: usize = 256 << 10;

/// `roadstead db restore FILE --table NAME`.
pub(super) async fn restore(
    place: &Place,
    paper: &Paper,
    whole: &Whole,
    table: &str,
    yes: bool,
) -> anyhow::Result<Exit> {
    if !whole.manifest.tables.contains_key(table) {
        return Err(Refused::new(Exit::NotFound, format!("the backup has no table {table}")).into());
    }
    let Some(mut beside) = TableRestore::begin(place.owner(), table).await? else {
        let message = format!("{table} can only be restored with everything else");
        return Err(Refused::new(Exit::Usage, message).into());
    };
    let tools = place.tools(whole.manifest.postgres).await?;
    for member in tools.list(whole.dump()?).await? {
        let Some(part) = part_of(&member, table) else { continue };
        rows(&tools, whole, &member, &mut beside).await?;
        if let (true, Part::Month(month)) = (yes, part) {
            beside.make_month(month).await?;
        }
    }
    let found = beside.compare().await?;
    let put_back = if yes { beside.put_back().await? } else { 0 };
    beside.close().await?;
    let answer = json!({ "table": table, "compared": found, "put_back": put_back });
    paper.answer(&answer, |paper| {
        let mut sheet = Sheet::details();
        sheet.detail("in the backup", found.rows.to_string());
        sheet.detail("missing here", found.missing.to_string());
        sheet.detail("different here", format!("{}; left as they are", found.different));
        sheet.detail("put back", put_back.to_string());
        paper.sheet(&sheet)?;
        if found.missing > put_back {
            paper.line("\nNext: the same with --yes puts the missing rows back")?;
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

/// What a table of the dump is to the one that is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// The table itself.
    Whole,
    /// Its rows of the month that begins then.
    Month(OffsetDateTime),
}

/// Whether a table of the dump is this one, or a month of it.
fn part_of(member: &str, table: &str) -> Option<Part> {
    let rest = member.strip_prefix(table)?;
    if rest.is_empty() {
        return Some(Part::Whole);
    }
    let (year, month) = rest.strip_prefix('_')?.split_once('_')?;
    if year.len() != 4 || month.len() != 2 {
        return None;
    }
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let first = Date::from_calendar_date(year.parse().ok()?, month, 1).ok()?;
    Some(Part::Month(first.with_time(Time::MIDNIGHT).assume_utc()))
}

/// Hands the rows of one table of the dump on, as they come.
async fn rows(tools: &Tools, whole: &Whole, member: &str, beside: &mut TableRestore) -> anyhow::Result<()> {
    let mut child = tools.rows(member, whole.dump()?)?;
    let mut lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    let mut line = String::new();
    let columns = loop {
        line.clear();
        if lines.read_line(&mut line).await.context("the backup could not be read")? == 0 {
            // A table without rows has no such statement in some versions.
            child.wait().await?;
            return Ok(());
        }
        if let Some(columns) = columns_of(&line) {
            break columns.to_owned();
        }
    };
    let (mut from, mut to) = tokio::io::duplex(BATCH_BYTES);
    let handing_on = async move {
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
            }
            if line == END {
                break;
            }
            tokio::io::AsyncWriteExt::write_all(&mut to, &line).await?;
        }
        drop(to);
        // What follows is of no use; read, so that the program ends by itself.
        let mut rest = Vec::new();
        lines.read_to_end(&mut rest).await.map(drop)
    };
    let copying = async {
        let copied = beside.copy_in(&columns, &mut from).await;
        // Whoever hands on must not wait for one who takes no more.
        drop(from);
        copied
    };
    let (copied, handed) = tokio::join!(copying, handing_on);
    copied.with_context(|| {
        format!("the rows of {member} do not fit; bring the tables to the migration of the backup first")
    })?;
    handed.context("the backup could not be read")?;
    if !child.wait().await?.success() {
        bail!("pg_restore could not read the rows of {member}");
    }
    Ok(())
}

/// The columns of `COPY public.t (a, b) FROM stdin;`, if they are names and nothing else.
fn columns_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("COPY public.")?.split_once(" (")?;
    let columns = rest.trim_end().strip_suffix(") FROM stdin;")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ' ' | '"');
    columns.chars().all(plain).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_a_table_are_its_own_and_tables_with_longer_names_are_not() {
        let november = OffsetDateTime::from_unix_timestamp(1_793_491_200).unwrap();
        assert_eq!(part_of("mcp_logs", "mcp_logs"), Some(Part::Whole));
        assert_eq!(part_of("mcp_logs_2026_11", "mcp_logs"), Some(Part::Month(november)));
        assert_eq!(part_of("credential_secrets", "credential"), None);
        assert_eq!(part_of("api_key_usage_log", "api_key_usage"), None);
    }

    #[test]
    fn columns_are_names_and_nothing_else() {
        assert_eq!(columns_of("COPY public.t (id, \"at\") FROM stdin;\n"), Some("id, \"at\""));
        assert_eq!(columns_of("COPY public.t (id) FROM stdin; drop table x (y) FROM stdin;\n"), None);
        assert_eq!(columns_of("SET x = 1;\n"), None);
    }
}
