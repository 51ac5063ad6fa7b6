//! The messages of an event stream, however many come at once.

use std::collections::VecDeque;

use serde_json::Value;

use crate::rig::Reply;

pub struct Events {
    reply: Reply,
    ready: VecDeque<Value>,
}

impl Events {
    pub fn of(reply: Reply) -> Self {
        assert!(reply.is_events());
        Self { reply, ready: VecDeque::new() }
    }

    /// The next message, or nothing at the end. Comments and events without data are skipped.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let part = self.reply.part().await?;
            let data =
                part.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| !data.is_empty());
            self.ready.extend(data.map(|data| serde_json::from_str::<Value>(data).expect("a message")));
        }
    }

    pub async fn event(&mut self) -> Value {
        self.next().await.expect("an event")
    }
}
