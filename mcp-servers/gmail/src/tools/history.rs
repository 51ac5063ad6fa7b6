//! What has changed since a moment.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Client, Failure};
use serde::{Deserialize, Serialize};

use crate::mailbox::limit;
use crate::server::Gmail;
use crate::wire;

/// Steps of one page, if nobody says how many.
const USUAL_PAGE: u32 = 100;
/// Steps of one page at most: Gmail's own limit.
const MOST_PAGE: u32 = 500;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListHistory {
    /// Since when: a `history_id` that get_profile or an earlier answer told.
    since_history_id: String,
    /// Only changes of these kinds; all, if none are given.
    #[serde(default)]
    kinds: Vec<Kind>,
    /// Only changes of messages with this label, by id or name.
    #[serde(default)]
    label: Option<String>,
    /// At most so many steps: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// Where to begin: `next_page_token` of the answer before.
    #[serde(default)]
    page_token: Option<String>,
}

/// What can happen to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    MessageAdded,
    MessageDeleted,
    LabelsAdded,
    LabelsRemoved,
}

/// A page of changes, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
struct HistoryPage {
    changes: Vec<Change>,
    /// Give it as `page_token` for the next page. Nothing, if this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
    /// Where the mailbox is now: `since_history_id` for the next time, after the last page.
    history_id: String,
}

/// One change of one message.
#[derive(Debug, Serialize, JsonSchema)]
struct Change {
    history_id: String,
    kind: Kind,
    message_id: String,
    thread_id: String,
    /// The labels that were put on or taken off, or that a new message has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

#[tool_router(router = history_tools, vis = "pub(crate)")]
impl Gmail {
    /// What has changed in the mailbox since a history id: messages that came or went, labels that were put on or
    /// taken off. Gmail keeps about a week of it.
    #[tool(title = "List changes", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_history(
        &self,
        Parameters(asked): Parameters<ListHistory>,
        call: Call,
    ) -> Result<Json<HistoryPage>, Failure> {
        let since = asked.since_history_id.trim();
        if since.is_empty() || since.len() > 20 || !since.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::invalid(
                "`since_history_id` must be a number that get_profile or this tool told.",
            ));
        }
        let size = limit(asked.limit, USUAL_PAGE, MOST_PAGE)?;
        let label = match &asked.label {
            None => None,
            Some(label) => self.label_ids(std::slice::from_ref(label), &call).await?.pop(),
        };
        let ask = |gmail: &Client| {
            let request = gmail.get(["history"]).query("startHistoryId", since).query("maxResults", size);
            let request =
                asked.kinds.iter().fold(request, |request, kind| request.query("historyTypes", kind.word()));
            request.query_opt("labelId", label.as_deref()).query_opt("pageToken", asked.page_token.as_deref())
        };
        let page: wire::HistoryPage = self.fetch(&call, ask).await?;
        Ok(Json(HistoryPage {
            changes: page.history.iter().flat_map(changes).collect(),
            next_page_token: page.next_page_token,
            history_id: page.history_id,
        }))
    }
}

impl Kind {
    /// In Gmail's words.
    fn word(self) -> &'static str {
        match self {
            Self::MessageAdded => "messageAdded",
            Self::MessageDeleted => "messageDeleted",
            Self::LabelsAdded => "labelAdded",
            Self::LabelsRemoved => "labelRemoved",
        }
    }
}

fn changes(step: &wire::History) -> Vec<Change> {
    let all = [
        (Kind::MessageAdded, &step.messages_added),
        (Kind::MessageDeleted, &step.messages_deleted),
        (Kind::LabelsAdded, &step.labels_added),
        (Kind::LabelsRemoved, &step.labels_removed),
    ];
    let each = all.into_iter().flat_map(|(kind, changed)| changed.iter().map(move |one| (kind, one)));
    each.map(|(kind, changed)| Change {
        history_id: step.id.clone(),
        kind,
        message_id: changed.message.id.clone(),
        thread_id: changed.message.thread_id.clone(),
        labels: match kind {
            Kind::MessageAdded => changed.message.label_ids.clone(),
            Kind::MessageDeleted => Vec::new(),
            Kind::LabelsAdded | Kind::LabelsRemoved => changed.label_ids.clone(),
        },
    })
    .collect()
}
