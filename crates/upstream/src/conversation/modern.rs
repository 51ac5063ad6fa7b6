//! Streamable HTTP without sessions (2026-07-28, Streamable HTTP).

use std::rc::Rc;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use serde_json::value::RawValue;

use super::Conversation;
use super::legacy::VERSION;
use super::post::Failure;
use super::table::Request;
use crate::message::{self, Envelope, Params, string};
use crate::params;

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Pages of tools that are asked for when a server complains about headers.
const MAX_PAGES: usize = 20;

impl Conversation {
    /// The headers that repeat the body (Request Metadata; Custom Headers from Tool Parameters).
    pub(super) fn modern_headers(&self, method: &str, params: &Params<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let version = params.version();
        let version = version.as_deref().unwrap_or(message::MODERN);
        headers.extend(HeaderValue::from_str(version).ok().map(|version| (VERSION, version)));
        headers.extend(HeaderValue::from_str(method).ok().map(|method| (METHOD, method)));
        let name = match method {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" => params.uri,
            // The tasks extension names the task in the same header.
            "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id,
            _ => None,
        };
        let Some(name) = string(name) else { return headers };
        headers.insert(NAME, params::encoded(&name));
        if method == "tools/call" {
            headers.extend(self.tools.borrow().headers(&name, params.arguments));
        }
        headers
    }

    pub(super) async fn modern_request(
        self: &Rc<Self>,
        request: &Request,
        headers: HeaderMap,
        line: Bytes,
    ) -> Result<(), Failure> {
        let mut outgoing = self.outgoing(headers, line);
        outgoing.gate = Rc::clone(&request.gate);
        let mut answer = self.post(&outgoing).await?;
        if !answer.status.is_success() {
            let refusal = self.refusal(request, answer).await;
            if !is_mismatch(request, &refusal) {
                return Err(refusal);
            }
            // It may want headers that only its list of tools tells of, and we have not seen that list, or an older one.
            let headers = self.headers_anew(&outgoing.body).await.ok_or(refusal)?;
            outgoing = self.outgoing(headers, outgoing.body);
            answer = self.post(&outgoing).await?;
            if !answer.status.is_success() {
                return Err(self.refusal(request, answer).await);
            }
        }
        match self.take_answer(request, answer).await? {
            None => Ok(()),
            Some(_) => Err(Failure::Ours("the event stream ended before the answer".to_owned())),
        }
    }

    /// The headers of this call after a look at the list of tools; nothing when it could not be had.
    async fn headers_anew(self: &Rc<Self>, line: &Bytes) -> Option<HeaderMap> {
        let params = Envelope::read(std::str::from_utf8(line).ok()?)?.params();
        let version = params.version()?;
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut ask = json!({"_meta": {
                "io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": {},
            }});
            if let Some(cursor) = cursor {
                ask["cursor"] = cursor.into();
            }
            let page = self.page_of_tools(&ask).await?;
            let result: Box<RawValue> = serde_json::from_slice::<Page>(&page).ok()?.result;
            self.tools.borrow_mut().learn(&result);
            cursor = serde_json::from_str::<Cursor>(result.get()).ok()?.next;
            if cursor.is_none() {
                break;
            }
        }
        Some(self.modern_headers("tools/call", &params))
    }

    async fn page_of_tools(self: &Rc<Self>, params: &serde_json::Value) -> Option<Bytes> {
        let ask =
            json!({"jsonrpc": "2.0", "id": "roadstead/tools", "method": "tools/list", "params": params});
        let mut headers = HeaderMap::new();
        let version = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
        headers.insert(VERSION, HeaderValue::from_str(version.as_str()?).ok()?);
        headers.insert(METHOD, HeaderValue::from_static("tools/list"));
        let answer = self.post(&self.outgoing(headers, ask.to_string().into())).await.ok()?;
        if !answer.status.is_success() {
            return None;
        }
        answer.last_message(self.upstream.limits.max_message).await
    }
}

#[derive(serde::Deserialize)]
struct Page {
    result: Box<RawValue>,
}

#[derive(serde::Deserialize)]
struct Cursor {
    #[serde(rename = "nextCursor", default)]
    next: Option<String>,
}

fn is_mismatch(request: &Request, refusal: &Failure) -> bool {
    let Failure::Theirs(line) = refusal else { return false };
    let code =
        std::str::from_utf8(line).ok().and_then(Envelope::read).and_then(|envelope| envelope.error_code());
    &*request.method == "tools/call" && code == Some(message::HEADER_MISMATCH)
}
