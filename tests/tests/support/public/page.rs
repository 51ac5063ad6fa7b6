//! The table of public servers, as `docs/packages.md` shows it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const BEGIN: &str = "<!-- public-servers:begin -->";
const END: &str = "<!-- public-servers:end -->";
/// Set to anything, the page is written.
const WRITE: &str = "ROADSTEAD_WRITE_PUBLIC_SERVERS";

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) transport: &'static str,
    /// From the command to its answer.
    pub(crate) import: Duration,
    /// From the request to its answer, when the server is ready.
    pub(crate) launch: Duration,
    /// What client and instance agreed on.
    pub(crate) protocol: String,
    pub(crate) tools: usize,
    pub(crate) calls: Vec<&'static str>,
}

/// Prints the table, and writes the page where that is asked for.
#[expect(clippy::disallowed_methods, reason = "whoever tries other servers has the page written")]
pub(crate) fn told(rows: &[Row]) {
    let table = markdown(rows);
    println!("{table}");
    if std::env::var_os(WRITE).is_none() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packages.md");
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("the page has its first marker");
    let (_, after) = rest.split_once(END).expect("the page has its second marker");
    std::fs::write(&path, format!("{before}{BEGIN}\n{table}{END}{after}")).expect("the page can be written");
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| package | version | spoken to by | import, s | launch, ms | revision | tools | called |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let calls: Vec<_> = row.calls.iter().map(|call| format!("`{call}`")).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {} | {} | {} | {} |",
            row.package,
            row.version,
            row.transport,
            row.import.as_secs_f64(),
            row.launch.as_millis(),
            row.protocol,
            row.tools,
            calls.join(", "),
        );
    }
    text
}
