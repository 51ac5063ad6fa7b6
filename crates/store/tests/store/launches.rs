//! Many launches at once: no quota is exceeded, no port shared.

use std::collections::BTreeSet;

use roadstead_model::{Amounts, QuotaItem, QuotaOf, QuotaReached, Quotas};
use roadstead_store::{NewInstance, ReserveError};
use tokio::task::JoinSet;

use crate::world::{World, port};

const CROWD: u16 = 200;

/// Reserves all at once; answers the errors.
async fn crowd(world: &World, instances: Vec<NewInstance>, quotas: Quotas) -> Vec<ReserveError> {
    let mut tasks: JoinSet<Result<(), ReserveError>> = JoinSet::new();
    for new in instances {
        let store = world.store().clone();
        tasks.spawn(async move { store.instances().reserve(&new, &quotas).await });
    }
    tasks.join_all().await.into_iter().filter_map(Result::err).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_launches_at_once_do_not_exceed_the_quota() {
    const QUOTA: u32 = 10;
    let mut world = World::new().await;
    let instances = (0..CROWD).map(|number| world.instance_on(3_001 + number)).collect();
    let errors = crowd(&world, instances, Quotas::instances(QUOTA)).await;
    assert_eq!(errors.len(), usize::from(CROWD) - QUOTA as usize);
    for error in errors {
        assert!(
            matches!(error, ReserveError::QuotaReached(QuotaReached { limit, .. }) if limit == u64::from(QUOTA)),
            "{error:?}"
        );
    }
    assert_eq!(world.store().instances().count_live(world.user.id).await.unwrap(), QUOTA);
}

/// Launches of 512 MB each by eight users of one organisation.
async fn of_one_organization(world: &mut World) -> Vec<NewInstance> {
    let mut users = Vec::new();
    for number in 0..8 {
        users.push(world.another_user(&format!("user{number}@example.org")).await);
    }
    let of = |number: u16| users[usize::from(number) % users.len()];
    (0..80).map(|number| NewInstance { user: of(number), ..world.instance_on(3_001 + number) }).collect()
}

#[track_caller]
fn all_refused_by_the_organization(errors: &[ReserveError], wanted: QuotaItem, allowed: u64) {
    for error in errors {
        let ReserveError::QuotaReached(QuotaReached { of, item, limit, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((*of, *item, *limit), (QuotaOf::Organization, wanted, allowed));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn launches_of_many_users_at_once_do_not_exceed_what_their_organisation_may_have() {
    let mut world = World::new().await;
    let instances = of_one_organization(&mut world).await;
    let organization = Amounts { memory_mb: 10 * 512 + 511, ..Amounts::UNLIMITED };
    let errors = crowd(&world, instances, Quotas { organization, ..Quotas::instances(1_000) }).await;
    assert_eq!(errors.len(), 80 - 10);
    all_refused_by_the_organization(&errors, QuotaItem::MemoryMb, organization.memory_mb);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_organisations_own_numbers_hold_in_place_of_the_general_ones() {
    let mut world = World::new().await;
    let instances = of_one_organization(&mut world).await;
    sqlx::query("update organizations set quotas = '{\"max_instances\": 3}' where id = $1")
        .bind(world.user.default_organization.uuid())
        .execute(&mut world.owner().await)
        .await
        .unwrap();
    let errors = crowd(&world, instances, Quotas::instances(1_000)).await;
    assert_eq!(errors.len(), 80 - 3);
    all_refused_by_the_organization(&errors, QuotaItem::Instances, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_launches_at_once_do_not_share_a_port() {
    const PORTS: u16 = 50;
    let mut world = World::new().await;
    let mut users = Vec::new();
    for number in 0..8 {
        users.push(world.another_user(&format!("user{number}@example.org")).await);
    }
    // Of different owners, so that no owner's lock keeps them apart.
    let instances = (0..CROWD)
        .map(|number| {
            let new = world.instance_on(3_001 + number % PORTS);
            NewInstance { user: users[usize::from(number) % users.len()], ..new }
        })
        .collect();
    let errors = crowd(&world, instances, Quotas::instances(1_000)).await;
    assert_eq!(errors.len(), usize::from(CROWD - PORTS));
    for error in errors {
        assert!(matches!(error, ReserveError::PortHeld(_)), "{error:?}");
    }
    let live = world.store().instances().live_of_node(world.node).await.unwrap();
    let ports: BTreeSet<_> = live.iter().filter_map(roadstead_store::InstanceRow::port).collect();
    assert_eq!(ports.len(), usize::from(PORTS));
    assert_eq!(live.len(), usize::from(PORTS));
}

#[tokio::test]
async fn a_refused_launch_leaves_nothing() {
    let mut world = World::new().await;
    world.reserve(3_001).await.unwrap();
    let second = world.instance_on(3_001);
    let error = world.store().instances().reserve(&second, &Quotas::instances(10)).await.unwrap_err();
    assert!(matches!(error, ReserveError::PortHeld(held) if held == port(3_001)));
    assert!(world.store().instances().get(second.id, None).await.unwrap().is_none());
    assert!(world.events(second.id).await.is_empty());
    let third = world.instance_on(3_002);
    let error = world.store().instances().reserve(&third, &Quotas::instances(1)).await.unwrap_err();
    assert!(matches!(error, ReserveError::QuotaReached(QuotaReached { limit: 1, .. })));
    assert_eq!(world.store().ports().map(world.node).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_or_unknown_owner_launches_nothing() {
    let mut world = World::new().await;
    let owner = world.another_user("gone@example.org").await;
    world.delete_user(owner, time::Duration::DAY).await;
    let new = NewInstance { user: owner, ..world.instance_on(3_001) };
    let error = world.store().instances().reserve(&new, &Quotas::instances(10)).await.unwrap_err();
    assert!(matches!(error, ReserveError::NoOwner));
}

#[tokio::test]
async fn an_ended_instance_makes_room_for_another() {
    let mut world = World::new().await;
    let first = world.reserve(3_001).await.unwrap();
    world.store().instances().finish(first, &world.stopped()).await.unwrap();
    let second = world.instance_on(3_001);
    world.store().instances().reserve(&second, &Quotas::instances(1)).await.unwrap();
    let row = world.store().instances().get(second.id, None).await.unwrap().unwrap();
    assert_eq!(row.port(), Some(port(3_001)));
}
