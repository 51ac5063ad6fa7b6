//! The history of the tables: forwards, back, and whether it is whole.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use roadstead_cli::Exit;
use roadstead_cli::sheet::{Mood, Paper, Sheet, moment};
use roadstead_store::migrate;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use super::{Place, Refused, ask};

/// How long the name of a migration may be.
const MAX_NAME: usize = 60;

/// What a new migration begins with.
const UP: &str = "\
-- What this is about, in a sentence.

-- Rules (docs/migrations.md): tables and their rows are not changed in the same migration; a column is added with a default or
-- without `not null`; what is renamed or dropped is unused since the version before; large tables get their indexes
-- `concurrently`, in a migration of their own that begins with the line `-- no-transaction`.
";
/// What its undoing begins with.
const DOWN: &str = "-- Undoes it all: afterwards the schema is what it was before.\n";

/// `roadstead db migrate`.
pub(super) async fn migrate(place: &Place, paper: &Paper, to: Option<i64>) -> anyhow::Result<Exit> {
    let applied = migrate::up(place.owner(), to).await?;
    let answer = json!({ "applied": applied });
    paper.answer(&answer, |paper| paper.line(&format!("{} migrations applied.", applied.len())))?;
    Ok(Exit::Ok)
}

/// `roadstead db list`.
pub(super) async fn list(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let all = migrate::status(place.owner()).await?;
    let checksums = migrate::checksums(place.owner()).await?;
    let same = |version: i64| checksums.iter().any(|one| one.version == version && one.same);
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            let at = one.applied_at.and_then(|at| at.format(&Rfc3339).ok());
            let checksum = one.applied_at.map(|_| same(one.version));
            json!({ "version": one.version, "description": one.description, "applied": at.is_some(),
                "applied_at": at, "checksum_ok": checksum })
        })
        .collect();
    paper.answer(&rows, |paper| {
        let mut sheet = Sheet::new(["VERSION", "STATE", "APPLIED", "ABOUT"]);
        for one in &all {
            let (state, mood) = match one.applied_at {
                None => ("pending", Mood::Soon),
                Some(_) if same(one.version) => ("applied", Mood::Good),
                Some(_) => ("changed", Mood::Bad),
            };
            let at = one.applied_at.map(moment).unwrap_or_default();
            let cells = [format!("{:04}", one.version), state.to_owned(), at, one.description.clone()];
            sheet.moody(cells, 1, mood);
        }
        paper.sheet(&sheet)
    })?;
    Ok(Exit::Ok)
}

/// `roadstead db validate`.
pub(super) async fn validate(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let checksums = migrate::checksums(place.owner()).await?;
    let mut owner = place.maintenance().await?;
    let findings = owner.check(&checksums).await?;
    owner.close().await?;
    paper.answer(&findings, |paper| {
        if findings.is_empty() {
            return paper
                .line("All is as it should be: history, constraints, indexes, months and row security.");
        }
        let mut sheet = Sheet::new(["WHERE", "WHAT", "NEXT"]);
        for one in &findings {
            let kind = json!(one.kind).as_str().unwrap_or_default().replace('_', " ");
            sheet.moody([one.place.clone(), kind, one.next.to_owned()], 1, Mood::Bad);
        }
        paper.sheet(&sheet)
    })?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// `roadstead db rollback`.
pub(super) async fn rollback(
    place: &Place,
    paper: &Paper,
    to: Option<i64>,
    yes: bool,
) -> anyhow::Result<Exit> {
    place.unused()?;
    let to = match to {
        Some(to) => to,
        None => last_but_one(place).await?,
    };
    let question = format!("Undo every migration after {to}? What their tables hold is lost.");
    ask(yes, &question, "nothing was undone")?;
    let undone = migrate::rollback(place.owner(), to).await?;
    let answer = json!({ "undone": undone });
    paper.answer(&answer, |paper| paper.line(&format!("{} migrations undone.", undone.len())))?;
    Ok(Exit::Ok)
}

async fn last_but_one(place: &Place) -> anyhow::Result<i64> {
    let all = migrate::status(place.owner()).await?;
    let applied: Vec<i64> =
        all.iter().filter(|one| one.applied_at.is_some()).map(|one| one.version).collect();
    Ok(applied.iter().rev().nth(1).copied().unwrap_or(0))
}

/// `roadstead db create`.
pub(super) fn create(paper: &Paper, name: &str) -> anyhow::Result<Exit> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        let message = format!("{name:?} is not a name: small letters, digits and `_`, {MAX_NAME} at most");
        return Err(Refused::new(Exit::Usage, message).into());
    }
    let here = std::env::current_dir().context("there is no current folder")?;
    let folder = source_folder(&here).ok_or_else(|| {
        Refused::new(
            Exit::NotFound,
            "there is no folder `migrations` here; run it in a source tree of roadstead",
        )
    })?;
    let files = write_pair(&folder, name)?;
    let answer = json!({ "files": files });
    paper.answer(&answer, |paper| {
        for file in &files {
            paper.line(&format!("Wrote {}", file.display()))?;
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

fn source_folder(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join("migrations")).find(|folder| folder.is_dir())
}

fn write_pair(folder: &Path, name: &str) -> anyhow::Result<[PathBuf; 2]> {
    let entries = folder.read_dir().with_context(|| format!("could not read {}", folder.display()))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.get(..4)?.parse::<u32>().ok());
    let next = numbers.max().unwrap_or(0) + 1;
    let files = [("up", UP), ("down", DOWN)].map(|(way, text)| {
        let file = folder.join(format!("{next:04}_{name}.{way}.sql"));
        let written = OpenOptions::new().write(true).create_new(true).open(&file);
        written
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .with_context(|| format!("could not write {}", file.display()))
            .map(|()| file)
    });
    let [up, down] = files;
    Ok([up?, down?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pair_has_the_next_number_and_never_overwrites() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("migrations");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("0009_before.up.sql"), "").unwrap();
        let below = root.path().join("crates/deep");
        std::fs::create_dir_all(&below).unwrap();
        let found = source_folder(&below).unwrap();
        let files = write_pair(&found, "add_quotas").unwrap();
        assert_eq!(files[0].file_name().unwrap(), "0010_add_quotas.up.sql");
        assert_eq!(files[1].file_name().unwrap(), "0010_add_quotas.down.sql");
        assert_eq!(
            write_pair(&found, "add_quotas").unwrap()[0].file_name().unwrap(),
            "0011_add_quotas.up.sql"
        );
    }

    #[test]
    fn a_name_that_could_leave_the_folder_is_refused() {
        let paper = Paper::new(true, true);
        for name in ["", "../x", "A", "with space"] {
            let error = create(&paper, name).unwrap_err();
            assert_eq!(error.downcast_ref::<Refused>().unwrap().exit, Exit::Usage);
        }
    }
}
