//! All combinations of what may be seen, and what must never be decided about any of them.

use super::*;
use crate::instance::Happening;

/// The generation of every shim here; rows are before, at and after it.
const GENERATION: u64 = 7;
/// Enough looks for every doubt to become certainty, and for all that follows.
const MANY: u32 = LOOKS_AT_SILENCE + 5;
const REASONS: [EndReason; 4] =
    [EndReason::NoRow, EndReason::RowEnded, EndReason::TimeIsUp, EndReason::Silent];

fn rows() -> Vec<Row> {
    let mut rows = vec![Row::Nothing, Row::Ended];
    for phase in [Phase::Pending, Phase::Running] {
        for deadline in [Deadline::Ahead, Deadline::Passed] {
            for age in [Age::Young, Age::Settled] {
                for generation in [GENERATION - 1, GENERATION, GENERATION + 1] {
                    rows.push(Row::Live(LiveRow { phase, deadline, age, generation }));
                }
            }
        }
    }
    rows
}

fn folders() -> Vec<Folder> {
    let mut folders = vec![Folder::Nothing, Folder::Foreign];
    for stage in [Stage::Noted, Stage::Bound] {
        for boot in [Boot::This, Boot::Other] {
            for process in [Process::Alive, Process::Gone] {
                for record in [Record::Absent, Record::Begun, Record::Complete] {
                    folders.push(Folder::Own(OwnFolder { stage, boot, process, record }));
                }
            }
        }
    }
    folders
}

fn contacts() -> Vec<Contact> {
    let mut contacts = vec![Contact::Owned, Contact::NotTried, Contact::Refused, Contact::Silent];
    contacts.extend(ShimStatus::ALL.map(|status| Contact::Proved { status, generation: GENERATION }));
    contacts
}

fn all_seen() -> Vec<Seen> {
    let mut all = Vec::new();
    for row in rows() {
        for folder in folders() {
            for contact in contacts() {
                all.push(Seen { row, folder, contact });
            }
        }
    }
    assert_eq!(all.len(), 26 * 26 * 7, "every combination");
    all
}

fn streaks() -> Vec<Streak> {
    let mut streaks = vec![Streak::default()];
    for reason in REASONS {
        streaks.extend((1..MANY).map(|looks| Streak { doubt: Some(reason), looks }));
    }
    streaks
}

/// Every combination, with every past: what was seen, the past, and the decision.
fn for_all(check: impl Fn(&Seen, Streak, Decision)) {
    for seen in all_seen() {
        for streak in streaks() {
            check(&seen, streak, decide(&seen, streak).0);
        }
    }
}

const fn process_lives(seen: &Seen) -> bool {
    matches!(seen.folder, Folder::Own(OwnFolder { boot: Boot::This, process: Process::Alive, .. }))
}

const fn has_live_row(seen: &Seen) -> bool {
    matches!(seen.row, Row::Live(_))
}

const fn is_foreign(seen: &Seen) -> bool {
    matches!(seen.folder, Folder::Foreign)
}

/// What the next look sees when the decision has been carried out and nothing else has happened; a shim that is ended
/// may leave a record or none.
fn apply(decision: Decision, seen: &Seen) -> Vec<Seen> {
    let mut next = *seen;
    if let Row::Live(row) = &mut next.row {
        // Two looks are further apart than a row is young.
        row.age = Age::Settled;
    }
    match decision {
        Decision::Adopt { .. } => next.contact = Contact::Owned,
        Decision::EndRow { .. } | Decision::StoreRecord => next.row = Row::Ended,
        Decision::RemoveFolder => next.folder = Folder::Nothing,
        Decision::EndShim { .. } => {
            next.contact = Contact::Silent;
            if let Folder::Own(own) = seen.folder {
                return [own.record, Record::Complete]
                    .map(|record| {
                        let folder = Folder::Own(OwnFolder { process: Process::Gone, record, ..own });
                        Seen { folder, ..next }
                    })
                    .to_vec();
            }
        }
        Decision::Wait | Decision::RefuseStart | Decision::Leave => {}
    }
    vec![next]
}

