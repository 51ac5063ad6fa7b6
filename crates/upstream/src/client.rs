//! HTTP to one server: connections that are used again, redirects within the server, and nothing of MCP.

mod connection;
mod gate;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep, timeout};

use crate::dial::Dial;
use crate::sse::{Data, Parser, Position};
use crate::{Upstream, UpstreamLimits};
use connection::{Body, Connection};
pub(crate) use gate::Gate;

/// Redirects that one request follows.
const MAX_REDIRECTS: usize = 3;
/// Connections without a request that are kept.
const MAX_IDLE: usize = 8;
/// Pauses between two tries to reach a server that does not listen yet.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Why there is no answer, or no more of it. The text may reach the client of the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the server does not listen")]
    Refused,
    #[error("the server could not be reached: {0}")]
    Unreachable(io::Error),
    #[error("no connection to the server within {} s", .0.as_secs())]
    Slow(Duration),
    #[error("the connection to the server broke: {0}")]
    Broken(#[source] hyper::Error),
    #[error("the server redirects {0}")]
    Redirect(&'static str),
    #[error("the answer of the server is longer than {0} bytes")]
    TooLong(usize),
    #[error("the server compressed its answer although it was asked not to")]
    Compressed,
}

/// A request without what is the same in all of them.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Another path than the endpoint's.
    pub(crate) path: Option<PathAndQuery>,
    /// Told how far the request has come.
    pub(crate) gate: Rc<Gate>,
    /// Whether it must have a new connection: a server reads an old one before those it has yet to accept.
    pub(crate) alone: bool,
}

impl Outgoing {
    pub(crate) fn new(method: Method) -> Self {
        let gate = Rc::default();
        Self { method, headers: HeaderMap::new(), body: Bytes::new(), path: None, gate, alone: false }
    }
}

/// The way to one server.
pub(crate) struct Client {
    dial: Rc<dyn Dial>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: RefCell<PathAndQuery>,
    /// The server's own headers, and those that are always the same.
    headers: HeaderMap,
    limits: UpstreamLimits,
    idle: RefCell<Vec<(Instant, Connection)>>,
    reached: Cell<bool>,
    born: Instant,
}

impl Client {
    pub(crate) fn new(upstream: &Upstream, dial: Rc<dyn Dial>) -> Rc<Self> {
        let authority = upstream.url.authority().cloned();
        let path = upstream.url.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Rc::new(Self {
            dial,
            scheme: upstream.url.scheme().cloned(),
            headers: common_headers(upstream, authority.as_ref()),
            authority,
            path: RefCell::new(path),
            limits: upstream.limits.clone(),
            idle: RefCell::default(),
            reached: Cell::new(false),
            born: Instant::now(),
        })
    }

    /// Whether the server was ever connected to.
    pub(crate) fn was_reached(&self) -> bool {
        self.reached.get()
    }

    /// The path that a `Location`, or what a server names as its endpoint, leads to; nothing when that is another server.
    pub(crate) fn resolve(&self, base: &PathAndQuery, reference: &str) -> Option<PathAndQuery> {
        let reference = reference.split('#').next().unwrap_or_default().trim();
        if let Some(rest) = reference.strip_prefix("//") {
            let uri: Uri = format!("{}://{rest}", self.scheme.as_ref()?).parse().ok()?;
            return self.within(&uri);
        }
        if reference.starts_with('/') {
            return reference.parse().ok();
        }
        if let Ok(uri) = reference.parse::<Uri>()
            && uri.scheme().is_some()
        {
            return self.within(&uri);
        }
        if reference.starts_with('?') {
            return format!("{}{reference}", base.path()).parse().ok();
        }
        let folder = &base.path()[..=base.path().rfind('/').unwrap_or(0)];
        let mut parts: Vec<&str> = folder.split('/').collect();
        parts.pop();
        let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
        for part in path.split('/') {
            match part {
                ".." if parts.len() > 1 => {
                    parts.pop();
                }
                "." | ".." => {}
                part => parts.push(part),
            }
        }
        format!("{}{query}", parts.join("/")).parse().ok()
    }

