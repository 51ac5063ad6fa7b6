//! How large, how busy, who waits; and clearing up.

use roadstead_cli::Exit;
use roadstead_cli::sheet::{Mood, Paper, PrintError, Sheet, length, moment, size as bytes};
use roadstead_store::maintain::{Stats, TableSize, Waiting};

use super::{Place, ask};

/// Below this share of blocks found in memory, the memory is too small for the work.
const GOOD_HIT_RATE: f64 = 0.95;
/// A table with more dead rows than this share of the live ones wants clearing.
const MANY_DEAD: u64 = 5;

/// `roadstead db size`.
pub(super) async fn size(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let mut owner = place.maintenance().await?;
    let size = owner.size().await?;
    owner.close().await?;
    paper.answer(&size, |paper| {
        let mut sheet = Sheet::details();
        sheet.detail("database", size.database.as_str());
        sheet.detail("size", bytes(size.bytes));
        sheet.detail("rows", bytes(size.table_bytes));
        sheet.detail("indexes", bytes(size.index_bytes));
        sheet.detail("long values", bytes(size.toast_bytes));
        paper.sheet(&sheet)
    })?;
    Ok(Exit::Ok)
}

/// `roadstead db table-sizes`.
pub(super) async fn table_sizes(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let mut owner = place.maintenance().await?;
    let sizes = owner.table_sizes().await?;
    owner.close().await?;
    paper.answer(&sizes, |paper| show_sizes(paper, &sizes))?;
    Ok(Exit::Ok)
}

fn show_sizes(paper: &Paper, sizes: &[TableSize]) -> Result<(), PrintError> {
    let mut sheet = Sheet::new(["TABLE", "SIZE", "ROWS ABOUT", "DATA", "INDEXES", "LONG", "MONTHS"]);
    for one in sizes {
        let months = if one.partitions == 0 { String::new() } else { one.partitions.to_string() };
        sheet.row([
            one.table.clone(),
            bytes(one.bytes),
            one.rows.to_string(),
            bytes(one.table_bytes),
            bytes(one.index_bytes),
            bytes(one.toast_bytes),
            months,
        ]);
    }
    paper.sheet(&sheet)
}

/// `roadstead db stats`.
pub(super) async fn stats(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let mut owner = place.maintenance().await?;
    let stats = owner.stats().await?;
    owner.close().await?;
    paper.answer(&stats, |paper| show_stats(paper, &stats))?;
    Ok(Exit::Ok)
}

fn show_stats(paper: &Paper, stats: &Stats) -> Result<(), PrintError> {
    let mut sheet = Sheet::details();
    sheet.detail("server", format!("PostgreSQL {}", stats.server_version));
    sheet.detail("counted since", stats.since.map(moment).unwrap_or_default());
    let judged = |rate: f64| {
        let hint = if rate < GOOD_HIT_RATE { " (shared_buffers is small for this work)" } else { "" };
        format!("{:.1} % of blocks were in memory{hint}", rate * 100.0)
    };
    sheet.detail("memory", stats.hit_rate.map(judged).unwrap_or_default());
    sheet.detail(
        "transactions",
        format!(
            "{} committed, {} given up, {} of them to end a deadlock",
            stats.commits, stats.rollbacks, stats.deadlocks
        ),
    );
    sheet.detail("sorted on disk", bytes(stats.temporary_bytes));
    sheet.detail("connections", format!("{} of {}", stats.connections, stats.max_connections));
    paper.sheet(&sheet)?;
    for one in &stats.long_transactions {
        let (role, doing) = (one.role.as_deref().unwrap_or("?"), one.state.as_deref().unwrap_or("?"));
        let open = length(whole(one.seconds));
        paper
            .line(&format!("Process {} ({role}) has had a transaction open for {open}: {doing}", one.pid))?;
    }
    paper.line("")?;
    let mut sheet = Sheet::new(["TABLE", "ROWS", "DEAD", "READ WHOLE", "BY INDEX", "CLEARED", "COUNTED"]);
    for one in &stats.tables {
        let cells = [
            one.table.clone(),
            one.live_rows.to_string(),
            one.dead_rows.to_string(),
            one.whole_reads.to_string(),
            one.index_reads.to_string(),
            one.vacuumed_at.map(moment).unwrap_or_default(),
            one.analyzed_at.map(moment).unwrap_or_default(),
        ];
        let many = one.dead_rows > one.live_rows / MANY_DEAD;
        sheet.moody(cells, 2, if many { Mood::Soon } else { Mood::Plain });
    }
    paper.sheet(&sheet)
}

/// `roadstead db locks`.
pub(super) async fn locks(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let mut owner = place.maintenance().await?;
    let waiting = owner.waiting().await?;
    owner.close().await?;
    paper.answer(&waiting, |paper| show_waiting(paper, &waiting))?;
    Ok(Exit::Ok)
}

fn show_waiting(paper: &Paper, waiting: &[Waiting]) -> Result<(), PrintError> {
    if waiting.is_empty() {
        return paper.line("Nobody waits.");
    }
    let mut sheet = Sheet::new(["PROCESS", "ROLE", "WANTS", "TABLE", "FOR", "HELD BY"]);
    for one in waiting {
        let holders: Vec<String> = one.blocked_by.iter().map(ToString::to_string).collect();
        let holder = one.holder.as_deref().unwrap_or_default();
        sheet.row([
            one.pid.to_string(),
            one.role.clone().unwrap_or_default(),
            one.wanted.clone().unwrap_or_default(),
            one.table.clone().unwrap_or_default(),
            one.seconds.map(|seconds| length(whole(seconds))).unwrap_or_default(),
            format!("{} {holder} {}", holders.join(" "), one.holder_state.as_deref().unwrap_or_default()),
        ]);
    }
    paper.sheet(&sheet)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds of a wait; the rest is not shown"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

/// `roadstead db analyze`.
pub(super) async fn analyze(place: &Place, paper: &Paper) -> anyhow::Result<Exit> {
    let mut owner = place.maintenance().await?;
    let tables = owner.table_names().await?;
    for table in &tables {
        owner.analyze(table).await?;
    }
    owner.close().await?;
    let answer = serde_json::json!({ "analyzed": tables });
    paper.answer(&answer, |paper| paper.line(&format!("{} tables counted.", tables.len())))?;
    Ok(Exit::Ok)
}

/// `roadstead db vacuum`.
pub(super) async fn vacuum(place: &Place, paper: &Paper, full: bool, yes: bool) -> anyhow::Result<Exit> {
    if full {
        let question =
            "Write every table anew? Nobody can use a table meanwhile, and the largest is there twice.";
        ask(yes, question, "nothing was done")?;
    }
    let mut owner = place.maintenance().await?;
    let before = owner.size().await?.bytes;
    let tables = owner.table_names().await?;
    for table in &tables {
        owner.vacuum(table, full).await?;
    }
    let after = owner.size().await?.bytes;
    owner.close().await?;
    let answer = serde_json::json!({ "vacuumed": tables, "bytes_before": before, "bytes_after": after });
    paper.answer(&answer, |paper| {
        paper.line(&format!(
            "{} tables cleared; {} before, {} now.",
            tables.len(),
            bytes(before),
            bytes(after)
        ))
    })?;
    Ok(Exit::Ok)
}
