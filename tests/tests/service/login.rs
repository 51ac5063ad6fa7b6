//! A login from the command line to a credential that its service takes: the program itself, a browser that says yes or no, and a
//! service of this test that gives tokens.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roadstead_test_support::app::{App, programs};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long the program may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Values that sing wherever they are seen.
const CLIENT: &str = "canary-login-client";
const REFRESH: &str = "canary-login-refresh";

/// What one asks of the service, and its answers.
#[derive(Clone, Default)]
struct Service {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start(&self, serving: &mut JoinSet<()>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::clone(&self.asked);
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else { continue };
                let (status, body) = answer(&request);
                asked.lock().expect("nobody panicked").push(request);
                let (body, length) = (body.to_string(), body.to_string().len());
                let text = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        port
    }
}

/// A code is good with the client's secret and a verifier, a refresh token with the secret, an access token alone.
fn answer(request: &str) -> (u16, Value) {
    let has = |part: &str| request.contains(part);
    let grant = json!({"access_token": "canary-login-access", "token_type": "Bearer", "scope": "mail"});
    if has("POST /token") && has("grant_type=authorization_code") {
        if has("code=canary-login-code") && has("code_verifier=") && has(CLIENT) {
            let mut first = grant;
            first["refresh_token"] = json!(REFRESH);
            return (200, first);
        }
        return (400, json!({"error": "invalid_grant", "error_description": CLIENT}));
    }
    if has("POST /token") && has(REFRESH) && has(CLIENT) {
        return (200, grant);
    }
    if has("GET /me") && has("Bearer canary-login-access") {
        return (200, json!({"mail": "ada@example.org"}));
    }
    (401, json!({}))
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&request).to_lowercase();
    let length = head.split_once("content-length: ").map_or("0", |(_, rest)| rest);
    let length = length.lines().next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(String::from_utf8_lossy(&[request, body].concat()).into_owned())
}

async fn define(app: &App, port: u16) {
    let url = format!("http://127.0.0.1:{port}");
    let spec = json!({
        "name": "mail", "display_name": "Mail", "program": programs().join("roadstead-echo"), "era": "dual",
        "required_scopes": ["mail"],
        "credential_slots": [
            {"name": "id", "label": "Client", "secret": false}, {"name": "secret", "label": "Secret"},
            {"name": "token", "label": "Refresh token"},
        ],
        "login": {
            "authorization_url": format!("{url}/auth"), "token_url": format!("{url}/token"), "allow_private": true,
            "slots": {"client_id": "id", "client_secret": "secret", "refresh_token": "token"},
        },
        "validation": {
            "url": format!("{url}/me"), "allow_private": true, "headers": {"Authorization": "Bearer ${token}"},
            "token": {"url": format!("{url}/token"), "form": {
                "grant_type": "refresh_token", "client_secret": "${credential.secret}", "refresh_token": "${credential.token}",
            }},
            "show": {"account": {"body": "/mail"}, "scopes": {"token": "/scope"}},
        },
    });
    let answer = app.ask("POST", "/types", Some(spec)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// What a run of the program said, and whether it succeeded.
struct Said {
    success: bool,
    all: String,
}

/// Runs the login; the browser goes back with what it is told to.
#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
async fn log_in(app: &App, name: &str, back: &[(&str, &str)]) -> Said {
    let mut command = tokio::process::Command::new(programs().join("roadstead"));
    command.arg("--profile").arg(app.data().join("profile.json"));
    command.args(["credentials", "add", "mail", "--name", name, "--login", "--no-browser"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(format!("my-client\n{CLIENT}\n").as_bytes()).await.expect("it reads");
    drop(stdin);
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut all = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("text") {
            all.push_str(&line);
            all.push('\n');
            if let Some(address) = line.trim().strip_prefix("http://") {
                browse(&format!("http://{address}"), back).await;
            }
        }
        child.wait_with_output().await.expect("it ends")
    };
    let output = tokio::time::timeout(PATIENCE, reading).await.expect("it ends in time");
    all.push_str(&String::from_utf8_lossy(&output.stdout));
    Said { success: output.status.success(), all }
}

/// Goes where the service would send the browser after the person's answer.
async fn browse(address: &str, back: &[(&str, &str)]) {
    let address = reqwest::Url::parse(address).expect("an address");
    let asked: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
    assert_eq!((asked["scope"].as_str(), asked["code_challenge_method"].as_str()), ("mail", "S256"));
    let mut query = vec![("state", asked["state"].as_str())];
    query.extend(back);
    let url = reqwest::Url::parse_with_params(&asked["redirect_uri"], query).expect("an address");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = client.get(url).send().await.expect("a page");
    assert_eq!(page.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_becomes_a_credential_that_its_service_takes() {
    let app = App::start().await;
    let (service, mut serving) = (Service::default(), JoinSet::new());
    define(&app, service.start(&mut serving).await).await;

    for (name, back, told) in [
        ("denied", [("error", "access_denied")], "the login was refused (access_denied)"),
        ("wrong", [("code", "canary-login-wrong")], "did not exchange the login for tokens (invalid_grant)"),
    ] {
        let said = log_in(&app, name, &back).await;
        assert!(!said.success && said.all.contains(told), "{}", said.all);
        assert!(!said.all.contains("canary"), "{}", said.all);
    }
    let none = app.ask("GET", "/credentials", None).await;
    assert_eq!(none.body["data"], json!([]), "nothing was stored");

    let said = log_in(&app, "mine", &[("code", "canary-login-code")]).await;
    assert!(said.success && !said.all.contains("canary"), "{}", said.all);
    let stored = app.ask("GET", "/credentials", None).await;
    let id = stored.body["data"][0]["id"].as_str().expect("it was stored").to_owned();
    let tried = app.ask("POST", &format!("/credentials/{id}/validate"), None).await;
    assert_eq!(tried.body["validation"], "valid", "{tried:?}\n{}", app.log());
    assert_eq!(tried.body["shown"], json!({"account": "ada@example.org", "scopes": "mail"}));
    assert!(!format!("{tried:?}{}", app.log()).contains("canary"), "no value is told or logged");
    serving.abort_all();
}
