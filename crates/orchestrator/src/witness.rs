//! Who hears of each step of a launch and of an end, at the moment at which it has been taken: the metrics, and a witness.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use roadstead_metrics::{Metrics, Now, Phase};
use roadstead_model::{InstanceId, Step};
use roadstead_port_allocator::Snapshot;

use crate::parts::{Inner, Orchestrator};

/// Hears of each step, in the task that took it: what it does there, the launch waits for.
pub trait Witness: std::fmt::Debug + Send + Sync {
    /// `since` is the time since the step before; none for the first of a launch or an end.
    fn saw(&self, instance: InstanceId, step: Step, since: Option<Duration>);
}

/// Nobody wants to hear.
#[derive(Debug, Clone, Copy)]
pub struct Unwitnessed;

impl Witness for Unwitnessed {
    fn saw(&self, _instance: InstanceId, _step: Step, _since: Option<Duration>) {}
}

/// A stretch of an instance's life that is under way: its launch, or its end.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    began: Instant,
    last: Instant,
    step: Step,
}

/// The instances that are on their way up or down.
#[derive(Debug)]
pub(crate) struct Steps {
    witness: Arc<dyn Witness>,
    metrics: Arc<Metrics>,
    under_way: Mutex<HashMap<InstanceId, Stretch>>,
}

impl Steps {
    pub(crate) fn new(witness: Arc<dyn Witness>, metrics: Arc<Metrics>) -> Self {
        Self { witness, metrics, under_way: Mutex::default() }
    }

    /// A step has been taken.
    pub(crate) fn taken(&self, instance: InstanceId, step: Step) {
        let now = Instant::now();
        let before = {
            let mut under_way = self.under_way();
            let before = under_way.get(&instance).copied().filter(|_| !step.is_first());
            if step.is_last() {
                under_way.remove(&instance);
            } else {
                let same = before.filter(|before| before.step.is_of_launch() == step.is_of_launch());
                let began = same.map_or(now, |before| before.began);
                under_way.insert(instance, Stretch { began, last: now, step });
            }
            before
        };
        if let Some(before) = before {
            self.count(before, step, now);
        }
        self.witness.saw(instance, step, before.map(|before| now.duration_since(before.last)));
    }

    /// A launch was refused before its row was written, however far its shim had been prepared beside.
    pub(crate) fn given_up(&self, instance: InstanceId) {
        let before = self.under_way().remove(&instance);
        if let Some(before) = before {
            self.failed_at(Step::RowReserved, before, Instant::now());
        }
    }

    /// What was taken so far counts neither as done nor as failed.
    pub(crate) fn forget(&self, instance: InstanceId) {
        self.under_way().remove(&instance);
    }

    fn count(&self, before: Stretch, step: Step, now: Instant) {
        let took = now.duration_since(before.last);
        match (before.step.is_of_launch(), step.is_of_launch()) {
            (true, true) => {
                self.metrics.launch_stage(step, true, took);
                if step.is_last() {
                    self.metrics.launched(true, now.duration_since(before.began));
                }
            }
            (true, false) => self.failed(before, now),
            (false, _) => self.metrics.end_stage(step, took),
        }
    }

    fn failed(&self, before: Stretch, now: Instant) {
        let next = Step::ALL.iter().skip_while(|step| **step != before.step).nth(1);
        self.failed_at(*next.unwrap_or(&before.step), before, now);
    }

    fn failed_at(&self, stage: Step, before: Stretch, now: Instant) {
        self.metrics.launch_stage(stage, false, now.duration_since(before.last));
        self.metrics.launched(false, now.duration_since(before.began));
    }

