//! Logins with a service on this machine that says yes, no, or something odd.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::oneshot;

use super::*;

const SCOPE: &str = "https://mail.example/modify";
const LONG: Duration = Duration::from_mins(1);

/// What the token endpoint answers, and what it was asked.
#[derive(Clone)]
struct Endpoint {
    answer: (StatusCode, Value),
    asked: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    fn new(status: u16, answer: Value) -> Self {
        Self { answer: (StatusCode::from_u16(status).unwrap(), answer), asked: Arc::default() }
    }

    fn good() -> Self {
        Self::new(
            200,
            json!({"access_token": "canary-access", "token_type": "Bearer", "expires_in": 3599,
            "refresh_token": "canary-refresh", "scope": format!("openid {SCOPE}")}),
        )
    }

    fn asked(&self) -> Vec<BTreeMap<String, String>> {
        let asked = self.asked.lock().unwrap();
        let parsed =
            |form: &String| Url::parse(&format!("x:?{form}")).unwrap().query_pairs().into_owned().collect();
        asked.iter().map(parsed).collect()
    }

    /// Logs in with a browser that does as it is told; what it is told is made of the address.
    async fn log_in(
        &self,
        patience: Duration,
        browser: impl AsyncFnOnce(BTreeMap<String, String>),
    ) -> Result<String, LoginError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = Router::new().route("/token", post(token)).with_state(self.clone());
        let login = login(&url);
        let client = OauthClient { id: "me".to_owned(), secret: Some("canary-client".into()) };
        let (invite, invited) = oneshot::channel();
        let logging = refresh_token(&login, &client, patience, |url| invite.send(url.to_owned()).unwrap());
        let browsing = async {
            let url = Url::parse(&invited.await.unwrap()).unwrap();
            browser(url.query_pairs().into_owned().collect()).await;
        };
        tokio::select! {
            _ = async { axum::serve(listener, service).await } => panic!("the service ended"),
            (outcome, ()) = async { tokio::join!(logging, browsing) } => {
                outcome.map(|token| token.expose_secret().to_owned())
            }
        }
    }
}

async fn token(State(endpoint): State<Endpoint>, form: String) -> (StatusCode, Json<Value>) {
    endpoint.asked.lock().unwrap().push(form);
    let (status, answer) = endpoint.answer;
    (status, Json(answer))
}

fn login(url: &str) -> Login {
    let server_type = json!({
        "required_scopes": [SCOPE],
        "login": {
            "authorization_url": format!("{url}/auth"), "token_url": format!("{url}/token"),
            "params": {"access_type": "offline", "prompt": "consent"}, "allow_private": true,
            "slots": {"client_id": "client_id", "client_secret": "client_secret", "refresh_token": "refresh_token"},
        },
    });
    Login::of(&server_type).unwrap().unwrap()
}

/// Goes where the service sends a browser; the status of the page.
async fn answer(asked: &BTreeMap<String, String>, query: &[(&str, &str)]) -> u16 {
    let url = Url::parse_with_params(&asked["redirect_uri"], query).unwrap();
    let browser = http::client(&url).unwrap();
    browser.get(url).send().await.map_or(0, |page| page.status().as_u16())
}

/// Says what a login that failed says, and that it says no secret.
#[track_caller]
fn said(outcome: Result<String, LoginError>) -> String {
    let error = crate::failure::CliError::from(outcome.unwrap_err());
    let text = format!("{}\n{}\n{error:?}", error.for_people(), error.for_programs());
    assert!(!text.contains("canary"), "{text}");
    error.for_people()
}

#[tokio::test]
async fn a_login_gives_a_refresh_token() {
    let endpoint = Endpoint::good();
    let token = endpoint.log_in(LONG, async |asked| {
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "me"),
            ("scope", SCOPE),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
            ("prompt", "consent"),
        ] {
            assert_eq!(asked[name], value, "{name}");
        }
        assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:"), "{asked:?}");
        assert!(!format!("{asked:?}").contains("canary"), "the client's secret stands in no address");
        assert_eq!(answer(&asked, &[("state", &asked["state"]), ("code", "canary-code")]).await, 200);
    });
    assert_eq!(token.await.unwrap(), "canary-refresh");
    let asked = endpoint.asked();
    let form = &asked[0];
    assert_eq!(
        (asked.len(), form["grant_type"].as_str(), form["code"].as_str()),
        (1, "authorization_code", "canary-code")
    );
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("me", "canary-client"));
    assert!(form["code_verifier"].len() >= 43 && form["redirect_uri"].starts_with("http://127.0.0.1:"));
}

