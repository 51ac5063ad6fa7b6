//! Users, keys, types and settings.

use roadstead_model::{ApiKeyId, BridgeLimits, Era, OrganizationId, ProjectId, Scope, Scopes, UserId};
use roadstead_store::{KeyUse, NewApiKey, NewUser, PageRequest, Probed, StoreError, TypeChange, TypeUpdate};
use serde_json::json;
use time::Duration;

use crate::world::{World, definition};

fn key(world: &mut World) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::new(&world.clock, &mut world.rng),
        user: world.user.id,
        organization: None,
        project: None,
        created_by: world.user.id,
        name: "laptop".to_owned(),
        prefix: "rs_abc".to_owned(),
        hash: [5; 32],
        hint: "wxyz".to_owned(),
        scopes: [Scope::InstancesRead, Scope::TypesRead].into_iter().collect(),
        expires_at: None,
        at: world.now(),
    }
}

#[tokio::test]
async fn an_address_belongs_to_one_user_whatever_its_case_until_they_are_deleted() {
    let mut world = World::new().await;
    let user = |world: &mut World| NewUser {
        id: UserId::new(&world.clock, &mut world.rng),
        email: "ALICE@example.org".to_owned(),
        name: "Another Alice".to_owned(),
        is_admin: true,
        organization: OrganizationId::new(&world.clock, &mut world.rng),
        project: ProjectId::new(&world.clock, &mut world.rng),
        at: world.now(),
    };
    let second = user(&mut world);
    let error = world.store().users().create(&second).await.unwrap_err();
    assert!(matches!(error, StoreError::Duplicate { noun: "user", field: "email" }), "{error:?}");
    assert!(!world.store().users().any_admin_exists().await.unwrap());
    let found = world.store().users().by_email("alice@EXAMPLE.org").await.unwrap().unwrap();
    assert_eq!(found, world.user);
    assert!(world.store().users().delete(world.user.id, world.now()).await.unwrap());
    assert!(!world.store().users().delete(world.user.id, world.now()).await.unwrap());
    world.store().users().create(&second).await.unwrap();
    assert!(world.store().users().any_admin_exists().await.unwrap());
    assert_eq!(world.store().users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn users_are_paged() {
    let mut world = World::new().await;
    for number in 0..4 {
        world.another_user(&format!("user{number}@example.org")).await;
    }
    let users = world.store().users();
    let first = users.list(PageRequest { after: None, limit: 3 }).await.unwrap();
    let second = users.list(PageRequest { after: first.next, limit: 3 }).await.unwrap();
    let mut ids: Vec<_> = first.items.iter().chain(&second.items).map(|user| user.id).collect();
    ids.dedup();
    assert_eq!((first.items.len(), ids.len()), (3, 5));
    assert!(second.next.is_none());
}

#[tokio::test]
async fn a_key_is_found_with_its_user_until_the_user_is_deleted() {
    let mut world = World::new().await;
    let new = key(&mut world);
    world.store().api_keys().create(&new).await.unwrap();
    let found = world.store().api_keys().by_hash(&new.hash).await.unwrap().unwrap();
    assert_eq!((found.key.id, &found.user), (new.id, &world.user));
    assert_eq!(found.key.scopes, new.scopes);
    assert!(!found.key.scopes.covers(&Scopes::all()));
    assert!(world.store().api_keys().by_hash(&[6; 32]).await.unwrap().is_none());
    world.store().users().delete(world.user.id, world.now()).await.unwrap();
    assert!(world.store().api_keys().by_hash(&new.hash).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_is_revoked_once_by_who_may_see_it() {
    let mut world = World::new().await;
    let new = key(&mut world);
    let other = world.another_user("bob@example.org").await;
    let keys = world.store().api_keys();
    keys.create(&new).await.unwrap();
    assert!(!keys.revoke(new.id, world.view(other), Some("mine now"), world.now()).await.unwrap());
    assert!(keys.get(new.id, Some(other)).await.unwrap().is_none());
    assert!(keys.revoke(new.id, world.view(world.user.id), Some("lost"), world.now()).await.unwrap());
    assert!(!keys.revoke(new.id, world.view(world.user.id), None, world.now()).await.unwrap());
    let row = keys.by_hash(&new.hash).await.unwrap().unwrap().key;
    assert_eq!((row.is_active, row.revoke_reason.as_deref()), (false, Some("lost")));
}

#[tokio::test]
async fn the_newest_use_of_a_key_counts() {
    let mut world = World::new().await;
    let new = key(&mut world);
    let keys = world.store().api_keys();
    keys.create(&new).await.unwrap();
    let address: std::net::IpAddr = "192.0.2.7".parse().unwrap();
    let late = world.now() + Duration::SECOND;
    let uses = [
        KeyUse { id: new.id, at: late, ip_address: Some(address) },
        KeyUse { id: new.id, at: world.now(), ip_address: None },
    ];
    keys.touch_many(&uses).await.unwrap();
    keys.touch_many(&uses[1..]).await.unwrap();
    let row = &keys.list(world.user.id).await.unwrap()[0];
    assert_eq!((row.last_used_at, row.last_used_ip), (Some(late), Some(address)));
}

#[tokio::test]
async fn a_type_is_changed_only_from_the_version_that_was_seen() {
    let world = World::new().await;
    let types = world.store().types();
    let change = TypeChange { display_name: "Louder".to_owned(), ..definition() };
    let id = world.type_id;
    assert_eq!(types.update(id, Some(1), &change).await.unwrap(), TypeUpdate::Updated { version: 2 });
    assert_eq!(types.update(id, Some(1), &definition()).await.unwrap(), TypeUpdate::Stale { version: 2 });
    assert_eq!(types.by_name("echo").await.unwrap().unwrap().definition, change);
    let stranger = roadstead_model::TypeId::from_uuid(world.user.id.uuid());
    assert_eq!(types.update(stranger, None, &change).await.unwrap(), TypeUpdate::Missing);
    assert!(types.disable(id).await.unwrap());
    assert!(types.list(true).await.unwrap().is_empty());
    assert_eq!(types.list(false).await.unwrap().len(), 1);
}

#[tokio::test]
async fn settings_have_defaults_and_none_is_made_by_misspelling() {
    let world = World::new().await;
    let settings = world.store().settings();
    let mut all = settings.all().await.unwrap();
    let bridge: Vec<_> = all.extract_if(.., |key, _| key.starts_with("bridge.")).collect();
    let mut defaults = BridgeLimits::default();
    let mut known: Vec<_> =
        BridgeLimits::ALL.iter().map(|it| (it.key.to_owned(), json!(*(it.place)(&mut defaults)))).collect();
    known.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(bridge, known);
    let expected = [
        ("accounts.erase_after_days", json!(30)),
        ("api.trusted_proxies", json!([])),
        ("cleanup.retention_days", json!(30)),
        ("confinement.allowed_roots", json!([])),
        ("confinement.min", json!("none")),
        ("confinement.outbound_ports", json!([443, 80, 53])),
        ("credentials.remind_before_days", json!(7)),
        ("encryption.algorithm", json!("aes-256-gcm")),
        ("exports.link_lifetime_s", json!(3_600)),
        ("launches.at_once", json!(4)),
        ("launches.enabled", json!(true)),
        ("launches.max_wait_s", json!(60)),
        ("launches.max_waiting", json!(200)),
        ("launches.min_free_memory_mb", json!(256)),
        ("launches.per_minute_per_user", json!(10)),
        ("limits.per_address_per_minute", json!(100)),
        ("limits.per_key_per_minute", json!(1_000)),
        ("limits.per_user_per_minute", json!(3_000)),
        ("logs.search_lines", json!(5_000)),
        ("mcp.default_duration_minutes", json!(60)),
        ("mcp.max_instances_per_user", json!(10)),
        ("port.range_end", json!(3_100)),
        ("port.range_start", json!(3_001)),
        ("process.max_cpu_percent", json!(50)),
        ("process.max_memory_mb", json!(512)),
        ("quotas.api_keys_per_user", json!(20)),
        ("quotas.cpu_percent_per_organization", json!(6_400)),
        ("quotas.cpu_percent_per_user", json!(800)),
        ("quotas.credentials_per_user", json!(50)),
        ("quotas.instances_per_organization", json!(100)),
        ("quotas.memory_mb_per_organization", json!(65_536)),
        ("quotas.memory_mb_per_user", json!(8_192)),
    ];
    let count = expected.len();
    assert_eq!(all, expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    assert!(settings.set("mcp.max_instances_per_user", &json!(3)).await.unwrap());
    assert!(!settings.set("mcp.max_instance_per_user", &json!(3)).await.unwrap());
    assert_eq!(settings.get("mcp.max_instances_per_user").await.unwrap(), Some(json!(3)));
    assert_eq!(settings.list().await.unwrap().len(), count + bridge.len());
}

#[tokio::test]
async fn an_era_that_was_found_out_belongs_to_one_version_of_a_type_that_names_none() {
    let world = World::new().await;
    let types = world.store().types();
    let id = world.type_id;
    let automatic = TypeChange { era: Era::Auto, ..definition() };
    assert_eq!(types.update(id, None, &automatic).await.unwrap(), TypeUpdate::Updated { version: 2 });
    let before = types.get(id).await.unwrap().unwrap();
    assert_eq!(before.probed, None);

    let found = Probed { era: Era::Legacy, at: world.now() };
    assert!(!types.remember_era(id, 1, found).await.unwrap(), "of a version that is no more");
    assert!(types.remember_era(id, 2, found).await.unwrap());
    let again = Probed { era: Era::Dual, ..found };
    assert!(types.remember_era(id, 2, again).await.unwrap(), "it proved wrong");
    let after = types.get(id).await.unwrap().unwrap();
    assert_eq!(after.probed, Some(again));
    assert_eq!((after.version, after.updated_at), (2, before.updated_at), "being found out is no change");

    types.update(id, None, &automatic).await.unwrap();
    assert_eq!(types.get(id).await.unwrap().unwrap().probed, None, "a new version may be another server");

    let pinned = TypeChange { era: Era::Modern, ..definition() };
    types.update(id, None, &pinned).await.unwrap();
    assert!(!types.remember_era(id, 4, found).await.unwrap(), "the author's own word stands");
    assert_eq!(types.get(id).await.unwrap().unwrap().probed, None);
}

#[tokio::test]
async fn a_type_without_a_program_is_kept() {
    let world = World::new().await;
    let types = world.store().types();
    let remote = TypeChange { program: None, ..definition() };
    types.update(world.type_id, None, &remote).await.unwrap();
    assert_eq!(types.get(world.type_id).await.unwrap().unwrap().definition, remote);
}
