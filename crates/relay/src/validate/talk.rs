//! One request and its answer, over a connection of its own.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use roadstead_upstream::Dial as _;
use zeroize::Zeroizing;

use crate::dial::RemoteDial;

/// Who asks, unless the type says otherwise: some services refuse nobody.
const USER_AGENT: &str = concat!("roadstead/", env!("CARGO_PKG_VERSION"));
/// The longest body that is read: an account's description is a few kilobytes.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A request.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// A form to send, encoded.
    pub(super) form: Option<Zeroizing<Vec<u8>>>,
}

/// How much of the answer is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Status,
    Body,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// Empty where it was not asked for, broke off or is too long.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Sends a request and reads its answer. What it says of a failure holds no secret.
pub(super) async fn talk(dial: &RemoteDial, call: Call<'_>, asking: Asking) -> Result<Answer, String> {
    let stream = dial.dial().await.map_err(|error| format!("no connection: {error}"))?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(broken)?;
    let running = tokio::task::spawn_local(connection);
    let answer = sender.send_request(request(call)?).await.map_err(broken)?;
    let (head, body) = answer.into_parts();
    let mut read = Zeroizing::new(Vec::new());
    if asking == Asking::Body {
        // A status says what it says, whatever becomes of the body.
        if let Ok(whole) = Limited::new(body, MAX_BODY_BYTES).collect().await {
            read = Zeroizing::new(whole.to_bytes().to_vec());
        }
    }
    running.abort();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: read })
}

fn request(call: Call<'_>) -> Result<Request<Full<Bytes>>, String> {
    let path = call.url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let host = call.url.authority().map_or("", http::uri::Authority::as_str);
    let mut request = Request::builder()
        .method(call.method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close");
    if call.form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = call.form.map_or_else(Full::default, |form| Full::new(Bytes::from_owner(form)));
    let mut request = request.body(body).map_err(|error| error.to_string())?;
    for (name, value) in call.headers {
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}
