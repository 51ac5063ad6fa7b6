//! What keys are used for, on its way to rows, and what is left of their limits.
//!
//! A request leaves a fact in memory, and every two seconds one transaction writes down all there are. What does not fit in
//! memory is not waited for: it is counted and said. A key with a limit is counted here as well, so that the next request
//! knows of the one before; what other processes let in is known as soon as they have written it down.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use roadstead_model::ApiKeyId;
use roadstead_store::{KeyFact, StoreError, UsedSoFar};
use time::{Date, OffsetDateTime};

use crate::Accounts;

/// The time between two transactions.
const PAUSE: Duration = Duration::from_secs(2);
/// Facts kept in memory: about 10 MB, and what a busy service does in the time that a database needs to come back.
const MAX_FACTS: usize = 50_000;
/// Facts of one transaction.
const MAX_AT_ONCE: usize = 5_000;

/// What was noted and not written down, and the counts of keys with a limit.
#[derive(Debug, Default)]
pub(crate) struct KeyUses {
    noted: Mutex<Noted>,
    counts: Mutex<BTreeMap<ApiKeyId, Count>>,
    /// One writer at a time: what it took is in the rows, or back among what was noted, before the next takes.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Noted {
    facts: Vec<KeyFact>,
    dropped: u64,
}

/// Requests of a key in this day and month, those that this process let in among them.
#[derive(Debug, Clone, Copy)]
struct Count {
    day: Date,
    used: UsedSoFar,
}

/// What a key may still be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// This request, which is counted.
    One,
    /// Nothing before this moment.
    NothingBefore(OffsetDateTime, &'static str),
}

impl KeyUses {
    fn note(&self, fact: KeyFact) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.facts.len() < MAX_FACTS {
            noted.facts.push(fact);
        } else {
            noted.dropped += 1;
        }
    }

    fn take(&self) -> (Vec<KeyFact>, u64) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let some = noted.facts.len().min(MAX_AT_ONCE);
        (noted.facts.drain(..some).collect(), std::mem::take(&mut noted.dropped))
    }

    /// Puts back what could not be written, before what came since.
    fn put_back(&self, mut facts: Vec<KeyFact>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_FACTS.saturating_sub(noted.facts.len());
        noted.dropped += u64::try_from(facts.len().saturating_sub(room)).unwrap_or(u64::MAX);
        facts.truncate(room);
        facts.append(&mut noted.facts);
        noted.facts = facts;
    }

    /// Counts a request of a key with a limit, if it is within. `written` is what the rows say.
    pub(crate) fn count(
        &self,
        key: ApiKeyId,
        (daily, monthly): (Option<u64>, Option<u64>),
        written: UsedSoFar,
        now: OffsetDateTime,
    ) -> Left {
        let today = now.to_offset(time::UtcOffset::UTC).date();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys that were not used today are counted from the rows when they are.
        if counts.values().next().is_some_and(|count| count.day != today) {
            counts.retain(|_, count| count.day == today);
        }
        let count = counts.entry(key).or_insert(Count { day: today, used: written });
        if count.day != today {
            *count = Count { day: today, used: written };
        }
        // What others let in is in the rows only, and what we let in a moment ago is not there yet.
        count.used.day = count.used.day.max(written.day);
        count.used.month = count.used.month.max(written.month);
        if monthly.is_some_and(|limit| count.used.month >= limit) {
            return Left::NothingBefore(next_month(today), "month");
        }
        if daily.is_some_and(|limit| count.used.day >= limit) {
            return Left::NothingBefore(midnight(today.next_day().unwrap_or(today)), "day");
        }
        count.used.day += 1;
        count.used.month += 1;
        Left::One
    }
}

fn midnight(day: Date) -> OffsetDateTime {
    day.midnight().assume_utc()
}

fn next_month(day: Date) -> OffsetDateTime {
    let (year, month) = (day.year(), day.month());
    let year = if month == time::Month::December { year + 1 } else { year };
    Date::from_calendar_date(year, month.next(), 1).map_or_else(|_| midnight(day), midnight)
}