/// How much is still to be done after a decision.
const fn size(decision: Decision) -> u32 {
    match decision {
        Decision::Leave | Decision::RefuseStart => 0,
        Decision::Adopt { .. } => 1,
        Decision::RemoveFolder => 2,
        Decision::EndRow { .. } | Decision::StoreRecord => 3,
        Decision::EndShim { .. } => 4,
        Decision::Wait => 5,
    }
}

#[test]
fn a_foreign_folder_is_never_touched_and_refuses_the_start() {
    for_all(|seen, _, decision| {
        assert_eq!(decision == Decision::RefuseStart, is_foreign(seen), "{seen:?}");
    });
}

#[test]
fn only_what_proved_itself_is_adopted() {
    for_all(|seen, _, decision| {
        if matches!(decision, Decision::Adopt { .. }) {
            assert!(matches!(seen.contact, Contact::Proved { .. }), "{seen:?}");
            assert!(has_live_row(seen), "{seen:?}");
        }
    });
}

#[test]
fn a_live_row_whose_shim_proved_itself_is_always_adopted() {
    for_all(|seen, _, decision| {
        let (Row::Live(row), Contact::Proved { status, .. }) = (seen.row, seen.contact) else { return };
        if is_foreign(seen) {
            return;
        }
        let Decision::Adopt { how, .. } = decision else { panic!("{seen:?} is not adopted") };
        let is_past_its_end = row.deadline == Deadline::Passed || status == ShimStatus::Ending;
        assert_eq!(matches!(how, Adoption::Expire | Adoption::SeeOut), is_past_its_end, "{seen:?}");
    });
}

#[test]
fn a_living_shim_without_a_row_is_never_ended_at_first_sight() {
    for_all(|seen, streak, decision| {
        let is_first = streak.doubt != Some(EndReason::NoRow);
        if seen.row == Row::Nothing && is_first {
            assert!(!matches!(decision, Decision::EndShim { .. }), "{seen:?} after {streak:?}");
        }
    });
}

#[test]
fn a_living_shim_without_a_row_is_ended_at_second_sight() {
    for seen in all_seen().into_iter().filter(|seen| seen.row == Row::Nothing && !is_foreign(seen)) {
        let speaks = matches!(seen.contact, Contact::Owned | Contact::Proved { .. });
        if !speaks && !process_lives(&seen) {
            continue;
        }
        let (first, streak) = decide(&seen, Streak::default());
        let (second, streak) = decide(&seen, streak);
        let (third, _) = decide(&seen, streak);
        let end = Decision::EndShim { reason: EndReason::NoRow };
        assert_eq!([first, second, third], [Decision::Wait, end, end], "{seen:?}");
    }
}

#[test]
fn a_row_that_was_seen_in_between_begins_the_count_anew() {
    let folder = bound(Process::Alive, Record::Absent);
    let nobodys = Seen { row: Row::Nothing, folder, contact: Contact::Silent };
    let claimed = Seen { row: live(Phase::Running), ..nobodys };
    let (_, streak) = decide(&nobodys, Streak::default());
    let (_, streak) = decide(&claimed, streak);
    assert_eq!(decide(&nobodys, streak).0, Decision::Wait);
}

#[test]
fn a_row_is_never_ended_while_its_shim_lives() {
    for_all(|seen, _, decision| {
        if matches!(decision, Decision::EndRow { .. } | Decision::StoreRecord) {
            assert!(has_live_row(seen) && !process_lives(seen), "{seen:?}");
            assert!(!matches!(seen.contact, Contact::Owned | Contact::Proved { .. }), "{seen:?}");
        }
    });
}

