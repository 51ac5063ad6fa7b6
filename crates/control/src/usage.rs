//! What calls through an instance cost: facts from the shim, never what was said.

use roadstead_model::{SessionEra, UsageMethod, UsageStatus};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One call of a client, or the sum of several that are alike. A fact that was handed over once never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageFact {
    /// Its number, from 1; the sum of several has that of the first. Each number is used once.
    pub seq: u64,
    /// When the call ended; of a sum, the beginning of its minute or day.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What was asked for.
    pub method: UsageMethod,
    /// The tool's or the prompt's name, or where a resource lives; none in the sum of several names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The client's own id of the call, as JSON; none in a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The step of a trace that the call was a part of: `<trace>-<span>`; none in a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_request_id: Option<String>,
    /// What the client speaks.
    pub era: SessionEra,
    /// How the call ended.
    pub status: UsageStatus,
    /// How many calls: more than one in a sum.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub calls: u64,
    /// How long they took together.
    pub latency_us: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all answers.
    pub answer_bytes: u64,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_one(calls: &u64) -> bool {
    *calls == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_read_as_it_is_written() {
        let fact = UsageFact {
            seq: 7,
            at: time::macros::datetime!(2026-01-31 12:00:00.123_456_789 UTC),
            method: UsageMethod::CallTool,
            name: Some("add".to_owned()),
            request_id: None,
            parent_request_id: None,
            era: SessionEra::Modern,
            status: UsageStatus::Timeout,
            calls: 1,
            latency_us: 1,
            request_bytes: 2,
            answer_bytes: 3,
        };
        for fact in [fact.clone(), UsageFact { calls: 3, name: None, ..fact }] {
            let text = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<UsageFact>(&text).unwrap(), fact, "{text}");
        }
    }
}
