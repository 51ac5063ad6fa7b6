//! The tables, every combination of them, and the page that shows them.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PAGE: &str = include_str!("../../../../docs/lifecycle.md");
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn refusal(status: InstanceStatus, verb: Verb) -> String {
    status.permits(verb).unwrap_err().to_string()
}

/// What the rules are in plain words, to hold the table against.
fn may_follow(verb: Verb, status: InstanceStatus) -> bool {
    match verb {
        Verb::Stop | Verb::Expire => status.is_live(),
        Verb::Extend | Verb::RotateToken | Verb::RevokeToken | Verb::Restart => status == Running,
        Verb::Restore => !status.is_live() && status != Expired,
        Verb::Renew => status == Expired,
        Verb::Delete => true,
    }
}

#[test]
fn every_verb_follows_the_statuses_that_it_may_and_no_other() {
    for verb in Verb::ALL {
        for status in InstanceStatus::ALL {
            let answer = status.permits(verb);
            assert_eq!(answer.is_ok(), may_follow(verb, status), "{verb} after {status}");
            assert!(answer.is_ok() || answer == Err(InvalidTransition { status, verb }));
        }
    }
}

#[test]
fn every_verb_and_every_happening_has_one_line_in_the_order_of_its_words() {
    assert_eq!(VERBS.map(|line| line.what), Verb::ALL);
    assert_eq!(HAPPENINGS.map(|line| line.what), Happening::ALL);
}

#[test]
fn what_ends_an_instance_leads_out_of_life_and_what_starts_it_leads_to_pending() {
    for line in VERBS {
        match line.what {
            Verb::Stop | Verb::Expire => assert!(matches!(line.to, Next::Becomes(end) if !end.is_live())),
            Verb::Restore | Verb::Renew => assert_eq!(line.to, Next::Becomes(Pending)),
            Verb::Extend | Verb::RotateToken | Verb::RevokeToken | Verb::Restart => {
                assert_eq!(line.to, Next::Stays);
            }
            Verb::Delete => assert_eq!(line.to, Next::Gone),
        }
    }
}

#[test]
fn only_a_pending_instance_becomes_running_and_nothing_but_a_verb_revives_one_that_has_ended() {
    for status in InstanceStatus::ALL {
        for happening in Happening::ALL {
            let Some(next) = status.after(happening) else { continue };
            assert!(next != Running || status.is_live(), "{status} becomes running by {happening:?}");
            assert!(status.is_live() || !next.is_live(), "{status} is revived by {happening:?}");
        }
    }
}

#[test]
fn every_status_can_be_left_and_nothing_follows_what_it_leads_to_twice() {
    for status in InstanceStatus::ALL {
        assert!(VERBS.iter().any(|line| line.from.contains(&status) && line.to != Next::Stays));
    }
    for line in HAPPENINGS {
        let Next::Becomes(end) = line.to else { continue };
        assert_eq!(end.after(line.what), None, "{:?} happens once", line.what);
    }
}

#[test]
fn every_event_but_the_launch_is_recorded_by_a_line() {
    let lines = VERBS.iter().map(|line| line.event).chain(HAPPENINGS.iter().map(|line| line.event));
    let recorded: BTreeSet<&str> = lines.map(EventType::as_str).collect();
    let all = EventType::ALL.iter().filter(|event| **event != EventType::Created);
    assert_eq!(recorded, all.map(|event| event.as_str()).collect());
}

#[test]
fn a_refusal_names_the_status() {
    assert_eq!(refusal(Expired, Verb::Stop), "cannot stop an instance that is expired");
    assert_eq!(refusal(Pending, Verb::RotateToken), "cannot rotate the token of an instance that is pending");
    assert_eq!(refusal(Pending, Verb::Restore), "cannot restore an instance that is pending");
}

#[test]
fn a_refusal_names_the_verb_that_would_help() {
    assert_eq!(refusal(Expired, Verb::Restore), "cannot restore an instance that is expired; use renew");
    assert_eq!(refusal(Expired, Verb::Extend), "cannot extend an instance that is expired; use renew");
    assert_eq!(refusal(Running, Verb::Renew), "cannot renew an instance that is running; use extend");
    assert_eq!(refusal(Running, Verb::Restore), "cannot restore an instance that is running; use restart");
    assert_eq!(refusal(Stopped, Verb::Restart), "cannot restart an instance that is stopped; use restore");
}

#[test]
fn whatever_a_refusal_recommends_is_permitted() {
    for status in InstanceStatus::ALL {
        for verb in Verb::ALL {
            let Err(refusal) = status.permits(verb) else { continue };
            let Some(instead) = refusal.instead() else { continue };
            assert_eq!(status.permits(instead), Ok(()), "{refusal}");
            assert_ne!(instead, verb);
        }
    }
}