    fn within(&self, uri: &Uri) -> Option<PathAndQuery> {
        let port = |scheme: Option<&Scheme>, authority: &Authority| {
            authority.port_u16().or_else(|| Some(if scheme? == &Scheme::HTTPS { 443 } else { 80 }))
        };
        let (ours, theirs) = (self.authority.as_ref()?, uri.authority()?);
        let same = uri.scheme() == self.scheme.as_ref()
            && ours.host().eq_ignore_ascii_case(theirs.host())
            && port(self.scheme.as_ref(), ours) == port(uri.scheme(), theirs);
        same.then(|| uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
    }

    /// The path of the endpoint, as far as redirects have taught us.
    pub(crate) fn path(&self) -> PathAndQuery {
        self.path.borrow().clone()
    }

    /// Sends a request and waits for the head of its answer. Redirects that keep the method are followed, as long as they stay with
    /// the server: somebody else must not get its headers.
    pub(crate) async fn send(self: &Rc<Self>, outgoing: &Outgoing) -> Result<Answer, Trouble> {
        let mut path = outgoing.path.clone().unwrap_or_else(|| self.path());
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send_to(outgoing, &path).await?;
            let redirects = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
            if !redirects.contains(&answer.status) {
                return answer.uncompressed();
            }
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or(Trouble::Redirect("to nowhere"))?;
            path = self.resolve(&path, location).ok_or(Trouble::Redirect("to another server"))?;
            if outgoing.path.is_none() {
                // Every request would be redirected, and each costs a way there and back.
                *self.path.borrow_mut() = path.clone();
            }
        }
        Err(Trouble::Redirect("too often"))
    }

