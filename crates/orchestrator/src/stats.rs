//! What instances take of the machine: looked at every ten seconds in a thread of its own, so that neither a request nor
//! the runtime waits for `/proc`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use roadstead_access::InstancePermit;
use roadstead_model::{EventType, InstanceId, View};
use roadstead_store::{InstanceRow, Order};
use roadstead_supervisor::{Figures, Look};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::error::ChangeError;
use crate::parts::{Inner, Orchestrator};

/// How often the machine is looked at.
pub const STATS_INTERVAL: Duration = Duration::from_secs(10);
/// Looks that somebody asks for, because an instance is new, are at least this far apart.
const LEAST_REST: Duration = Duration::from_millis(250);
/// The rest before the look that decides whether an instance which was found above a limit is ended.
const SUSPECT_REST: Duration = Duration::from_millis(1100);
/// How long a caller waits for the first look at a new instance.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// Events that are read for one instance, in pages: restarts beyond are not counted.
const EVENT_PAGES: usize = 10;
const EVENT_PAGE: u32 = 100;

/// What one instance took when it was last looked at.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: OffsetDateTime,
    /// What.
    pub figures: Figures,
    /// Processor time since the look before, of one processor; none at the first.
    pub cpu_percent: Option<f64>,
}

/// Everything about one instance.
#[derive(Debug, Clone)]
pub struct InstanceStats {
    /// The row.
    pub row: InstanceRow,
    /// None for one that does not live.
    pub sample: Option<Sample>,
    /// How often its server was started again, by its policy or by a person.
    pub restarts: u64,
}

/// The last look, and how to ask for another.
#[derive(Debug)]
pub(crate) struct Samples {
    last: Mutex<HashMap<InstanceId, (Sample, Instant)>>,
    looks: watch::Sender<u64>,
    ask: Mutex<Option<mpsc::SyncSender<()>>>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { last: Mutex::default(), looks: watch::Sender::new(0), ask: Mutex::default() }
    }
}

impl Samples {
    fn find(&self, id: InstanceId) -> Option<Sample> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&id).map(|(sample, _)| *sample)
    }

    fn ask(&self) {
        let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner);
        // A full channel means that a look is asked for already.
        let _ = ask.as_ref().map(|ask| ask.try_send(()));
    }

    fn store(&self, at: OffsetDateTime, figures: HashMap<InstanceId, Figures>) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = figures.into_iter().map(|(id, figures)| {
            let before = last.get(&id).map(|(sample, at)| (sample.figures.cpu, *at));
            let cpu_percent = before.map(|(cpu, at)| percent(figures.cpu.saturating_sub(cpu), now - at));
            (id, (Sample { at, figures, cpu_percent }, now))
        });
        *last = samples.collect();
        drop(last);
        self.looks.send_modify(|looks| *looks += 1);
    }
}

/// The memory of an instance; shared pages counted once for each process where one of them hides its shares.
fn taken(figures: &Figures) -> u64 {
    figures.pss_bytes.filter(|_| figures.unreadable == 0).unwrap_or(figures.rss_bytes)
}

fn percent(cpu: Duration, wall: Duration) -> f64 {
    if wall.is_zero() { 0.0 } else { cpu.as_secs_f64() / wall.as_secs_f64() * 100.0 }
}

impl Orchestrator {
    /// Looks at the machine every ten seconds, until the service stops.
    pub fn watch_processes(&self) -> std::io::Result<()> {
        let (ask, asked) = mpsc::sync_channel(1);
        *self.0.samples.ask.lock().unwrap_or_else(PoisonError::into_inner) = Some(ask);
        let inner = Arc::downgrade(&self.0);
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("stats".to_owned())
            .spawn(move || watch(&inner, &asked, &runtime))
            .map(drop)
    }

    /// What one instance that the permit reaches takes.
    pub async fn stats(&self, permit: &InstancePermit, id: InstanceId) -> Result<InstanceStats, ChangeError> {
        let row = self.get(permit, id).await?;
        let mut sample = self.0.samples.find(id);
        if sample.is_none() && row.status().is_live() {
            sample = self.first(id).await;
        }
        let restarts = self.restarts(permit.view(), id).await?;
        Ok(InstanceStats { sample: sample.filter(|_| row.status().is_live()), restarts, row })
    }

    async fn first(&self, id: InstanceId) -> Option<Sample> {
        let samples = &self.0.samples;
        let mut looks = samples.looks.subscribe();
        samples.ask();
        let _ = tokio::time::timeout(FIRST_PATIENCE, looks.changed()).await;
        samples.find(id)
    }

    async fn restarts(&self, view: View, id: InstanceId) -> Result<u64, ChangeError> {
        let (mut restarts, mut after) = (0, None);
        for _ in 0..EVENT_PAGES {
            let mut events = self.0.store().seen_by(view).events();
            let page = events.list(id, Some(view), after, EVENT_PAGE, Order::Ascending).await?;
            restarts += page.items.iter().filter(|event| event.event_type == EventType::Restarted).count();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(u64::try_from(restarts).unwrap_or(u64::MAX))
    }
}

/// Holds the orchestrator only while it looks: one that is dropped ends this.
fn watch(inner: &Weak<Inner>, asked: &mpsc::Receiver<()>, runtime: &tokio::runtime::Handle) {
    let mut known = roadstead_supervisor::Known::default();
    loop {
        let Some(inner) = inner.upgrade().filter(|inner| !inner.parts.stopping.is_cancelled()) else {
            return;
        };
        let parts = &inner.parts;
        let look = parts.supervisor.look(parts.node.installation, &parts.workplaces, &mut known);
        let Look { figures, reached, over, is_suspect } = look;
        inner.admission.saw(figures.iter().map(|(id, figures)| (*id, taken(figures))));
        inner.samples.store(inner.now(), figures);
        inner.end_over(over);
        inner.tell_reached(reached, runtime);
        drop(inner);
        std::thread::sleep(LEAST_REST);
        let rest = if is_suspect { SUSPECT_REST } else { STATS_INTERVAL };
        if asked.recv_timeout(rest.saturating_sub(LEAST_REST)) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_a_share_of_one_processor() {
        let half = percent(Duration::from_secs(5), Duration::from_secs(10));
        assert!((half - 50.0).abs() < f64::EPSILON);
        assert!(percent(Duration::from_secs(1), Duration::ZERO).abs() < f64::EPSILON);
    }
}
