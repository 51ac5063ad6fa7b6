//! What was decided of a type's tools, as its instances hold to it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The longest name of a tool (2025-11-25, Tools, Tool Names), in bytes. Longer ones are told apart by so many.
pub const MAX_TOOL_NAME_BYTES: usize = 128;

/// Which tools clients may see and call, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolRules {
    /// Tools that nobody sees or calls.
    pub disabled: BTreeSet<String>,
    /// Each tool as it was approved, by its hash; none where nobody looked at them yet.
    pub accepted: Option<BTreeMap<String, String>>,
    /// Whether a tool that is another than the approved one, or that was not there, is left out and refused. Else it is told of only.
    pub withholds_changed: bool,
    /// Calls of tools in a minute, of all clients of an instance together; none without a limit.
    pub calls_per_minute: Option<NonZeroU32>,
}

/// How the tools that a server lists differ from those that were approved: names, in order and without an end that is not told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolsDiffer {
    /// Tools that were not there.
    pub added: BTreeSet<String>,
    /// Tools of which models are told something else.
    pub changed: BTreeSet<String>,
}

impl ToolsDiffer {
    /// Whether they do not.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty()
    }
}

/// The part of a tool's name that tells it from others.
pub fn tool_key(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_TOOL_NAME_BYTES)]
}
