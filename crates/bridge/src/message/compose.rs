//! The few messages the bridge itself says.

/// Our own trouble: a server that ended, a call without an answer in time. The modern revision reserves the neighbouring codes.
pub(crate) const INTERNAL: i64 = -32603;
pub(crate) const PARSE: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
/// A refusal without a meaning in the modern revision, so that a client of both eras goes on with `initialize`.
pub(crate) const REFUSED: i64 = -32000;
pub(crate) const SESSION_NOT_FOUND: i64 = -32001;
/// A header is missing or contradicts the body.
pub(crate) const HEADER_MISMATCH: i64 = -32020;
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

/// An error answer. `id` and `data` are JSON; without an id the member is left out.
pub(crate) fn error(id: Option<&str>, code: i64, message: &str, data: Option<&str>) -> String {
    let message = serde_json::to_string(message).expect("text is always JSON");
    let id = id.map_or_else(String::new, |id| format!(",\"id\":{id}"));
    let data = data.map_or_else(String::new, |data| format!(",\"data\":{data}"));
    format!(r#"{{"jsonrpc":"2.0"{id},"error":{{"code":{code},"message":{message}{data}}}}}"#)
}

/// Tells a server that nobody waits for this call any more. A line for its input.
pub(crate) fn cancelled(id: &str, reason: &str) -> Vec<u8> {
    let reason = serde_json::to_string(reason).expect("text is always JSON");
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id},\"reason\":{reason}}}}}\n"
    )
    .into_bytes()
}

/// An empty result. A line for a server's input.
pub(crate) fn empty_result(id: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n").into_bytes()
}