impl Accounts {
    /// Notes a request with a key, to be written down with others.
    pub fn note_key_use(&self, fact: KeyFact) {
        self.0.uses.note(fact);
    }

    /// Writes down every two seconds what was noted, and the rest when `end` comes.
    pub async fn write_key_uses(&self, end: impl Future<Output = ()> + Send) {
        tokio::pin!(end);
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ends = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut end => true,
            };
            if let Err(error) = self.flush_uses().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what keys were used for waits for the database"
                );
            }
            if ends {
                return;
            }
        }
    }

    /// Writes down what keys were used for since the last time.
    pub async fn flush_uses(&self) -> Result<(), StoreError> {
        let _only = self.0.uses.writing.lock().await;
        loop {
            let (facts, dropped) = self.0.uses.take();
            if dropped > 0 {
                tracing::error!(facts = dropped, "uses of keys did not fit in memory and are not counted");
            }
            if facts.is_empty() {
                return Ok(());
            }
            match self.record(&facts).await {
                Ok(()) => {}
                Err(error) if error.is_unavailable() => {
                    self.0.uses.put_back(facts);
                    return Err(error);
                }
                // Trying again would hold up every other fact for ever.
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    facts = facts.len(),
                    "uses of keys were refused by the database and are lost"
                ),
            }
        }
    }

    /// A month that nobody prepared is prepared then: a service may have slept through its end.
    async fn record(&self, facts: &[KeyFact]) -> Result<(), StoreError> {
        match self.store().api_keys().record(facts).await {
            Err(StoreError::NoPartition { .. }) => {
                self.store().ensure_partitions(self.now()).await?;
                self.store().api_keys().record(facts).await
            }
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const KEY: &str = "00000000-0000-7000-8000-000000000001";

    fn key() -> ApiKeyId {
        ApiKeyId::from_uuid(KEY.parse::<ApiKeyId>().unwrap().uuid())
    }

    #[test]
    fn a_key_is_let_in_as_often_as_its_limit_says_and_again_the_next_day() {
        let uses = KeyUses::default();
        let at = datetime!(2026-12-31 23:59:58 UTC);
        let ask = |written: u64, at| {
            uses.count(key(), (Some(3), None), UsedSoFar { day: written, month: written }, at)
        };
        assert_eq!(ask(1, at), Left::One);
        // The row may lag behind.
        assert_eq!(ask(1, at), Left::One);
        let tomorrow = datetime!(2027-01-01 0:00 UTC);
        assert_eq!(ask(1, at), Left::NothingBefore(tomorrow, "day"));
        assert_eq!(ask(3, at), Left::NothingBefore(tomorrow, "day"));
        assert_eq!(ask(0, tomorrow), Left::One);
    }

    #[test]
    fn what_others_let_in_counts_as_soon_as_it_is_written() {
        let uses = KeyUses::default();
        let at = datetime!(2026-11-10 12:00 UTC);
        let ask = |month: u64| uses.count(key(), (None, Some(10)), UsedSoFar { day: 0, month }, at);
        assert_eq!(ask(0), Left::One);
        assert_eq!(ask(10), Left::NothingBefore(datetime!(2026-12-01 0:00 UTC), "month"));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_what_waited_comes_first() {
        let uses = KeyUses::default();
        let fact = |status| KeyFact {
            key: key(),
            at: datetime!(2026-11-10 12:00 UTC),
            operation: None,
            status,
            is_refused: false,
            duration_us: 1,
            request_bytes: 0,
            answer_bytes: 0,
            ip_address: None,
            user_agent: None,
            request_id: None,
        };
        for _ in 0..=MAX_FACTS {
            uses.note(fact(200));
        }
        let (facts, dropped) = uses.take();
        assert_eq!((facts.len(), dropped), (MAX_AT_ONCE, 1));
        uses.note(fact(201));
        uses.put_back(facts);
        let (facts, dropped) = uses.take();
        assert_eq!((facts[0].status, dropped), (200, 1));
    }
}
