use std::collections::HashMap;

use roadstead_model::MockClock;
use tokio::time::timeout;

use super::*;

/// A shim's usage, its clock and its folder.
struct Desk {
    usage: Rc<Usage>,
    clock: Rc<MockClock>,
    folder: tempfile::TempDir,
}

/// What facts add up to, by outcome: calls, latency, bytes of requests and of answers.
type Totals = HashMap<UsageStatus, [u64; 4]>;

impl Desk {
    fn new(limit: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Rc::new(MockClock::default());
        let usage =
            Usage::with_limit(Rc::<MockClock>::clone(&clock), folder.path().join("usage.jsonl"), limit);
        Self { usage, clock, folder }
    }

    fn call(&self, name: &str) {
        self.usage.record(fact(name, CallOutcome::Success));
    }

    /// What the next start would find.
    fn on_disk(&self) -> Vec<UsageFact> {
        let text = std::fs::read_to_string(self.folder.path().join("usage.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn in_memory(&self) -> Vec<UsageFact> {
        self.usage.inner.borrow().waiting.iter().cloned().collect()
    }

    async fn is_due_after(&self, seq: u64) -> bool {
        timeout(Duration::ZERO, self.usage.due_after(seq)).await.is_ok()
    }
}

fn fact(name: &str, outcome: CallOutcome) -> Fact {
    Fact {
        method: Called::Tool,
        name: name.into(),
        request: Some(Request::Number(7)),
        parent: Some(Parent { trace: 1, span: 2 }),
        modern: false,
        outcome,
        latency: Duration::from_micros(3),
        request_bytes: 5,
        answer_bytes: 11,
    }
}

fn totals<'f>(facts: impl IntoIterator<Item = &'f UsageFact>) -> Totals {
    let mut totals = Totals::new();
    for fact in facts {
        let sum = totals.entry(fact.status).or_default();
        let parts = [fact.calls, fact.latency_us, fact.request_bytes, fact.answer_bytes];
        sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    totals
}

fn seqs(facts: &[UsageFact]) -> Vec<u64> {
    facts.iter().map(|fact| fact.seq).collect()
}

#[test]
fn a_fact_is_on_disk_when_its_call_is_over_and_gone_when_all_are_confirmed() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    assert!(desk.on_disk().is_empty());
    desk.call("one");
    desk.call("two");
    assert_eq!(desk.on_disk(), desk.in_memory());
    let first = &desk.on_disk()[0];
    assert_eq!((first.seq, first.name.as_deref(), first.calls), (1, Some("one"), 1));
    assert_eq!(first.request_id.as_deref(), Some("7"));
    let parent = first.parent_request_id.as_deref().unwrap();
    assert_eq!(parent, "00000000000000000000000000000001-0000000000000002");
    assert_eq!(seqs(&desk.usage.batch_after(0)), [1, 2]);
    desk.usage.confirmed(1);
    assert_eq!(seqs(&desk.in_memory()), [2]);
    desk.usage.confirmed(2);
    assert!(desk.on_disk().is_empty() && desk.in_memory().is_empty());
    desk.call("three");
    assert_eq!(seqs(&desk.on_disk()), [3]);
}

#[test]
fn what_was_never_handed_over_cannot_be_confirmed() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    desk.call("one");
    desk.usage.confirmed(u64::MAX);
    assert_eq!(seqs(&desk.on_disk()), [1]);
}

#[test]
fn the_end_leaves_what_nobody_confirmed_and_nothing_else() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    desk.usage.close().unwrap();
    assert!(!desk.folder.path().join("usage.jsonl").exists());
    for _ in 0..5 {
        desk.call("one");
    }
    desk.usage.batch_after(0);
    desk.usage.confirmed(3);
    desk.usage.close().unwrap();
    assert_eq!(seqs(&desk.on_disk()), [4, 5]);
    desk.usage.confirmed(5);
    assert!(desk.on_disk().is_empty());
}

