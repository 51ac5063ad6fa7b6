//! `roadstead-relay --validate`: one request, of whose answer the status is told, and what the type wants shown; and one before
//! it where a token has to be fetched.
//!
//! ```text
//! confine oneself ─► read the request from standard input ─► [the token endpoint ─►] the guard's way to the service
//!                 ─► {"answer":{"status":200,"shown":{"account":"ada"}}}
//! ```
//! What is asked with is a user's secret, and who is asked may be anybody: therefore in a process of its own, which has given
//! up what it could do before it hears either. No redirect is followed, and of a body no more is read than what is shown of it
//! can need.

mod exchange;
mod shown;
mod talk;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri};
use nix::sys::resource::{Resource, setrlimit};
use roadstead_sandbox::privilege::{self, Ids};
use roadstead_sandbox::{Filter, Listening, Rules, Ruleset, Walls};
use serde::{Deserialize, Serialize};
use tokio::task::LocalSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::{ConfigError, endpoint, headers};
use crate::dial::RemoteDial;
use exchange::{Exchange, ExchangeSetting, Fetched};
use shown::Place;
use talk::{Asking, Call};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    url: String,
    method: String,
    /// Names, and values cut where the token goes.
    #[serde(default)]
    headers: BTreeMap<String, Vec<Zeroizing<String>>>,
    #[serde(default)]
    allow_private: bool,
    #[serde(default)]
    extra_root: Option<String>,
    #[serde(default)]
    token: Option<ExchangeSetting>,
    #[serde(default)]
    show: BTreeMap<String, Place>,
}

/// What is told of the answer.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Answer {
        status: u16,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        shown: BTreeMap<String, String>,
    },
    /// The token endpoint gave none, and in which word, if it is one of those that a standard knows.
    NoToken { status: u16, word: Option<&'static str> },
    /// There was none, and why; holds no secret.
    Error(String),
}

/// A request that can be sent.
struct Question {
    method: Method,
    url: Uri,
    headers: BTreeMap<String, Vec<Zeroizing<String>>>,
    dial: RemoteDial,
    exchange: Option<Exchange>,
    show: BTreeMap<String, Place>,
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
        Ok(Ok(told)) => told,
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
    let mut connect = vec![port_of(&question.url), DNS_PORT];
    connect.extend(question.exchange.as_ref().map(|exchange| port_of(&exchange.url)));
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
    let reach = (setting.allow_private, setting.extra_root.as_deref());
    let exchange = setting.token.map(|token| Exchange::read(token, reach)).transpose()?;
    let question = Question { method, url, headers: setting.headers, dial, exchange, show: setting.show };
    // What would be refused when the token is there is refused before anything is sent.
    question.headers(None)?;
    Ok(question)
}

impl Question {
    /// The headers, with a token where one goes.
    fn headers(&self, token: Option<&str>) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
        let whole = |(name, pieces): (&String, &Vec<Zeroizing<String>>)| {
            let gap = if pieces.len() > 1 { token.unwrap_or("-") } else { "" };
            let length = pieces.iter().map(|piece| piece.len() + gap.len()).sum();
            let mut value = String::with_capacity(length);
            for (place, piece) in pieces.iter().enumerate() {
                value.push_str(if place == 0 { "" } else { gap });
                value.push_str(piece);
            }
            (name.clone(), value)
        };
        headers(self.headers.iter().map(whole).collect())
    }
}

async fn ask(question: Question) -> Result<Told, String> {
    let fetched = match &question.exchange {
        None => None,
        Some(exchange) => match exchange.fetch().await? {
            Fetched::Token(grant) => Some(grant),
            Fetched::Refused { status, word } => return Ok(Told::NoToken { status, word }),
        },
    };
    let token = fetched.as_ref().map(|grant| grant.token.as_str());
    // The token comes from elsewhere: what it makes of a header is looked at again.
    let headers = question.headers(token).map_err(|error| error.to_string())?;
    let wants_body = question.show.values().any(|place| matches!(place, Place::Body(_)));
    let call = Call { method: question.method, url: &question.url, headers, form: None };
    let asking = if wants_body { Asking::Body } else { Asking::Status };
    let answer = talk::talk(&question.dial, call, asking).await?;
    let grant = fetched.as_ref().map(|grant| &grant.whole);
    let shown = shown::shown(&question.show, &answer, grant);
    Ok(Told::Answer { status: answer.status, shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).err().expect("refused").to_string()
    }

    #[test]
    fn a_request_is_read() {
        let text =
            r#"{"url":"https://api.example.com/me?x=1","method":"HEAD","headers":{"X-Key":["s3cret"]}}"#;
        let question = parse(text.as_bytes()).unwrap();
        assert_eq!((&question.method, question.url.path()), (&Method::HEAD, "/me"));
        assert!(question.headers(None).unwrap()[0].1.is_sensitive());
        assert!(!question.dial.allow_private && question.dial.tls.is_some());
    }

    #[test]
    fn what_is_refused_repeats_no_secret() {
        for text in [
            r#"{"url":"http://api.example.com/","method":"GET","headers":{"X-Key":["s3cret"]}}"#,
            r#"{"url":"https://a.example/","method":"G T","headers":{"X-Key":["s3cret"]}}"#,
            r#"{"url":"https://a.example/","method":"GET","headers":{"X-Key":["s3cret\n"]}}"#,
            r#"{"url":"https://a.example/","method":"GET","headers":"s3cret"}"#,
            r#"{"url":"https://me:s3cret@a.example/","method":"GET"}"#,
            r#"{"url":"https://a.example/","method":"GET","token":{"url":"http://a.example/","form":{"a":"s3cret"},"field":"t"}}"#,
            r#"{"url":"https://a.example/","method":"GET","token":{"url":"https://a.example/","form":"s3cret","field":"t"}}"#,
            r#"{"url":"https://a.example/","method":"GET","show":{"a":{"cookie":"s3cret"}}}"#,
        ] {
            assert!(!refusal(text).contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_token_fills_the_gaps_and_nothing_else() {
        let text = r#"{"url":"https://a.example/","method":"GET",
            "headers":{"A":["Bearer ",""],"B":["${token}"],"C":["","-",""]}}"#;
        let headers = parse(text.as_bytes()).unwrap().headers(Some("t0ken")).unwrap();
        let values: Vec<&str> = headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
        assert_eq!(values, ["Bearer t0ken", "${token}", "t0ken-t0ken"]);
        let error = parse(text.as_bytes()).unwrap().headers(Some("t0ken\r\nX: y")).unwrap_err();
        assert!(!error.to_string().contains("t0ken"), "{error}");
    }
}
