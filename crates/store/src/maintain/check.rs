//! What is not as the migrations left it, or as the service needs it.

use serde::Serialize;

use super::Maintenance;
use crate::StoreError;
use crate::error::During;
use crate::migrate::Checksum;

/// Months that must be there: the present one and the next.
const MONTHS_NEEDED: i32 = 2;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A migration is not applied.
    Pending,
    /// A migration of this program's was skipped: later ones are applied.
    Gap,
    /// A migration that this program does not know is applied.
    Unknown,
    /// A migration was applied with another text.
    Checksum,
    /// A constraint that was never held against the rows that were there before it.
    NotValidated,
    /// An index that cannot be used: its making was broken off.
    InvalidIndex,
    /// A month for which no rows can be stored.
    MissingPartition,
    /// A table that says whose its rows are, without row security in force.
    RowSecurity,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: FindingKind,
    /// Where: a table, an index, a migration.
    pub place: String,
    /// What to do.
    pub next: &'static str,
}

impl Finding {
    fn new(kind: FindingKind, place: impl Into<String>) -> Self {
        Self { kind, place: place.into(), next: kind.next() }
    }
}

impl FindingKind {
    const fn next(self) -> &'static str {
        match self {
            Self::Pending => "roadstead db migrate",
            Self::Gap => "restore a backup from before, or put the history right by hand",
            Self::Unknown => "run the newer version of roadstead, or restore a backup from before it",
            Self::Checksum => "run the version of roadstead that applied it",
            Self::NotValidated => "alter table … validate constraint …",
            Self::InvalidIndex => "reindex index concurrently …",
            Self::MissingPartition => "start the service, which makes months ahead",
            Self::RowSecurity => "roadstead db migrate, which locks the rows of every table",
        }
    }
}

impl Maintenance {
    /// Everything that is not as it should be; nothing when all is well.
    #[tracing::instrument(name = "db.maintain.check", skip_all, err(level = "debug"))]
    pub async fn check(&mut self, migrations: &[Checksum]) -> Result<Vec<Finding>, StoreError> {
        let mut found = history(migrations);
        self.named(&mut found).await?;
        Ok(found)
    }

    async fn named(&mut self, found: &mut Vec<Finding>) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            r#"select 'not_validated' as "kind!", conrelid::regclass || '.' || conname as "place!"
               from pg_constraint where connamespace = 'public'::regnamespace and not convalidated
               union all
               select 'invalid_index', indexrelid::regclass::text from pg_index
               where not indisvalid and indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)
               union all
               select 'missing_partition', p.relname || to_char(now() at time zone 'UTC' + make_interval(months => step), '_YYYY_MM')
               from pg_class p, generate_series(0, $1 - 1) as step
               where p.relkind = 'p' and p.relnamespace = 'public'::regnamespace
                 and to_regclass(format('public.%I', p.relname || to_char(date_trunc('month', now() at time zone 'UTC')
                   + make_interval(months => step), '_YYYY_MM'))) is null
               union all
               select 'row_security', c.relname from pg_class c
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
                 and exists (select from pg_roles where rolname = 'roadstead_caller')
                 and has_any_column_privilege(
                   (select oid from pg_roles where rolname = 'roadstead_caller'), c.oid, 'select')
                 and not c.relrowsecurity
                 and exists (select from pg_attribute a where a.attrelid = c.oid and not a.attisdropped
                             and a.attname in ('owner_id', 'organization_id'))
               order by 1, 2"#,
            MONTHS_NEEDED,
        )
        .fetch_all(&mut self.connection)
        .await
        .during("db.maintain.check")?;
        found.extend(rows.into_iter().map(|row| {
            let kind = match row.kind.as_str() {
                "not_validated" => FindingKind::NotValidated,
                "invalid_index" => FindingKind::InvalidIndex,
                "missing_partition" => FindingKind::MissingPartition,
                _ => FindingKind::RowSecurity,
            };
            Finding::new(kind, row.place)
        }));
        Ok(())
    }
}

/// The history of migrations against those that this program carries.
fn history(migrations: &[Checksum]) -> Vec<Finding> {
    let newest = migrations.iter().filter(|one| one.applied).map(|one| one.version).max().unwrap_or(0);
    let judged = migrations.iter().filter_map(|one| {
        let kind = match (one.applied, one.known, one.same) {
            (true, false, _) => FindingKind::Unknown,
            (true, true, false) => FindingKind::Checksum,
            (true, true, true) => return None,
            (false, ..) if one.version < newest => FindingKind::Gap,
            (false, ..) => FindingKind::Pending,
        };
        Some(Finding::new(kind, format!("{:04} {}", one.version, one.description)))
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(version: i64, (applied, known, same): (bool, bool, bool)) -> Checksum {
        Checksum { version, description: "people".to_owned(), applied, known, same }
    }

    #[test]
    fn every_way_in_which_the_history_can_be_wrong_is_told() {
        let all = [
            migration(1, (true, true, true)),
            migration(2, (false, true, false)),
            migration(3, (true, true, false)),
            migration(4, (true, false, false)),
            migration(5, (false, true, false)),
        ];
        let kinds: Vec<_> = history(&all).into_iter().map(|one| one.kind).collect();
        let expected = [FindingKind::Gap, FindingKind::Checksum, FindingKind::Unknown, FindingKind::Pending];
        assert_eq!(kinds, expected);
        assert!(history(&all[..1]).is_empty());
    }
}
