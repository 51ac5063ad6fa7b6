//! A login with the browser: OAuth's way for programs on one's own machine (RFC 8252), with PKCE (RFC 7636).
//!
//! ```text
//! listen on 127.0.0.1 ─► the person's browser: "may this client …?" ─► one answer with our state ─► code and verifier
//!                                                                  ─► token endpoint ─► scopes looked at ─► refresh token
//! ```
//! - Who answers without our state is told so, and waited past: a page elsewhere can neither give us a code nor end the login.
//! - The code is good for nobody else: it is exchanged with a verifier that never leaves this process but to the endpoint.
//! - No message holds a code, a token, or what the endpoint said beyond the standard's words.

mod answer;

use std::collections::BTreeMap;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    PkceCodeChallenge, RedirectUrl, RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::http;

/// How long the token endpoint may take.
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer of the token endpoint that is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Why a login gave no credential. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The type's login is for another release of this program.
    #[error("the server type's login is not what this program knows")]
    Unknown(#[source] serde_json::Error),
    /// Its addresses are none, or without encryption.
    #[error("the server type's login has to have addresses with https")]
    Address,
    /// There is nobody to log in as a client.
    #[error("a login needs the id of an OAuth client of your own")]
    NoClient,
    /// No port of this machine could be had.
    #[error("could not listen on this machine for the browser's answer")]
    Listen(#[source] std::io::Error),
    /// Nobody came.
    #[error(
        "the login was not finished within {}{}",
        roadstead_model::duration::short(*after),
        if *foreign > 0 { "; what came belonged to another login" } else { "" }
    )]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
        /// How many answers had another state.
        foreign: usize,
    },
    /// The person, or the service, said no.
    #[error("the login was refused ({word})")]
    Denied {
        /// The service's word for why.
        word: String,
    },
    /// The endpoint took the code, the client or the verifier for none.
    #[error("the service did not exchange the login for tokens ({word})")]
    Refused {
        /// The service's word for why.
        word: String,
    },
    /// The endpoint could not be asked.
    #[error("the service's token endpoint at {host} does not answer")]
    Unreachable {
        /// Where.
        host: String,
        /// Why.
        #[source]
        source: ExchangeError,
    },
    /// The endpoint does not speak OAuth.
    #[error("the service's token endpoint answered what cannot be read")]
    Unreadable,
    /// The person permitted less than the server needs.
    #[error("the login does not permit what the server needs: {}", missing.join(", "))]
    Scopes {
        /// What is missing.
        missing: Vec<String>,
    },
    /// The login holds for an hour only.
    #[error("the service gave no refresh token")]
    NoRefreshToken,
}

/// Why the endpoint could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection did not do its work.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// It says more than tokens take.
    #[error("the answer is longer than 256 KiB")]
    TooLong,
}

impl LoginError {
    /// The exit that fits.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unavailable,
            Self::Denied { .. } | Self::Scopes { .. } => Exit::Permission,
            Self::NoClient => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TimedOut { .. } => {
                Some("the browser has to run on this machine; --login-timeout gives it longer".to_owned())
            }
            Self::Refused { word } if word == "invalid_client" => {
                Some("the id and the secret have to be of the same OAuth client".to_owned())
            }
            Self::Scopes { .. } => Some("log in again, and tick everything that is asked for".to_owned()),
            Self::NoRefreshToken => Some(
                "take the client's access back in the account's settings of the service, and log in again"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What a server type says of logging in.
#[derive(Debug, Deserialize)]
pub(crate) struct Login {
    authorization_url: Url,
    token_url: Url,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
    pub(crate) slots: LoginSlots,
    #[serde(default)]
    allow_private: bool,
    #[serde(skip)]
    required_scopes: Vec<String>,
}

/// Which slots of the type hold what.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginSlots {
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) client_secret: Option<String>,
    pub(crate) refresh_token: String,
}

/// The user's own OAuth client.
#[derive(Debug)]
pub(crate) struct OauthClient {
    pub(crate) id: String,
    pub(crate) secret: Option<SecretString>,
}

