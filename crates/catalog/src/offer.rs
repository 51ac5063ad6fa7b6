//! What a server offers: its tools, resources and prompts as it listed them, what looks wrong with them, and how they differ from
//! what was approved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::import::suspicion::{self, Finding, KnownTool, Tool};

/// What a server said that it offers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Its name and version, as it gave them.
    #[serde(default)]
    pub server: Value,
    /// What it tells models about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The revision of the protocol in which it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// Its tools, by name.
    #[serde(default)]
    pub tools: Vec<OfferedTool>,
    /// Its resources.
    #[serde(default)]
    pub resources: Vec<Value>,
    /// Its templates of resources.
    #[serde(default)]
    pub resource_templates: Vec<Value>,
    /// Its prompts.
    #[serde(default)]
    pub prompts: Vec<Value>,
}

/// A tool as its server listed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferedTool {
    /// Its name.
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What models are told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// What it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// What it says of its own effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// The hash of what models are told of it; empty for one that cannot be hashed, which counts as changed every time.
    #[serde(default)]
    pub hash: String,
}

/// How tools differ from those that were approved, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Differences {
    /// Tools that were not there. One that was renamed is one of these, and one of the removed.
    pub added: Vec<String>,
    /// Tools of which models are told something else.
    pub changed: Vec<String>,
    /// Tools that are gone.
    pub removed: Vec<String>,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Offer {
    /// Puts the tools in order and hashes each.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.tools.sort_by(|one, other| one.name.cmp(&other.name));
        for tool in &mut self.tools {
            let hash = roadstead_tool_hash::tool_hash(
                &tool.name,
                tool.description.as_deref(),
                tool.input_schema.as_ref(),
                tool.output_schema.as_ref(),
                tool.annotations.as_ref(),
            );
            tool.hash = hash.map(|hash| hash.to_string()).unwrap_or_default();
        }
        self
    }

    /// The hash of all tools together: names and hashes, in their order.
    pub fn tools_hash(&self) -> String {
        let mut whole = Sha256::new();
        for tool in &self.tools {
            // Lengths first, so that no name can pass for another and a hash.
            whole.update(tool.name.len().to_be_bytes());
            whole.update(&tool.name);
            whole.update(tool.hash.len().to_be_bytes());
            whole.update(&tool.hash);
        }
        format!("sha256:{}", hex::encode(whole.finalize()))
    }

    /// Each tool's hash, for a later comparison.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.tools.iter().map(|tool| (tool.name.clone(), tool.hash.clone())).collect()
    }

    /// How the tools differ from those of these hashes.
    pub fn differences(&self, accepted: &BTreeMap<String, String>) -> Differences {
        let mut found = Differences::default();
        for tool in &self.tools {
            match accepted.get(&tool.name) {
                None => found.added.push(tool.name.clone()),
                Some(hash) if hash.is_empty() || *hash != tool.hash => found.changed.push(tool.name.clone()),
                Some(_) => {}
            }
        }
        let is_there = |name: &String| self.tools.iter().any(|tool| tool.name == *name);
        found.removed = accepted.keys().filter(|name| !is_there(name)).cloned().collect();
        found
    }

    /// What looks wrong, beside the tools of other servers: pairs of a server and a tool.
    pub fn findings(&self, others: &[(String, String)]) -> Vec<Finding> {
        let tools: Vec<Tool<'_>> = self.tools.iter().map(OfferedTool::seen).collect();
        let known: Vec<KnownTool<'_>> =
            others.iter().map(|(server, name)| KnownTool { server, name }).collect();
        suspicion::inspect(&tools, &known)
    }
}

impl OfferedTool {
    fn seen(&self) -> Tool<'_> {
        Tool {
            name: &self.name,
            title: self.title.as_deref(),
            description: self.description.as_deref(),
            input_schema: self.input_schema.as_ref(),
            output_schema: self.output_schema.as_ref(),
            annotations: self.annotations.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, description: &str) -> OfferedTool {
        serde_json::from_value(
            json!({"name": name, "description": description, "input_schema": {"type": "object"}}),
        )
        .unwrap()
    }

    fn offer(tools: Vec<OfferedTool>) -> Offer {
        Offer { tools, ..Offer::default() }.sealed()
    }

    #[test]
    fn the_order_in_which_a_server_lists_its_tools_is_nothing() {
        let one = offer(vec![tool("a", "reads"), tool("b", "writes")]);
        let other = offer(vec![tool("b", "writes"), tool("a", "reads")]);
        assert_eq!(one.tools_hash(), other.tools_hash());
        assert!(other.differences(&one.hashes()).is_empty());
    }

    #[test]
    fn a_tool_that_is_new_other_or_gone_is_named() {
        let before = offer(vec![tool("kept", "x"), tool("told", "reads"), tool("gone", "x")]);
        let after = offer(vec![tool("kept", "x"), tool("told", "reads and sends"), tool("came", "x")]);
        let found = after.differences(&before.hashes());
        let names = |text: &str| vec![text.to_owned()];
        assert_eq!(
            found,
            Differences { added: names("came"), changed: names("told"), removed: names("gone") }
        );
        assert_ne!(before.tools_hash(), after.tools_hash());
    }

    #[test]
    fn one_that_cannot_be_hashed_counts_as_changed() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        let odd = OfferedTool { input_schema: Some(deep), ..tool("odd", "x") };
        let odd = offer(vec![odd]);
        assert_eq!(odd.tools[0].hash, "");
        assert_eq!(odd.differences(&odd.hashes()).changed, ["odd"]);
    }
}
