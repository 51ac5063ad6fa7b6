//! Services with ports of their own.

use std::sync::atomic::{AtomicU16, Ordering};

use roadstead_test_support::app::App;

use super::range::set_ports;

/// As many as any test here has instances.
const EACH: u16 = 40;
/// The next service's first.
static NEXT: AtomicU16 = AtomicU16::new(28_000);

/// A service that shares no port with one of another test. A port is looked at when a launch begins, and bound when its server
/// starts: in between, the launch of another service may take it, and then one of the two begins again, which can be seen.
pub(crate) async fn started() -> App {
    let app = App::start().await;
    let first = NEXT.fetch_add(EACH, Ordering::Relaxed);
    set_ports(&app, first, first + EACH - 1).await;
    app
}