#[test]
fn the_shim_of_a_live_row_is_ended_only_when_it_is_mute_past_its_deadline_or_silent_for_long() {
    for_all(|seen, streak, decision| {
        let (Row::Live(row), Decision::EndShim { reason }) = (seen.row, decision) else { return };
        assert!(process_lives(seen), "{seen:?}");
        assert!(!matches!(seen.contact, Contact::Owned | Contact::Proved { .. }), "{seen:?}");
        match reason {
            EndReason::TimeIsUp => assert_eq!(row.deadline, Deadline::Passed, "{seen:?}"),
            EndReason::Silent => {
                assert!(row.deadline == Deadline::Ahead && streak.looks + 1 >= LOOKS_AT_SILENCE, "{seen:?}");
                assert_ne!(seen.contact, Contact::Refused, "a wrong key ends nothing");
            }
            EndReason::NoRow | EndReason::RowEnded => panic!("{seen:?} has a live row"),
        }
    });
}

#[test]
fn a_bound_shim_is_not_ended_before_somebody_tried_to_reach_it() {
    for_all(|seen, _, decision| {
        let Folder::Own(OwnFolder { stage: Stage::Bound, .. }) = seen.folder else { return };
        if has_live_row(seen) && seen.contact == Contact::NotTried && process_lives(seen) {
            assert_eq!(decision, Decision::Wait, "{seen:?}");
        }
    });
}

#[test]
fn a_folder_is_removed_only_when_its_shim_is_gone_and_no_live_row_needs_it() {
    for_all(|seen, _, decision| {
        if decision == Decision::RemoveFolder {
            assert!(matches!(seen.folder, Folder::Own(_)) && !process_lives(seen), "{seen:?}");
            assert!(!has_live_row(seen), "{seen:?}");
        }
    });
}

#[test]
fn a_process_of_another_boot_is_taken_for_dead() {
    for_all(|seen, streak, decision| {
        let Folder::Own(own) = seen.folder else { return };
        if own.boot == Boot::Other && own.process == Process::Alive {
            let dead = Seen { folder: Folder::Own(OwnFolder { process: Process::Gone, ..own }), ..*seen };
            assert_eq!(decide(&dead, streak).0, decision, "{seen:?}");
        }
    });
}

#[test]
fn the_row_of_a_dead_shim_has_ended_after_two_looks() {
    for first in all_seen() {
        let is_spoken_for = matches!(first.contact, Contact::Owned | Contact::Proved { .. });
        if is_foreign(&first) || is_spoken_for || process_lives(&first) {
            continue;
        }
        let (decision, streak) = decide(&first, Streak::default());
        for second in apply(decision, &first) {
            let (decision, _) = decide(&second, streak);
            for last in apply(decision, &second) {
                assert!(!has_live_row(&last), "{first:?}");
            }
        }
    }
}

#[test]
fn what_was_done_is_not_done_again() {
    for_all(|seen, streak, decision| {
        let streak = decide(seen, streak).1;
        for after in apply(decision, seen) {
            let next = decide(&after, streak).0;
            let is_smaller = size(next) < size(decision);
            let is_at_rest = size(decision) == 0 && next == decision;
            assert!(
                decision == Decision::Wait || is_smaller || is_at_rest,
                "{seen:?}: {decision:?}, {next:?}"
            );
        }
    });
}

#[test]
fn everything_comes_to_rest_but_what_waits_for_its_deadline_or_for_a_try() {
    for first in all_seen() {
        let mut looks = vec![(first, Streak::default())];
        for _ in 0..MANY {
            let mut next = Vec::new();
            for (seen, streak) in looks {
                let (decision, streak) = decide(&seen, streak);
                next.extend(apply(decision, &seen).into_iter().map(|seen| (seen, streak)));
            }
            looks = next;
        }
        for (seen, streak) in looks {
            match decide(&seen, streak).0 {
                Decision::Leave => assert!(!is_foreign(&seen)),
                Decision::RefuseStart => assert!(is_foreign(&seen)),
                Decision::Wait => {
                    let is_noted = matches!(seen.folder, Folder::Own(OwnFolder { stage: Stage::Noted, .. }));
                    let waits = match seen.contact {
                        Contact::Refused => true,
                        Contact::NotTried => !is_noted,
                        _ => false,
                    };
                    assert!(waits && process_lives(&seen), "{first:?} waits for ever");
                }
                other => panic!("{first:?} never rests: {other:?}"),
            }
        }
    }
}

