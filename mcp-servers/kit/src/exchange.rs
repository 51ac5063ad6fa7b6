//! One try of a request: sent, followed where the service points, and read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::answer::Response;
use crate::auth::Auth;
use crate::cache::Entry;
use crate::failure::{Code, Failure};
use crate::refusal::Refusal;
use crate::request::{Identity, Keep, Request};

/// How often a service may point elsewhere.
const MAX_REDIRECTS: usize = 5;

/// What is read of a refusal: it is a sentence, or a page of HTML that nobody needs.
const REFUSAL_BYTES: usize = 64 * 1024;

/// What is read at most to get at a body's end.
const TAIL_READ_BYTES: usize = 256 * 1024 * 1024;

impl Request {
    pub(crate) async fn once(&self, url: &Url) -> Result<Response, Failure> {
        match tokio::time::timeout(self.attempt, self.exchange(url)).await {
            Ok(ended) => ended,
            Err(_) => Err(self.slow(self.attempt)),
        }
    }

    fn slow(&self, limit: Duration) -> Failure {
        let service = self.client.service();
        Failure::new(
            Code::Timeout,
            format!("{service} did not answer a {} within {} s.", self.method, limit.as_secs()),
        )
        .with_hint("Try again later, or ask for less at once.")
        .may_pass(None)
    }

