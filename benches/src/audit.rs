//! A long audit log: how fast it is verified and exported, and what memory that takes.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::api::Api;
use crate::data::load;
use crate::database::Database;
use crate::figures::{millis, percentile};
use crate::http::{Connection, Endpoint};

/// Entries that one statement makes.
const CHUNK: u32 = 50_000;
/// Verified so many times.
const ROUNDS: usize = 3;
/// The service's own sealer links what was inserted.
const SEALED_PATIENCE: Duration = Duration::from_mins(20);
const POLL: Duration = Duration::from_millis(200);
/// Entries are of so many organisations, each with a chain.
const ORGANIZATIONS: &str =
    "select md5((n % 20)::text)::uuid as organization_id, md5((n % 99)::text)::uuid as actor_id";
/// What verifying has to read of the log, as plain text.
const PLAIN: &str = "copy (select * from audit_logs order by seq) to stdout";

/// What a long audit log takes.
#[derive(Debug, Serialize)]
pub struct AuditFigure {
    pub entries: u64,
    /// The machine's own word: processes that ran or waited, over the last minute, before and after.
    pub load: [String; 2],
    pub verified_per_second: f64,
    pub verified_p50_ms: f64,
    /// `copy` of the entries alone by psql, without links and without hashing.
    pub copy_p50_ms: f64,
    /// Verifying as a multiple of that.
    pub to_copy: f64,
    pub verify_memory: Memory,
    /// Whether an entry altered in the middle was the one place found.
    pub finds_altered: bool,
    pub exports: Vec<ExportFigure>,
}

/// One export of everything.
#[derive(Debug, Serialize)]
pub struct ExportFigure {
    pub format: &'static str,
    pub lines: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub mb_per_second: f64,
    pub memory: Memory,
}

/// The service's memory, resident, in KiB.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub before: u64,
    pub peak: u64,
}

impl AuditFigure {
    pub fn print(&self) {
        println!(
            "\naudit log of {} entries (load {} before, {} after)",
            self.entries, self.load[0], self.load[1]
        );
        println!(
            "verified: {:.0} entries a second, {:.0} ms, {:.2} times what `copy` of the entries alone takes; memory {}",
            self.verified_per_second, self.verified_p50_ms, self.to_copy, self.verify_memory
        );
        let found = if self.finds_altered { "found, and nothing else" } else { "NOT FOUND" };
        println!("an entry altered in the middle: {found}");
        for export in &self.exports {
            println!(
                "export as {}: {} lines, {:.0} MB in {:.1} s, {:.1} MB/s; memory {}",
                export.format,
                export.lines,
                megabytes(export.bytes),
                export.seconds,
                export.mb_per_second,
                export.memory
            );
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let grown = self.peak.saturating_sub(self.before) / 1024;
        write!(f, "{} MiB before, {grown} MiB more at its peak", self.before / 1024)
    }
}

/// Fills the log, lets the service link it, verifies and exports.
pub async fn measure(
    api: &mut Api,
    database: &Database,
    service: i32,
    entries: u32,
) -> anyhow::Result<AuditFigure> {
    for first in (1..=entries).step_by(CHUNK as usize) {
        let many = CHUNK.min(entries - first + 1);
        database.run(&insert(first, many, ORGANIZATIONS)).await?;
        // In steps, as if they had come in the course of days: a queue of all would be a long one.
        sealed(database).await?;
    }
    database.run("vacuum analyze").await?;
    let before = load();
    let (mut took, mut copied, mut verified) = (Vec::new(), Vec::new(), Value::Null);
    let memory = Watched::begin(service)?;
    for _ in 0..ROUNDS {
        refreshed(api).await?;
        verified = api.get("/audit/verify").await?;
        ensure!(verified["whole"] == true, "the log is not whole: {verified}");
        took.push(Duration::from_millis(verified["duration_ms"].as_u64().unwrap_or_default()));
        let began = Instant::now();
        database.copied(PLAIN).await?;
        copied.push(began.elapsed());
    }
    let verify_memory = memory.end()?;
    let entries = verified["entries"].as_u64().context("verifying told no entries")?;
    let verified_p50_ms = millis(percentile(&mut took, 50));
    let copy_p50_ms = millis(percentile(&mut copied, 50));
    let mut exports = Vec::new();
    for format in ["json", "csv"] {
        exports.push(export(api, service, format).await?);
    }
    Ok(AuditFigure {
        entries,
        verified_per_second: of(entries) / verified_p50_ms * 1e3,
        verified_p50_ms,
        copy_p50_ms,
        to_copy: verified_p50_ms / copy_p50_ms,
        verify_memory,
        finds_altered: finds_altered(api, database).await?,
        exports,
        load: [before, load()],
    })
}

/// Entries with these numbers of whoever a part of a statement says by `n`.
pub fn insert(first: u32, many: u32, whose: &str) -> String {
    let last = first + many - 1;
    format!(
        "insert into audit_logs (at, id, organization_id, project_id, actor_kind, actor_user_id, actor_key_id, ip_address,
                                 user_agent, action, resource_kind, resource_id, changes, request_id, outcome)
         select t.at, uuid_v7(t.at), w.organization_id, md5((n % 50)::text)::uuid, 'key', w.actor_id, md5((n % 99)::text)::uuid,
                '10.0.0.7', 'curl/8.5.0', case when n % 5 = 0 then 'instance.stop' else 'instance.extend' end, 'instance',
                md5(n::text)::uuid::text, jsonb_build_object('expires_at', jsonb_build_object('old', t.at, 'new', t.at)),
                md5(n::text)::uuid::text, 'done'
         from generate_series({first}, {last}) n
         cross join lateral (select now() - make_interval(secs => ({last} - n) * 0.0001) as at) t
         cross join lateral ({whose}) w
         order by n;"
    )
}

