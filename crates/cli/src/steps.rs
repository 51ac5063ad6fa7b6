//! Telling a person how far something long has come.

use std::io::Write;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Where steps are told.
pub trait StepPrinter: Send {
    /// A step begins.
    fn begin(&mut self, what: &str);
    /// A step has come so far, out of a total if that is known.
    fn progress(&mut self, what: &str, done: u64, total: Option<u64>);
    /// The step that began is done; the words replace those it began with.
    fn done(&mut self, what: &str);
    /// Words between steps.
    fn say(&mut self, what: &str);
}

/// One line for each step that is done: for files, pipes and logs.
#[derive(Debug, Default)]
pub struct PlainSteps {
    told: Option<u64>,
}

impl PlainSteps {
    /// A printer to standard output.
    pub const fn new() -> Self {
        Self { told: None }
    }
}

fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that left does not stop the work.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

impl StepPrinter for PlainSteps {
    fn begin(&mut self, _what: &str) {
        self.told = None;
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>) {
        // A line for every tenth, not for every packet.
        let Some(total) = total.filter(|total| *total > 0) else { return };
        let tenth = done * 10 / total;
        if self.told.is_none_or(|told| tenth > told) {
            self.told = Some(tenth);
            line(&format!("… {what}: {} of {}", HumanBytes(done), HumanBytes(total)));
        }
    }

    fn done(&mut self, what: &str) {
        line(&format!("✓ {what}"));
    }

    fn say(&mut self, what: &str) {
        line(what);
    }
}

/// A spinner that becomes a tick: for a terminal.
#[derive(Debug, Default)]
pub struct TerminalSteps {
    bar: Option<ProgressBar>,
}

impl TerminalSteps {
    /// A printer to the terminal.
    pub const fn new() -> Self {
        Self { bar: None }
    }

    fn bar(&mut self) -> &ProgressBar {
        self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(TURN);
            bar
        })
    }
}

impl StepPrinter for TerminalSteps {
    fn begin(&mut self, what: &str) {
        self.bar().set_message(what.to_owned());
    }

    fn progress(&mut self, what: &str, done: u64, total: Option<u64>) {
        let bar = self.bar();
        if let Some(total) = total
            && bar.length() != Some(total)
        {
            bar.set_length(total);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes}")
            {
                bar.set_style(style);
            }
        }
        bar.set_message(what.to_owned());
        bar.set_position(done);
    }

    fn done(&mut self, what: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        line(&format!("✓ {what}"));
    }

    fn say(&mut self, what: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        line(what);
    }
}
