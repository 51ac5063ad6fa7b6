//! Requests to the REST API: the key in the header, errors as the service words them, lists to their end.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::exit::Exit;
use crate::globals::Target;
use crate::http;
use crate::wire::{Envelope, Page, Refusal};

/// How long an answer may take: a launch waits for its server, whose own limits are shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// How long many instances may take to end, a few at a time.
const LONG_TIMEOUT: Duration = Duration::from_mins(30);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The longest event of a stream.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Why a request to the service came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The service said no.
    #[error("{}", refusal.message)]
    Refused {
        /// The status of the answer.
        status: u16,
        /// What it said.
        refusal: Refusal,
    },
    /// Nobody answered.
    #[error("the service at {url} does not answer")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the client says.
        #[source]
        source: reqwest::Error,
    },
    /// Whoever answers takes too long.
    #[error("the service at {url} did not answer in time")]
    Slow {
        /// Where.
        url: String,
    },
    /// What answered is no Roadstead.
    #[error("what answers at {url} does not speak as roadstead does ({what})")]
    BadAnswer {
        /// Where.
        url: String,
        /// What was wrong.
        what: String,
    },
}

impl ApiError {
    /// The exit that fits.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused { status, .. } => match status {
                400 | 413 | 415 | 422 => Exit::Usage,
                401 | 403 => Exit::Permission,
                404 => Exit::NotFound,
                429 | 503 | 504 => Exit::Unavailable,
                _ => Exit::Failed,
            },
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::Slow { .. } | Self::BadAnswer { .. } => Exit::Failed,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some("start it with `roadstead up`".to_owned()),
            Self::Refused { status: 401, .. } => Some(
                "the profile's key may be of another data folder; `roadstead up` writes a new one".to_owned(),
            ),
            Self::BadAnswer { .. } => Some("check --url".to_owned()),
            Self::Slow { .. } => Some("it may still be at it: look before trying again".to_owned()),
            Self::Refused { .. } => None,
        }
    }
}

