//! Who we are to Google: a refresh token that is kept, and access tokens that come and go.

use std::time::Duration;

use roadstead_server_kit::{Auth, Client, Code, Failure, Refusal, Request, Response, StartError};
use roadstead_server_kit::{BaseUrl, Call, Limits, Plain};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// So long before its end an access token is renewed: a request that has begun shall not outlive it.
const BEFORE_END: Duration = Duration::from_mins(1);
/// How long an access token is taken to live, if Google does not say.
const USUAL_LIFE_S: u64 = 3600;
/// An answer with a token is a few hundred bytes.
const TOKEN_ANSWER_BYTES: usize = 64 * 1024;

/// The three values that a person gives.
pub struct Credentials {
    /// Of the person's own OAuth client.
    pub client_id: SecretString,
    /// Of the same.
    pub client_secret: SecretString,
    /// From a login with that client.
    pub refresh_token: SecretString,
}

/// Gmail, asked with an access token that is renewed in time.
pub struct Session {
    gmail: Client,
    google: Client,
    credentials: Credentials,
    /// One asks for a token; whoever needs one meanwhile waits for that.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Which token in a row it is; 0 before the first.
    number: u64,
    renew_at: Option<Instant>,
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
    expires_in: Option<u64>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Nothing is asked before it has to be.
    pub fn new(
        gmail: Client,
        token_url: &str,
        limits: Limits,
        credentials: Credentials,
    ) -> Result<Self, StartError> {
        let google = Client::builder("Google's login", BaseUrl::parse(token_url, Plain::LoopbackOnly)?)
            .user_agent(concat!("roadstead-gmail/", env!("CARGO_PKG_VERSION")))
            .limits(limits)
            .explain(explain)
            .build()?;
        for client in [&gmail, &google] {
            client.keep_secret(&credentials.client_secret);
            client.keep_secret(&credentials.refresh_token);
        }
        Ok(Self { gmail, google, credentials, current: Mutex::default() })
    }

    /// Sends what `make` makes. When Gmail does not take the access token, once more with a new one.
    pub async fn send(
        &self,
        call: &Call,
        make: impl Fn(&Client) -> Request + Send + Sync,
    ) -> Result<Response, Failure> {
        let number = self.token(0, call).await?;
        match make(&self.gmail).send(call).await {
            Err(failure) if failure.status() == Some(401) => {
                self.token(number, call).await?;
                make(&self.gmail).send(call).await
            }
            ended => ended,
        }
    }

    /// Sees to it that there is an access token that lives, and is not the one of this number, which was refused. Its
    /// number.
    async fn token(&self, refused: u64, call: &Call) -> Result<u64, Failure> {
        let mut current = self.current.lock().await;
        let lives = current.renew_at.is_some_and(|end| Instant::now() < end);
        if lives && current.number != refused {
            return Ok(current.number);
        }
        let token = self.ask(call).await?;
        self.google.keep_secret(&token.access_token);
        let auth = Auth::bearer(&token.access_token).map_err(|_| {
            Failure::new(Code::UnexpectedAnswer, "Google gave an access token that cannot be used.")
        })?;
        self.gmail.set_auth(auth);
        let life = Duration::from_secs(token.expires_in.unwrap_or(USUAL_LIFE_S));
        current.renew_at = Some(Instant::now() + life.saturating_sub(BEFORE_END));
        current.number += 1;
        Ok(current.number)
    }

    async fn ask(&self, call: &Call) -> Result<Token, Failure> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", self.credentials.client_id.expose_secret()),
            ("client_secret", self.credentials.client_secret.expose_secret()),
            ("refresh_token", self.credentials.refresh_token.expose_secret()),
        ];
        let request = self.google.post::<[&str; 0]>([]).form(&fields).idempotent().limit(TOKEN_ANSWER_BYTES);
        let answer = request.send(call).await?;
        // What serde says of a token's answer could hold the token.
        serde_json::from_slice(answer.body()).map_err(|_| {
            Failure::new(
                Code::UnexpectedAnswer,
                "Google's login answered without an access token. The address of the login in the configuration may \
                 be wrong.",
            )
        })
    }
}

/// Google's refusals of a login, by the words of OAuth (RFC 6749, 5.2).
fn explain(refusal: &Refusal<'_>) -> Failure {
    let error = refusal.json.as_ref().and_then(|json| json["error"].as_str()).unwrap_or_default();
    let told = |code, hint| {
        Failure::new(code, refusal.sentence()).with_status(refusal.status.as_u16()).with_hint(hint)
    };
    match error {
        "invalid_grant" => told(
            Code::Unauthorized,
            "The login has ended: the refresh token was revoked, was not used for six months, or its password was \
             changed; logins of apps in testing end after seven days. The person must log in again and give the new \
             refresh token. No other call can help.",
        ),
        "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client" => told(
            Code::Unauthorized,
            "The client id or the client secret is wrong or was deleted, or the refresh token is of another client. \
             The person must correct the credential.",
        ),
        "invalid_scope" => told(
            Code::Forbidden,
            "The login does not allow for Gmail: the person must log in again with its scopes.",
        ),
        _ => refusal.to_failure(),
    }
}
