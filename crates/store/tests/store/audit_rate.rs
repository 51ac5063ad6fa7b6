//! How fast a long log is linked and verified. Run by hand, in release: `cargo test --release -p roadstead-store --test store
//! audit_rate -- --ignored --nocapture`.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Executor as _};

use crate::world::World;

const ENTRIES: u64 = 200_000;

#[tokio::test]
#[ignore = "measures: meant for release and a quiet machine"]
async fn entries_a_second() {
    let world = World::new().await;
    let mut owner = world.owner().await;
    let fill = format!(
        "insert into audit_logs (at, id, organization_id, project_id, actor_kind, actor_user_id, actor_key_id, ip_address,
                                 user_agent, action, resource_kind, resource_id, changes, request_id, outcome)
         select now(), uuid_v7(now()), md5((n % 20)::text)::uuid, md5((n % 50)::text)::uuid, 'key', md5((n % 99)::text)::uuid,
                md5((n % 99)::text)::uuid, '10.0.0.7', 'curl/8.5.0', 'instance.extend', 'instance', md5(n::text),
                jsonb_build_object('expires_at', jsonb_build_object('old', n, 'new', n + 60)), md5(n::text), 'done'
         from generate_series(1, {ENTRIES}) n"
    );
    owner.execute(AssertSqlSafe(fill)).await.unwrap();
    owner.execute("analyze audit_logs").await.unwrap();
    let began = Instant::now();
    while world.store().audit().seal().await.unwrap().unwrap().more {}
    let sealing = began.elapsed();
    owner.execute("vacuum analyze audit_links").await.unwrap();
    let began = Instant::now();
    let verified = world.store().audit().verify(None, None).await.unwrap();
    let verifying = began.elapsed();
    assert!(verified.is_whole());
    assert_eq!(verified.entries, ENTRIES);
    let rate = |took: std::time::Duration| u128::from(ENTRIES) * 1_000 / took.as_millis().max(1);
    println!("linked {} a second, verified {} a second", rate(sealing), rate(verifying));
}
