//! What of an instance's limits is worth telling, and when it has to end: pure, given each look.

use std::time::{Duration, Instant};

use roadstead_model::Held;

use super::{Pressure, Throttled, Use};

/// From this many hundredths of a limit on, an instance is near it, and below that many it is no longer: in between,
/// nothing is told twice.
const NEAR_PERCENT: u64 = 80;
const FAR_PERCENT: u64 = 70;
/// The processor is short when an instance waits in this many hundredths of its periods, and no longer when in less than
/// that many.
const SHORT_PERCENT: u64 = 50;
const AMPLE_PERCENT: u64 = 25;
/// Periods of a tenth of a second in which an instance must have run for its waiting to count.
const LEAST_PERIODS: u64 = 20;
/// The processor is judged over at least this long, so that the start of a server does not count as a shortage twice.
const LEAST_SPAN: Duration = Duration::from_secs(5);
/// So many spans in a row have to be short ones.
const SHORT_SPANS: u8 = 2;
/// The same is not told again before.
const TOLD_AGAIN_AFTER: Duration = Duration::from_mins(10);
/// An instance that is above a limit at two looks this far apart is ended.
const LEAST_EXCESS: Duration = Duration::from_secs(1);

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitName {
    /// Bytes of memory.
    Memory,
    /// Thousandths of a processor.
    Cpu,
    /// Processes and threads.
    Processes,
    /// Bytes of the disk.
    Disk,
}

impl LimitName {
    const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::Processes, Self::Disk];

    /// The word used in events and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "processes",
            Self::Disk => "disk",
        }
    }
}

/// How a limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReachedAt {
    /// Four fifths of it are used.
    Near,
    /// More was asked for and not given.
    Refused,
    /// It has to wait most of the time.
    Throttled,
    /// It was above, and something was ended for that.
    Exceeded,
}

impl ReachedAt {
    const COUNT: usize = 4;

    /// The word used in events and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Near => "80%",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Exceeded => "exceeded",
        }
    }
}

/// Something worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Which limit.
    pub limit: LimitName,
    /// How.
    pub at: ReachedAt,
    /// What is used of it: bytes, tasks or thousandths of a processor. Of refusals, their number since the last look.
    pub value: u64,
    /// The limit.
    pub limit_value: u64,
}

/// An instance that has to end, because nobody else holds that limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Which limit.
    pub limit: LimitName,
    /// What is used.
    pub value: u64,
    /// The limit.
    pub limit_value: u64,
}

/// What is remembered of one instance between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    near: [bool; LimitName::ALL.len()],
    over_since: [Option<Instant>; LimitName::ALL.len()],
    told: [[Option<Instant>; ReachedAt::COUNT]; LimitName::ALL.len()],
    /// Refusals and kills at the look before; none at the first look at an instance that is older than the looks.
    refusals: Option<u64>,
    kills: Option<u64>,
    processor: Processor,
}

/// Whether the processor is short.
#[derive(Debug, Default)]
struct Processor {
    from: Option<(Instant, Throttled, Duration)>,
    spans: u8,
    is_short: bool,
}

impl Watch {
    /// Of an instance that was launched since the looks began, or of one that was there before.
    pub(crate) fn new(is_new: bool) -> Self {
        let nothing_yet = is_new.then_some(0);
        Self { refusals: nothing_yet, kills: nothing_yet, ..Self::default() }
    }