#[test]
fn past_its_deadline_everything_but_a_launch_under_way_is_expired() {
    for row in InstanceStatus::ALL {
        for (expires_at, is_past) in
            [(NOW - Duration::from_nanos(1), true), (NOW, true), (NOW + Duration::from_nanos(1), false)]
        {
            let standing = Standing::of(row, expires_at, NOW);
            let expected = if is_past && row != Pending { Expired } else { row };
            assert_eq!(standing.status(), expected, "{row}, past its deadline: {is_past}");
            assert_eq!(standing.is_still_ending(), row == Running && is_past);
            for verb in Verb::ALL {
                assert_eq!(standing.permits(verb), expected.permits(verb));
            }
        }
    }
}

#[test]
fn a_restore_past_the_deadline_is_told_to_renew() {
    let refusal = Standing::of(Stopped, NOW, NOW).permits(Verb::Restore).unwrap_err();
    assert_eq!(refusal.to_string(), "cannot restore an instance that is expired; use renew");
}

#[test]
fn a_standing_agrees_with_what_the_passing_of_the_deadline_does_to_the_row() {
    for row in InstanceStatus::ALL.into_iter().filter(|row| *row != Pending) {
        let after = row.after(Happening::DeadlinePassed).unwrap_or(row);
        assert_eq!(Standing::of(row, NOW, NOW).status(), after);
    }
}

proptest! {
    #[test]
    fn what_has_expired_never_comes_back_by_waiting(row in 0..6_usize, expires in -9_i64..9, waited in 0_i64..20) {
        let row = InstanceStatus::ALL[row];
        let at = |seconds| NOW + time::Duration::seconds(seconds);
        if Standing::of(row, at(expires), NOW).status() == Expired {
            prop_assert_eq!(Standing::of(row, at(expires), at(waited)).status(), Expired);
        }
    }
}

#[test]
fn words_round_trip() {
    for status in InstanceStatus::ALL {
        assert_eq!(status.as_str().parse(), Ok(status));
    }
    for event in EventType::ALL {
        assert_eq!(event.as_str().parse(), Ok(*event));
    }
}

/// The lines of the page's table that begins with this head.
#[track_caller]
fn table(head: &str) -> Vec<&'static str> {
    let mut lines = PAGE.lines().skip_while(|line| *line != head);
    assert!(lines.next().is_some(), "the page has a table {head:?}");
    lines.skip(1).take_while(|line| line.starts_with('|')).collect()
}

fn code(word: &str) -> String {
    format!("`{word}`")
}

fn as_line<T>(what: &str, line: &Transition<T>) -> String {
    let from = if line.from == InstanceStatus::ALL {
        "any".to_owned()
    } else {
        line.from.iter().map(|status| code(status.as_str())).collect::<Vec<_>>().join(", ")
    };
    let to = match line.to {
        Next::Becomes(status) => code(status.as_str()),
        Next::Stays => "unchanged".to_owned(),
        Next::Gone => "gone".to_owned(),
    };
    format!("| {what} | {from} | {to} | {} |", code(line.event.as_str()))
}

#[test]
fn the_page_shows_the_table_of_verbs() {
    let expected: Vec<_> = VERBS.iter().map(|line| as_line(&code(line.what.as_str()), line)).collect();
    assert_eq!(table("| verb | may follow | leads to | event |"), expected);
}

#[test]
fn the_page_shows_what_happens_by_itself() {
    let expected: Vec<_> = HAPPENINGS.iter().map(|line| as_line(line.what.as_str(), line)).collect();
    assert_eq!(table("| what | may follow | leads to | event |"), expected);
}

#[test]
fn the_page_shows_every_status_and_whether_it_is_live() {
    let shown = table("| status | means | holds a port |");
    assert_eq!(shown.len(), InstanceStatus::ALL.len());
    for (line, status) in shown.into_iter().zip(InstanceStatus::ALL) {
        assert!(line.starts_with(&format!("| `{status}` | ")), "{line}");
        assert!(line.ends_with(if status.is_live() { " | yes |" } else { " | no |" }), "{line}");
    }
}

#[test]
fn the_page_shows_what_to_use_instead() {
    let mut expected = Vec::new();
    for verb in Verb::ALL {
        for status in InstanceStatus::ALL {
            if let Some(instead) = status.permits(verb).err().and_then(InvalidTransition::instead) {
                expected.push(format!("| `{}` | `{status}` | `{}` |", verb.as_str(), instead.as_str()));
            }
        }
    }
    assert_eq!(table("| asked | of an instance that is | use |"), expected);
}
