//! `roadstead-relay --validate`: one request, whose status is all that is told of the answer.
//!
//! ```text
//! confine oneself ─► read the request from standard input ─► the guard's way to the service ─► {"status":200}
//! ```
//! What is asked with is a user's secret, and who is asked may be anybody: therefore in a process of its own, which has given
//! up what it could do before it hears either. No redirect is followed, and no byte of the answer's body is read.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use nix::sys::resource::{Resource, setrlimit};
use roadstead_sandbox::privilege::{self, Ids};
use roadstead_sandbox::{Filter, Listening, Rules, Ruleset, Walls};
use roadstead_upstream::Dial as _;
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::{ConfigError, endpoint, headers};
use crate::dial::RemoteDial;

/// How long the whole may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that is read.
const MAX_REQUEST_BYTES: u64 = 1024 * 1024;
/// Descriptors that a connection and a look-up of its name may need.
const MAX_OPEN_FILES: u64 = 64;
/// Seconds of processor time: far more than one request takes.
const MAX_CPU_SECONDS: u64 = 10;
/// Where name servers answer.
const DNS_PORT: u16 = 53;
/// Who asks, unless the type says otherwise: some services refuse nobody.
const USER_AGENT: &str = concat!("roadstead/", env!("CARGO_PKG_VERSION"));

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    url: String,
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    allow_private: bool,
    #[serde(default)]
    extra_root: Option<String>,
}

/// What is told of the answer.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Status(u16),
    /// There was none, and why; holds no secret.
    Error(String),
}

/// A request that can be sent.
struct Question {
    method: Method,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    dial: RemoteDial,
}

/// Asks, as the user of this number if one is given.
pub(crate) fn run(user: Option<u32>) -> ExitCode {
    if let Err(error) = confine(user) {
        eprintln!("roadstead-relay: {error}");
        return ExitCode::FAILURE;
    }
    let question = match read() {
        Ok(question) => question,
        Err(error) => {
            eprintln!("roadstead-relay: {error}");
            return ExitCode::from(78);
        }
    };
    if let Err(error) = wall_in(&question) {
        eprintln!("roadstead-relay: {error}");
        return ExitCode::FAILURE;
    }
    // One thread beside this one looks names up.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("roadstead-relay: there is no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let asked = LocalSet::new();
    let answer = runtime.block_on(asked.run_until(async { timeout(PATIENCE, ask(question)).await }));
    let told = match answer {
        Ok(Ok(status)) => Told::Status(status),
        Ok(Err(error)) => Told::Error(error),
        Err(_) => Told::Error("it does not answer in time".to_owned()),
    };
    runtime.shutdown_background();
    println!("{}", serde_json::to_string(&told).expect("a number or a text is JSON"));
    ExitCode::SUCCESS
}

/// Gives up what no request needs. The user changes before the memory is hidden: the change would show it again.
fn confine(user: Option<u32>) -> Result<(), String> {
    let limits = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NOFILE, MAX_OPEN_FILES),
        (Resource::RLIMIT_CPU, MAX_CPU_SECONDS),
    ];
    for (resource, most) in limits {
        setrlimit(resource, most, most).map_err(|error| format!("could not set a limit: {error}"))?;
    }
    privilege::empty_bounding_set();
    let steps = || {
        if let Some(id) = user {
            privilege::become_user(Ids { uid: id, gid: id })?;
        }
        privilege::drop_capabilities()?;
        privilege::forbid_new_privileges()?;
        privilege::hide_memory()
    };
    steps().map_err(|error| error.to_string())
}

/// Leaves open what one request needs: the files by which names are looked up and certificates are checked, the service's
/// port, and that of name servers. Where the kernel has no such walls, the request is made without.
fn wall_in(question: &Question) -> Result<(), String> {
    let connect = vec![port_of(&question.url), DNS_PORT];
    let rules = Rules { connect, ..Rules::default() };
    let ruleset = Ruleset::build(&rules).map_err(|error| error.to_string())?;
    let filter = if Filter::is_available() {
        Some(Filter::new(Listening::Refused).map_err(|error| error.to_string())?)
    } else {
        None
    };
    Walls { ruleset, filter }.enter().map_err(|error| format!("the kernel refused the walls: {error}"))
}

fn port_of(url: &Uri) -> u16 {
    let usual = if url.scheme_str() == Some("http") { 80 } else { 443 };
    url.port_u16().unwrap_or(usual)
}

fn read() -> Result<Question, ConfigError> {
    // Never grown: growing would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_REQUEST_BYTES).unwrap_or_default()));
    let mut input = std::io::stdin().lock().take(MAX_REQUEST_BYTES);
    input.read_to_end(&mut text).map_err(ConfigError::Input)?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Question, ConfigError> {
    // What serde says may repeat a value.
    let setting: Setting = serde_json::from_slice(text)
        .map_err(|error| ConfigError::Unreadable { line: error.line(), column: error.column() })?;
    let (url, dial) = endpoint(&setting.url, setting.allow_private, setting.extra_root.as_deref())?;
    let method = Method::from_bytes(setting.method.as_bytes()).map_err(|_| ConfigError::Method)?;
    Ok(Question { method, url, headers: headers(setting.headers)?, dial })
}

async fn ask(question: Question) -> Result<u16, String> {
    let Question { method, url, headers, dial } = question;
    let stream = dial.dial().await.map_err(|error| format!("no connection: {error}"))?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(broken)?;
    let running = tokio::task::spawn_local(connection);
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let host = url.authority().map_or("", http::uri::Authority::as_str);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    for (name, value) in headers {
        request.headers_mut().insert(name, value);
    }
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    running.abort();
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).err().expect("refused").to_string()
    }

    #[test]
    fn a_request_is_read() {
        let text = r#"{"url":"https://api.example.com/me?x=1","method":"HEAD","headers":{"X-Key":"s3cret"}}"#;
        let question = parse(text.as_bytes()).unwrap();
        assert_eq!((question.method, question.url.path()), (Method::HEAD, "/me"));
        assert!(question.headers[0].1.is_sensitive());
        assert!(!question.dial.allow_private && question.dial.tls.is_some());
    }

    #[test]
    fn what_is_refused_repeats_no_secret() {
        for text in [
            r#"{"url":"http://api.example.com/","method":"GET","headers":{"X-Key":"s3cret"}}"#,
            r#"{"url":"https://a.example/","method":"G T","headers":{"X-Key":"s3cret"}}"#,
            r#"{"url":"https://a.example/","method":"GET","headers":{"X-Key":"s3cret\n"}}"#,
            r#"{"url":"https://a.example/","method":"GET","headers":"s3cret"}"#,
            r#"{"url":"https://me:s3cret@a.example/","method":"GET"}"#,
        ] {
            assert!(!refusal(text).contains("s3cret"), "{text}");
        }
    }
}
