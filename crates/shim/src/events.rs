//! The steps that the shim takes by itself: numbered, on disk before they are told, kept until roadstead has stored them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use roadstead_control::{EVENTS_FILE, LifecycleEntry, LifecycleStep, frame};
use roadstead_model::Clock;
use tokio::sync::Notify;

/// Steps that wait for roadstead; beyond, the oldest are dropped. A server that is restarted as often as any type allows
/// reaches this after some hours without roadstead.
const MAX_WAITING: usize = 1000;

pub(crate) struct Events {
    clock: Rc<dyn Clock>,
    file: PathBuf,
    inner: RefCell<Inner>,
    more: Notify,
}

#[derive(Default)]
struct Inner {
    last_seq: u64,
    waiting: VecDeque<LifecycleEntry>,
}

/// What became of a step beside being told.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Why it is not on disk.
    pub(crate) not_saved: Option<std::io::Error>,
    /// Whether an older one had to give way.
    pub(crate) dropped: bool,
}

impl Events {
    pub(crate) fn new(clock: Rc<dyn Clock>, run_folder: &Path) -> Self {
        Self { clock, file: run_folder.join(EVENTS_FILE), inner: RefCell::default(), more: Notify::new() }
    }

    /// A step was taken.
    pub(crate) fn push(&self, step: LifecycleStep) -> Kept {
        let mut inner = self.inner.borrow_mut();
        inner.last_seq += 1;
        let entry = LifecycleEntry { seq: inner.last_seq, at: self.clock.now(), step };
        let mut kept = Kept { not_saved: self.save(&entry).err(), dropped: false };
        inner.waiting.push_back(entry);
        if inner.waiting.len() > MAX_WAITING {
            inner.waiting.pop_front();
            kept.dropped = true;
        }
        drop(inner);
        self.more.notify_waiters();
        kept
    }

    /// The first step after `seq` that waits; resolves when there is one.
    pub(crate) async fn next_after(&self, seq: u64) -> LifecycleEntry {
        loop {
            let more = self.more.notified();
            if let Some(entry) = self.after(seq) {
                return entry;
            }
            more.await;
        }
    }

    /// The first step after `seq` that waits.
    pub(crate) fn after(&self, seq: u64) -> Option<LifecycleEntry> {
        self.inner.borrow().waiting.iter().find(|entry| entry.seq > seq).cloned()
    }

    /// A step is stored elsewhere.
    pub(crate) fn stored(&self, seq: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.waiting.retain(|entry| entry.seq != seq);
        if inner.waiting.is_empty() {
            // What is left of it would only be stored a second time, and known again.
            let _ = std::fs::remove_file(&self.file);
        }
    }

    /// Whether all steps are stored elsewhere.
    pub(crate) fn all_stored(&self) -> bool {
        self.inner.borrow().waiting.is_empty()
    }

    fn save(&self, entry: &LifecycleEntry) -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true).mode(0o600).open(&self.file)?.write_all(&frame::line(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_model::MockClock;

    fn step(attempt: u32) -> LifecycleStep {
        LifecycleStep::Restarted { attempt, ended: None, process_id: 7, away_ms: 1000 }
    }

    fn on_disk(events: &Events) -> Vec<LifecycleEntry> {
        let text = std::fs::read_to_string(&events.file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_step_is_on_disk_and_told_until_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::new(Rc::new(MockClock::default()), folder.path());
        for attempt in 1..=3 {
            assert!(events.push(step(attempt)).not_saved.is_none());
        }
        assert_eq!(on_disk(&events).iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3]);
        events.stored(2);
        assert_eq!(events.after(1).map(|entry| entry.seq), Some(3));
        assert!(!events.all_stored() && events.after(0).is_some());
        events.stored(1);
        events.stored(3);
        assert!(events.all_stored() && on_disk(&events).is_empty());
        events.push(step(4));
        assert_eq!(on_disk(&events).iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn steps_that_nobody_stores_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::new(Rc::new(MockClock::default()), folder.path());
        let dropped = (0..MAX_WAITING + 2).filter(|_| events.push(step(1)).dropped).count();
        assert_eq!((dropped, events.after(0).map(|entry| entry.seq)), (2, Some(3)));
    }
}