    /// What this look brings, and of which limit the instance has to end. `cpu` is the processor time so far.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        pressure: &Pressure,
        cpu: Duration,
    ) -> (Vec<Reached>, Option<Over>) {
        let mut reached = Vec::new();
        let sizes = [
            (LimitName::Memory, pressure.memory),
            (LimitName::Processes, pressure.processes),
            (LimitName::Disk, pressure.disk),
        ];
        for (limit, used) in sizes {
            reached.extend(self.near(limit, used));
        }
        reached.extend(self.counted(pressure));
        if let (Some(throttled), Some(limit_value)) = (pressure.throttled, pressure.cpu.limit) {
            let value = self.processor.look(now, throttled, cpu);
            let told =
                |value| Reached { limit: LimitName::Cpu, at: ReachedAt::Throttled, value, limit_value };
            reached.extend(value.map(told));
        }
        // Each of them, because each remembers since when; the first is reason enough.
        let all_over: Vec<_> =
            sizes.into_iter().filter_map(|(limit, used)| self.over(now, limit, used)).collect();
        let over = all_over.first().copied();
        reached.extend(over.map(|over| Reached {
            limit: over.limit,
            at: ReachedAt::Exceeded,
            value: over.value,
            limit_value: over.limit_value,
        }));
        reached.retain(|each| self.is_news(now, *each));
        (reached, over)
    }

    /// Whether it is above a limit that only looks hold, and not for long enough yet.
    pub(crate) fn is_suspect(&self) -> bool {
        self.over_since.iter().any(Option::is_some)
    }

    fn near(&mut self, limit: LimitName, used: Use) -> Option<Reached> {
        let (value, limit_value) = used.used.zip(used.limit)?;
        let is_near = &mut self.near[limit as usize];
        let is_above = |percent| is_above(value, percent, limit_value);
        let was_near =
            std::mem::replace(is_near, is_above(NEAR_PERCENT) || *is_near && is_above(FAR_PERCENT));
        (*is_near && !was_near).then_some(Reached { limit, at: ReachedAt::Near, value, limit_value })
    }

    /// What the kernel has refused or ended since the look before.
    fn counted(&mut self, pressure: &Pressure) -> Vec<Reached> {
        let since = |before: &mut Option<u64>, now: Option<u64>| {
            let now = now?;
            let before = before.replace(now)?;
            Some(now.saturating_sub(before)).filter(|more| *more > 0)
        };
        let refused = since(&mut self.refusals, pressure.processes.refused);
        let refused = refused.zip(pressure.processes.limit).map(|(value, limit_value)| Reached {
            limit: LimitName::Processes,
            at: ReachedAt::Refused,
            value,
            limit_value,
        });
        let killed = since(&mut self.kills, pressure.kills);
        // What was used when it happened is gone: it was the limit.
        let killed = killed.and(pressure.memory.limit).map(|limit_value| Reached {
            limit: LimitName::Memory,
            at: ReachedAt::Exceeded,
            value: limit_value,
            limit_value,
        });
        refused.into_iter().chain(killed).collect()
    }

    fn over(&mut self, now: Instant, limit: LimitName, used: Use) -> Option<Over> {
        let since = &mut self.over_since[limit as usize];
        let above = used.used.zip(used.limit).filter(|(value, limit)| value > limit);
        let Some((value, limit_value)) = above.filter(|_| used.held == Held::Sampled) else {
            *since = None;
            return None;
        };
        let since = *since.get_or_insert(now);
        (now - since >= LEAST_EXCESS).then_some(Over { limit, value, limit_value })
    }

    fn is_news(&mut self, now: Instant, reached: Reached) -> bool {
        let told = &mut self.told[reached.limit as usize][reached.at as usize];
        let is_news = told.is_none_or(|at| now - at >= TOLD_AGAIN_AFTER);
        if is_news {
            *told = Some(now);
        }
        is_news
    }
}

impl Processor {
    /// What it uses, in thousandths of a processor, when it has become short.
    fn look(&mut self, now: Instant, throttled: Throttled, cpu: Duration) -> Option<u64> {
        let Some((at, before, cpu_before)) = self.from else {
            self.from = Some((now, throttled, cpu));
            return None;
        };
        let span = now - at;
        if span < LEAST_SPAN {
            return None;
        }
        self.from = Some((now, throttled, cpu));
        let ran = throttled.periods.saturating_sub(before.periods);
        let waited = throttled.waited.saturating_sub(before.waited);
        let is_above = |percent| ran >= LEAST_PERIODS && is_above(waited, percent, ran);
        self.spans = if is_above(SHORT_PERCENT) { self.spans.saturating_add(1) } else { 0 };
        let is_short = self.spans >= SHORT_SPANS || self.is_short && is_above(AMPLE_PERCENT);
        let was_short = std::mem::replace(&mut self.is_short, is_short);
        let micros = cpu.saturating_sub(cpu_before).as_micros() * 1000;
        let used = u64::try_from(micros / span.as_micros().max(1)).unwrap_or(u64::MAX);
        (self.is_short && !was_short).then_some(used)
    }
}

/// Whether a value is at least so many hundredths of another.
fn is_above(value: u64, percent: u64, of: u64) -> bool {
    u128::from(value) * 100 >= u128::from(of) * u128::from(percent)
}