#[test]
fn an_ended_row_follows_from_the_status_before_it() {
    for_all(|seen, _, decision| {
        let (Row::Live(row), Decision::EndRow { status, message }) = (seen.row, decision) else { return };
        let (before, lost) = match row.phase {
            Phase::Pending => (InstanceStatus::Pending, Happening::LaunchFailed),
            Phase::Running => (InstanceStatus::Running, Happening::ServerLost),
        };
        let happening = match row.deadline {
            Deadline::Ahead => lost,
            Deadline::Passed => Happening::DeadlinePassed,
        };
        assert_eq!(before.after(happening), Some(status), "{seen:?}");
        assert!(!message.is_empty());
    });
}

const fn bound(process: Process, record: Record) -> Folder {
    Folder::Own(OwnFolder { stage: Stage::Bound, boot: Boot::This, process, record })
}

const fn live(phase: Phase) -> Row {
    let (deadline, age) = (Deadline::Ahead, Age::Settled);
    Row::Live(LiveRow { phase, deadline, age, generation: GENERATION })
}

fn first_decision(row: Row, folder: Folder, contact: Contact) -> Decision {
    decide(&Seen { row, folder, contact }, Streak::default()).0
}

fn adoption(phase: Phase, deadline: Deadline, status: ShimStatus) -> Decision {
    let row = Row::Live(LiveRow { phase, deadline, age: Age::Settled, generation: GENERATION });
    let contact = Contact::Proved { status, generation: GENERATION };
    first_decision(row, bound(Process::Alive, Record::Absent), contact)
}

#[test]
fn a_living_shim_is_adopted_as_what_it_is() {
    let (ahead, passed) = (Deadline::Ahead, Deadline::Passed);
    for (phase, deadline, status, how) in [
        (Phase::Pending, ahead, ShimStatus::Pending, Adoption::AwaitReady),
        (Phase::Pending, ahead, ShimStatus::Running, Adoption::Publish),
        (Phase::Pending, ahead, ShimStatus::Ending, Adoption::SeeOut),
        (Phase::Running, ahead, ShimStatus::Pending, Adoption::Serve),
        (Phase::Running, ahead, ShimStatus::Running, Adoption::Serve),
        (Phase::Running, ahead, ShimStatus::Ending, Adoption::SeeOut),
        (Phase::Pending, passed, ShimStatus::Pending, Adoption::Expire),
        (Phase::Pending, passed, ShimStatus::Running, Adoption::Expire),
        (Phase::Pending, passed, ShimStatus::Ending, Adoption::SeeOut),
        (Phase::Running, passed, ShimStatus::Pending, Adoption::Expire),
        (Phase::Running, passed, ShimStatus::Running, Adoption::Expire),
        (Phase::Running, passed, ShimStatus::Ending, Adoption::SeeOut),
    ] {
        assert_eq!(adoption(phase, deadline, status), Decision::Adopt { how, push: None });
    }
}

#[test]
fn deadline_and_token_are_pushed_under_a_number_that_the_shim_accepts() {
    for_all(|seen, _, decision| {
        let (Row::Live(row), Decision::Adopt { how, push }) = (seen.row, decision) else { return };
        let ends = matches!(how, Adoption::Expire | Adoption::SeeOut);
        assert_eq!(push.is_some(), row.generation != GENERATION && !ends, "{seen:?}");
        if let Some(push) = push {
            assert!(push > GENERATION && push >= row.generation, "{seen:?}");
        }
    });
    assert_eq!(generation_to_push(9, 7), Some(9));
    assert_eq!(generation_to_push(5, 7), Some(8));
    assert_eq!(generation_to_push(5, u64::MAX), Some(u64::MAX));
}

