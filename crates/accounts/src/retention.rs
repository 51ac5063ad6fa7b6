//! What is kept for how long, and clearing away what is older: by platform admins, and every day by whoever holds the reaper's
//! lease.
//!
//! ```text
//! months:  (each month that ended before the cutoff: written to a file, on the disk) ─► all dropped in one step
//! rows:    500 at a time, until none is left
//! ```
//! Whatever is cut off half way is a run without an end; the next one goes on where it stopped.

mod archive;

use std::path::PathBuf;
use std::sync::Arc;

use roadstead_access::AdminPermit;
use roadstead_model::{Audited, Care, Changes, Clock, Randomness, RunId, UserId, retention};
use roadstead_store::{
    Dropped, MonthRow, Page, PageRequest, PolicyRow, RunOutcome, RunRow, Store, StoreError,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::{Accounts, AccountsError};

/// Rows that are deleted in one step: short enough that nobody waits for it.
const BATCH: i64 = 500;
/// How long it is remembered what was removed when.
const RUNS_KEPT: Duration = Duration::days(400);
/// The longest that a policy may keep anything: a hundred years.
const MAX_DAYS: u32 = 36_500;
/// The table whose entries may say for themselves how long they are to be kept.
const AUDIT: &str = "audit_logs";

/// Clears away what is old.
#[derive(Debug, Clone)]
pub struct Cleaner {
    store: Store,
    clock: Arc<dyn Clock>,
    randomness: Arc<Randomness>,
    /// Where months are written to before they go.
    archive: Option<PathBuf>,
}

/// What a policy would remove now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The policy.
    pub policy: PolicyRow,
    /// What is older goes.
    pub cutoff: OffsetDateTime,
    /// The months that would go; none where rows do.
    pub months: Vec<MonthRow>,
    /// Rows that would go: of months as counted last.
    pub rows: u64,
    /// The room that the months take.
    pub bytes: u64,
}

/// What is to change about a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Keep for so many days.
    pub days: Option<u32>,
    /// Remove anything.
    pub is_active: Option<bool>,
    /// Write a month to a file first.
    pub archive: Option<bool>,
}

