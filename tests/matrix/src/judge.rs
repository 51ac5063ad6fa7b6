//! Whether what came through an instance is what the client gets of the server itself.

use crate::client::{Client, Report};
use crate::run::{Row, stand_in};

/// A cell, in words of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As directly.
    Same,
    /// It works here, and fails directly.
    Better,
    /// It fails here for a reason that also holds directly.
    FailsDirectly(String),
    /// It works directly, and not here, or less.
    Worse(String),
    /// It was not tried.
    Untried,
}

/// Judges one cell.
pub fn judge(row: &Row, client: Client, way: &'static str) -> Verdict {
    let Some(here) = row.through.get(&(client.name, way)) else { return Verdict::Untried };
    let own = row.direct.get(client.name);
    let direct = own.or_else(|| row.direct.get(stand_in(row.subject.transport).name));
    let Some(direct) = direct else { return Verdict::Untried };
    match (&here.result, &direct.result) {
        (Ok(here), Ok(direct)) => {
            let lost = if own.is_some() { lost(here, direct) } else { None };
            lost.map_or(Verdict::Same, Verdict::Worse)
        }
        (Ok(_), Err(_)) => Verdict::Better,
        (Err(_), Err(reason)) => Verdict::FailsDirectly(reason.clone()),
        (Err(reason), Ok(_)) => Verdict::Worse(reason.clone()),
    }
}

/// What a client saw directly and not here.
fn lost(here: &Report, direct: &Report) -> Option<String> {
    let mut lost = Vec::new();
    if here.tools != direct.tools {
        lost.push(format!("{} tools, directly {}", here.tools, direct.tools));
    }
    for (what, here, direct) in
        [("resources", here.resources, direct.resources), ("prompts", here.prompts, direct.prompts)]
    {
        if here != direct {
            let told = |count: Option<usize>| count.map_or("none offered".to_owned(), |it| it.to_string());
            lost.push(format!("{what}: {}, directly {}", told(here), told(direct)));
        }
    }
    if here.call != direct.call {
        let told = |call: &Option<String>| call.clone().unwrap_or_else(|| "none".to_owned());
        lost.push(format!("call: {}, directly {}", told(&here.call), told(&direct.call)));
    }
    // A newer revision than directly is what the era bridge gives; an older one is a loss.
    if let (Some(here), Some(direct)) = (&here.protocol, &direct.protocol)
        && here < direct
    {
        lost.push(format!("revision {here}, directly {direct}"));
    }
    (!lost.is_empty()).then(|| lost.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tools: usize, protocol: &str) -> Report {
        let protocol = Some(protocol.to_owned());
        let call = Some("ok".to_owned());
        Report { tools, protocol, server: None, call, resources: Some(2), prompts: None }
    }

    #[test]
    fn the_same_answers_lose_nothing() {
        assert_eq!(lost(&report(3, "2025-11-25"), &report(3, "2025-11-25")), None);
    }

    #[test]
    fn a_missing_tool_and_an_older_revision_are_losses() {
        let said = lost(&report(2, "2025-11-25"), &report(3, "2026-07-28")).expect("two losses");
        assert_eq!(said, "2 tools, directly 3; revision 2025-11-25, directly 2026-07-28");
    }

    #[test]
    fn a_newer_revision_than_directly_is_no_loss() {
        assert_eq!(lost(&report(3, "2026-07-28"), &report(3, "2025-11-25")), None);
    }

    #[test]
    fn a_call_that_fails_here_alone_is_a_loss() {
        let mut here = report(3, "2025-11-25");
        here.call = Some("error".to_owned());
        assert_eq!(lost(&here, &report(3, "2025-11-25")).as_deref(), Some("call: error, directly ok"));
    }
}
