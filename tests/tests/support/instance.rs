//! What a test asks of an instance: who runs it, who answers for it, what is left of it.

use std::time::Duration;

use roadstead_test_support::app::{App, is_alive};
use roadstead_test_support::wait_for;
use serde_json::Value;

pub(crate) use super::range::set_ports;

/// How long anything that is under way may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// An instance as its launch told of it.
pub(crate) struct Launched {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) port: u16,
    pub(crate) server: i32,
    pub(crate) shim: i32,
}

impl Launched {
    /// Launches one and remembers what only a running instance has.
    pub(crate) async fn new(app: &App, body: Value) -> Self {
        Self::of(&app.launch(body).await)
    }

    fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().expect("a launch tells it").to_owned();
        let number = |name: &str| body[name].as_i64().expect("a launch tells it");
        Self {
            id: text("id"),
            token: text("access_token"),
            port: u16::try_from(number("assigned_port")).expect("a port"),
            server: i32::try_from(number("process_id")).expect("a process id"),
            shim: i32::try_from(number("shim_process_id")).expect("a process id"),
        }
    }

    /// Whether server and shim both live.
    pub(crate) fn lives(&self) -> bool {
        is_alive(self.server) && is_alive(self.shim)
    }

    /// What the access URL's status answers to a token: the status and the error's code.
    pub(crate) async fn route(&self, app: &App, token: &str) -> (u16, String) {
        let request = app.request("GET", &format!("/i/{}/status", self.id)).bearer_auth(token);
        let response = request.send().await.expect("the gateway answers");
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap_or_default();
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until neither process is left and nothing listens on the port.
    pub(crate) async fn gone(&self) {
        wait_for("server and shim to be gone", PATIENCE, async || {
            (!is_alive(self.server) && !is_alive(self.shim)).then_some(())
        })
        .await;
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
        assert!(connected.is_err(), "somebody listens on port {}", self.port);
    }
}
