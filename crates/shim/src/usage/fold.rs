//! Many facts into few. Pure: what the sums add up to is what the facts added up to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use roadstead_control::UsageFact;
use roadstead_model::{SessionEra, UsageMethod, UsageStatus};
use time::{OffsetDateTime, Time};

/// What facts of one sum have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    at: OffsetDateTime,
    method: UsageMethod,
    name: Option<String>,
    era: SessionEra,
    status: UsageStatus,
}

/// One sum for each tool, outcome and minute; in the order of their numbers.
pub(super) fn by_minute(facts: impl IntoIterator<Item = UsageFact>) -> Vec<UsageFact> {
    fold(facts, |fact| {
        let time = fact.at.time();
        let minute = Time::from_hms(time.hour(), time.minute(), 0).unwrap_or(Time::MIDNIGHT);
        (fact.at.replace_time(minute), fact.name.clone())
    })
}

/// One sum for each outcome and day, whatever the tool: so few that no client can fill the room by inventing names.
pub(super) fn by_day(facts: impl IntoIterator<Item = UsageFact>) -> Vec<UsageFact> {
    fold(facts, |fact| (fact.at.replace_time(Time::MIDNIGHT), None))
}

fn fold(
    facts: impl IntoIterator<Item = UsageFact>,
    alike: impl Fn(&UsageFact) -> (OffsetDateTime, Option<String>),
) -> Vec<UsageFact> {
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut sums: Vec<UsageFact> = Vec::new();
    for fact in facts {
        let (at, name) = alike(&fact);
        let key = Key { at, method: fact.method, name, era: fact.era, status: fact.status };
        match places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(sums.len());
                sums.push(fact);
            }
            Entry::Occupied(place) => {
                let name = place.key().name.clone();
                add(&mut sums[*place.get()], &fact, at, name);
            }
        }
    }
    sums
}

fn add(sum: &mut UsageFact, fact: &UsageFact, at: OffsetDateTime, name: Option<String>) {
    (sum.at, sum.name) = (at, name);
    (sum.request_id, sum.parent_request_id) = (None, None);
    sum.calls = sum.calls.saturating_add(fact.calls);
    sum.latency_us = sum.latency_us.saturating_add(fact.latency_us);
    sum.request_bytes = sum.request_bytes.saturating_add(fact.request_bytes);
    sum.answer_bytes = sum.answer_bytes.saturating_add(fact.answer_bytes);
}