#[test]
fn beyond_the_limit_calls_become_sums_by_tool_outcome_and_minute() {
    let desk = Desk::new(100 * FACT_BYTES);
    for round in 0..2_000 {
        desk.usage.record(fact(["a", "b"][round % 2], CallOutcome::Success));
        if round % 500 == 0 {
            desk.usage.record(fact("a", CallOutcome::Timeout));
            desk.clock.advance(Duration::from_mins(1));
        }
    }
    let waiting = desk.in_memory();
    assert!(bytes_of(&waiting) <= 101 * (FACT_BYTES + 80) && waiting.len() < 120, "{}", waiting.len());
    assert_eq!(desk.on_disk(), waiting);
    assert_eq!(totals(&waiting)[&UsageStatus::Success][0], 2_000);
    assert_eq!(totals(&waiting)[&UsageStatus::Timeout][0], 4);
    let sum = waiting.iter().max_by_key(|fact| fact.calls).unwrap();
    assert_eq!((sum.at.second(), sum.at.nanosecond()), (0, 0));
    assert!(sum.name.is_some() && sum.request_id.is_none() && sum.parent_request_id.is_none());
}

#[test]
fn no_client_fills_the_room_by_inventing_names() {
    let desk = Desk::new(100 * FACT_BYTES);
    for round in 0..5_000 {
        desk.call(&format!("tool {round}"));
    }
    let waiting = desk.in_memory();
    assert!(waiting.len() < 120, "{}", waiting.len());
    assert_eq!(totals(&waiting)[&UsageStatus::Success], [5_000, 15_000, 25_000, 55_000]);
    assert!(waiting.iter().any(|fact| fact.name.is_none()));
}

#[test]
fn what_was_handed_over_is_never_part_of_a_sum() {
    let desk = Desk::new(50 * FACT_BYTES);
    for _ in 0..20 {
        desk.call("one");
    }
    let sent = desk.usage.batch_after(0);
    for _ in 0..1_000 {
        desk.call("one");
    }
    assert_eq!(desk.in_memory()[..20], sent[..]);
    assert_eq!(desk.usage.batch_after(0)[..20], sent[..], "sent again as it was");
    let rest = desk.in_memory();
    assert!(seqs(&rest).is_sorted_by(|one, other| one < other));
    assert_eq!(totals(&rest)[&UsageStatus::Success][0], 1_020);
}

