//! Labels: what people sort their mail by.

use rmcp::handler::server::wrapper::Parameters;
use rmcp::schemars::{self, JsonSchema};
use rmcp::{Json, tool, tool_router};
use roadstead_server_kit::{Call, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::mailbox::id;
use crate::server::Gmail;
use crate::shown::Done;
use crate::wire;

/// Longest name of a label.
const LONGEST_NAME: usize = 225;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListLabels {
    /// Only labels that people have made, without Gmail's own.
    #[serde(default)]
    own_only: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByLabel {
    /// The label, by id or name.
    label: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateLabel {
    /// Its name; `Work/Invoices` is below `Work`.
    name: String,
    /// Whether it is shown in the list of labels; always, if not given.
    #[serde(default)]
    in_label_list: Option<InLabelList>,
    /// Whether it is shown on messages in lists; it is, if not given.
    #[serde(default)]
    in_message_list: Option<bool>,
    /// Its colours, of Gmail's own palette.
    #[serde(default)]
    color: Option<Color>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateLabel {
    /// The label, by id or name.
    label: String,
    /// Its new name.
    #[serde(default)]
    name: Option<String>,
    /// Whether it is shown in the list of labels.
    #[serde(default)]
    in_label_list: Option<InLabelList>,
    /// Whether it is shown on messages in lists.
    #[serde(default)]
    in_message_list: Option<bool>,
    /// Its colours, of Gmail's own palette.
    #[serde(default)]
    color: Option<Color>,
}

/// When a label is shown in the list of labels.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InLabelList {
    Show,
    IfUnread,
    Hide,
}

/// Colours as Gmail writes them, such as `#16a765`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Color {
    /// Of the name.
    text: String,
    /// Behind it.
    background: String,
}

/// A label.
#[derive(Debug, Serialize, JsonSchema)]
struct Label {
    /// Names it in messages.
    id: String,
    name: String,
    /// Whether it is Gmail's own, such as `INBOX`.
    is_system: bool,
    /// How it is shown in the list of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_label_list: Option<String>,
    /// How it is shown on messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_message_list: Option<String>,
    /// Told of one label only, as are the other numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_unread: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads_unread: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<Color>,
}

/// All labels.
#[derive(Debug, Serialize, JsonSchema)]
struct Labels {
    labels: Vec<Label>,
}

#[tool_router(router = labels_tools, vis = "pub(crate)")]
impl Gmail {
    /// The account's labels: Gmail's own, such as INBOX and UNREAD, and those that people have made.
    #[tool(title = "List labels", annotations(read_only_hint = true, open_world_hint = true))]
    async fn list_labels(
        &self,
        Parameters(asked): Parameters<ListLabels>,
        call: Call,
    ) -> Result<Json<Labels>, Failure> {
        let list: wire::LabelList = self.fetch(&call, |gmail| gmail.get(["labels"])).await?;
        let mut labels: Vec<Label> = list.labels.into_iter().map(Label::from).collect();
        labels.retain(|label| !(asked.own_only && label.is_system));
        labels.sort_by(|one, other| (!one.is_system, &one.name).cmp(&(!other.is_system, &other.name)));
        Ok(Json(Labels { labels }))
    }

    /// One label, with how many messages and threads have it and how many of those are unread.
    #[tool(title = "Get a label", annotations(read_only_hint = true, open_world_hint = true))]
    async fn get_label(
        &self,
        Parameters(asked): Parameters<ByLabel>,
        call: Call,
    ) -> Result<Json<Label>, Failure> {
        let id = self.label_id(&asked.label, &call).await?;
        let label: wire::Label = self.fetch(&call, |gmail| gmail.get(["labels", id.as_str()])).await?;
        Ok(Json(label.into()))
    }

    /// Makes a new label, which is refused if there is one of its name.
    #[tool(
        title = "Create a label",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = true
        )
    )]
    async fn create_label(
        &self,
        Parameters(asked): Parameters<CreateLabel>,
        call: Call,
    ) -> Result<Json<Label>, Failure> {
        let body = body(Some(&asked.name), asked.in_label_list, asked.in_message_list, asked.color.as_ref())?;
        let label: wire::Label = self.fetch(&call, |gmail| gmail.post(["labels"]).json(&body)).await?;
        Ok(Json(label.into()))
    }

    /// Changes a label's name, colours or where it is shown.
    #[tool(
        title = "Update a label",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn update_label(
        &self,
        Parameters(asked): Parameters<UpdateLabel>,
        call: Call,
    ) -> Result<Json<Label>, Failure> {
        let name = asked.name.as_deref();
        let body = body(name, asked.in_label_list, asked.in_message_list, asked.color.as_ref())?;
        if body.is_empty() {
            return Err(Failure::invalid(
                "Give at least one of `name`, `in_label_list`, `in_message_list`, `color`.",
            ));
        }
        let id = self.label_id(&asked.label, &call).await?;
        let ask = |gmail: &roadstead_server_kit::Client| {
            gmail.patch(["labels", id.as_str()]).json(&body).idempotent()
        };
        let label: wire::Label = self.fetch(&call, ask).await?;
        Ok(Json(label.into()))
    }

    /// Takes a label away, from every message that has it, for good. The messages stay.
    #[tool(
        title = "Delete a label",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn delete_label(
        &self,
        Parameters(asked): Parameters<ByLabel>,
        call: Call,
    ) -> Result<Json<Done>, Failure> {
        let id = self.label_id(&asked.label, &call).await?;
        self.session.send(&call, |gmail| gmail.delete(["labels", id.as_str()])).await?;
        Ok(Json(Done { done: format!("The label {id} is deleted.") }))
    }
}