impl Login {
    /// A type's login, if it has one.
    pub(crate) fn of(server_type: &Value) -> Result<Option<Self>, LoginError> {
        let Some(table) = server_type.get("login").filter(|table| !table.is_null()) else { return Ok(None) };
        let mut login: Self = serde_json::from_value(table.clone()).map_err(LoginError::Unknown)?;
        let is_good = |url: &Url| url.scheme() == "https" || (login.allow_private && url.scheme() == "http");
        if !(is_good(&login.authorization_url) && is_good(&login.token_url)) {
            return Err(LoginError::Address);
        }
        let required = server_type.get("required_scopes").and_then(Value::as_array).into_iter().flatten();
        login.required_scopes = required.filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Some(login))
    }

    fn asked(&self) -> &[String] {
        if self.scopes.is_empty() { &self.required_scopes } else { &self.scopes }
    }
}

/// Logs in: `invite` is shown the address, and gets a person there.
pub(crate) async fn refresh_token(
    login: &Login,
    client: &OauthClient,
    patience: Duration,
    invite: impl FnOnce(&str),
) -> Result<SecretString, LoginError> {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(LoginError::Listen)?;
    let port = listener.local_addr().map_err(LoginError::Listen)?.port();
    let redirect = RedirectUrl::new(format!("http://127.0.0.1:{port}/")).expect("it is an address");
    let mut oauth = BasicClient::new(ClientId::new(client.id.clone()))
        .set_auth_uri(AuthUrl::from_url(login.authorization_url.clone()))
        .set_token_uri(TokenUrl::from_url(login.token_url.clone()))
        .set_redirect_uri(redirect)
        .set_auth_type(AuthType::RequestBody);
    if let Some(secret) = &client.secret {
        oauth = oauth.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
    }
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let mut request = oauth
        .authorize_url(CsrfToken::new_random)
        .add_scopes(login.asked().iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge);
    for (name, value) in &login.params {
        request = request.add_extra_param(name, value);
    }
    let (address, state) = request.url();
    invite(address.as_str());
    let code = answer::wait(listener, state.secret(), patience).await?;
    let web = http::client(&login.token_url).map_err(|source| unreachable(login, source.into()))?;
    let exchanged = oauth
        .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
        .set_pkce_verifier(verifier)
        .request_async(&|request| send(web.clone(), request))
        .await;
    granted(login, &exchanged.map_err(|error| refused(login, error))?)
}

/// The refresh token, if the login permits what the server needs.
fn granted(login: &Login, tokens: &BasicTokenResponse) -> Result<SecretString, LoginError> {
    // Who names no scopes grants what was asked for (RFC 6749, section 5.1).
    let named = tokens.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>());
    let is_granted = |scope: &str| named.as_ref().is_none_or(|named| named.contains(&scope));
    let missing: Vec<String> =
        login.required_scopes.iter().filter(|scope| !is_granted(scope)).cloned().collect();
    if !missing.is_empty() {
        return Err(LoginError::Scopes { missing });
    }
    let token = tokens.refresh_token().ok_or(LoginError::NoRefreshToken)?;
    Ok(token.secret().clone().into())
}

async fn send(web: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ExchangeError> {
    let (head, body) = request.into_parts();
    let asked = web.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
    let mut response = asked.timeout(EXCHANGE_PATIENCE).send().await.map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ExchangeError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    Ok(answer)
}

/// What the library says of an answer that it cannot read shows the answer, and that may hold tokens.
fn refused(
    login: &Login,
    error: RequestTokenError<ExchangeError, oauth2::basic::BasicErrorResponse>,
) -> LoginError {
    match error {
        RequestTokenError::ServerResponse(said) => LoginError::Refused { word: known(said.error().as_ref()) },
        RequestTokenError::Request(source) => unreachable(login, source),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => LoginError::Unreadable,
    }
}

fn unreachable(login: &Login, source: ExchangeError) -> LoginError {
    LoginError::Unreachable { host: login.token_url.host_str().unwrap_or_default().to_owned(), source }
}

/// A word for an error, as standards make them; another may be anything.
fn known(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if (1..=50).contains(&word.len()) && word.bytes().all(plain) {
        word.to_owned()
    } else {
        "for a reason that it gives in no word of the standard".to_owned()
    }
}

#[cfg(test)]
mod tests;
