//! The command line: what is served and how, and one flag for each way to misbehave.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::era::Era;

/// An MCP server that answers what it is sent: on stdin and stdout, or over HTTP.
///
/// It behaves unless it is told not to. Every flag below `--http` is one fault that a host must live with; they may
/// be combined.
#[derive(Debug, Parser)]
#[command(name = "roadstead-echo", version, max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "one switch for each fault, freely combined")]
pub struct Flags {
    /// Offer what the official conformance suite asks of a server, instead of the tools for trying things out.
    #[arg(long)]
    pub conformance: bool,

    /// The protocol eras that are answered: `legacy` is 2025-11-25 and before, `modern` is 2026-07-28.
    #[arg(long, value_enum, default_value_t = Era::Dual)]
    pub era: Era,

    /// Serve Streamable HTTP at `/mcp` on this port of the loopback interface; 0 takes a free one. The URL goes to
    /// stderr.
    #[arg(long, value_name = "PORT")]
    pub http: Option<u16>,

    /// Read everything and answer nothing.
    #[arg(long, conflicts_with = "http")]
    pub never_ready: bool,

    /// Do not end on SIGTERM, nor at the end of input.
    #[arg(long)]
    pub ignore_sigterm: bool,

    /// Leave a grandchild in a session of its own that ignores SIGTERM; its process id goes to stderr. It ends by
    /// itself after an hour.
    #[arg(long)]
    pub fork_grandchild: bool,

    /// The grandchild keeps our stdin, stdout and stderr open, so that their ends never come.
    #[arg(long, requires = "fork_grandchild")]
    pub grandchild_holds_pipes: bool,

    /// Write a line to stderr and exit with this code before anything else.
    #[arg(long, value_name = "CODE")]
    pub exit_at_start: Option<u8>,

    /// Exit after this long, whatever is going on (`500ms`, `3s`, `2m`).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub exit_after: Option<Duration>,

    /// The code that `--exit-after` exits with.
    #[arg(long, value_name = "CODE", default_value_t = 1)]
    pub exit_code: u8,

    /// Write this many lines a second to stderr; 0 means as many as it takes.
    #[arg(long, value_name = "LINES")]
    pub flood_stderr: Option<u32>,

    /// Write one message of this many bytes to stdout: valid JSON, if there is room for it.
    #[arg(long, value_name = "BYTES", conflicts_with = "http")]
    pub huge_line: Option<u64>,

    /// Write a line that is no JSON to stdout at the start and before every message.
    #[arg(long, conflicts_with = "http")]
    pub garbage: bool,

    /// Before every message, answer a request that nobody made.
    #[arg(long, conflicts_with = "http")]
    pub answer_unasked: bool,

    /// Give every answer twice.
    #[arg(long, conflicts_with = "http")]
    pub answer_twice: bool,

    /// Answer a request also after it was cancelled.
    #[arg(long, conflicts_with = "http")]
    pub answer_cancelled: bool,

    /// Give results the shape of the other era: no result type in modern ones, one in legacy ones.
    #[arg(long, conflicts_with = "http")]
    pub wrong_era: bool,

    /// Read this many messages, then leave the rest unread, with stdin open.
    #[arg(long, value_name = "MESSAGES", conflicts_with = "http")]
    pub stop_reading_after: Option<u64>,

    /// Exit with an error at the first line that is a batch.
    #[arg(long, conflicts_with = "http")]
    pub crash_on_batch: bool,

    /// Write this many log notifications a second to stdout; 0 means as many as it takes.
    #[arg(long, value_name = "MESSAGES", conflicts_with = "http")]
    pub flood_notifications: Option<u32>,

    /// Take this much memory, page by page, and keep it.
    #[arg(long, value_name = "MB")]
    pub eat_memory: Option<usize>,

    /// Use up one processor.
    #[arg(long)]
    pub spin: bool,

    /// Start children until there are this many or one is refused, and keep them. Like what follows, it says on stderr how
    /// far it came.
    #[arg(long, value_name = "CHILDREN")]
    pub hoard_processes: Option<usize>,

    /// Open files until there are this many or one is refused, and keep them open.
    #[arg(long, value_name = "FILES")]
    pub hoard_files: Option<usize>,

    /// Write one file of this size, where it was started.
    #[arg(long, value_name = "MB")]
    pub big_file: Option<usize>,

    /// Write this many files of 64 KiB, where it was started.
    #[arg(long, value_name = "FILES")]
    pub many_files: Option<usize>,

    /// Begin to flood, write the huge line, eat, hoard and spin only after this long.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub after: Duration,

    /// What this process is, when it was started by `--fork-grandchild`.
    #[arg(long, hide = true, value_name = "ROLE")]
    pub grandchild_role: Option<GrandchildRole>,
}

impl Flags {
    /// Whether the lines between client and server are meddled with.
    pub fn is_noisy(&self) -> bool {
        self.garbage
            || self.huge_line.is_some()
            || self.answer_unasked
            || self.answer_twice
            || self.answer_cancelled
            || self.wrong_era
            || self.stop_reading_after.is_some()
            || self.crash_on_batch
            || self.flood_notifications.is_some()
    }
}

/// The two generations that `--fork-grandchild` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GrandchildRole {
    /// Starts a session, then the grandchild, and ends, so that the grandchild is an orphan.
    Parent,
    /// The one that lives on.
    Grandchild,
}

/// A whole number with one of the units `ms`, `s` and `m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("`{text}` does not begin with a whole number"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("`{text}` needs one of the units ms, s and m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "3", "s", "-1s", "1.5s", "1h", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn without_flags_it_behaves() {
        let flags = Flags::parse_from(["roadstead-echo"]);
        assert!(!flags.is_noisy() && !flags.never_ready && !flags.ignore_sigterm && !flags.spin);
        assert_eq!((flags.after, flags.exit_after), (Duration::ZERO, None));
    }
}