#[test]
fn a_file_of_confirmed_facts_does_not_grow_for_ever() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    let mut sent = 0;
    for round in 0..60_000_u64 {
        desk.call("one");
        if round % 100 == 0 {
            // One always stays behind, so that there is never a moment in which all are confirmed.
            desk.usage.confirmed(sent);
            sent = desk.usage.batch_after(sent).last().unwrap().seq.min(round);
        }
    }
    let bytes = std::fs::metadata(desk.folder.path().join("usage.jsonl")).unwrap().len();
    assert!(bytes < 6 * 1024 * 1024, "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn facts_linger_a_second_and_nothing_ticks_without_them() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    assert!(timeout(Duration::from_hours(1), desk.usage.due_after(0)).await.is_err());
    let begun = Instant::now();
    desk.call("one");
    tokio::time::advance(Duration::from_millis(600)).await;
    desk.call("two");
    desk.usage.due_after(0).await;
    assert!(begun.elapsed() < LINGER + Duration::from_millis(10));
    assert_eq!(seqs(&desk.usage.batch_after(0)), [1, 2]);
    assert!(!desk.is_due_after(2).await);
    assert!(desk.is_due_after(0).await, "a new connection gets at once what was sent on an old one");
    desk.usage.confirmed(2);
    assert!(timeout(Duration::from_hours(1), desk.usage.due_after(0)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_linger() {
    let desk = Desk::new(MAX_FRESH_BYTES);
    while desk.usage.inner.borrow().fresh_bytes < MAX_BATCH_BYTES {
        assert!(!desk.is_due_after(0).await);
        desk.call("one");
    }
    assert!(desk.is_due_after(0).await);
    let batch = desk.usage.batch_after(0);
    assert!(bytes_of(&batch) <= MAX_BATCH_BYTES && batch.len() > 100);
    let encoded = serde_json::to_vec(&batch).unwrap();
    assert!(encoded.len() < roadstead_control::frame::MAX_LINE_BYTES / 4, "{}", encoded.len());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> impl Strategy<Value = Vec<UsageFact>> {
        let one = (0..4_usize, 0..3_usize, any::<bool>(), 0..4_usize, 0..200_000_i64, 0..1_000_u64, 1..5_u64);
        proptest::collection::vec(one, 0..200).prop_map(|all| {
            let facts =
                all.into_iter().zip(1..).map(|((name, method, modern, status, second, cost, calls), seq)| {
                    UsageFact {
                        seq,
                        at: time::OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second),
                        method: UsageMethod::ALL[method],
                        name: (name > 0).then(|| format!("tool {name}")),
                        request_id: Some("1".to_owned()),
                        parent_request_id: None,
                        era: if modern { SessionEra::Modern } else { SessionEra::Legacy },
                        status: UsageStatus::ALL[status],
                        calls,
                        latency_us: cost,
                        request_bytes: cost * 2,
                        answer_bytes: cost * 3,
                    }
                });
            facts.collect()
        })
    }

    /// Totals by everything that a sum by day keeps apart.
    fn by_kind(facts: &[UsageFact]) -> HashMap<(UsageMethod, SessionEra, time::Date), Totals> {
        let mut kinds: HashMap<_, Vec<&UsageFact>> = HashMap::new();
        for fact in facts {
            kinds.entry((fact.method, fact.era, fact.at.date())).or_default().push(fact);
        }
        kinds.into_iter().map(|(kind, facts)| (kind, totals(facts))).collect()
    }

    /// Totals by tool and minute.
    fn by_tool(facts: &[UsageFact]) -> HashMap<(Option<String>, i64), Totals> {
        let mut tools: HashMap<_, Vec<&UsageFact>> = HashMap::new();
        for fact in facts {
            let minute = fact.at.unix_timestamp() / 60;
            tools.entry((fact.name.clone(), minute)).or_default().push(fact);
        }
        tools.into_iter().map(|(tool, facts)| (tool, totals(facts))).collect()
    }

    proptest! {
        #[test]
        fn sums_add_up_to_what_the_facts_add_up_to(facts in facts()) {
            let minutes = fold::by_minute(facts.clone());
            prop_assert_eq!(by_tool(&minutes), by_tool(&facts));
            prop_assert_eq!(by_kind(&minutes), by_kind(&facts));
            let days = fold::by_day(minutes.clone());
            prop_assert_eq!(by_kind(&days), by_kind(&facts));
            prop_assert_eq!(fold::by_minute(minutes.clone()), minutes.clone(), "folding again changes nothing");
            for sums in [minutes, days] {
                prop_assert!(seqs(&sums).is_sorted_by(|one, other| one < other));
                prop_assert!(sums.iter().all(|sum| facts[usize::try_from(sum.seq).unwrap() - 1].seq == sum.seq));
            }
        }

        /// Whoever stores each number once, as it comes over a connection that breaks, or from the file at the end, has counted
        /// every call once.
        #[test]
        fn whatever_is_lost_on_the_way_every_call_is_counted_once(
            steps in proptest::collection::vec((0..6_u8, 0..30_usize), 1..60)
        ) {
            let desk = Desk::new(60 * FACT_BYTES);
            let mut stored: HashMap<u64, UsageFact> = HashMap::new();
            let (mut made, mut sent) = (0_u64, 0_u64);
            for (step, amount) in steps {
                match step {
                    0..=2 => for call in 0..amount {
                        desk.call(["a", "b", "c"][call % 3]);
                        made += 1;
                    },
                    // Sent and stored, but not confirmed.
                    3 => {
                        let batch = desk.usage.batch_after(sent);
                        sent = batch.last().map_or(sent, |last| last.seq);
                        for fact in batch {
                            let before = stored.insert(fact.seq, fact.clone());
                            prop_assert!(before.is_none_or(|before| before == fact));
                        }
                    }
                    4 => desk.usage.confirmed(stored.keys().max().copied().unwrap_or(0)),
                    _ => sent = 0,
                }
            }
            for fact in desk.on_disk() {
                let before = stored.insert(fact.seq, fact.clone());
                prop_assert!(before.is_none_or(|before| before == fact));
            }
            prop_assert_eq!(stored.values().map(|fact| fact.calls).sum::<u64>(), made);
        }
    }
}
