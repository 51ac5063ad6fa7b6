//! Users and types.

use roadstead_model::{Era, OrganizationId, ProjectId, TypeStatus, UserId, UserStatus};
use roadstead_store::{NewUser, Probed, StoreError, TypeChange, TypeUpdate};
use time::Duration;

use crate::world::{World, definition};

#[tokio::test]
async fn an_address_belongs_to_one_user_whatever_its_case_until_they_are_deleted() {
    let mut world = World::new().await;
    let user = |world: &mut World| NewUser {
        id: UserId::new(&world.clock, &mut world.rng),
        email: "ALICE@example.org".to_owned(),
        name: "Another Alice".to_owned(),
        is_admin: true,
        status: UserStatus::Active,
        organization: OrganizationId::new(&world.clock, &mut world.rng),
        project: ProjectId::new(&world.clock, &mut world.rng),
        at: world.now(),
    };
    let second = user(&mut world);
    let error = world.setup().users().create(&second).await.unwrap_err();
    assert!(matches!(error, StoreError::Duplicate { noun: "user", field: "email" }), "{error:?}");
    assert!(!world.store().users().any_admin_exists().await.unwrap());
    let found = world.store().users().by_email("alice@EXAMPLE.org").await.unwrap().unwrap();
    assert_eq!(found, world.user);
    world.delete_user(world.user.id, Duration::DAY).await;
    world.setup().users().create(&second).await.unwrap();
    assert!(world.store().users().any_admin_exists().await.unwrap());
    assert_eq!(world.store().users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_type_is_changed_only_from_the_version_that_was_seen() {
    let world = World::new().await;
    let mut types = world.setup().types();
    let change = TypeChange { display_name: "Louder".to_owned(), ..definition() };
    let id = world.type_id;
    assert_eq!(types.update(id, Some(1), &change, None).await.unwrap(), TypeUpdate::Updated { version: 2 });
    assert_eq!(
        types.update(id, Some(1), &definition(), None).await.unwrap(),
        TypeUpdate::Stale { version: 2 }
    );
    assert_eq!(types.by_name("echo", None).await.unwrap()[0].definition, change);
    let stranger = roadstead_model::TypeId::from_uuid(world.user.id.uuid());
    assert_eq!(types.update(stranger, None, &change, None).await.unwrap(), TypeUpdate::Missing);
    assert!(types.decide(id, None, TypeStatus::Deprecated, "old").await.unwrap().is_some());
    assert!(types.list(Some(TypeStatus::Approved), None, None, 10).await.unwrap().items.is_empty());
    assert_eq!(types.list(None, None, None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn an_era_that_was_found_out_belongs_to_one_version_of_a_type_that_names_none() {
    let world = World::new().await;
    let mut types = world.setup().types();
    let id = world.type_id;
    let automatic = TypeChange { era: Era::Auto, ..definition() };
    assert_eq!(types.update(id, None, &automatic, None).await.unwrap(), TypeUpdate::Updated { version: 2 });
    let before = world.store().types().get(id).await.unwrap().unwrap();
    assert_eq!(before.probed, None);

    let found = Probed { era: Era::Legacy, at: world.now() };
    assert!(!types.remember_era(id, 1, found).await.unwrap(), "of a version that is no more");
    assert!(types.remember_era(id, 2, found).await.unwrap());
    let again = Probed { era: Era::Dual, ..found };
    assert!(types.remember_era(id, 2, again).await.unwrap(), "it proved wrong");
    let after = world.store().types().get(id).await.unwrap().unwrap();
    assert_eq!(after.probed, Some(again));
    assert_eq!((after.version, after.updated_at), (2, before.updated_at), "being found out is no change");

    types.update(id, None, &automatic, None).await.unwrap();
    assert_eq!(types.get(id).await.unwrap().unwrap().probed, None, "a new version may be another server");

    let pinned = TypeChange { era: Era::Modern, ..definition() };
    types.update(id, None, &pinned, None).await.unwrap();
    assert!(!types.remember_era(id, 4, found).await.unwrap(), "the author's own word stands");
    assert_eq!(types.get(id).await.unwrap().unwrap().probed, None);
}

#[tokio::test]
async fn a_type_without_a_program_is_kept() {
    let world = World::new().await;
    let mut types = world.setup().types();
    let remote = TypeChange { program: None, ..definition() };
    types.update(world.type_id, None, &remote, None).await.unwrap();
    assert_eq!(types.get(world.type_id).await.unwrap().unwrap().definition, remote);
}
