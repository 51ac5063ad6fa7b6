//! The metrics themselves: each is made once, with every label that it can have, so that a scrape shows zeros instead of gaps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use roadstead_model::{InstanceStatus, Step};

use crate::own::Own;
use crate::words::{AdoptionOutcome, GatewayOutcome, OrphanKind, Phase, PortState, Record, Work};

/// What launches, ends and runs take: from a millisecond to a launch's longest patience.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// What a request takes until its answer begins: from a tenth of a millisecond on.
const REQUEST_SECONDS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];
type Times<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of a service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    orphans: Family<One, Counter>,
    instances: Family<One, Gauge>,
    ports: Family<One, Gauge>,
    launch_stages: Times<Two>,
    launches: Times<One>,
    end_stages: Times<One>,
    ends: Family<One, Counter>,
    adoptions: Times<One>,
    runs: Times<Two>,
    reaped: Counter,
    restarts: Counter,
    log_lines_dropped: Counter,
    records_written: Family<One, Counter>,
    records_waiting: Family<One, Gauge>,
    records_lost: Family<One, Counter>,
    launches_waiting: Gauge,
    audit_waiting: Gauge,
    audit_oldest: Gauge<f64, AtomicU64>,
    database_up: Gauge,
    database_unavailable: Counter,
    /// By outcome, in the order of the list: the path of a request looks nothing up.
    requests: Vec<Histogram>,
    own: Own,
}

/// What is looked at when somebody scrapes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// Instances with an owner, by phase, in the order of [`Phase::ALL`].
    pub instances: [usize; 4],
    /// Ports, in the order of [`PortState::ALL`].
    pub ports: [usize; 3],
    /// Launches that wait for their turn.
    pub launches_waiting: usize,
    /// Entries of the audit log that have no link yet, and how long the oldest has waited, in seconds; none when the
    /// database does not answer.
    pub audit: Option<(u64, f64)>,
    /// The database answers.
    pub database_up: bool,
    /// Statements that failed because the database was not there.
    pub database_unavailable: u64,
}

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

fn request_times() -> Histogram {
    Histogram::new(REQUEST_SECONDS)
}

fn family<M: Default + Clone + EncodeMetric>(
    label: &'static str,
    words: impl IntoIterator<Item = &'static str>,
) -> Family<One, M> {
    let family = Family::<One, M>::default();
    for word in words {
        family.get_or_create_owned(&[(label, word)]);
    }
    family
}

fn time_family(label: &'static str, words: impl IntoIterator<Item = &'static str>) -> Times<One> {
    let family = Times::<One>::new_with_constructor(times);
    for word in words {
        family.get_or_create_owned(&[(label, word)]);
    }
    family
}

fn launch_stages() -> impl Iterator<Item = Step> {
    Step::ALL.iter().copied().filter(|step| step.is_of_launch() && !step.is_first())
}

