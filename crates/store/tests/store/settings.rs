//! Settings, what was changed of them, and the sealed ones.

use roadstead_model::{BridgeLimits, NewAudit};
use roadstead_store::{NewSetting, NewSettingChange};
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn settings_have_defaults_and_none_is_made_by_misspelling() {
    let world = World::new().await;
    let mut settings = world.store().settings();
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
        ("catalog.changed_tools", json!("warn")),
        ("catalog.public_registry", json!(false)),
        ("catalog.require_approval", json!(false)),
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
        ("packages.keep_unused_days", json!(7)),
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
    let rows = settings.list().await.unwrap();
    assert_eq!(rows.len(), count + bridge.len());
    assert!(rows.iter().all(|row| row.default_value.as_ref() == Some(&row.value) && !row.sensitive));
    assert!(settings.get("mcp.max_instance_per_user").await.unwrap().is_none());
}

async fn run(world: &World, sql: &'static str) {
    sqlx::query(sql).execute(&mut world.owner().await).await.unwrap();
}

async fn set(world: &World, key: &str, new: NewSetting<'_>, reason: &str) -> bool {
    let at = world.now();
    let mut change = world.store().system_change().await.unwrap();
    let read = change.settings().get(key).await.unwrap().unwrap();
    let noted = NewSettingChange { at, user: Some(world.user.id), api_key: None, reason: Some(reason) };
    let done = change.settings().set(&read, new, noted).await.unwrap();
    change.commit(&NewAudit::by_system("setting.set", at)).await.unwrap();
    done
}

#[tokio::test]
async fn a_change_is_remembered_and_made_only_of_what_was_read() {
    let world = World::new().await;
    let key = "mcp.max_instances_per_user";
    let stale = world.store().settings().get(key).await.unwrap().unwrap();
    assert!(set(&world, key, NewSetting::Plain(&json!(3)), "fewer").await);
    let mut change = world.store().system_change().await.unwrap();
    let noted = NewSettingChange { at: world.now(), user: None, api_key: None, reason: None };
    assert!(!change.settings().set(&stale, NewSetting::Plain(&json!(4)), noted).await.unwrap());
    drop(change);
    let row = world.store().settings().get(key).await.unwrap().unwrap();
    assert_eq!((row.value, row.version), (json!(3), 2));
    let history = world.store().settings().history(key, None, 10).await.unwrap().items;
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0].old_value, &history[0].new_value), (&Some(json!(10)), &Some(json!(3))));
    assert_eq!((history[0].reason.as_deref(), history[0].user), (Some("fewer"), Some(world.user.id)));
}

#[tokio::test]
async fn a_sensitive_value_is_kept_sealed_and_its_history_is_silent() {
    let world = World::new().await;
    run(
        &world,
        "insert into system_settings (key, value, kind, sensitive, description)
             values ('test.secret', 'null', 'string', true, 'A secret.')",
    )
    .await;
    let sealed = [1, 0, 0, 0, 7, 9, 9];
    assert!(set(&world, "test.secret", NewSetting::Sealed(Some(&sealed)), "new").await);
    let row = world.store().settings().get("test.secret").await.unwrap().unwrap();
    assert_eq!((row.value, row.is_sealed), (Value::Null, true));
    assert_eq!(world.store().settings().sealed("test.secret").await.unwrap().unwrap(), sealed);
    let history = world.store().settings().history("test.secret", None, 10).await.unwrap().items;
    assert_eq!((&history[0].old_value, &history[0].new_value), (&None, &None));
    // The value is among those that a key has sealed, and a key that was retired seals no other.
    assert!(world.store().key_rotations().has_sealed(7).await.unwrap());
    run(&world, "insert into retired_keys (key, retired_at) values (8, now())").await;
    let retired = [1, 0, 0, 0, 8, 9, 9];
    assert!(!set(&world, "test.secret", NewSetting::Sealed(Some(&retired)), "late").await);
    // Nor does a statement that forgets to look.
    let forgetful = "update system_settings set sealed = '\\x01000000080909', version = version + 1 where key = 'test.secret'";
    let error = sqlx::query(forgetful).execute(&mut world.owner().await).await.unwrap_err();
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    assert_eq!(constraint, Some("sealed_with_a_key_in_use"), "{error}");
    let kept = world.store().settings().sealed("test.secret").await.unwrap().unwrap();
    assert_eq!(kept, sealed);
}