    async fn exchange(&self, url: &Url) -> Result<Response, Failure> {
        let key = (self.method == Method::GET).then(|| self.cache_key(url));
        let cached = key.as_deref().and_then(|key| self.client.cached(key));
        let mut here = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask(&here, url, cached.as_ref()).await?;
            if let Some(there) = self.redirected(&here, &answer)? {
                here = there;
                continue;
            }
            let status = answer.status();
            if let Some(entry) = cached.filter(|_| status == StatusCode::NOT_MODIFIED) {
                return Ok(self.known(entry, answer.headers()));
            }
            if !status.is_success() {
                return Err(self.refused(url, answer).await);
            }
            return self.accepted(key, answer).await;
        }
        Err(Failure::new(
            Code::UnexpectedAnswer,
            format!("{} points from one place to the next without end.", self.client.service()),
        ))
    }

    fn cache_key(&self, url: &Url) -> String {
        let accept = self.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
        format!("{} {url}", accept.unwrap_or_default())
    }

    async fn ask(
        &self,
        url: &Url,
        meant: &Url,
        cached: Option<&Entry>,
    ) -> Result<reqwest::Response, Failure> {
        let mut headers: HeaderMap = self.client.headers().clone();
        headers.extend(self.headers.clone());
        if let Some(auth) = self.identity(url, meant) {
            headers.insert(auth.name().clone(), auth.value().clone());
        }
        if let Some(entry) = cached {
            headers.insert(IF_NONE_MATCH, entry.etag.clone());
        }
        let mut request = self.client.http().request(self.method.clone(), url.clone()).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| self.broken(error))
    }

    /// Nobody but the service itself is told who asks; a credential of the request's own goes to whom it was meant for.
    fn identity(&self, url: &Url, meant: &Url) -> Option<Auth> {
        match &self.auth {
            Identity::Given(auth) => Some(auth.clone()).filter(|_| url.origin() == meant.origin()),
            Identity::Nobody => None,
            Identity::Client => self.client.auth().filter(|_| self.client.is_own(url)),
        }
    }

    /// Where an answer points to. Whatever is not read alone goes elsewhere only within the service, and whole.
    fn redirected(&self, here: &Url, answer: &reqwest::Response) -> Result<Option<Url>, Failure> {
        let is_read = self.method.is_safe();
        let follows = match answer.status().as_u16() {
            301..=303 => is_read,
            307 | 308 => true,
            _ => false,
        };
        let Some(location) = answer.headers().get(LOCATION).filter(|_| follows) else { return Ok(None) };
        let there = location.to_str().ok().and_then(|location| here.join(location).ok());
        match there {
            Some(there) if self.client.may_ask(&there) && (is_read || self.client.is_own(&there)) => {
                Ok(Some(there))
            }
            _ => Err(Failure::new(
                Code::UnexpectedAnswer,
                format!("{} points to a place that this server does not go to.", self.client.service()),
            )),
        }
    }

    /// What was answered before still holds.
    fn known(&self, entry: Entry, newer: &HeaderMap) -> Response {
        let mut headers = entry.headers;
        for (name, value) in newer {
            headers.insert(name.clone(), value.clone());
        }
        let read_bytes = entry.body.len() as u64;
        Response {
            service: self.client.service(),
            status: StatusCode::OK,
            headers,
            body: entry.body,
            read_bytes,
            is_cut: false,
            is_from_cache: true,
        }
    }

    async fn refused(&self, url: &Url, mut answer: reqwest::Response) -> Failure {
        let status = answer.status();
        let headers = answer.headers().clone();
        // A refusal whose words are lost is one all the same.
        let body = match self.read(&mut answer, Keep::Head(REFUSAL_BYTES)).await {
            Ok(read) => read.body,
            Err(_) => Bytes::new(),
        };
        let text = String::from_utf8_lossy(&body);
        self.client.explain(&Refusal {
            service: self.client.service(),
            method: &self.method,
            path: url.path(),
            status,
            headers: &headers,
            json: serde_json::from_str(&text).ok(),
            text: &text,
        })
    }

    async fn accepted(
        &self,
        key: Option<String>,
        mut answer: reqwest::Response,
    ) -> Result<Response, Failure> {
        let status = answer.status();
        let headers = answer.headers().clone();
        let Read { body, total, is_cut } = self.read(&mut answer, self.keep).await?;
        let may_keep = status == StatusCode::OK
            && !is_cut
            && !headers
                .get(CACHE_CONTROL)
                .is_some_and(|value| value.as_bytes().windows(8).any(|part| part == b"no-store"));
        if let (Some(key), Some(etag), true) = (key, headers.get(ETAG), may_keep) {
            let entry = Entry { etag: etag.clone(), headers: headers.clone(), body: body.clone() };
            self.client.cache(key, entry);
        }
        let service = self.client.service();
        Ok(Response {
            service,
            status,
            headers,
            body,
            read_bytes: total as u64,
            is_cut,
            is_from_cache: false,
        })
    }

    async fn read(&self, answer: &mut reqwest::Response, keep: Keep) -> Result<Read, Failure> {
        let mut kept = BytesMut::new();
        let mut total = 0;
        let mut is_cut = false;
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(error))? {
            total += chunk.len();
            kept.extend_from_slice(&chunk);
            match keep {
                Keep::Whole(limit) if kept.len() > limit => return Err(self.too_large(limit)),
                Keep::Head(limit) if kept.len() > limit => {
                    kept.truncate(limit);
                    is_cut = true;
                    break;
                }
                Keep::Tail(_) if total > TAIL_READ_BYTES => {
                    return Err(self.too_large(TAIL_READ_BYTES));
                }
                // Moved only now and then, so that a long body is not moved once for each chunk.
                Keep::Tail(limit) if kept.len() > 2 * limit => {
                    kept = BytesMut::from(&kept[kept.len() - limit..]);
                    is_cut = true;
                }
                _ => {}
            }
        }
        if let Keep::Tail(limit) = keep
            && kept.len() > limit
        {
            kept = BytesMut::from(&kept[kept.len() - limit..]);
            is_cut = true;
        }
        Ok(Read { body: kept.freeze(), total, is_cut })
    }

    fn too_large(&self, limit: usize) -> Failure {
        let service = self.client.service();
        Failure::new(Code::TooLarge, format!("The answer of {service} is larger than {limit} bytes."))
            .with_hint("Ask for less at once: a smaller page, a part, a single item.")
    }

    /// The connection was not made, or broke off. The address is left out: its query may hold what nobody should read.
    fn broken(&self, error: reqwest::Error) -> Failure {
        let service = self.client.service();
        let is_unsent = error.is_connect();
        if error.is_timeout() && !is_unsent {
            return self.slow(self.attempt);
        }
        let error = error.without_url();
        let cause = innermost(&error);
        let failure = if is_unsent {
            Failure::new(Code::Network, format!("{service} could not be reached: {cause}."))
                .with_retry_after(None)
        } else {
            Failure::new(Code::Network, format!("The connection to {service} broke off: {cause}."))
                .may_pass(None)
        };
        failure.with_hint(
            "If it stays so, the service, its address in the configuration or the network is at fault.",
        )
    }
}

struct Read {
    body: Bytes,
    total: usize,
    is_cut: bool,
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