#[tokio::test]
async fn an_answer_with_another_state_is_told_so_and_waited_past() {
    let endpoint = Endpoint::good();
    let token = endpoint.log_in(LONG, async |asked| {
        assert_eq!(answer(&asked, &[("state", "other"), ("code", "canary-stolen")]).await, 400);
        assert_eq!(answer(&asked, &[("code", "canary-stolen")]).await, 400);
        assert_eq!(answer(&asked, &[("state", "other"), ("error", "access_denied")]).await, 400);
        assert_eq!(answer(&asked, &[("state", &asked["state"])]).await, 400, "neither yes nor no");
        assert_eq!(answer(&asked, &[("state", &asked["state"]), ("code", "canary-code")]).await, 200);
    });
    assert_eq!(token.await.unwrap(), "canary-refresh");
    assert_eq!(endpoint.asked()[0]["code"], "canary-code");

    let outcome = endpoint.log_in(Duration::from_secs(1), async |asked| {
        answer(&asked, &[("state", "other"), ("code", "canary-stolen")]).await;
    });
    let said = said(outcome.await);
    assert!(said.contains("not finished within") && said.contains("another login"), "{said}");
    assert_eq!(endpoint.asked().len(), 1, "no other code was exchanged");
}

#[tokio::test]
async fn a_login_that_nobody_finishes_ends() {
    let endpoint = Endpoint::good();
    let outcome = endpoint.log_in(Duration::from_millis(50), async |_| {}).await;
    assert!(matches!(outcome, Err(LoginError::TimedOut { foreign: 0, .. })), "{outcome:?}");
    assert!(endpoint.asked().is_empty());
}

#[tokio::test]
async fn a_no_is_told_in_the_words_of_the_standard() {
    for (word, told) in [("access_denied", "access_denied"), ("<b>canary</b>", "no word of the standard")] {
        let endpoint = Endpoint::good();
        let outcome = endpoint.log_in(LONG, async |asked| {
            assert_eq!(answer(&asked, &[("state", &asked["state"]), ("error", word)]).await, 200);
        });
        let said = said(outcome.await);
        assert!(said.contains("refused") && said.contains(told), "{said}");
        assert!(endpoint.asked().is_empty());
    }
}

#[tokio::test]
async fn whatever_the_endpoint_answers_instead_of_tokens_is_told_without_a_secret() {
    let grant = |extra: Value| {
        let mut answer = json!({"access_token": "canary-access", "token_type": "Bearer"});
        answer.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        answer
    };
    let denied = |word: &str| json!({"error": word, "error_description": "canary-refresh is odd"});
    for (status, answered, told) in [
        (400, denied("invalid_grant"), "invalid_grant"),
        (401, denied("invalid_client"), "same OAuth client"),
        (400, denied("canary word"), "no word of the standard"),
        (500, json!("canary-access"), "cannot be read"),
        (200, json!({"refresh_token": "canary-refresh"}), "cannot be read"),
        (200, grant(json!({})), "no refresh token"),
        (200, grant(json!({"refresh_token": "canary-refresh", "scope": "openid"})), SCOPE),
    ] {
        let endpoint = Endpoint::new(status, answered);
        let outcome = endpoint.log_in(LONG, async |asked| {
            answer(&asked, &[("state", &asked["state"]), ("code", "canary-code")]).await;
        });
        let said = said(outcome.await);
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[tokio::test]
async fn who_names_no_scopes_grants_what_was_asked_for() {
    let answered = json!({"access_token": "a", "token_type": "Bearer", "refresh_token": "canary-refresh"});
    let endpoint = Endpoint::new(200, answered);
    let outcome = endpoint.log_in(LONG, async |asked| {
        answer(&asked, &[("state", &asked["state"]), ("code", "canary-code")]).await;
    });
    assert_eq!(outcome.await.unwrap(), "canary-refresh");
}

#[test]
fn a_login_without_encryption_is_for_private_services() {
    let server_type = json!({"login": {"authorization_url": "http://a.example", "token_url": "https://a.example",
        "slots": {"client_id": "a", "refresh_token": "b"}}});
    assert!(matches!(Login::of(&server_type), Err(LoginError::Address)));
    assert!(matches!(Login::of(&json!({"login": {"token_url": 1}})), Err(LoginError::Unknown(_))));
    assert!(Login::of(&json!({"login": null})).unwrap().is_none());
}
