//! What a scanner of the operator's own says of the tools that a type's servers offer, beside our own look at them.
//!
//! ```text
//! stdin: {"type", "server", "instructions", "tools", "resources", "resource_templates", "prompts"}
//! stdout: {"findings": [{"tool", "field", "severity": "low" | "medium" | "high", "message"}, …]}
//! ```

use std::path::Path;

use roadstead_catalog::import::suspicion::{Finding, Kind, Severity};
use roadstead_control::Secret;
use roadstead_inspector::Listed;
use serde::Deserialize;
use serde_json::json;

/// Findings of a scanner that are kept.
const MAX_FINDINGS: usize = 200;
/// Characters of each of their texts that are kept.
const MAX_TEXT_CHARS: usize = 300;

#[derive(Deserialize)]
struct Said {
    findings: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    tool: String,
    #[serde(default)]
    field: String,
    severity: Severity,
    message: String,
}

/// What the scanner found. One that fails has a grave finding: an approval then says that it goes on without it.
pub(crate) async fn scan(scanner: &Path, type_name: &str, listed: &Listed) -> Vec<Finding> {
    let question = json!({
        "type": type_name,
        "server": listed.server,
        "instructions": listed.instructions,
        "tools": listed.tools,
        "resources": listed.resources,
        "resource_templates": listed.resource_templates,
        "prompts": listed.prompts,
    });
    let answer = roadstead_supervisor::run_errand(scanner, &[], &Secret::new(question.to_string())).await;
    let read = match answer {
        Ok(answer) => serde_json::from_slice::<Said>(&answer).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(said) => said.findings.into_iter().take(MAX_FINDINGS).map(kept).collect(),
        Err(why) => {
            tracing::warn!(type.name = type_name, why, "the scanner could not be heard");
            let message = format!("the scanner could not be heard: {why}");
            vec![kept(Told {
                tool: String::new(),
                field: "scanner".to_owned(),
                severity: Severity::High,
                message,
            })]
        }
    }
}

fn kept(told: Told) -> Finding {
    let text = |text: String| text.chars().filter(|c| !c.is_control()).take(MAX_TEXT_CHARS).collect();
    Finding {
        tool: text(told.tool),
        field: text(told.field),
        kind: Kind::Scanner,
        severity: told.severity,
        excerpt: text(told.message),
    }
}
