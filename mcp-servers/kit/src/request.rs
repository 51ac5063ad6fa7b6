//! One request: what is asked, and how often.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::answer::Response;
use crate::auth::Auth;
use crate::call::Call;
use crate::client::Client;
use crate::failure::{Again, Code, Failure};

/// What is kept of an answer's body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// All of it, up to a limit.
    Whole(usize),
    /// The beginning; the rest is not read.
    Head(usize),
    /// The end.
    Tail(usize),
}

/// As whom it is asked.
#[derive(Debug)]
pub(crate) enum Identity {
    /// As the client is.
    Client,
    /// As somebody else.
    Given(Auth),
    /// As nobody.
    Nobody,
}

/// A request in the making. What is wrong with it shows when it is sent.
#[derive(Debug)]
#[must_use = "nothing is asked before it is sent"]
pub struct Request {
    pub(crate) client: Client,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) keep: Keep,
    pub(crate) attempt: Duration,
    pub(crate) auth: Identity,
    url: Result<Url, Failure>,
    is_idempotent: bool,
}

impl Request {
    pub(crate) fn new(client: Client, method: Method, url: Result<Url, Failure>) -> Self {
        let limits = *client.limits();
        let is_idempotent = method.is_idempotent();
        Self {
            client,
            method,
            headers: HeaderMap::new(),
            body: None,
            keep: Keep::Whole(limits.body_bytes),
            attempt: limits.attempt,
            auth: Identity::Client,
            url,
            is_idempotent,
        }
    }

    /// A parameter of the query.
    pub fn query(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self
    }

    /// A parameter of the query, if there is a value.
    pub fn query_opt(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// A header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => drop(self.headers.insert(HeaderName::from_static(name), value)),
            Err(_) => self.fail(Failure::invalid("An argument has characters that cannot be sent.")),
        }
        self
    }

    /// A JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        if let Ok(body) = serde_json::to_vec(body) {
            return self.body(body, "application/json");
        }
        self.fail(Failure::invalid("An argument cannot be written as JSON."));
        self
    }

    /// A form's body.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body(body, "application/x-www-form-urlencoded")
    }

    /// A body of any kind.
    pub fn body(mut self, body: impl Into<Bytes>, content_type: &str) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// May be done twice although its method says otherwise: a search that is a POST.
    pub fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// May not be done twice although its method says otherwise.
    pub fn not_idempotent(mut self) -> Self {
        self.is_idempotent = false;
        self
    }

    /// Asks as somebody else.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.client.keep_secret(auth.secret());
        self.auth = Identity::Given(auth);
        self
    }

    /// Asks as nobody.
    pub fn without_auth(mut self) -> Self {
        self.auth = Identity::Nobody;
        self
    }

    /// The longest time of one try.
    pub fn attempt(mut self, limit: Duration) -> Self {
        self.attempt = limit;
        self
    }

    /// Another limit of the answer's body.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.keep = Keep::Whole(bytes);
        self
    }

    /// Keeps the beginning of a longer body, instead of failing.
    pub fn head(mut self, bytes: usize) -> Self {
        self.keep = Keep::Head(bytes);
        self
    }

    /// Keeps the end of a longer body, instead of failing.
    pub fn tail(mut self, bytes: usize) -> Self {
        self.keep = Keep::Tail(bytes);
        self
    }

    fn fail(&mut self, failure: Failure) {
        if self.url.is_ok() {
            self.url = Err(failure);
        }
    }

    /// Sends it, and takes the answer's body as a value.
    pub async fn fetch<T: DeserializeOwned>(self, call: &Call) -> Result<T, Failure> {
        self.send(call).await?.json()
    }

    /// Sends it, again if that may help, until the call is cancelled. No failure holds a secret.
    pub async fn send(mut self, call: &Call) -> Result<Response, Failure> {
        let url = std::mem::replace(&mut self.url, Err(Failure::invalid("sent already")))?;
        let service = self.client.service();
        let whole = self.client.limits().whole;
        let tried = call.attend(service, tokio::time::timeout(whole, self.tries(&url))).await;
        let ended = match tried {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Err(Failure::new(
                Code::Timeout,
                format!(
                    "{service} did not answer {} {} within {} s.",
                    self.method,
                    url.path(),
                    whole.as_secs()
                ),
            )
            .with_hint("Try again later, or ask for less at once.")),
            Err(cancelled) => Err(cancelled),
        };
        ended.map_err(|failure| {
            let failure = failure.map_message(|message| self.client.mask(message));
            if failure.code() != Code::Cancelled {
                self.log(&url, &failure);
            }
            failure
        })
    }

    /// For whoever runs this server: that something failed, without the words, which are the caller's.
    fn log(&self, url: &Url, failure: &Failure) {
        let status = failure.status().map(|status| format!(" with {status}")).unwrap_or_default();
        let path = self.client.mask(url.path());
        eprintln!("{}: {} {path} failed{status}: {:?}", self.client.service(), self.method, failure.code());
    }

    async fn tries(&self, url: &Url) -> Result<Response, Failure> {
        let limits = self.client.limits();
        let waits = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(limits.first_wait)
            .with_max_delay(limits.longest_wait)
            .with_max_times(limits.retries);
        let longest = limits.longest_wait;
        (|| self.once(url))
            .retry(waits)
            .when(|failure| match failure.again {
                Again::Never => false,
                Again::IfIdempotent => self.is_idempotent,
                Again::Always => true,
            })
            // What the service asks for counts, unless it is longer than a caller waits: then the failure says when.
            .adjust(|failure, wait| match failure.retry_after() {
                Some(asked) if asked > longest => None,
                Some(asked) => wait.map(|wait| wait.max(asked)),
                None => wait,
            })
            .await
    }
}
