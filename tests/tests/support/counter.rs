//! A client that counts through a session, and notices when an answer is missing, wrong or late.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use roadstead_test_support::raw::call;
use roadstead_test_support::wait_for;
use serde_json::{Value, json};

use super::instance::PATIENCE;

/// A count twenty times a second.
const PULSE: Duration = Duration::from_millis(50);

/// Counts through a session until told to stop; every answer must be the right one.
pub(crate) struct Counter {
    counted: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Counter {
    /// Begins. As long as `may_break` says so, a connection may break and the call be made again: the tool has no effect of its
    /// own. Else every call has to succeed at the first attempt.
    #[expect(clippy::disallowed_methods, reason = "a client beside the test")]
    pub(crate) fn start(
        client: reqwest::Client,
        url: String,
        token: String,
        session: String,
        may_break: Arc<AtomicBool>,
    ) -> Self {
        let (counted, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (done, told) = (Arc::clone(&counted), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut pulse = tokio::time::interval(PULSE);
            while !told.load(Ordering::Relaxed) {
                pulse.tick().await;
                let number = done.load(Ordering::Relaxed) + 1;
                let text = format!("count {number}");
                let message = call(&json!(number), "echo", &json!({ "text": text }), None);
                let sent = client
                    .post(&url)
                    .bearer_auth(&token)
                    .header("accept", "application/json, text/event-stream")
                    .header("mcp-session-id", &session)
                    .header("mcp-protocol-version", "2025-06-18")
                    .json(&message)
                    .send();
                let answer = match sent.await {
                    Ok(response) => (response.status().as_u16(), response.json::<Value>().await),
                    Err(error) => {
                        assert!(may_break.load(Ordering::Relaxed), "a call failed: {error:?}");
                        continue;
                    }
                };
                match answer {
                    (200, Ok(body)) => {
                        assert_eq!(body["id"], number, "{body}");
                        assert_eq!(body["result"]["content"][0]["text"], text, "{body}");
                        done.store(number, Ordering::Relaxed);
                    }
                    (_, Err(error)) => {
                        assert!(may_break.load(Ordering::Relaxed), "an answer broke off: {error:?}");
                    }
                    (status, Ok(body)) => panic!("count {number} was answered with {status}: {body}"),
                }
            }
        });
        Self { counted, stop, task }
    }

    fn count(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }

    pub(crate) async fn goes_on(&self, by: u64) {
        let from = self.count();
        wait_for("a client to go on counting", PATIENCE, async || {
            (self.task.is_finished() || self.count() >= from + by).then_some(())
        })
        .await;
    }

    pub(crate) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("every count was answered, in the same session");
        self.counted.load(Ordering::Relaxed)
    }
}
