//! What a browser could be made to send by somebody else's page, and what it is told of our answers.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use roadstead_test_support::app::{Answer, App, AppOptions};
use serde_json::{Value, json};

const ALLOWED: &str = "https://app.example.com";
const EVIL: &str = "https://evil.example";

async fn app() -> App {
    let allowed = format!("{ALLOWED},https://mcp.example.com");
    let args = vec!["--allow-origin".to_owned(), allowed];
    App::start_with(AppOptions { args, ..AppOptions::default() }).await
}

async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the service answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole answer");
    Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

fn code(answer: &Answer) -> &str {
    answer.body["error"]["code"].as_str().unwrap_or_default()
}

/// Headers of a request, and the code with which it is refused, if it is.
type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn other_peoples_pages_reach_neither_the_api_nor_an_instance() {
    let app = app().await;
    let instance = app.launch(json!({"type": "echo"})).await;
    let id = instance["id"].as_str().expect("an id");
    let token = instance["access_token"].as_str().expect("a token");
    let access = format!("{}/i/{id}/mcp", app.url);
    let cases: &[Case<'_>] = &[
        (&[], None),
        (&[("host", "localhost:1")], None),
        (&[("host", "mcp.example.com")], None),
        (&[("host", "rebound.evil.example")], Some("HOST_NOT_ALLOWED")),
        (&[("host", "127.0.0.1.evil.example")], Some("HOST_NOT_ALLOWED")),
        (&[("origin", &app.url)], None),
        (&[("origin", "https://mcp.example.com"), ("sec-fetch-site", "same-origin")], None),
        (&[("origin", ALLOWED), ("sec-fetch-site", "cross-site")], None),
        (&[("origin", EVIL)], Some("ORIGIN_NOT_ALLOWED")),
        (&[("origin", "null")], Some("ORIGIN_NOT_ALLOWED")),
        (&[("origin", "http://localhost:1")], Some("ORIGIN_NOT_ALLOWED")),
        (&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], Some("ORIGIN_NOT_ALLOWED")),
        (&[("sec-fetch-site", "none")], None),
    ];
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    for (headers, refused) in cases {
        let with = |request: RequestBuilder| {
            headers.iter().fold(request, |r, (name, value)| r.header(*name, *value))
        };
        let client = reqwest::Client::new();
        let api = sent(with(app.request("GET", "/me").bearer_auth(&app.key))).await;
        let health = sent(with(client.get(format!("{}/healthz", app.url)))).await;
        let accept = "application/json, text/event-stream";
        let call = client.post(&access).bearer_auth(token).header("accept", accept).json(&hello);
        let call = sent(with(call)).await;
        for (what, answer) in [("the API", api), ("health", health), ("the access URL", call)] {
            let expected = refused.map_or((200, ""), |refused| (403, refused));
            assert_eq!((answer.status, code(&answer)), expected, "{what}: {headers:?}: {answer:?}");
            assert_protected(&answer.headers);
            if refused.is_some() {
                assert_eq!(
                    answer.headers["x-request-id"],
                    answer.body["error"]["request_id"].as_str().expect("an id")
                );
            }
        }
    }
    let preflight = app.request("OPTIONS", "/instances").header("origin", EVIL);
    let preflight = sent(preflight.header("access-control-request-method", "POST")).await;
    assert_eq!((preflight.status, code(&preflight)), (403, "ORIGIN_NOT_ALLOWED"));
    app.interrupt().await;
}

/// The page must still work under its policy: nothing on it is written in place, and all it loads is ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_api_loads_under_its_policy() {
    let app = app().await;
    let client = reqwest::Client::new();
    let get = async |path: &str| {
        let request = client.get(format!("{}{path}", app.url)).header("sec-fetch-site", "cross-site");
        let response =
            request.header("sec-fetch-mode", "navigate").send().await.expect("the service answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.expect("a text"))
    };
    let (status, headers, page) = get("/docs/").await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().expect("a text");
    assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_protected(&headers);
    let mut loaded = 0;
    for tag in page.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link")) {
        let source = ["src=\"", "href=\""].iter().find_map(|mark| tag.split_once(mark));
        let source = source.unwrap_or_else(|| panic!("written in place: <{tag}")).1;
        let source = source.split('"').next().expect("a value").trim_start_matches("./");
        assert!(!source.contains("://"), "from elsewhere: {source}");
        let (status, headers, _) = get(&format!("/docs/{source}")).await;
        let kind = headers["content-type"].to_str().expect("a text");
        assert_eq!(status, 200, "{source}");
        let is_fitting = ["javascript", "css", "png"].iter().any(|word| kind.contains(word));
        assert!(is_fitting, "{source} would not be taken as {kind}");
        loaded += 1;
    }
    assert!(loaded >= 4, "scripts and styles of the page: {page}");
    for handler in [" onclick=", " onload=", "javascript:"] {
        assert!(!page.contains(handler), "{handler}");
    }
    app.interrupt().await;
}

#[track_caller]
fn assert_protected(headers: &HeaderMap) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(headers[name], value, "{headers:?}");
    }
    let policy = headers["content-security-policy"].to_str().expect("a text");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{headers:?}");
}