    /// How many are starting, and how many ending.
    fn counts(&self) -> (usize, usize) {
        let under_way = self.under_way();
        let starting = under_way.values().filter(|stretch| stretch.step.is_of_launch()).count();
        (starting, under_way.len() - starting)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<InstanceId, Stretch>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A step has been taken.
    pub(crate) fn took(&self, instance: InstanceId, step: Step) {
        self.steps.taken(instance, step);
    }
}

/// How long a scrape waits for the database.
const PING_PATIENCE: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// The metrics as text, with what is true now.
    pub async fn metrics(&self) -> String {
        // Asking what waits tells as well whether there is a database to ask.
        let waiting = tokio::time::timeout(PING_PATIENCE, self.0.store().audit().unsealed()).await;
        let waiting = waiting.ok().and_then(Result::ok);
        let audit = waiting.as_ref().map(|unsealed| {
            let since = unsealed.oldest.map_or(time::Duration::ZERO, |oldest| self.0.now() - oldest);
            (unsealed.entries, since.as_seconds_f64().max(0.0))
        });
        let (starting, ending) = self.0.steps.counts();
        let (running, owned) = (self.0.parts.routes.len(), self.0.live.all().len());
        let adopting = owned.saturating_sub(starting + ending + running);
        debug_assert_eq!(Phase::ALL.len(), 4, "each phase has its number");
        let pool: Snapshot = self.0.ports.snapshot();
        self.0.parts.metrics.text(&Now {
            instances: [starting, running, ending, adopting],
            ports: [pool.free(), pool.leased(), pool.quarantined()],
            launches_waiting: self.0.admission.waiting(),
            audit,
            database_up: waiting.is_some(),
            database_unavailable: roadstead_store::unavailable_count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<(Step, bool)>>);

    impl Witness for Heard {
        fn saw(&self, _instance: InstanceId, step: Step, since: Option<Duration>) {
            self.0.lock().unwrap().push((step, since.is_some()));
        }
    }

    fn steps() -> (Steps, Arc<Heard>, Arc<Metrics>, InstanceId) {
        let (heard, metrics) = (Arc::new(Heard::default()), Arc::new(Metrics::new("0")));
        let id = InstanceId::from_uuid("01980000-0000-7000-8000-000000000001".parse().unwrap());
        let witness: Arc<dyn Witness> = Arc::clone(&heard) as _;
        (Steps::new(witness, Arc::clone(&metrics)), heard, metrics, id)
    }

    #[test]
    fn a_witness_hears_a_life_in_order_and_the_first_steps_have_none_before() {
        let (steps, heard, metrics, id) = steps();
        for step in Step::ALL {
            steps.taken(id, *step);
        }
        let heard: Vec<_> = heard.0.lock().unwrap().clone();
        let expected: Vec<_> = Step::ALL.iter().map(|step| (*step, !step.is_first())).collect();
        assert_eq!(heard, expected);
        assert_eq!(steps.counts(), (0, 0));
        let text = metrics.text(&Now::default());
        assert!(text.contains("roadstead_launch_seconds_count{outcome=\"ok\"} 1"), "{text}");
    }

    #[test]
    fn a_launch_that_fails_counts_at_the_step_that_it_did_not_reach() {
        let (steps, _, metrics, id) = steps();
        for step in [Step::LaunchBegun, Step::RowReserved, Step::PortBound] {
            steps.taken(id, step);
        }
        assert_eq!(steps.counts(), (1, 0));
        steps.taken(id, Step::ProcessesGone);
        assert_eq!(steps.counts(), (0, 1));
        steps.taken(id, Step::FoldersRemoved);
        steps.taken(id, Step::LaunchBegun);
        steps.given_up(id);
        for step in [Step::LaunchBegun, Step::WorkplaceMade, Step::LaunchNoted] {
            steps.taken(id, step);
        }
        steps.given_up(id);
        steps.taken(id, Step::LaunchBegun);
        steps.forget(id);
        steps.taken(id, Step::ProcessesGone);
        let text = metrics.text(&Now::default());
        for line in [
            "roadstead_launch_stage_seconds_count{stage=\"server_ready\",outcome=\"failed\"} 1",
            "roadstead_launch_stage_seconds_count{stage=\"row_reserved\",outcome=\"failed\"} 2",
            "roadstead_launch_seconds_count{outcome=\"failed\"} 3",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
