//! The port pool's rows.

use roadstead_model::PortRange;
use roadstead_store::RangeChange;
use time::Duration;

use crate::world::{World, port};

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

#[tokio::test]
async fn a_pool_grows_and_shrinks_around_what_is_held() {
    let mut world = World::new().await;
    let node = world.node;
    let change = world.store().ports().ensure_range(node, range(3_001, 3_010)).await.unwrap();
    assert_eq!(change, RangeChange { added: 10, removed: 0, still_held: 0 });
    let held = world.reserve(3_009).await.unwrap();
    let change = world.store().ports().ensure_range(node, range(3_001, 3_005)).await.unwrap();
    assert_eq!(change, RangeChange { added: 0, removed: 4, still_held: 1 });
    world.store().instances().finish(held, &world.stopped()).await.unwrap();
    let change = world.store().ports().ensure_range(node, range(3_000, 3_005)).await.unwrap();
    assert_eq!(change, RangeChange { added: 1, removed: 1, still_held: 0 });
    let ports: Vec<u16> =
        world.store().ports().map(node).await.unwrap().iter().map(|row| row.port.get()).collect();
    assert_eq!(ports, [3_000, 3_001, 3_002, 3_003, 3_004, 3_005]);
}

#[tokio::test]
async fn a_start_learns_what_rests_and_what_was_used_last() {
    let mut world = World::new().await;
    let node = world.node;
    world.store().ports().ensure_range(node, range(3_001, 3_010)).await.unwrap();
    world.ended(3_004).await;
    world.ended(3_002).await;
    world.running(3_003).await;
    let taken = world.now() + Duration::MINUTE;
    world.store().ports().mark_quarantined(node, port(3_009), taken).await.unwrap();
    let released = world.store().ports().recently_released(node).await.unwrap();
    let ports: Vec<u16> = released.iter().map(|one| one.port.get()).collect();
    assert_eq!(ports, [3_009, 3_004, 3_002]);
    assert_eq!(released[0].quarantined_until, Some(taken));
    assert!(released[1].quarantined_until.is_some());
    assert!(released[1].released_at < released[2].released_at);
}

#[tokio::test]
async fn health_is_stamped_in_batches() {
    let mut world = World::new().await;
    world.running(3_001).await;
    world.running(3_002).await;
    let (early, late) = (world.now(), world.now() + Duration::SECOND);
    let seen = [(port(3_001), late), (port(3_002), early), (port(3_001), early)];
    world.store().ports().stamp_health(world.node, &seen).await.unwrap();
    let map = world.store().ports().map(world.node).await.unwrap();
    assert_eq!(map.iter().map(|row| row.last_health_check).collect::<Vec<_>>(), [Some(late), Some(early)]);
}
