//! The browser's answer, on a port of this machine that is open as long as the login takes.

use std::future::IntoFuture as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{LoginError, known};

/// How long the last page may take on its way to the browser.
const FAREWELL: Duration = Duration::from_secs(2);
/// What a page of ours may do: nothing, and its address, which holds the code, goes nowhere.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONNECTION, "close"),
];

/// What came of it: a code, or the service's word for no.
type Outcome = Result<SecretString, String>;

struct Expected {
    state: String,
    /// Taken by the first answer.
    to: Mutex<Option<oneshot::Sender<Outcome>>>,
    foreign: AtomicUsize,
}

#[derive(Deserialize)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Waits for the one answer that has our state.
pub(super) async fn wait(
    listener: TcpListener,
    state: &str,
    patience: Duration,
) -> Result<SecretString, LoginError> {
    let (to, outcome) = oneshot::channel();
    let expected = Arc::new(Expected {
        state: state.to_owned(),
        to: Mutex::new(Some(to)),
        foreign: AtomicUsize::new(0),
    });
    let pages = Router::new().route("/", get(take)).with_state(Arc::clone(&expected));
    let (close, closed) = oneshot::channel::<()>();
    let server = axum::serve(listener, pages).with_graceful_shutdown(async move {
        let _ = closed.await;
    });
    let mut server = pin!(server.into_future());
    let outcome = tokio::select! {
        outcome = timeout(patience, outcome) => outcome.ok().and_then(Result::ok),
        _ = &mut server => None,
    };
    drop(close);
    // The page that says so is still on its way.
    let _ = timeout(FAREWELL, server).await;
    match outcome {
        Some(Ok(code)) => Ok(code),
        Some(Err(word)) => Err(LoginError::Denied { word }),
        None => {
            let foreign = expected.foreign.load(Ordering::Relaxed);
            Err(LoginError::TimedOut { after: patience, foreign })
        }
    }
}

async fn take(State(expected): State<Arc<Expected>>, Query(answer): Query<Answer>) -> Response {
    if answer.state.as_deref() != Some(&expected.state) {
        expected.foreign.fetch_add(1, Ordering::Relaxed);
        return page(StatusCode::BAD_REQUEST, "This answer belongs to another login. Nothing was done.");
    }
    let outcome = match (answer.code, answer.error) {
        (Some(code), None) if !code.is_empty() => Ok(SecretString::from(code)),
        (_, Some(word)) => Err(known(&word)),
        _ => return page(StatusCode::BAD_REQUEST, "This answer holds no code. Nothing was done."),
    };
    let Some(to) = expected.to.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return page(StatusCode::CONFLICT, "This login was answered already.");
    };
    let said = match &outcome {
        Ok(_) => "Roadstead has the answer. You can close this page; the terminal says how it went on.",
        Err(_) => "The login was refused. You can close this page.",
    };
    // Nobody waits any more where its time was up a moment ago.
    let _ = to.send(outcome);
    page(StatusCode::OK, said)
}

fn page(status: StatusCode, text: &str) -> Response {
    let html = format!("<!doctype html><html lang=\"en\"><title>Roadstead</title><p>{text}</p></html>\n");
    (status, HEADERS, html).into_response()
}
