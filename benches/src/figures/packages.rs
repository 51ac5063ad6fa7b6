//! Starts of public servers, and of the bundled ones beside others of their kind.

use std::time::Duration;

use serde::Serialize;

use super::{maybe, millis, percentile};

/// How long it took, in milliseconds.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "every figure tells its unit, in the JSON as well")]
pub struct Spread {
    /// Until the launch was answered.
    pub answered_p50_ms: Option<f64>,
    /// Until `initialize` was answered, from nothing.
    pub initialize_p50_ms: f64,
    pub initialize_p95_ms: f64,
    /// Until `tools/list` was, as well.
    pub tools_p50_ms: f64,
    pub tools_p95_ms: f64,
}

impl Spread {
    pub fn of(initialize: &mut [Duration], tools: &mut [Duration], answered: &mut [Duration]) -> Self {
        let at = |durations: &mut [Duration], percent| millis(percentile(durations, percent));
        Self {
            answered_p50_ms: (!answered.is_empty()).then(|| at(answered, 50)),
            initialize_p50_ms: at(initialize, 50),
            initialize_p95_ms: at(initialize, 95),
            tools_p50_ms: at(tools, 50),
            tools_p95_ms: at(tools, 95),
        }
    }

    fn print(&self, what: &str, more: &str) {
        println!(
            "  {what:<36}{:>10}{:>10.1}{:>9.1}{:>10.1}{:>9.1}  {more}",
            maybe(self.answered_p50_ms),
            self.initialize_p50_ms,
            self.initialize_p95_ms,
            self.tools_p50_ms,
            self.tools_p95_ms,
        );
    }
}

fn head(title: &str) {
    println!("\n{title}");
    println!("  {:<36}{:>10}{:>10}{:>9}{:>10}{:>9}", "ms", "answered", "init p50", "p95", "tools p50", "p95");
}

/// One package, started in each way.
#[derive(Debug, Serialize)]
pub struct PackageFigure {
    pub package: String,
    pub launches: usize,
    /// With the words that a launch was seen to execute.
    pub by_hand: Spread,
    /// Without what an import adds for a quicker start: as the package manager itself would start it. None where nothing is added.
    pub plain: Option<Spread>,
    /// As it is imported, with the limits that a type has without being told.
    pub roadstead: Spread,
    /// What Roadstead adds to the median until `initialize` is answered.
    pub added_ms: f64,
    pub added_to_plain_ms: Option<f64>,
    /// The runner's words, and what it took.
    pub runner: Option<(String, Spread)>,
    /// Its median as a multiple of that by hand, and of that through Roadstead.
    pub runner_to_by_hand: Option<f64>,
    pub runner_to_roadstead: Option<f64>,
    /// The machine's load before and after.
    pub load: [f64; 2],
}

impl PackageFigure {
    pub fn new(
        package: &str,
        launches: usize,
        (by_hand, plain): (Spread, Option<Spread>),
        roadstead: Spread,
        runner: Option<(String, Spread)>,
        load: [f64; 2],
    ) -> Self {
        let ran = runner.as_ref().map(|(_, spread)| spread.initialize_p50_ms);
        Self {
            package: package.to_owned(),
            launches,
            added_ms: roadstead.initialize_p50_ms - by_hand.initialize_p50_ms,
            added_to_plain_ms: plain.as_ref().map(|it| roadstead.initialize_p50_ms - it.initialize_p50_ms),
            runner_to_by_hand: ran.map(|ran| ran / by_hand.initialize_p50_ms),
            runner_to_roadstead: ran.map(|ran| ran / roadstead.initialize_p50_ms),
            by_hand,
            plain,
            roadstead,
            runner,
            load,
        }
    }

    pub fn print(&self) {
        head(&format!(
            "{}, {} starts of each, load {:.2} and {:.2}",
            self.package, self.launches, self.load[0], self.load[1]
        ));
        if let Some(plain) = &self.plain {
            plain.print("by hand, as it was installed", "");
        }
        self.by_hand.print("by hand, with the same words", "");
        let to_plain = self
            .added_to_plain_ms
            .map_or_else(String::new, |added| format!(" ({added:+.1} to as installed)"));
        self.roadstead.print("through Roadstead", &format!("{:+.1}{to_plain}", self.added_ms));
        if let Some((words, spread)) = &self.runner {
            let ratios = [self.runner_to_by_hand, self.runner_to_roadstead].map(maybe);
            spread.print(words, &format!("{} times by hand, {} times Roadstead", ratios[0], ratios[1]));
        }
    }
}

/// One server on its pipes, and the memory of its whole tree once it has told its tools.
#[derive(Debug, Serialize)]
pub struct BundledFigure {
    pub service: String,
    pub server: String,
    pub starts: usize,
    pub tools: usize,
    pub took: Spread,
    pub processes: usize,
    /// None where we may not look.
    pub pss_p50_mib: Option<f64>,
    pub pss_p95_mib: Option<f64>,
    /// As multiples of the bundled server of the same service.
    pub time_ratio: f64,
    pub memory_ratio: Option<f64>,
    pub load: [f64; 2],
}

/// Prints those of all services.
pub fn print_bundled(figures: &[BundledFigure]) {
    let Some(first) = figures.first() else { return };
    head(&format!("bundled servers, {} starts of each", first.starts));
    for figure in figures {
        let memory = format!(
            "{} tools, {} MiB in {} processes (p95 {}), {:.2} times as long, {} times as much, load {:.2} and {:.2}",
            figure.tools,
            maybe(figure.pss_p50_mib),
            figure.processes,
            maybe(figure.pss_p95_mib),
            figure.time_ratio,
            maybe(figure.memory_ratio),
            figure.load[0],
            figure.load[1],
        );
        figure.took.print(&figure.server, &memory);
    }
}
