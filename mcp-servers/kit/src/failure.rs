//! What went wrong, told so that a model can act upon it.

use std::time::Duration;

use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ErrorData};
use serde::Serialize;

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// An argument of the call is wrong; found without asking the service, or by it.
    InvalidInput,
    /// The service does not take the credential.
    Unauthorized,
    /// The credential may not do this.
    Forbidden,
    /// There is no such thing, or the credential may not see it.
    NotFound,
    /// It does not fit the state that things are in.
    Conflict,
    /// Too many requests: again later.
    RateLimited,
    /// The service is down or overloaded.
    Unavailable,
    /// The service did not answer in time.
    Timeout,
    /// The service could not be reached.
    Network,
    /// More than is carried.
    TooLarge,
    /// The service answered what this program does not understand.
    UnexpectedAnswer,
    /// The service said no for another reason.
    Refused,
    /// The client has cancelled the call.
    Cancelled,
}

/// Whether another try could go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would end the same.
    Never,
    /// Only if doing it twice is the same as doing it once: it may have been done.
    IfIdempotent,
    /// It was not done.
    Always,
}

/// Why a tool did not do what it was asked. It becomes the tool's result with `isError`, never a protocol error: the
/// message is for the model, which sees it then.
#[derive(Debug, Clone)]
pub struct Failure {
    code: Code,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
    pub(crate) again: Again,
}

/// A failure in a result; its schema stands in `tools`.
#[derive(Debug, Serialize)]
struct Told {
    /// The kind of failure.
    code: Code,
    /// What failed, the service's own words, and what to do.
    message: String,
    /// The HTTP status of the service's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// After how many seconds it may go better.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
}

impl Failure {
    /// A failure, in whole sentences: what failed, why, what to do.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), status: None, retry_after: None, again: Again::Never }
    }

    /// An argument that cannot be right.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }

    /// With the status of the service's answer.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With one more sentence: what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message.push(' ');
        self.message.push_str(hint);
        self
    }

    /// A refusal of one too many: it was not done, and may be asked for again after this time, if the service said how
    /// long.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self.again = Again::Always;
        self
    }

    /// Trouble that may pass; what was asked for may have been done.
    #[must_use]
    pub fn may_pass(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self.again = Again::IfIdempotent;
        self
    }

    /// Its kind.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the model reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status of the service's answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// After how long it may go better.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn map_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.message = change(&self.message);
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl IntoCallToolResult for Failure {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let text = self.message.clone();
        let told = Told {
            code: self.code,
            message: self.message,
            status: self.status,
            // The time is rounded up: too early would be refused again.
            retry_after_s: self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)),
        };
        let told = serde_json::to_value(told)
            .map_err(|_| ErrorData::internal_error("a failure could not be written down", None))?;
        let mut result = CallToolResult::structured_error(told);
        result.content = vec![ContentBlock::text(text)];
        Ok(result.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_result_that_says_so() {
        let failure = Failure::new(Code::RateLimited, "Too many.")
            .with_hint("Wait.")
            .with_status(429)
            .with_retry_after(Some(Duration::from_millis(1500)));
        let Ok(CallToolResponse::Complete(result)) = failure.into_call_tool_result() else {
            panic!("not a result")
        };
        let result = serde_json::to_value(result).unwrap();
        assert_eq!(result["isError"], true);
        assert_eq!(result["content"][0]["text"], "Too many. Wait.");
        assert_eq!(
            result["structuredContent"],
            serde_json::json!({"code": "rate_limited", "message": "Too many. Wait.", "status": 429, "retry_after_s": 2})
        );
    }
}
