//! The ports of a service's pool, held against the rows: as the service tells them, and as the kernel does.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use roadstead_test_support::app::App;
use serde_json::Value;

/// What does not fit these rows, which are all that live; nothing when all is well.
pub(crate) async fn compared_with(app: &App, pool: RangeInclusive<u16>, live: &[Value]) -> Vec<String> {
    let answer = app.ask("GET", "/ports", None).await;
    let Some(entries) = answer.body["data"].as_array() else {
        return vec!["the ports are not told".to_owned()];
    };
    let held = |row: &Value, port: &str, id: &str| {
        let port = row[port].as_u64().and_then(|port| u16::try_from(port).ok());
        port.zip(row[id].as_str().map(ToOwned::to_owned))
    };
    let told: BTreeSet<_> = entries.iter().filter_map(|entry| held(entry, "port", "instance_id")).collect();
    let wanted: BTreeSet<_> = live.iter().filter_map(|row| held(row, "assigned_port", "id")).collect();
    let strange = told.symmetric_difference(&wanted);
    let mut wrong: Vec<String> =
        strange.map(|(port, id)| format!("port {port} of {id}: pool and rows differ")).collect();
    let listening = listening(&pool);
    let wanted: BTreeSet<u16> = wanted.into_iter().map(|(port, _)| port).collect();
    let strange = listening.symmetric_difference(&wanted);
    wrong.extend(strange.map(|port| format!("port {port}: who listens and who should differ")));
    wrong
}

/// The ports of a range on which somebody listens.
fn listening(pool: &RangeInclusive<u16>) -> BTreeSet<u16> {
    const LISTENS: &str = "0A";
    let mut found = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(&LISTENS)) = (words.get(1), words.get(3)) else { continue };
            let port = local.rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
            found.extend(port.filter(|port| pool.contains(port)));
        }
    }
    found
}