impl Cleaner {
    /// One over a store; without a folder, nothing can be archived.
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        randomness: Arc<Randomness>,
        archive: Option<PathBuf>,
    ) -> Self {
        Self { store, clock, randomness, archive }
    }

    /// What a policy would remove now; `days` more than it keeps, if that is asked. None when the table has no policy.
    pub async fn preview(&self, table: &str, days: Option<u32>) -> Result<Option<Preview>, StoreError> {
        let policies = self.store.retention().policies().await?;
        let Some(policy) = policies.into_iter().find(|policy| policy.table == table) else { return Ok(None) };
        let now = self.clock.now();
        let cutoff = self.cutoff(&policy, days, now).await?;
        let mut preview = Preview { policy, cutoff, months: Vec::new(), rows: 0, bytes: 0 };
        if preview.policy.by_month {
            preview.months = self.store.retention().months(table, cutoff).await?;
            preview.bytes = preview.months.iter().map(|month| month.bytes).sum();
            for month in &mut preview.months {
                let rows = match month.rows {
                    Some(rows) => rows,
                    None => self.store.retention().count_month(month).await?,
                };
                month.rows = Some(rows);
                preview.rows += rows;
            }
        } else {
            preview.rows = self.store.retention().count_rows(table, cutoff).await?;
        }
        Ok(Some(preview))
    }

    async fn cutoff(
        &self,
        policy: &PolicyRow,
        days: Option<u32>,
        now: OffsetDateTime,
    ) -> Result<OffsetDateTime, StoreError> {
        let cutoff = retention::cutoff(days.unwrap_or(policy.days), now);
        if policy.table != AUDIT {
            return Ok(cutoff);
        }
        // A month with such an entry stays as a whole, and so do those after it: a chain has no holes.
        let kept = self.store.retention().kept_longer(cutoff, now).await?;
        Ok(kept.map_or(cutoff, |kept| kept.min(cutoff)))
    }

    /// Removes what a table's policy says, or only looks and notes it. None when the table has no policy.
    pub async fn run(
        &self,
        table: &str,
        days: Option<u32>,
        dry: bool,
        user: Option<UserId>,
    ) -> Result<Option<RunRow>, StoreError> {
        let Some(preview) = self.preview(table, days).await? else { return Ok(None) };
        let mut run = RunRow {
            id: RunId::new(&*self.clock, &mut *self.randomness.lock()),
            table: table.to_owned(),
            started_at: self.clock.now(),
            finished_at: None,
            cutoff: preview.cutoff,
            rows: 0,
            months: Vec::new(),
            archived_to: None,
            outcome: RunOutcome::Running,
            error: None,
            user,
        };
        self.store.retention().begin_run(&run, dry).await?;
        let failed = if dry {
            run.outcome = RunOutcome::DryRun;
            run.rows = preview.rows;
            run.months = preview.months.iter().map(|month| month.name.clone()).collect();
            None
        } else {
            self.remove(&preview, &mut run).await.err()
        };
        if let Some(error) = &failed {
            run.outcome = RunOutcome::Error;
            run.error = Some(error.to_string());
        }
        run.finished_at = Some(self.clock.now());
        self.store.retention().end_run(&run).await?;
        // That the database is away is the caller's to know as well; what the disk said is in the row.
        match failed {
            Some(RunError::Store(error)) => Err(error),
            Some(RunError::Archive(_)) | None => Ok(Some(run)),
        }
    }

    async fn remove(&self, preview: &Preview, run: &mut RunRow) -> Result<(), RunError> {
        let policy = &preview.policy;
        if !policy.is_active {
            run.outcome = RunOutcome::Skipped;
            run.error = Some("the policy is not active".to_owned());
            return Ok(());
        }
        if policy.by_month {
            return self.remove_months(preview, run).await;
        }
        loop {
            let gone = self.store.retention().delete_batch(&run.table, run.cutoff, BATCH).await?;
            run.rows += gone;
            if gone < BATCH.unsigned_abs() {
                break;
            }
        }
        run.outcome = RunOutcome::Completed;
        Ok(())
    }

    async fn remove_months(&self, preview: &Preview, run: &mut RunRow) -> Result<(), RunError> {
        let mut rows = 0;
        for month in &preview.months {
            rows += self.store.retention().count_month(month).await?;
            if preview.policy.archive {
                let folder = self.archive.as_ref().ok_or(RunError::Archive(std::io::Error::other(
                    "this process has no folder for archives",
                )))?;
                archive::write(&self.store, folder, month).await?;
                run.archived_to = Some(folder.display().to_string());
            }
        }
        match self.store.retention().drop_months(&run.table, run.cutoff).await? {
            Dropped::Done(months) => {
                run.outcome = RunOutcome::Completed;
                run.rows = rows;
                run.months = months;
            }
            Dropped::Not(why) => {
                run.outcome = RunOutcome::Skipped;
                run.error = Some(why);
            }
        }
        Ok(())
    }

    /// Does what is due, while `wanted` says so. Says how many tables were done.
    pub async fn daily(&self, wanted: impl Fn() -> bool + Send) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let mut done = 0;
        for policy in self.store.retention().policies().await? {
            if !wanted() || !policy.is_active || !retention::is_due(policy.last_run_at, now) {
                continue;
            }
            let Some(run) = self.run(&policy.table, None, false, None).await? else { continue };
            done += u32::from(run.outcome == RunOutcome::Completed);
            tell(&run);
        }
        if done > 0 {
            self.store.retention().forget_runs(now - RUNS_KEPT).await?;
        }
        Ok(done)
    }

    /// Removes the log lines of one instance that are older than so many days; or only counts them.
    pub async fn run_instance(
        &self,
        instance: roadstead_model::InstanceId,
        days: u32,
        dry: bool,
    ) -> Result<u64, StoreError> {
        let before = retention::cutoff(days.min(MAX_DAYS), self.clock.now());
        if dry {
            return self.store.retention().lines_of(instance, before).await;
        }
        let mut rows = 0;
        loop {
            let gone = self.store.retention().delete_lines_of(instance, before, BATCH).await?;
            rows += gone;
            if gone < BATCH.unsigned_abs() {
                return Ok(rows);
            }
        }
    }

    /// Every table that has a policy.
    pub async fn tables(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.store.retention().policies().await?.into_iter().map(|policy| policy.table).collect())
    }
}

fn tell(run: &RunRow) {
    let (table, rows, outcome) = (run.table.as_str(), run.rows, run.outcome.as_str());
    match &run.error {
        None if rows == 0 && run.months.is_empty() => {}
        None => tracing::info!(table, rows, months = run.months.len(), "old rows were removed"),
        Some(why) => tracing::warn!(table, outcome, why, "old rows were not removed"),
    }
}

/// Why rows were not removed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("the database failed")]
    Store(#[from] StoreError),
    #[error("a month could not be written to a file: {0}")]
    Archive(#[from] std::io::Error),
}

struct AuditedPolicy<'a>(&'a PolicyRow);

impl Audited for AuditedPolicy<'_> {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![
            ("days", json!(self.0.days), Care::Plain),
            ("is_active", json!(self.0.is_active), Care::Plain),
            ("archive", json!(self.0.archive), Care::Plain),
        ]
    }
}

