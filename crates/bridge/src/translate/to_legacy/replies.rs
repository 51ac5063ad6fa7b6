//! What a legacy server answers, in the words of the modern revision.

use super::backend::{Failure, Hello};
use super::{Answer, Object};
use crate::translate::json::{Writer, quoted};
use crate::translate::{SERVER_INFO, capabilities, codes};
use crate::version;

/// The answer to `server/discover` (2026-07-28, Server Discovery).
pub(super) fn discovered(hello: &Hello) -> String {
    let mut result = Writer::default();
    result
        .text("resultType", "complete")
        .raw("supportedVersions", &format!("[{}]", quoted(version::MODERN)))
        .raw("capabilities", &capabilities::of_server(&hello.capabilities));
    if let Some(instructions) = &hello.instructions {
        result.raw("instructions", instructions);
    }
    result.raw("ttlMs", "0").text("cacheScope", "private").raw("_meta", &meta(&Object::default(), hello));
    result.object()
}

/// A result with what every modern result has. What came stays as it is.
pub(super) fn completed(result: &str, method: &str, hello: &Hello) -> Result<String, Failure> {
    let theirs =
        Object::read(result).ok_or_else(|| Failure::internal("the server's result is not an object"))?;
    let mut out = theirs.kept(|name| name != "_meta");
    if !theirs.has("resultType") {
        out.text("resultType", "complete");
    }
    if is_cacheable(method) {
        if !theirs.has("ttlMs") {
            out.raw("ttlMs", "0");
        }
        if !theirs.has("cacheScope") {
            out.text("cacheScope", "private");
        }
    }
    out.raw("_meta", &meta(&Object::of(theirs.get("_meta")), hello));
    Ok(out.object())
}

/// A demand for input; `requests` is an object of requests.
pub(super) fn input_required(requests: &str, state: &str, hello: &Hello) -> String {
    let mut result = Writer::default();
    result
        .text("resultType", "input_required")
        .raw("inputRequests", requests)
        .text("requestState", state)
        .raw("_meta", &meta(&Object::default(), hello));
    result.object()
}

/// An error of the server.
pub(super) fn failed(code: i64, error: &Object<'_>) -> Failure {
    let names_capability = Object::of(error.get("data")).has("requiredCapabilities");
    Failure {
        code: codes::to_modern(code, names_capability),
        message: error.text("message").unwrap_or_else(|| "the server gave no message".to_owned()),
        data: error.get("data").map(|raw| raw.get().into()),
    }
}

impl Answer<'_> {
    /// As a modern client may see it.
    pub(super) fn translated(&self, method: &str, hello: &Hello) -> Result<String, Failure> {
        match self {
            Answer::Result(result) => completed(result, method, hello),
            Answer::Error { code, error } => Err(failed(*code, error)),
        }
    }
}

fn meta(theirs: &Object<'_>, hello: &Hello) -> String {
    let mut meta = theirs.kept(|name| name != SERVER_INFO);
    meta.raw(SERVER_INFO, &hello.server_info);
    meta.object()
}

/// Results that have to say how long they may be kept (2026-07-28, Caching, Cacheable Results).
fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" | "resources/read"
    )
}
