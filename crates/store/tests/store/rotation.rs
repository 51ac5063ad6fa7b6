//! Rotations of the master key: one at a time, in batches that nobody waits for, and the end of a key.

use roadstead_model::RotationId;
use roadstead_store::{
    MasterKeyUse, NewClaim, NewSlot, Retirement, RotationRow, SealedTable, StoreError, ValuePlace,
};
use sqlx::{ConnectOptions, Executor};
use time::Duration;

use crate::secrets::credential;
use crate::world::World;

const OLD: u32 = 0x0102_0304;
const NEW: u32 = 0xfeff_0000;

/// What looks like a value that a key has sealed.
fn sealed(key: u32, rest: u8) -> Vec<u8> {
    [&[1][..], &key.to_be_bytes(), &[rest; 30]].concat()
}

/// A world with three values of credentials, a kept answer and the probe, all of the old key.
async fn world() -> World {
    let mut world = World::new().await;
    for name in ["one", "two", "three"] {
        let mut new = credential(&mut world, name);
        new.slots = vec![NewSlot { slot: "token".to_owned(), sealed: sealed(OLD, 0), hint: String::new() }];
        world.setup().credentials().create(&new).await.unwrap();
    }
    let claim = NewClaim {
        user: world.user.id,
        route: "POST /instances",
        key: "k",
        body_hash: [1; 32],
        at: world.now(),
        expires_at: world.now() + Duration::DAY,
        stale_before: world.now() - Duration::MINUTE,
    };
    world.store().idempotency().begin(&claim).await.unwrap();
    let answer = sealed(OLD, 1);
    world.store().idempotency().answer(world.user.id, "POST /instances", "k", 201, &answer).await.unwrap();
    world.store().ring_check().insert(&sealed(OLD, 2), world.now()).await.unwrap();
    world
}

async fn begun(world: &mut World) -> RotationRow {
    let id = RotationId::new(&world.clock, &mut world.rng);
    let mut rotations = world.store().key_rotations();
    assert!(rotations.begin(id, NEW, world.now()).await.unwrap());
    rotations.unfinished().await.unwrap().unwrap()
}

/// Seals all that is held anew; how many that were.
async fn renew(world: &World, rotation: &RotationRow, table: SealedTable, limit: u32) -> u64 {
    let rotations = world.store().key_rotations();
    let held = rotations.hold(rotation, table, &ValuePlace::default(), limit).await.unwrap();
    let renewed: Vec<_> = held.values.iter().map(|value| (value.clone(), sealed(NEW, 9))).collect();
    held.replace(&renewed).await.unwrap()
}

#[tokio::test]
async fn a_rotation_is_finished_when_no_value_of_another_key_is_left() {
    let mut world = world().await;
    let rotation = begun(&mut world).await;
    assert_eq!((rotation.total, rotation.done), (4, 0));
    let mut rotations = world.store().key_rotations();
    let second = RotationId::new(&world.clock, &mut world.rng.clone());
    assert!(!rotations.begin(second, OLD, world.now()).await.unwrap(), "one at a time");

    assert_eq!(renew(&world, &rotation, SealedTable::Credentials, 2).await, 2);
    assert!(!rotations.finish(&rotation, &sealed(NEW, 2), world.now()).await.unwrap());
    assert_eq!(renew(&world, &rotation, SealedTable::Credentials, 2).await, 1);
    assert_eq!(renew(&world, &rotation, SealedTable::Instances, 2).await, 0);
    assert!(!rotations.finish(&rotation, &sealed(NEW, 2), world.now()).await.unwrap());
    assert_eq!(renew(&world, &rotation, SealedTable::Answers, 2).await, 1);
    assert!(rotations.finish(&rotation, &sealed(NEW, 2), world.now()).await.unwrap());
    assert_eq!(world.store().ring_check().load().await.unwrap(), Some(sealed(NEW, 2)), "the probe, too");
    let latest = rotations.latest().await.unwrap().unwrap();
    assert_eq!((latest.done, latest.finished_at), (4, Some(world.now())));
    assert!(rotations.unfinished().await.unwrap().is_none());
    let uses = rotations.uses().await.unwrap();
    assert_eq!(uses, [MasterKeyUse { key: NEW, values: 4, instances: 0 }]);
}

#[tokio::test]
async fn a_value_that_somebody_else_changes_is_passed_over_and_found_later() {
    let mut world = world().await;
    let rotation = begun(&mut world).await;
    let mut other = world.database.application.connect().await.unwrap();
    other.execute("begin").await.unwrap();
    other.execute("select from credential_secrets order by credential_id limit 1 for update").await.unwrap();
    assert_eq!(renew(&world, &rotation, SealedTable::Credentials, 9).await, 2, "without waiting");
    other.execute("rollback").await.unwrap();
    assert_eq!(renew(&world, &rotation, SealedTable::Credentials, 9).await, 1);
}

#[tokio::test]
async fn a_key_is_retired_when_nothing_needs_it_and_seals_nothing_afterwards() {
    let mut world = world().await;
    let mut rotations = world.store().key_rotations();
    let needed = Retirement::Needed(MasterKeyUse { key: OLD, values: 5, instances: 0 });
    assert_eq!(rotations.retire(OLD, world.now()).await.unwrap(), needed);
    let rotation = begun(&mut world).await;
    for table in SealedTable::ALL {
        renew(&world, &rotation, table, 9).await;
    }
    let mut rotations = world.store().key_rotations();
    assert!(rotations.finish(&rotation, &sealed(NEW, 2), world.now()).await.unwrap());
    assert_eq!(rotations.retire(OLD, world.now()).await.unwrap(), Retirement::Done);
    assert_eq!(rotations.retire(OLD, world.now()).await.unwrap(), Retirement::Done, "again is as good");
    assert!(rotations.is_retired(OLD).await.unwrap() && !rotations.is_retired(NEW).await.unwrap());
    let mut late = credential(&mut world, "late");
    late.slots = vec![NewSlot { slot: "token".to_owned(), sealed: sealed(OLD, 0), hint: String::new() }];
    let refused = world.store().credentials().create(&late).await.unwrap_err();
    let StoreError::Refused { constraint } = &refused else { panic!("{refused:?}") };
    assert_eq!(constraint, "sealed_with_a_key_in_use");
    late.slots[0].sealed = sealed(NEW, 0);
    world.setup().credentials().create(&late).await.unwrap();
}