/// Waits until everything has its link.
pub async fn sealed(database: &Database) -> anyhow::Result<()> {
    let began = Instant::now();
    while database.run("select exists (select from audit_unsealed)").await? != "f" {
        ensure!(began.elapsed() < SEALED_PATIENCE, "the audit log was not linked");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// A connection that was not idle: filling, copying and exporting take longer than the service keeps one open for nothing.
async fn refreshed(api: &mut Api) -> anyhow::Result<()> {
    *api = api.again().await?;
    Ok(())
}

/// Alters an entry as only the tables' owner can, and puts it back.
async fn finds_altered(api: &mut Api, database: &Database) -> anyhow::Result<bool> {
    let middle = database.run("select (min(seq) + max(seq)) / 2 from audit_logs").await?;
    let alter = |to: &str| {
        format!(
            "alter table audit_logs disable trigger audit_logs_append_only;
             update audit_logs set times = {to} where seq = {middle};
             alter table audit_logs enable trigger audit_logs_append_only;"
        )
    };
    database.run(&alter("2")).await?;
    refreshed(api).await?;
    let verified = api.get("/audit/verify").await?;
    database.run(&alter("1")).await?;
    Ok(verified["broken"] == 1 && verified["first"][0]["seq"].as_i64() == Some(middle.parse()?))
}

async fn export(api: &Api, service: i32, format: &'static str) -> anyhow::Result<ExportFigure> {
    let endpoint = Endpoint { headers: api.headers().to_owned(), ..Endpoint::parse(&api.base(), None)? };
    let mut connection = Connection::open(&endpoint).await?;
    let memory = Watched::begin(service)?;
    let began = Instant::now();
    let counted = connection.count(&endpoint.at(&format!("/api/v1/audit/export?format={format}"))).await?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(counted.status == 200, "an export was answered with {}", counted.status);
    Ok(ExportFigure {
        format,
        lines: counted.lines,
        bytes: counted.bytes,
        seconds,
        mb_per_second: megabytes(counted.bytes) / seconds,
        memory: memory.end()?,
    })
}

/// A process whose highest memory is counted anew.
struct Watched {
    pid: i32,
    before: u64,
}

impl Watched {
    fn begin(pid: i32) -> anyhow::Result<Self> {
        // The number for "begin the high-water mark anew".
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")
            .context("could not watch the service's memory")?;
        Ok(Self { pid, before: field(pid, "VmRSS:")? })
    }

    fn end(self) -> anyhow::Result<Memory> {
        Ok(Memory { before: self.before, peak: field(self.pid, "VmHWM:")? })
    }
}

fn field(pid: i32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.with_context(|| format!("process {pid} does not tell {name}"))
}

fn megabytes(bytes: u64) -> f64 {
    of(bytes) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "no log has more than a double counts exactly")]
fn of(number: u64) -> f64 {
    number as f64
}