fn end_stages() -> impl Iterator<Item = Step> {
    Step::ALL.iter().copied().filter(|step| !step.is_of_launch() && !step.is_first())
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const OUTCOMES: [&str; 2] = ["ok", "failed"];

impl Metrics {
    /// All at zero, for a program of this version.
    pub fn new(version: &'static str) -> Self {
        let pairs = |label, words: Vec<&'static str>, outcomes: &[&'static str]| {
            let family = Times::<Two>::new_with_constructor(times);
            for word in words {
                for outcome in outcomes {
                    family.get_or_create_owned(&[(label, word), ("outcome", outcome)]);
                }
            }
            family
        };
        let requests = Times::<One>::new_with_constructor(request_times);
        let by_outcome = GatewayOutcome::ALL
            .iter()
            .map(|outcome| requests.get_or_create_owned(&[("outcome", outcome.as_str())]));
        let by_outcome = by_outcome.collect();
        let mut this = Self {
            registry: Registry::with_prefix("roadstead"),
            orphans: family("kind", OrphanKind::ALL.iter().map(|kind| kind.as_str())),
            instances: family("phase", Phase::ALL.iter().map(|phase| phase.as_str())),
            ports: family("state", PortState::ALL.iter().map(|state| state.as_str())),
            // A stage that failed appears when one has: most never do.
            launch_stages: pairs("stage", launch_stages().map(Step::as_str).collect(), &OUTCOMES[..1]),
            launches: time_family("outcome", OUTCOMES),
            end_stages: time_family("stage", end_stages().map(Step::as_str)),
            ends: family(
                "status",
                InstanceStatus::ALL.iter().filter(|status| !status.is_live()).map(|status| status.as_str()),
            ),
            adoptions: time_family("outcome", AdoptionOutcome::ALL.iter().map(|outcome| outcome.as_str())),
            runs: pairs("task", Work::ALL.iter().map(|work| work.as_str()).collect(), &OUTCOMES),
            reaped: Counter::default(),
            restarts: Counter::default(),
            log_lines_dropped: Counter::default(),
            records_written: family("kind", Record::ALL.iter().map(|record| record.as_str())),
            records_waiting: family("kind", Record::ALL.iter().map(|record| record.as_str())),
            records_lost: family("kind", Record::ALL.iter().map(|record| record.as_str())),
            launches_waiting: Gauge::default(),
            audit_waiting: Gauge::default(),
            audit_oldest: Gauge::default(),
            database_up: Gauge::default(),
            database_unavailable: Counter::default(),
            requests: by_outcome,
            own: Own::default(),
        };
        this.register_life();
        this.register_chores();
        let registry = &mut this.registry;
        let help = "Time from a request through an access URL to the head of its answer, by outcome";
        registry.register_with_unit("gateway_request", help, Unit::Seconds, requests);
        registry.register("build", "The version of the program", Info::new([("version", version)]));
        this.own.register(registry);
        this
    }

    fn register_life(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "orphans",
            "Shims and processes found alive without an owner or a live row; must stay 0",
            self.orphans.clone(),
        );
        registry.register("instances", "Instances that have an owner, by phase", self.instances.clone());
        registry.register("ports", "Ports of the pool, by state", self.ports.clone());
        registry.register_with_unit(
            "launch_stage",
            "Time from the step before to the step that the stage is named after; failed: to the failure",
            Unit::Seconds,
            self.launch_stages.clone(),
        );
        registry.register_with_unit(
            "launch",
            "Time of whole launches, from the plan to an open route or to the failure, by outcome",
            Unit::Seconds,
            self.launches.clone(),
        );
        registry.register_with_unit(
            "end_stage",
            "Time from the step before to the step of an end that the stage is named after",
            Unit::Seconds,
            self.end_stages.clone(),
        );
        registry.register(
            "ends",
            "Instances that ended, by the status that they ended in",
            self.ends.clone(),
        );
        registry.register_with_unit(
            "adoption",
            "Time until it was clear what became of an instance of an earlier run, by outcome",
            Unit::Seconds,
            self.adoptions.clone(),
        );
        let help = "Launches that wait until the machine has room for them";
        registry.register("launches_waiting", help, self.launches_waiting.clone());
        let help = "Servers that were lost and started again by the policy of their type";
        registry.register("policy_restarts", help, self.restarts.clone());
    }

    fn register_chores(&mut self) {
        let registry = &mut self.registry;
        let help = "Time of each run of what is done again and again, by task and outcome";
        registry.register_with_unit("task_run", help, Unit::Seconds, self.runs.clone());
        let help = "Rows past their time that nobody answered for and that the reaper ended";
        registry.register("reaped_instances", help, self.reaped.clone());
        let help = "Lines that shims dropped because their spool was full";
        registry.register("log_lines_dropped", help, self.log_lines_dropped.clone());
        let help = "Log lines and usage facts that became rows";
        registry.register("records_written", help, self.records_written.clone());
        let help = "Log lines and usage facts that wait for the database in this process";
        registry.register("records_waiting", help, self.records_waiting.clone());
        let help = "Log lines and usage facts that the database refused";
        registry.register("records_lost", help, self.records_lost.clone());
        let help = "Entries of the audit log that are not linked into their chain yet";
        registry.register("audit_entries_waiting", help, self.audit_waiting.clone());
        let help = "How long the oldest of them has waited";
        registry.register_with_unit("audit_oldest_waiting", help, Unit::Seconds, self.audit_oldest.clone());
        let help = "Whether the database answered this scrape";
        registry.register("database_up", help, self.database_up.clone());
        let help = "Statements that failed because the database was not there or too busy";
        registry.register("database_unavailable", help, self.database_unavailable.clone());
    }

    /// Something was found alive that nobody answers for.
    pub fn orphans(&self, kind: OrphanKind, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.orphans.get_or_create_owned(&[("kind", kind.as_str())]).inc_by(count);
    }

    /// A launch has come to a step, or failed on its way to it.
    pub fn launch_stage(&self, step: Step, ok: bool, took: Duration) {
        let labels = [("stage", step.as_str()), ("outcome", outcome(ok))];
        self.launch_stages.get_or_create_owned(&labels).observe(took.as_secs_f64());
    }

    /// A launch is over.
    pub fn launched(&self, ok: bool, took: Duration) {
        self.launches.get_or_create_owned(&[("outcome", outcome(ok))]).observe(took.as_secs_f64());
    }

    /// An end has come to a step.
    pub fn end_stage(&self, step: Step, took: Duration) {
        self.end_stages.get_or_create_owned(&[("stage", step.as_str())]).observe(took.as_secs_f64());
    }

    /// A row says how its instance ended.
    pub fn ended(&self, status: InstanceStatus) {
        self.ends.get_or_create_owned(&[("status", status.as_str())]).inc();
    }

    /// It is clear what became of an instance of an earlier run.
    pub fn adopted(&self, outcome: AdoptionOutcome, took: Duration) {
        self.adoptions.get_or_create_owned(&[("outcome", outcome.as_str())]).observe(took.as_secs_f64());
    }

    /// A run of something that is done again and again is over.
    pub fn ran(&self, work: Work, ok: bool, took: Duration) {
        let labels = [("task", work.as_str()), ("outcome", outcome(ok))];
        self.runs.get_or_create_owned(&labels).observe(took.as_secs_f64());
    }

    /// The reaper ended a row.
    pub fn reaped(&self, status: InstanceStatus) {
        self.reaped.inc();
        self.ended(status);
    }

    /// A shim started a lost server again.
    pub fn restarted_by_policy(&self) {
        self.restarts.inc();
    }

    /// Shims dropped lines.
    pub fn log_lines_dropped(&self, lines: u64) {
        self.log_lines_dropped.inc_by(lines);
    }

    /// Records came in, and wait to become rows.
    pub fn records_came(&self, record: Record, count: usize) {
        self.records_waiting.get_or_create_owned(&[("kind", record.as_str())]).inc_by(gauge(count));
    }

    /// Records that waited became rows; or were refused, and are lost.
    pub fn records_went(&self, record: Record, count: usize, written: bool) {
        let labels = [("kind", record.as_str())];
        self.records_waiting.get_or_create_owned(&labels).dec_by(gauge(count));
        let counters = if written { &self.records_written } else { &self.records_lost };
        counters.get_or_create_owned(&labels).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A request through an access URL was answered.
    pub fn answered(&self, outcome: GatewayOutcome, took: Duration) {
        if let Some(times) = self.requests.get(outcome as usize) {
            times.observe(took.as_secs_f64());
        }
    }

    /// All of it as text, with what is true now.
    pub fn text(&self, now: &Now) -> String {
        for (phase, count) in Phase::ALL.iter().zip(now.instances) {
            self.instances.get_or_create_owned(&[("phase", phase.as_str())]).set(gauge(count));
        }
        for (state, count) in PortState::ALL.iter().zip(now.ports) {
            self.ports.get_or_create_owned(&[("state", state.as_str())]).set(gauge(count));
        }
        self.launches_waiting.set(gauge(now.launches_waiting));
        if let Some((entries, oldest)) = now.audit {
            self.audit_waiting.set(i64::try_from(entries).unwrap_or(i64::MAX));
            self.audit_oldest.set(oldest);
        }
        self.database_up.set(i64::from(now.database_up));
        let counted: &AtomicU64 = self.database_unavailable.inner();
        counted.store(now.database_unavailable, Ordering::Relaxed);
        self.own.look();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("a string takes all");
        text
    }
}