/// One service and the key that opens it.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    client: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Rest {
    pub(crate) fn new(target: &Target) -> Result<Self, ApiError> {
        let unreachable = |source| ApiError::Unreachable { url: target.url.to_string(), source };
        Ok(Self {
            client: http::client(&target.url).map_err(unreachable)?,
            base: target.url.clone(),
            key: target.key.clone(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.get_query(path, &[]).await
    }

    pub(crate) async fn get_query(&self, path: &str, query: &[(&str, String)]) -> Result<Value, ApiError> {
        self.answer(self.request(Method::GET, path, query).timeout(ANSWER_TIMEOUT)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.answer(self.request(Method::POST, path, &[]).timeout(ANSWER_TIMEOUT).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.answer(self.request(Method::PUT, path, &[]).timeout(ANSWER_TIMEOUT).json(body)).await
    }

    /// Changes a part of something, perhaps only if it has this version.
    pub(crate) async fn patch(
        &self,
        path: &str,
        body: &Value,
        version: Option<i32>,
    ) -> Result<Value, ApiError> {
        let mut request = self.request(Method::PATCH, path, &[]).timeout(ANSWER_TIMEOUT).json(body);
        if let Some(version) = version {
            request = request.header("if-match", format!("\"{version}\""));
        }
        self.answer(request).await
    }

    /// Deletes what answers with what became of it.
    pub(crate) async fn delete_answer(&self, path: &str) -> Result<Value, ApiError> {
        self.answer(self.request(Method::DELETE, path, &[]).timeout(ANSWER_TIMEOUT)).await
    }

    /// Asks for something that can take long, and waits for it.
    pub(crate) async fn post_for_long(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.answer(self.request(Method::POST, path, &[]).timeout(LONG_TIMEOUT).json(body)).await
    }

    /// Writes an answer down as it comes; what the service fails at is an error, what the writer fails at is inside.
    pub(crate) async fn download(
        &self,
        path: &str,
        out: &mut (impl std::io::Write + Send),
    ) -> Result<std::io::Result<()>, ApiError> {
        let mut response = self.send(self.request(Method::GET, path, &[])).await?;
        while let Some(chunk) = response.chunk().await.map_err(|source| self.unreachable(source))? {
            if let Err(error) = out.write_all(&chunk) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.delete_query(path, &[]).await
    }

    pub(crate) async fn delete_query(&self, path: &str, query: &[(&str, String)]) -> Result<(), ApiError> {
        self.answer(self.request(Method::DELETE, path, query).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// Every item of a list, page by page, up to `max`.
    pub(crate) async fn all(
        &self,
        path: &str,
        query: &[(&str, String)],
        max: usize,
    ) -> Result<Vec<Value>, ApiError> {
        let mut items: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            if let Some(cursor) = cursor.take() {
                query.push(("cursor", cursor));
            }
            let answer = self.get_query(path, &query).await?;
            let page: Page = serde_json::from_value(answer).map_err(|error| self.bad(&error.to_string()))?;
            items.extend(page.data);
            match page.next_cursor {
                Some(next) if items.len() < max => cursor = Some(next),
                _ => break,
            }
        }
        items.truncate(max);
        Ok(items)
    }

    /// The same as `get_query`, however long the service takes.
    pub(crate) async fn get_patiently(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Value, ApiError> {
        self.answer(self.request(Method::GET, path, query)).await
    }

    /// A long answer, piece by piece.
    pub(crate) async fn chunks(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<impl Stream<Item = Result<Vec<u8>, ApiError>> + Unpin + use<>, ApiError> {
        let response = self.send(self.request(Method::GET, path, query)).await?;
        let url = self.base.to_string();
        Ok(Box::pin(stream::try_unfold(response, move |mut response| {
            let url = url.clone();
            async move {
                let chunk = response
                    .chunk()
                    .await
                    .map_err(|source| ApiError::Unreachable { url, source: source.without_url() })?;
                Ok(chunk.map(|chunk| (chunk.to_vec(), response)))
            }
        })))
    }

    /// The data of each server-sent event, until the service ends the stream.
    pub(crate) async fn follow(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<impl Stream<Item = Result<String, ApiError>> + Unpin + use<>, ApiError> {
        let response = self.send(self.request(Method::GET, path, query)).await?;
        let events = Events { url: self.base.to_string(), response, buffer: Vec::new() };
        Ok(Box::pin(
            stream::unfold(events, |mut events| async move {
                let event = events.next().await?;
                Some((event, events))
            })
            .fuse(),
        ))
    }

    /// Asks for something that tells how far it is: each step, then what came of it.
    pub(crate) async fn post_followed(
        &self,
        path: &str,
        body: &Value,
        mut hear: impl FnMut(&str) + Send,
    ) -> Result<Value, ApiError> {
        let request = self.request(Method::POST, path, &[]).timeout(LONG_TIMEOUT).json(body);
        let response = self.send(request.header("accept", "text/event-stream")).await?;
        let mut events = Events { url: self.base.to_string(), response, buffer: Vec::new() };
        while let Some(event) = events.next().await {
            let mut value: Value =
                serde_json::from_str(&event?).map_err(|error| self.bad(&error.to_string()))?;
            if value.get("step").is_some() {
                hear(value.get("message").and_then(Value::as_str).unwrap_or_default());
                continue;
            }
            let Some(status) = value.get("status").and_then(Value::as_u64) else { return Ok(value) };
            if let Some(object) = value.as_object_mut() {
                object.remove("status");
            }
            let refusal = serde_json::from_value(value).map_err(|error| self.bad(&error.to_string()))?;
            return Err(ApiError::Refused { status: u16::try_from(status).unwrap_or(500), refusal });
        }
        Err(self.bad("a stream that ended before it said what came of it"))
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/v1{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        self.client.request(method, url).bearer_auth(self.key.expose_secret())
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, ApiError> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|source| self.unreachable(source))?;
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(self.bad("an answer of more than 64 MiB"));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.bad(&error.to_string()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(envelope) => Err(ApiError::Refused { status: status.as_u16(), refusal: envelope.error }),
            Err(_) => Err(self.bad(&format!("status {status} without the error envelope"))),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ApiError {
        if source.is_timeout() && !source.is_connect() {
            return ApiError::Slow { url: self.base.to_string() };
        }
        // The URL of a request can hold more than its base; only the base is shown.
        ApiError::Unreachable { url: self.base.to_string(), source: source.without_url() }
    }

    fn bad(&self, what: &str) -> ApiError {
        ApiError::BadAnswer { url: self.base.to_string(), what: what.to_owned() }
    }
}

/// A stream of server-sent events, read line by line.
struct Events {
    url: String,
    response: Response,
    buffer: Vec<u8>,
}

impl Events {
    async fn next(&mut self) -> Option<Result<String, ApiError>> {
        loop {
            if let Some(event) = self.take_event() {
                return Some(Ok(event));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return None,
                Err(source) => {
                    return Some(Err(ApiError::Unreachable {
                        url: self.url.clone(),
                        source: source.without_url(),
                    }));
                }
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                return Some(Err(ApiError::BadAnswer {
                    url: self.url.clone(),
                    what: "an event of more than a mebibyte".to_owned(),
                }));
            }
        }
    }

    /// The data of the next whole event in the buffer; comments and empty events are passed over.
    fn take_event(&mut self) -> Option<String> {
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&event);
            let data: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            if !data.is_empty() {
                return Some(data.join("\n"));
            }
        }
        None
    }
}