#[test]
fn a_silent_shim_gets_minutes_before_it_is_ended() {
    let seen = Seen {
        row: live(Phase::Running),
        folder: bound(Process::Alive, Record::Absent),
        contact: Contact::Silent,
    };
    let mut streak = Streak::default();
    for look in 1..=LOOKS_AT_SILENCE {
        let (decision, next) = decide(&seen, streak);
        let is_last = look == LOOKS_AT_SILENCE;
        let end = Decision::EndShim { reason: EndReason::Silent };
        assert_eq!(decision, if is_last { end } else { Decision::Wait }, "look {look}");
        streak = next;
    }
}

#[test]
fn the_end_of_a_dead_shim_is_told_by_its_record_else_by_what_is_missing() {
    for record in [Record::Begun, Record::Complete] {
        let decision = first_decision(live(Phase::Running), bound(Process::Gone, record), Contact::Silent);
        assert_eq!(decision, Decision::StoreRecord);
    }
    let rebooted = Folder::Own(OwnFolder {
        stage: Stage::Bound,
        boot: Boot::Other,
        process: Process::Gone,
        record: Record::Absent,
    });
    for (phase, folder, status, message) in [
        (Phase::Running, Folder::Nothing, InstanceStatus::Disconnected, "without a trace"),
        (Phase::Running, rebooted, InstanceStatus::Disconnected, "the machine was started again"),
        (Phase::Running, bound(Process::Gone, Record::Absent), InstanceStatus::Disconnected, "no record"),
        (Phase::Pending, Folder::Nothing, InstanceStatus::Error, "cut short before its shim began"),
        (Phase::Pending, rebooted, InstanceStatus::Error, "when the machine was started again"),
        (Phase::Pending, bound(Process::Gone, Record::Absent), InstanceStatus::Error, "left no record"),
    ] {
        let decision = first_decision(live(phase), folder, Contact::NotTried);
        let Decision::EndRow { status: told, message: why } = decision else { panic!("{decision:?}") };
        assert_eq!(told, status);
        assert!(why.contains(message), "{why}");
    }
}

#[test]
fn a_young_row_without_a_process_is_looked_at_again() {
    for phase in [Phase::Pending, Phase::Running] {
        let row = LiveRow { phase, deadline: Deadline::Ahead, age: Age::Young, generation: GENERATION };
        assert_eq!(first_decision(Row::Live(row), Folder::Nothing, Contact::NotTried), Decision::Wait);
        let due = LiveRow { deadline: Deadline::Passed, ..row };
        let decision = first_decision(Row::Live(due), Folder::Nothing, Contact::NotTried);
        assert!(matches!(decision, Decision::EndRow { status: InstanceStatus::Expired, .. }));
    }
}

#[test]
fn a_row_is_read_with_its_deadline_and_its_age() {
    let now = OffsetDateTime::UNIX_EPOCH;
    let moment = Duration::from_nanos(1);
    let read = |expires_at, began_at| Row::of(InstanceStatus::Pending, 3, expires_at, began_at, now);
    let row = |deadline, age| Row::Live(LiveRow { phase: Phase::Pending, deadline, age, generation: 3 });
    assert_eq!(read(now + moment, now), row(Deadline::Ahead, Age::Young));
    assert_eq!(read(now, now - SETTLING), row(Deadline::Passed, Age::Settled));
    assert_eq!(read(now, now - SETTLING + moment), row(Deadline::Passed, Age::Young));
    assert_eq!(read(now, now + SETTLING), row(Deadline::Passed, Age::Settled), "the clock was set back");
    for status in InstanceStatus::ALL {
        let is_live = matches!(Row::of(status, 1, now, now, now), Row::Live(_));
        assert_eq!(is_live, status.is_live());
    }
}

#[test]
fn words_of_a_shim_round_trip() {
    for status in ShimStatus::ALL {
        assert_eq!(status.as_str().parse(), Ok(status));
    }
    assert!("ready".parse::<ShimStatus>().is_err());
}
