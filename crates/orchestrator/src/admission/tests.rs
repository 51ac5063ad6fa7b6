use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::*;

const MEBIBYTE: u64 = 1024 * 1024;
const LIMIT: u64 = 400 * MEBIBYTE;

fn settings() -> LaunchSettings {
    LaunchSettings {
        enabled: true,
        at_once: 1,
        max_waiting: 3,
        max_wait: Duration::from_mins(1),
        min_free_memory: 0,
        per_minute_per_user: 10,
    }
}

fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(number))
}

fn instance(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

fn of_type(number: u128) -> TypeId {
    TypeId::from_uuid(Uuid::from_u128(number))
}

fn plenty() -> Admission {
    Admission::new(|| Some(u64::MAX))
}

fn enter(admission: &Admission, of: u128, number: u128) -> Waiting {
    admission.let_in(&settings()).unwrap().enter(user(of), instance(number), of_type(1), LIMIT)
}

/// Whether it is its turn at once.
async fn begins(waiting: &Waiting) -> Option<Starting> {
    waiting.turn(|| LaunchSettings { max_wait: Duration::ZERO, ..settings() }).await.ok()
}

#[tokio::test]
async fn one_starts_and_the_others_wait_in_turn() {
    let admission = plenty();
    let (first, second) = (enter(&admission, 1, 1), enter(&admission, 1, 2));
    let starting = begins(&first).await.unwrap();
    let (third, other) = (enter(&admission, 1, 3), enter(&admission, 2, 4));
    let position = |id| admission.place(instance(id), &settings()).map(|queued| queued.position);
    assert_eq!([1, 2, 4, 3].map(position), [None, Some(1), Some(2), Some(3)]);
    assert!(begins(&second).await.is_none());
    drop(starting);
    assert!(begins(&other).await.is_none(), "it is the turn of the one before");
    let starting = begins(&second).await.unwrap();
    drop(starting);
    assert!(begins(&other).await.is_some(), "and then the turn of the other user");
    drop(third);
    assert_eq!(admission.waiting(), 0);
}

#[tokio::test]
async fn whoever_waits_is_woken_by_the_one_who_leaves() {
    let admission = plenty();
    let first = enter(&admission, 1, 1);
    let starting = begins(&first).await.unwrap();
    let second = enter(&admission, 1, 2);
    let (begun, ()) = tokio::join!(second.turn(settings), async {
        tokio::task::yield_now().await;
        drop(starting);
    });
    assert!(begun.is_ok());
}

#[tokio::test]
async fn no_more_are_let_in_than_may_wait() {
    let admission = plenty();
    let first = enter(&admission, 1, 1);
    let _starting = begins(&first).await.unwrap();
    let _waiting = [enter(&admission, 1, 2), enter(&admission, 1, 3)];
    let coming = admission.let_in(&settings()).unwrap();
    assert_eq!(admission.let_in(&settings()).unwrap_err(), Full { position: 4 });
    drop(coming);
    assert!(admission.let_in(&settings()).is_ok());
    let _anyhow = [admission.let_in_anyhow(), admission.let_in_anyhow()];
    assert!(admission.let_in(&settings()).is_err());
}

#[tokio::test]
async fn memory_that_was_promised_is_not_given_twice() {
    let free = Arc::new(AtomicU64::new(250 * MEBIBYTE));
    let told = Arc::clone(&free);
    let admission = Admission::new(move || Some(told.load(Ordering::Relaxed)));
    let two = LaunchSettings { at_once: 5, min_free_memory: 30 * MEBIBYTE, ..settings() };
    let try_now =
        async |waiting: &Waiting| waiting.turn(|| LaunchSettings { max_wait: Duration::ZERO, ..two }).await;
    let all = [1, 2, 3].map(|number| enter(&admission, 1, number));
    let _first = try_now(&all[0]).await.unwrap();
    let _second = try_now(&all[1]).await.unwrap();
    let error = try_now(&all[2]).await.unwrap_err();
    assert_eq!(error.waits_for, WaitsFor::Memory, "two hundred of 250 are promised, and 30 stay free");
    let queued = admission.place(instance(3), &two).unwrap();
    assert_eq!((queued.position, queued.waits_for), (1, WaitsFor::Memory));
    free.store(400 * MEBIBYTE, Ordering::Relaxed);
    assert!(try_now(&all[2]).await.is_ok());
}

#[tokio::test]
async fn a_type_needs_what_its_largest_instance_was_seen_to_take() {
    let admission = Admission::new(|| Some(99 * MEBIBYTE));
    let unknown = enter(&admission, 1, 1);
    assert!(begins(&unknown).await.is_none(), "a quarter of 400 is expected");
    drop(unknown);
    let known = admission.runs(instance(9), of_type(1));
    admission.saw([(instance(9), 20 * MEBIBYTE), (instance(8), 300 * MEBIBYTE)]);
    admission.saw([(instance(9), 10 * MEBIBYTE)]);
    drop(known);
    let waiting = enter(&admission, 1, 2);
    assert_eq!(waiting.need, 20 * MEBIBYTE);
    assert!(begins(&waiting).await.is_some());
}

#[tokio::test]
async fn where_the_kernel_does_not_say_nobody_waits_for_memory() {
    let admission = Admission::new(|| None);
    assert!(begins(&enter(&admission, 1, 1)).await.is_some());
}

#[tokio::test]
async fn a_server_that_takes_very_long_does_not_hold_up_the_others() {
    tokio::time::pause();
    let admission = plenty();
    let slow = enter(&admission, 1, 1);
    let _starting = begins(&slow).await.unwrap();
    let next = enter(&admission, 2, 2);
    assert!(begins(&next).await.is_none());
    tokio::time::advance(LONGEST_START).await;
    assert!(begins(&next).await.is_some());
}

#[tokio::test]
async fn whoever_need_not_wait_starts_before_the_row_is_there() {
    let admission = plenty();
    let at_once = |number| {
        let coming = admission.let_in(&settings()).unwrap();
        async move { coming.at_once(instance(number), of_type(1), LIMIT, &settings()).await }
    };
    let starting = at_once(1).await.expect("nobody waits");
    let coming = at_once(2).await.expect_err("there is one slot");
    let waiting = coming.enter(user(1), instance(2), of_type(1), LIMIT);
    drop(starting);
    let coming = at_once(3).await.expect_err("somebody waits");
    drop(coming);
    assert!(begins(&waiting).await.is_some());
    drop(waiting);
    assert!(at_once(4).await.is_ok());
    assert_eq!((admission.waiting(), admission.state().coming), (0, 0));

    let short = Admission::new(|| Some(0));
    let coming = short.let_in(&settings()).unwrap();
    assert!(coming.at_once(instance(1), of_type(1), LIMIT, &settings()).await.is_err());
    assert_eq!(short.state().coming, 0);
}
