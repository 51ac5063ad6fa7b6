//! Putting labels on and taking them off: reading marks, stars and the inbox are labels, too.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mailbox::id;
use crate::server::Gmail;
use crate::shown::Done;
use crate::wire;

/// Labels that one change names: Gmail's own limit.
const MOST_LABELS: usize = 100;
/// Messages of one change: Gmail's own limit.
const MOST_MESSAGES: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModifyMessage {
    /// The message's id.
    message_id: String,
    /// Labels to put on, by id or name: `STARRED`, `UNREAD`, …
    #[serde(default)]
    add: Vec<String>,
    /// Labels to take off, by id or name: without `INBOX` it is archived, without `UNREAD` it is read.
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ModifyThread {
    /// The thread's id.
    thread_id: String,
    /// Labels to put on all its messages, by id or name.
    #[serde(default)]
    add: Vec<String>,
    /// Labels to take off all its messages, by id or name.
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BatchModify {
    /// The messages' ids: 1 to 1000.
    message_ids: Vec<String>,
    /// Labels to put on, by id or name.
    #[serde(default)]
    add: Vec<String>,
    /// Labels to take off, by id or name.
    #[serde(default)]
    remove: Vec<String>,
}

/// What a message or a thread has now.
#[derive(Debug, Serialize, JsonSchema)]
struct Labelled {
    id: String,
    /// The labels' ids: of a message, or of any message of the thread.
    labels: Vec<String>,
}

#[tool_router(router = sorting_tools, vis = "pub(crate)")]
impl Gmail {
    /// Puts labels on a message and takes others off: archive (remove INBOX), mark as read (remove UNREAD), star
    /// (add STARRED).
    #[tool(
        title = "Change a message's labels",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn modify_message_labels(
        &self,
        Parameters(asked): Parameters<ModifyMessage>,
        call: Call,
    ) -> Result<Json<Labelled>, Failure> {
        let id = id("message_id", &asked.message_id)?;
        let change = self.change(&asked.add, &asked.remove, &call).await?;
        let path = ["messages", id, "modify"];
        let message: wire::Message =
            self.fetch(&call, |gmail| gmail.post(path).json(&change).idempotent()).await?;
        Ok(Json(Labelled { id: message.id, labels: message.label_ids }))
    }

    /// Puts labels on every message of a thread and takes others off.
    #[tool(
        title = "Change a thread's labels",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn modify_thread_labels(
        &self,
        Parameters(asked): Parameters<ModifyThread>,
        call: Call,
    ) -> Result<Json<Labelled>, Failure> {
        let id = id("thread_id", &asked.thread_id)?;
        let change = self.change(&asked.add, &asked.remove, &call).await?;
        let path = ["threads", id, "modify"];
        let thread: wire::Thread =
            self.fetch(&call, |gmail| gmail.post(path).json(&change).idempotent()).await?;
        let mut labels: Vec<String> =
            thread.messages.into_iter().flat_map(|message| message.label_ids).collect();
        labels.sort_unstable();
        labels.dedup();
        Ok(Json(Labelled { id: thread.id, labels }))
    }

    /// Puts labels on many messages at once and takes others off. Gmail does not say which ids it did not know.
    #[tool(
        title = "Change many messages' labels",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn batch_modify_messages(
        &self,
        Parameters(asked): Parameters<BatchModify>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let count = asked.message_ids.len();
        if !(1..=MOST_MESSAGES).contains(&count) {
            return Err(Failure::invalid(format!("`message_ids` must be 1 to {MOST_MESSAGES} ids.")));
        }
        let ids: Result<Vec<&str>, Failure> =
            asked.message_ids.iter().map(|each| id("message_ids", each)).collect();
        let ids = ids?;
        let mut change = self.change(&asked.add, &asked.remove, &call).await?;
        change["ids"] = json!(ids);
        let ask = |gmail: &roadstead_server_kit::Client| {
            gmail.post(["messages", "batchModify"]).json(&change).idempotent()
        };
        self.session.send(&call, ask).await?;
        Ok(Json(Done { done: format!("Changed the labels of {count} messages.") }))
    }
}

impl Gmail {
    /// A change of labels in Gmail's words.
    async fn change(&self, add: &[String], remove: &[String], call: &Call) -> Result<Value, Failure> {
        if add.is_empty() && remove.is_empty() {
            return Err(Failure::invalid("Give labels to `add` or to `remove`."));
        }
        if add.len() > MOST_LABELS || remove.len() > MOST_LABELS {
            return Err(Failure::invalid(format!(
                "At most {MOST_LABELS} labels may be added, and as many removed."
            )));
        }
        let add = self.label_ids(add, call).await?;
        let remove = self.label_ids(remove, call).await?;
        Ok(json!({ "addLabelIds": add, "removeLabelIds": remove }))
    }
}
