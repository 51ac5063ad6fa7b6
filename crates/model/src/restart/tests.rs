//! Loops that end, servers that recover, and any history held against a simple count.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const EVERY_LOSS: [ServerLoss; 5] = [
    ServerLoss::Code(0),
    ServerLoss::Code(1),
    ServerLoss::Signal(9),
    ServerLoss::OutOfMemory,
    ServerLoss::Lost,
];
const WINDOW: Duration = Duration::from_mins(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn on_failure(max_restarts: u32, window: Duration) -> RestartPolicy {
    RestartPolicy::OnFailure(RestartLimits::new(max_restarts, window).unwrap())
}

fn standard() -> RestartPolicy {
    RestartPolicy::try_from(RestartFields::default()).unwrap()
}

/// The pauses of a server that ends as soon as it is started, and why it is given up.
fn crash_loop(policy: RestartPolicy) -> (Vec<u64>, GiveUp) {
    let mut history = RestartHistory::new(policy);
    let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
    loop {
        history.ready(now);
        match history.ended(now, ServerLoss::Signal(9)) {
            RestartDecision::Restart { after, attempt } => {
                pauses.push(after.as_secs());
                assert_eq!(attempt as usize, pauses.len());
                now += after;
            }
            RestartDecision::GiveUp(why) => return (pauses, why),
        }
    }
}

#[test]
fn a_server_that_fails_at_once_is_given_up_after_doubling_pauses() {
    let (pauses, why) = crash_loop(standard());
    assert_eq!(pauses, [1, 2, 4, 8, 16]);
    assert_eq!(why.to_string(), "the server ended 6 times within 10m; its last end was signal 9");
}

#[test]
fn no_pause_is_longer_than_the_longest() {
    let (pauses, _) = crash_loop(on_failure(MOST_RESTARTS, LONGEST_WINDOW));
    assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(pauses.len(), 100);
    assert_eq!(pauses.last(), Some(&30));
    assert_eq!(pause_before(u32::MAX), LONGEST_PAUSE);
}

#[test]
fn every_kind_of_end_counts_and_is_named() {
    let named = ["exit status 0", "exit status 1", "signal 9", "out of memory", "not seen"];
    for (how, name) in EVERY_LOSS.into_iter().zip(named) {
        let mut history = RestartHistory::new(standard());
        let first = history.ended(Duration::ZERO, how);
        assert_eq!(first, RestartDecision::Restart { after: FIRST_PAUSE, attempt: 1 }, "{how:?}");
        let last = (0..5).map(|_| history.ended(Duration::ZERO, how)).last();
        let Some(RestartDecision::GiveUp(why)) = last else { panic!("{how:?} ends a loop") };
        assert_eq!(why.to_string(), format!("the server ended 6 times within 10m; its last end was {name}"));
    }
}

#[test]
fn a_type_that_wants_no_restarts_gets_none() {
    for how in EVERY_LOSS {
        let mut history = RestartHistory::new(RestartPolicy::Never);
        history.ready(Duration::ZERO);
        let decision = history.ended(2 * WINDOW, how);
        assert_eq!(decision, RestartDecision::GiveUp(GiveUp::NotWanted { last: how }));
    }
    assert_eq!(
        GiveUp::NotWanted { last: ServerLoss::Code(0) }.to_string(),
        "the server ended and its type does not start it again; its end was exit status 0"
    );
}

#[test]
fn a_server_that_was_healthy_for_a_window_begins_afresh() {
    let mut history = RestartHistory::new(standard());
    for _ in 0..5 {
        history.ended(Duration::ZERO, ServerLoss::Code(1));
    }
    history.ready(seconds(40));
    let decision = history.ended(seconds(40) + WINDOW, ServerLoss::Code(1));
    assert_eq!(decision, RestartDecision::Restart { after: FIRST_PAUSE, attempt: 1 });
}

#[test]
fn a_server_that_never_became_ready_is_not_healthy_however_long_it_took() {
    let mut history = RestartHistory::new(standard());
    history.ready(Duration::ZERO);
    history.ended(seconds(1), ServerLoss::Code(1));
    let decision = history.ended(seconds(1) + 2 * WINDOW, ServerLoss::Code(1));
    assert_eq!(decision, RestartDecision::Restart { after: seconds(2), attempt: 2 });
}

#[test]
fn ends_that_are_a_window_apart_end_nothing_but_pauses_stay_long() {
    let mut history = RestartHistory::new(standard());
    let mut now = Duration::ZERO;
    for attempt in 1..50 {
        history.ready(now);
        // Half a window of health is not enough to be forgiven, and too rare for a loop.
        now += WINDOW / 2;
        let decision = history.ended(now, ServerLoss::Lost);
        assert_eq!(decision, RestartDecision::Restart { after: pause_before(attempt), attempt });
    }
}

#[test]
fn a_moment_from_the_past_is_taken_for_the_latest() {
    let mut history = RestartHistory::new(on_failure(1, WINDOW));
    history.ended(seconds(100), ServerLoss::Lost);
    assert!(matches!(history.ended(seconds(1), ServerLoss::Lost), RestartDecision::GiveUp(_)));
    history.ready(seconds(50));
    // Ready at 100 at the earliest, so healthy for less than a window.
    assert!(matches!(history.ended(seconds(60) + WINDOW, ServerLoss::Lost), RestartDecision::GiveUp(_)));
}

#[test]
fn limits_that_could_not_end_a_loop_are_refused() {
    let refused = |max, window| RestartLimits::new(max, window).unwrap_err();
    let error = refused(5, seconds(31));
    assert_eq!(error.to_string(), "restart_window_s must be between 32 and 86400");
    assert_eq!(RestartFields::field_of(error), "restart_window_s");
    assert!(RestartLimits::new(5, seconds(32)).is_ok());
    assert!(matches!(refused(5, LONGEST_WINDOW + seconds(1)), RestartPolicyError::Window { .. }));
    for max in [0, MOST_RESTARTS + 1, u32::MAX] {
        let error = refused(max, WINDOW);
        assert_eq!(RestartFields::field_of(error), "max_restarts");
        assert!(error.to_string().starts_with("max_restarts must be between 1 and 100"), "{error}");
    }
}

#[test]
fn fields_are_flat_and_what_is_missing_has_its_default() {
    let read = |value| serde_json::from_value::<RestartPolicy>(value);
    assert_eq!(read(json!({})).unwrap(), on_failure(5, WINDOW));
    assert_eq!(read(json!({"restart": "never"})).unwrap(), RestartPolicy::Never);
    let full = json!({"restart": "on-failure", "max_restarts": 3, "restart_window_s": 60});
    assert_eq!(read(full.clone()).unwrap(), on_failure(3, seconds(60)));
    assert_eq!(serde_json::to_value(on_failure(3, seconds(60))).unwrap(), full);
    assert!(read(json!({"restart": "always"})).is_err());
    assert!(read(json!({"max_restart": 3})).is_err());
    assert!(read(json!({"restart": "never", "max_restarts": 0})).is_err());
}

fn loss() -> impl Strategy<Value = ServerLoss> {
    prop::sample::select(EVERY_LOSS.to_vec())
}

fn limits() -> impl Strategy<Value = RestartLimits> {
    (1_u32..8, 1_u64..400)
        .prop_filter_map("a window too short", |(max, window)| RestartLimits::new(max, seconds(window)).ok())
}

proptest! {
    /// Against a list of all ends: given up exactly when more lie within the window than there may be restarts.
    #[test]
    fn a_server_is_given_up_when_more_ends_lie_within_the_window_than_restarts_are_allowed(
        limits in limits(),
        steps in prop::collection::vec((0_u64..200, any::<bool>(), 0_u64..200, loss()), 1..60),
    ) {
        let mut history = RestartHistory::new(RestartPolicy::OnFailure(limits));
        let (mut now, mut attempt, mut ends) = (Duration::ZERO, 0, Vec::new());
        for (starts, is_ready, lives, how) in steps {
            now += seconds(starts);
            if is_ready {
                history.ready(now);
            }
            now += seconds(lives);
            if is_ready && seconds(lives) >= limits.window() {
                attempt = 0;
            }
            ends.push(now);
            let recent = ends.iter().filter(|end| now.saturating_sub(**end) < limits.window()).count();
            match history.ended(now, how) {
                RestartDecision::Restart { after, attempt: told } => {
                    attempt += 1;
                    prop_assert!(recent <= limits.max_restarts() as usize);
                    prop_assert_eq!(told, attempt);
                    prop_assert!(FIRST_PAUSE <= after && after <= LONGEST_PAUSE);
                }
                RestartDecision::GiveUp(why) => {
                    let given_up = GiveUp::TooOften { ends: recent, window: limits.window(), last: how };
                    prop_assert_eq!(why, given_up);
                    prop_assert_eq!(recent, limits.max_restarts() as usize + 1);
                    break;
                }
            }
        }
    }

    #[test]
    fn every_accepted_policy_ends_a_server_that_fails_at_once(limits in limits()) {
        let (pauses, why) = crash_loop(RestartPolicy::OnFailure(limits));
        prop_assert_eq!(pauses.len(), limits.max_restarts() as usize);
        prop_assert!(matches!(why, GiveUp::TooOften { .. }), "{:?}", why);
    }

    #[test]
    fn a_server_that_is_healthy_for_a_window_each_time_is_never_given_up(
        limits in limits(), ends in prop::collection::vec((loss(), 0_u64..1000), 1..60),
    ) {
        let mut history = RestartHistory::new(RestartPolicy::OnFailure(limits));
        let mut now = Duration::ZERO;
        for (how, more) in ends {
            history.ready(now);
            now += limits.window() + seconds(more);
            let expected = RestartDecision::Restart { after: FIRST_PAUSE, attempt: 1 };
            prop_assert_eq!(history.ended(now, how), expected);
            now += FIRST_PAUSE;
        }
    }

    #[test]
    fn no_history_grows_without_bound(limits in limits(), ends in prop::collection::vec(0_u64..5, 1..300)) {
        let mut history = RestartHistory::new(RestartPolicy::OnFailure(limits));
        let mut now = Duration::ZERO;
        for pause in ends {
            now += seconds(pause);
            history.ended(now, ServerLoss::Lost);
            prop_assert!(history.ends.len() <= limits.max_restarts() as usize);
        }
    }

    #[test]
    fn every_policy_survives_being_written(limits in limits()) {
        let policy = RestartPolicy::OnFailure(limits);
        let text = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<RestartPolicy>(&text).unwrap(), policy);
    }
}
