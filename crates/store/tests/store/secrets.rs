//! Credentials, kept answers and the probe of the master key.

use roadstead_model::{Actor, CredentialId};
use roadstead_store::{Claim, Deletion, Holding, NewClaim, NewCredential, NewSlot, StoreError};
use time::Duration;

use crate::world::World;

pub fn credential(world: &mut World, name: &str) -> NewCredential {
    world.clock.advance(std::time::Duration::from_millis(1));
    let slot = |slot: &str, hint: &str| NewSlot {
        slot: slot.to_owned(),
        sealed: vec![0xAB; 40],
        hint: hint.to_owned(),
    };
    NewCredential {
        id: CredentialId::new(&world.clock, &mut world.rng),
        user: world.user.id,
        organization: world.user.default_organization,
        project: world.user.default_project,
        type_id: world.type_id,
        name: name.to_owned(),
        hint: "…cdef".to_owned(),
        expires_at: None,
        slots: vec![slot("token", "cdef"), slot("account", "6789")],
        actor: Actor::SYSTEM,
        at: world.now(),
    }
}

#[tokio::test]
async fn a_deleted_credential_leaves_no_sealed_value_and_its_name_is_free() {
    let mut world = World::new().await;
    let first = credential(&mut world, "work");
    let second = credential(&mut world, "work");
    let other = world.another_user("bob@example.org").await;
    let mut credentials = world.setup().credentials();
    credentials.create(&first).await.unwrap();
    let error = credentials.create(&second).await.unwrap_err();
    assert!(matches!(error, StoreError::Duplicate { noun: "credential", field: "name" }), "{error:?}");
    assert!(credentials.sealed_slots(second.id).await.unwrap().is_empty(), "all or nothing");
    assert_eq!(credentials.sealed_slots(first.id).await.unwrap().len(), 2);
    assert!(credentials.get(first.id, Some(other)).await.unwrap().is_none());
    let mut delete = async |owner| {
        let deleted = credentials.delete(first.id, owner, Holding::LiveOrLost, &Actor::SYSTEM, world.now());
        deleted.await.unwrap()
    };
    assert_eq!(delete(Some(other)).await, Deletion::Missing);
    assert_eq!(delete(Some(world.user.id)).await, Deletion::Done);
    assert_eq!(delete(None).await, Deletion::Missing);
    assert!(credentials.sealed_slots(first.id).await.unwrap().is_empty());
    assert!(credentials.get(first.id, None).await.unwrap().is_none());
    credentials.create(&second).await.unwrap();
}

#[tokio::test]
async fn credentials_are_listed_with_their_hints() {
    let mut world = World::new().await;
    let (work, home) = (credential(&mut world, "work"), credential(&mut world, "home"));
    let mut credentials = world.setup().credentials();
    credentials.create(&work).await.unwrap();
    credentials.create(&home).await.unwrap();
    credentials.touch(work.id, world.now()).await.unwrap();
    let listed = world.store().credentials().list(world.user.id, Some(world.type_id)).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["work", "home"]);
    let slots: Vec<_> = listed[0].slots.iter().map(|slot| (slot.slot.as_str(), slot.hint.as_str())).collect();
    assert_eq!(slots, [("account", "6789"), ("token", "cdef")]);
    assert_eq!(listed[0].last_used_at, Some(world.now()));
    let stranger = roadstead_model::TypeId::from_uuid(world.user.id.uuid());
    assert!(credentials.list(world.user.id, Some(stranger)).await.unwrap().is_empty());
}

fn claim<'a>(world: &World, body: u8) -> NewClaim<'a> {
    NewClaim {
        user: world.user.id,
        route: "POST /instances",
        key: "k",
        body_hash: [body; 32],
        at: world.now(),
        expires_at: world.now() + Duration::DAY,
        stale_before: world.now() - Duration::MINUTE,
    }
}

#[tokio::test]
async fn of_two_requests_with_one_key_one_goes_ahead_and_its_answer_is_kept() {
    let world = World::new().await;
    let kept = world.store().idempotency();
    let (first, second) = tokio::join!(async { kept.begin(&claim(&world, 1)).await.unwrap() }, async {
        kept.begin(&claim(&world, 1)).await.unwrap()
    },);
    assert!((first == Claim::Yours) ^ (second == Claim::Yours));
    assert!(kept.answer(world.user.id, "POST /instances", "k", 201, &[1, 2]).await.unwrap());
    assert!(!kept.answer(world.user.id, "POST /instances", "k", 500, &[3]).await.unwrap());
    let again = kept.begin(&claim(&world, 2)).await.unwrap();
    assert_eq!(again, Claim::Answered { body_hash: [1; 32], status: 201, sealed: vec![1, 2] });
}

#[tokio::test]
async fn a_key_is_free_again_when_it_is_given_back_gone_stale_or_expired() {
    let world = World::new().await;
    let kept = world.store().idempotency();
    assert_eq!(kept.begin(&claim(&world, 1)).await.unwrap(), Claim::Yours);
    kept.abandon(world.user.id, "POST /instances", "k").await.unwrap();
    assert_eq!(kept.begin(&claim(&world, 1)).await.unwrap(), Claim::Yours);
    world.clock.advance(std::time::Duration::from_mins(2));
    assert_eq!(kept.begin(&claim(&world, 1)).await.unwrap(), Claim::Yours, "its holder died");
    kept.answer(world.user.id, "POST /instances", "k", 201, &[1]).await.unwrap();
    world.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(kept.begin(&claim(&world, 1)).await.unwrap(), Claim::Yours, "the answer expired");
    world.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(kept.purge(world.now()).await.unwrap(), 1);
    assert_eq!(kept.lookup(world.user.id, "POST /instances", "k").await.unwrap(), None);
}

#[tokio::test]
async fn the_probe_of_the_master_key_is_never_overwritten() {
    let world = World::new().await;
    let probe = world.store().ring_check();
    assert_eq!(probe.load().await.unwrap(), None);
    assert!(probe.insert(&[1], world.now()).await.unwrap());
    assert!(!probe.insert(&[2], world.now()).await.unwrap());
    assert_eq!(probe.load().await.unwrap(), Some(vec![1]));
}