const fn outcome(ok: bool) -> &'static str {
    if ok { "ok" } else { "failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let metrics = Metrics::new("1.2.3");
        metrics.orphans(OrphanKind::Shim, 2);
        metrics.launch_stage(Step::ServerReady, false, Duration::from_millis(3));
        metrics.answered(GatewayOutcome::Gone, Duration::from_micros(120));
        metrics.records_came(Record::LogLines, 5);
        metrics.records_went(Record::LogLines, 3, true);
        let text = metrics.text(&Now { instances: [1, 2, 3, 4], database_unavailable: 7, ..Now::default() });
        for line in [
            "roadstead_orphans_total{kind=\"shim\"} 2",
            "roadstead_orphans_total{kind=\"process\"} 0",
            "roadstead_launch_stage_seconds_count{stage=\"server_ready\",outcome=\"failed\"} 1",
            "roadstead_gateway_request_seconds_bucket{le=\"0.00025\",outcome=\"gone\"} 1",
            "roadstead_records_waiting{kind=\"log_lines\"} 2",
            "roadstead_instances{phase=\"running\"} 2",
            "roadstead_database_unavailable_total 7",
            "roadstead_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_words_of_requests_are_in_the_order_of_their_histograms() {
        for (index, outcome) in GatewayOutcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, index);
        }
    }
}
