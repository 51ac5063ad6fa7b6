//! Ports for the instances of a test.

use roadstead_test_support::app::App;
use serde_json::json;

/// Gives a service a range of ports of its own: services of several tests run at one time.
pub(crate) async fn set_ports(app: &App, first: u16, last: u16) {
    // In this order, the range is one after each step.
    for (key, value) in [("port.range_end", last), ("port.range_start", first)] {
        let answer = app.ask("PUT", &format!("/settings/{key}"), Some(json!({ "value": value }))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
