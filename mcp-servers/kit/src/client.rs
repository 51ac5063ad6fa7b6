//! The client of one service: where it is, as whom it is asked, and how patiently.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls::{ClientConfig, RootCertStore};

use crate::address::{self, BaseUrl};
use crate::auth::{Auth, Masks};
use crate::cache::{Cache, Entry};
use crate::failure::Failure;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::start::StartError;

/// How long things may take, and how large they may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For one try, from the request's first byte to the answer's last.
    pub attempt: Duration,
    /// For all tries of a request and the waits between them.
    pub whole: Duration,
    /// How often a request is tried again.
    pub retries: usize,
    /// The wait before the first retry; each further one is about twice as long.
    pub first_wait: Duration,
    /// The longest wait before a retry. If the service wants more, the model is told when to try again.
    pub longest_wait: Duration,
    /// An answer's body, unless the request says otherwise.
    pub body_bytes: usize,
    /// All answers that are kept to be asked for again with their ETag.
    pub cache_bytes: usize,
}

impl Default for Limits {
    /// Patient, but less so than a client that gives a call up after two minutes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            attempt: Duration::from_secs(45),
            whole: Duration::from_secs(100),
            retries: 3,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(15),
            body_bytes: 8 * 1024 * 1024,
            cache_bytes: 8 * 1024 * 1024,
        }
    }
}

type Explain = dyn Fn(&Refusal<'_>) -> Failure + Send + Sync;

/// The client of a service. Clones share everything.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    service: &'static str,
    http: reqwest::Client,
    base: BaseUrl,
    headers: HeaderMap,
    limits: Limits,
    explain: Box<Explain>,
    identity: RwLock<Identity>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Identity {
    auth: Option<Auth>,
    masks: Masks,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("service", &self.inner.service).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the service of a name, which stands in what people and models read.
    pub fn builder(service: &'static str, base: BaseUrl) -> ClientBuilder {
        ClientBuilder {
            service,
            base,
            headers: HeaderMap::new(),
            limits: Limits::default(),
            auth: None,
            explain: Box::new(by_status),
            user_agent: concat!("roadstead-server-kit/", env!("CARGO_PKG_VERSION")),
        }
    }

    /// A request below the base address. Segments are escaped, so an argument of a call cannot lead elsewhere.
    pub fn request<I>(&self, method: Method, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let url =
            self.inner.base.join(segments).ok_or_else(|| {
                Failure::invalid("A name or path in the arguments is empty, \".\" or \"..\".")
            });
        Request::new(self.clone(), method, url)
    }

    /// A request to an address of its own. The credential goes along only to the base address's origin.
    pub fn request_to(&self, method: Method, url: &str) -> Request {
        let url = url::Url::parse(url).ok().filter(|url| self.may_ask(url)).ok_or_else(|| {
            Failure::invalid("The address is not one that may be asked: it must begin with https://.")
        });
        Request::new(self.clone(), method, url)
    }

    /// `GET`.
    pub fn get<I>(&self, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.request(Method::GET, segments)
    }

    /// `POST`.
    pub fn post<I>(&self, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.request(Method::POST, segments)
    }

    /// `PUT`.
    pub fn put<I>(&self, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.request(Method::PUT, segments)
    }

    /// `PATCH`.
    pub fn patch<I>(&self, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.request(Method::PATCH, segments)
    }

    /// `DELETE`.
    pub fn delete<I>(&self, segments: I) -> Request
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.request(Method::DELETE, segments)
    }

    /// Asks as somebody from now on: a token that was renewed.
    pub fn set_auth(&self, auth: Auth) {
        let mut identity = self.inner.identity.write().unwrap_or_else(PoisonError::into_inner);
        identity.masks.add(auth.secret());
        identity.auth = Some(auth);
    }

    /// Keeps one more secret out of every failure: a client secret, a refresh token.
    pub fn keep_secret(&self, secret: &secrecy::SecretString) {
        self.inner.identity.write().unwrap_or_else(PoisonError::into_inner).masks.add(secret);
    }

    /// A text without the secrets.
    pub fn mask(&self, text: &str) -> String {
        self.inner.identity.read().unwrap_or_else(PoisonError::into_inner).masks.mask(text)
    }

    /// The service's name.
    pub fn service(&self) -> &'static str {
        self.inner.service
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.inner.headers
    }

    pub(crate) fn explain(&self, refusal: &Refusal<'_>) -> Failure {
        (self.inner.explain)(refusal)
    }

    pub(crate) fn auth(&self) -> Option<Auth> {
        self.inner.identity.read().unwrap_or_else(PoisonError::into_inner).auth.clone()
    }

    pub(crate) fn is_own(&self, url: &url::Url) -> bool {
        url.origin() == self.inner.base.as_url().origin()
    }

    /// Whether an address may be asked at all: over TLS, or as plainly as the base address already is.
    pub(crate) fn may_ask(&self, url: &url::Url) -> bool {
        let base = self.inner.base.as_url();
        match url.scheme() {
            "https" => true,
            "http" => self.is_own(url) || (address::is_loopback(base) && address::is_loopback(url)),
            _ => false,
        }
    }

    pub(crate) fn cached(&self, key: &str) -> Option<Entry> {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner).get(key)
    }

    pub(crate) fn cache(&self, key: String, entry: Entry) {
        self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner).put(key, entry);
    }
}

/// A client in the making.
pub struct ClientBuilder {
    service: &'static str,
    base: BaseUrl,
    headers: HeaderMap,
    limits: Limits,
    auth: Option<Auth>,
    explain: Box<Explain>,
    user_agent: &'static str,
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("service", &self.service).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// As whom the service is asked.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// A header of every request.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Who asks, in the service's logs: a name and a version.
    #[must_use]
    pub fn user_agent(mut self, name: &'static str) -> Self {
        self.user_agent = name;
        self
    }

    /// Other limits than the usual ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How a refusal of this service is explained; by its status alone, if nothing is said.
    #[must_use]
    pub fn explain(mut self, explain: impl Fn(&Refusal<'_>) -> Failure + Send + Sync + 'static) -> Self {
        self.explain = Box::new(explain);
        self
    }

    /// The client.
    pub fn build(mut self) -> Result<Client, StartError> {
        let http = http(&self.base, &self.limits).map_err(StartError::Client)?;
        self.headers.insert(USER_AGENT, HeaderValue::from_static(self.user_agent));
        self.headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        let client = Client {
            inner: Arc::new(Inner {
                service: self.service,
                http,
                base: self.base,
                headers: self.headers,
                limits: self.limits,
                explain: self.explain,
                identity: RwLock::default(),
                cache: Mutex::new(Cache::new(self.limits.cache_bytes)),
            }),
        };
        if let Some(auth) = self.auth {
            client.set_auth(auth);
        }
        Ok(client)
    }
}

fn by_status(refusal: &Refusal<'_>) -> Failure {
    refusal.to_failure()
}

/// Redirects are not followed here: a header of a service's own would go along to somebody else. The way through a
/// proxy is that of the environment (`HTTPS_PROXY`, `NO_PROXY`), except to this machine.
fn http(
    base: &BaseUrl,
    limits: &Limits,
) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(limits.connect)
        .redirect(reqwest::redirect::Policy::none());
    if address::is_loopback(base.as_url()) {
        builder = builder.no_proxy();
    }
    Ok(builder.build()?)
}