impl Gmail {
    async fn label_id(&self, label: &str, call: &Call) -> Result<String, Failure> {
        let ids = self.label_ids(&[label.to_owned()], call).await?;
        let first = ids.first().map(String::as_str).unwrap_or_default();
        id("label", first).map(str::to_owned)
    }
}

fn body(
    name: Option<&str>,
    in_label_list: Option<InLabelList>,
    in_message_list: Option<bool>,
    color: Option<&Color>,
) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    if let Some(name) = name {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(Failure::invalid(format!("`name` must be one line of 1 to {LONGEST_NAME} letters.")));
        }
        body.insert("name".to_owned(), name.into());
    }
    if let Some(shown) = in_label_list {
        let word = match shown {
            InLabelList::Show => "labelShow",
            InLabelList::IfUnread => "labelShowIfUnread",
            InLabelList::Hide => "labelHide",
        };
        body.insert("labelListVisibility".to_owned(), word.into());
    }
    if let Some(shown) = in_message_list {
        body.insert("messageListVisibility".to_owned(), if shown { "show" } else { "hide" }.into());
    }
    if let Some(color) = color {
        let is_color = |text: &str| {
            text.strip_prefix('#')
                .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        if !is_color(&color.text) || !is_color(&color.background) {
            return Err(Failure::invalid(
                "`color` must have two colours such as `#16a765`, of Gmail's palette.",
            ));
        }
        let color = json!({ "textColor": color.text, "backgroundColor": color.background });
        body.insert("color".to_owned(), color);
    }
    Ok(body)
}

impl From<wire::Label> for Label {
    fn from(label: wire::Label) -> Self {
        Self {
            is_system: label.kind == "system",
            id: label.id,
            name: label.name,
            in_label_list: label.label_list_visibility,
            in_message_list: label.message_list_visibility,
            messages_total: label.messages_total,
            messages_unread: label.messages_unread,
            threads_total: label.threads_total,
            threads_unread: label.threads_unread,
            color: label
                .color
                .map(|color| Color { text: color.text_color, background: color.background_color }),
        }
    }
}