    async fn send_to(self: &Rc<Self>, outgoing: &Outgoing, path: &PathAndQuery) -> Result<Answer, Trouble> {
        loop {
            let idle = if outgoing.alone { None } else { self.idle_connection().await };
            let (mut connection, fresh) = match idle {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            let body = Body::new(outgoing.body.clone(), &connection, &outgoing.gate);
            let mut request = Request::new(body);
            *request.method_mut() = outgoing.method.clone();
            *request.uri_mut() = Uri::from(path.clone());
            *request.headers_mut() = self.headers.clone();
            request.headers_mut().extend(outgoing.headers.clone());
            match connection.send(request).await {
                Ok(response) => {
                    outgoing.gate.settle();
                    let (head, body) = response.into_parts();
                    let client = Rc::clone(self);
                    return Ok(Answer {
                        status: head.status,
                        headers: head.headers,
                        body,
                        connection: Some(connection),
                        client,
                    });
                }
                // The server closed a connection that nobody used, and this request never left.
                Err(failure) if failure.unsent && !fresh => {}
                Err(failure) => return Err(Trouble::Broken(failure.error)),
            }
        }
    }

    async fn idle_connection(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.idle.borrow_mut().pop()?;
            if since.elapsed() < self.limits.idle_connection && connection.is_usable().await {
                return Some(connection);
            }
        }
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(since, _)| since.elapsed() < self.limits.idle_connection);
        if idle.len() < MAX_IDLE {
            idle.push((Instant::now(), connection));
        }
    }

    /// A new connection. A server that was never reached may take its time until it listens.
    async fn connect(&self) -> Result<Connection, Trouble> {
        let mut pause = FIRST_PAUSE;
        loop {
            let limit = self.limits.connect_timeout;
            let dialled = timeout(limit, self.dial.dial()).await.map_err(|_| Trouble::Slow(limit))?;
            match dialled {
                Ok(io) => {
                    self.reached.set(true);
                    return Connection::open(io).await.map_err(Trouble::Broken);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    if self.reached.get() || self.born.elapsed() >= self.limits.start_patience {
                        return Err(Trouble::Refused);
                    }
                }
                Err(error) => return Err(Trouble::Unreachable(error)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits until the server answers anything. `OPTIONS` asks for nothing and changes nothing; a proxy that answers for a server
    /// which is not there yet does not count.
    pub(crate) async fn until_listening(self: &Rc<Self>) {
        let absent = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        let mut pause = FIRST_PAUSE;
        loop {
            let tried =
                timeout(self.limits.connect_timeout, self.send(&Outgoing::new(Method::OPTIONS))).await;
            match tried {
                Ok(Ok(answer)) if !absent.contains(&answer.status) => return,
                // It answered, in its way.
                Ok(Err(Trouble::Redirect(_) | Trouble::Compressed)) => return,
                _ => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn common_headers(upstream: &Upstream, authority: Option<&Authority>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let reserved = [&CONNECTION, &CONTENT_LENGTH, &TRANSFER_ENCODING];
    for (name, value) in &upstream.headers {
        if !reserved.contains(&name) && !name.as_str().starts_with("mcp-") {
            headers.append(name.clone(), value.clone());
        }
    }
    // A name and a password in front of the host are nobody's business.
    let host = authority.map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
        headers.insert(HOST, host);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("roadstead/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// An answer whose body is still coming. Dropping it before its end closes the connection, which tells the server.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    connection: Option<Connection>,
    client: Rc<Client>,
}

impl Answer {
    fn uncompressed(self) -> Result<Self, Trouble> {
        match self.headers.get(CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(Trouble::Compressed),
            _ => Ok(self),
        }
    }

    /// The next piece of the body; nothing at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(Trouble::Broken(error)),
                None => {
                    if let Some(connection) = self.connection.take() {
                        self.client.give_back(connection);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The last message of a body of either kind.
    pub(crate) async fn last_message(self, limit: usize) -> Option<Bytes> {
        let events = self.is_events();
        let body = self.whole(limit).await.ok()?;
        if !events {
            return Some(body);
        }
        let mut parser = Parser::new(limit, Position::default());
        parser.feed(&body);
        let mut last = None;
        while let Some(event) = parser.next() {
            if let Data::Text(data) = event.data {
                last = Some(data);
            }
        }
        last
    }

    /// Whether the body is an event stream.
    pub(crate) fn is_events(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    }

    /// The whole body.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Bytes, Trouble> {
        let Some(first) = self.piece().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.piece().await? else {
            return if first.len() > limit { Err(Trouble::TooLong(limit)) } else { Ok(first) };
        };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.piece().await? {
            if all.len() + piece.len() > limit {
                return Err(Trouble::TooLong(limit));
            }
            all.extend_from_slice(&piece);
        }
        if all.len() > limit { Err(Trouble::TooLong(limit)) } else { Ok(all.freeze()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LoopbackDial, Transport};

    fn client(url: &str) -> Rc<Client> {
        let upstream = Upstream {
            transport: Transport::Sse,
            url: url.parse().unwrap(),
            headers: vec![
                (HOST, HeaderValue::from_static("evil")),
                (USER_AGENT, HeaderValue::from_static("mine")),
            ],
            limits: UpstreamLimits::default(),
        };
        Client::new(&upstream, Rc::new(LoopbackDial(([127, 0, 0, 1], 1).into())))
    }

    #[tokio::test]
    async fn references_are_followed_within_the_server_only() {
        let client = client("http://LocalHost:80/a/sse?x=1");
        let to = |reference: &str| client.resolve(&client.path(), reference).map(|path| path.to_string());
        for (reference, wanted) in [
            ("/messages?id=1", Some("/messages?id=1")),
            ("messages?id=1", Some("/a/messages?id=1")),
            ("./b/../c", Some("/a/c")),
            ("../../../c/", Some("/c/")),
            ("?id=2", Some("/a/sse?id=2")),
            ("http://localhost/m", Some("/m")),
            ("//localhost:80/m#part", Some("/m")),
            ("https://localhost/m", None),
            ("http://localhost:81/m", None),
            ("http://localhost.evil/m", None),
            ("http://user@evil/m", None),
            ("//evil/m", None),
        ] {
            assert_eq!(to(reference).as_deref(), wanted, "{reference}");
        }
    }

    #[tokio::test]
    async fn the_host_is_that_of_the_url_and_hides_who_logs_in() {
        let client = client("http://name:secret@localhost:8931/mcp");
        assert_eq!(client.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["localhost:8931"]);
        assert_eq!(client.headers[USER_AGENT], "mine");
    }
}