impl Accounts {
    /// Says where months are written to before they go; once, at the start.
    pub fn archive_to(&self, folder: PathBuf) {
        // Said twice, the first holds.
        let _ = self.0.archive.set(folder);
    }

    /// The one that clears away what is old.
    pub fn cleaner(&self) -> Cleaner {
        let inner = &self.0;
        Cleaner::new(
            inner.store.clone(),
            Arc::clone(&inner.clock),
            Arc::clone(&inner.randomness),
            inner.archive.get().cloned(),
        )
    }

    /// Every policy.
    pub async fn retention_policies(&self, _permit: &AdminPermit) -> Result<Vec<PolicyRow>, AccountsError> {
        Ok(self.store().retention().policies().await?)
    }

    /// Changes a policy.
    pub async fn set_retention(
        &self,
        permit: &AdminPermit,
        table: &str,
        expected: Option<i32>,
        change: PolicyChange,
    ) -> Result<PolicyRow, AccountsError> {
        // As the service: policies are the platform's, and no caller's to see.
        let mut transaction = self.store().system_change().await?;
        let old = policy_of(transaction.retention().policies().await?, table)?;
        if let Some(expected) = expected.filter(|expected| *expected != old.version) {
            transaction.nothing_changed().await?;
            return Err(AccountsError::StaleVersion { expected });
        }
        let new = changed(&old, change)?;
        let changes = Changes::between(&AuditedPolicy(&old), &AuditedPolicy(&new));
        if changes.is_empty() {
            transaction.nothing_changed().await?;
            return Ok(old);
        }
        if !transaction.retention().set(&new, self.now()).await? {
            transaction.nothing_changed().await?;
            return Err(AccountsError::StaleVersion { expected: old.version });
        }
        transaction.commit(&permit.entry(&table, changes, self.now())).await?;
        policy_of(self.store().retention().policies().await?, table)
    }

    /// What a policy would remove now.
    pub async fn retention_preview(
        &self,
        _permit: &AdminPermit,
        table: &str,
    ) -> Result<Preview, AccountsError> {
        let preview = self.cleaner().preview(table, None).await?;
        preview.ok_or(AccountsError::NotFound { what: "retention policy" })
    }

    /// Removes what the policies say, of one table or of all; or only looks.
    pub async fn run_retention(
        &self,
        permit: &AdminPermit,
        table: Option<&str>,
        dry: bool,
    ) -> Result<Vec<RunRow>, AccountsError> {
        let cleaner = self.cleaner();
        let tables = match table {
            Some(table) => vec![table.to_owned()],
            None => cleaner.tables().await?,
        };
        let mut runs = Vec::with_capacity(tables.len());
        for table in tables {
            let run = cleaner.run(&table, None, dry, permit.actor().user).await?;
            runs.push(run.ok_or(AccountsError::NotFound { what: "retention policy" })?);
        }
        if !dry {
            let removed = json!(runs.iter().map(|run| (run.table.clone(), run.rows)).collect::<Vec<_>>());
            let changes = Changes::created(&Removed(removed));
            let entry = permit.entry(&table.unwrap_or("all"), changes, self.now());
            self.store().system_change().await?.commit(&entry).await?;
        }
        Ok(runs)
    }

    /// What was removed when.
    pub async fn retention_runs(
        &self,
        _permit: &AdminPermit,
        table: Option<&str>,
        page: PageRequest,
    ) -> Result<Page<RunRow>, AccountsError> {
        Ok(self.store().retention().runs(table, page).await?)
    }
}

struct Removed(Value);

impl Audited for Removed {
    fn fields(&self) -> Vec<(&'static str, Value, Care)> {
        vec![("removed", self.0.clone(), Care::Plain)]
    }
}

fn policy_of(policies: Vec<PolicyRow>, table: &str) -> Result<PolicyRow, AccountsError> {
    let found = policies.into_iter().find(|policy| policy.table == table);
    found.ok_or(AccountsError::NotFound { what: "retention policy" })
}

fn changed(old: &PolicyRow, change: PolicyChange) -> Result<PolicyRow, AccountsError> {
    let mut wrong = Vec::new();
    if change.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        wrong.push(("days".to_owned(), format!("must be between 1 and {MAX_DAYS}")));
    }
    if change.archive == Some(true) && !old.by_month {
        wrong.push(("archive".to_owned(), "is for tables that are kept by the month".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(AccountsError::Invalid(wrong));
    }
    Ok(PolicyRow {
        days: change.days.unwrap_or(old.days),
        is_active: change.is_active.unwrap_or(old.is_active),
        archive: change.archive.unwrap_or(old.archive),
        ..old.clone()
    })
}
